//! The schemas, derived from the types of the files.

use crate::delivery::manifest::{Manifest, TagValue};
use crate::delivery::stages::{MAX_STAGES, Stage};
use crate::images::settings::ImageSettings;
use crate::model::base_image::{ImageOwner, NamePattern, ParameterName};
use crate::model::ids::{ImageName, LogicalId, StageName};
use crate::model::image_constraint::ImageConstraint;
use crate::model::version::MajorMinor;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;
use std::collections::BTreeMap;

/// Returns the derived text of each schema, in the order of [`super::ALL`].
pub fn derived() -> [String; 5] {
    [
        text_of::<Manifest>("lockstep.toml"),
        text_of::<ParameterFile>("parameters/<stage>.toml of a component"),
        text_of::<StagesFile>("stages.toml"),
        text_of::<OrganisationFile>("parameters.toml of the organisation"),
        text_of::<ImageFile>("image.toml"),
    ]
}

/// Returns a schema as JSON. Editors know draft 7 best.
fn text_of<T: JsonSchema>(title: &str) -> String {
    let settings = SchemaSettings::draft07().with_transform(AsParsed);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Removes what serde's types refuse and the parser does not, such as a value that a list holds twice.
#[derive(Clone, Debug)]
struct AsParsed;

impl Transform for AsParsed {
    fn transform(&mut self, schema: &mut Schema) {
        schema.remove("uniqueItems");
        schema.remove("format");
        // A description has no links.
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace("[`", "`").replace("`]", "`");
        }
        transform_subschemas(self, schema);
    }
}

/// A `stages.toml`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema of the type is used")]
struct StagesFile {
    /// Settings of images.
    #[schemars(default)]
    images: ImageSettings,
    /// The stages in the order of promotion: `test` first.
    #[schemars(length(min = 2, max = MAX_STAGES))]
    stages: Vec<Stage>,
}

/// A parameter file of a component.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only the schema of the type is used")]
struct ParameterFile(BTreeMap<LogicalId, ParameterValue>);

/// The organisation's parameters: `[default]`, and a table for each stage.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only the schema of the type is used")]
struct OrganisationFile(BTreeMap<StageName, ParameterFile>);

/// A value of a parameter. It may hold `${stage}`, `${account}`, `${region}`, `${version}`, `${commit}`,
/// `${stages.<name>.account}`, `${stages.<name>.region}`, `${outputs.<component>.<Output>}` and `${functions.<name>}`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only the schema of the type is used")]
enum ParameterValue {
    Text(#[schemars(length(max = 4096))] String),
    Number(i64),
    Flag(bool),
    List(Vec<ListItem>),
}

/// An item of a list; CloudFormation separates items by commas.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "only the schema of the type is used")]
struct ListItem(#[schemars(regex(pattern = "^[^,]*$"))] String);

/// An `image.toml`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema of the type is used")]
struct ImageFile {
    /// The image.
    image: ImageTable,
    /// The image that the build starts from.
    base: BaseTable,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema of the type is used")]
struct ImageTable {
    /// Name of the image.
    name: ImageName,
    /// Major and minor version; the build number is the third part.
    version: MajorMinor,
    /// The team that owns the image; the tag `team`.
    team: TagValue,
    /// The builder.
    builder: Builder,
    /// Lifetime of a pre-release, in days; 14 by default.
    #[schemars(default, range(min = 1, max = 365))]
    ttl_days: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema of the type is used")]
enum Builder {
    Packer,
}

/// The base image: another image of Lockstep, a public parameter, or the newest image of a name.
#[derive(JsonSchema)]
#[schemars(untagged, deny_unknown_fields)]
#[expect(dead_code, reason = "only the schema of the type is used")]
enum BaseTable {
    Image {
        /// Another image of Lockstep, such as `base@^1.0`.
        image: ImageConstraint,
    },
    Parameter {
        /// A public parameter.
        ssm: ParameterName,
    },
    Search {
        /// Owner of the images.
        owner: ImageOwner,
        /// Pattern of their names.
        name: NamePattern,
    },
}
