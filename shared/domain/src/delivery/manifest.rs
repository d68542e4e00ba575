//! `lockstep.toml`: the author's description of a component.
//!
//! Parsing validates every value of the file. Rules that need the template or the organisation, such as the existence
//! of a parameter or a stage, are checked by `packaging`.

mod checks;
mod starter;

use crate::delivery::checks::Check;
use crate::model::error::Problem;
use crate::model::ids::{ComponentName, LogicalId, StageName};
use crate::model::image_constraint::ImageConstraint;
use crate::model::text::{InvalidText, checked_text};
use crate::model::toml_file::{Problems, Table, document, integer, text};
use crate::model::version::MajorMinor;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::DeValue;

pub use starter::template;

/// Name of the manifest in a component's folder.
pub const FILE: &str = "lockstep.toml";

/// Allowed lifetime of a test stack, in minutes.
pub const TTL_MINUTES: std::ops::RangeInclusive<u32> = 5..=1440;

const TTL_MINUTES_DEFAULT: u32 = 60;

/// A component's manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Manifest {
    /// Name, version and owner of the component.
    pub component: Component,
    /// Template parameters that receive an AMI id, with the constraint on their image.
    #[serde(default)]
    pub images: BTreeMap<LogicalId, ImageConstraint>,
    /// The test stack that every release must pass.
    #[cfg_attr(test, schemars(default))]
    pub test: Test,
    /// Checks of the test stack and of every deployment, in the order of the file.
    #[serde(default)]
    #[cfg_attr(test, schemars(length(max = crate::delivery::checks::CHECKS_MAX)))]
    pub checks: Vec<Check>,
    /// Protected resources, apart from the types that are always protected.
    #[serde(default)]
    pub protect: Protect,
    /// Differences that drift reports ignore.
    #[serde(default)]
    pub drift: Drift,
    /// Names in the template that packaging accepts although its table lacks them.
    #[serde(default, skip_serializing_if = "Acceptance::is_empty")]
    pub check: Acceptance,
    /// Tags of the stack.
    #[serde(default)]
    pub tags: Tags,
}

/// The `[component]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Component {
    /// The component's name.
    pub name: ComponentName,
    /// Major and minor version; the build number is the third part.
    pub version: MajorMinor,
    /// The CloudFormation template, relative to the manifest.
    pub template: RelativePath,
    /// The team that owns it; the tag `team`.
    pub team: TagValue,
    /// Purpose of the component; the tag `function`.
    pub function: TagValue,
}

/// The `[test]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub struct Test {
    /// Lifetime of the test stack until the sweep deletes it, within [`TTL_MINUTES`].
    #[cfg_attr(test, schemars(range(min = 5, max = 1440)))]
    pub ttl_minutes: u32,
    /// The stage whose outputs the test stack uses, because `test` holds no other component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_from: Option<StageName>,
}

impl Default for Test {
    fn default() -> Self {
        Self { ttl_minutes: TTL_MINUTES_DEFAULT, outputs_from: None }
    }
}

/// The `[tags]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, default))]
pub struct Tags {
    /// True if the stack and its resources have the tag `environment:version`. Its value changes with each release.
    pub version: bool,
}

impl Default for Tags {
    fn default() -> Self {
        Self { version: true }
    }
}

/// The `[protect]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Protect {
    /// Resources of the template whose removal or replacement needs an approval.
    #[serde(default)]
    pub logical_ids: BTreeSet<LogicalId>,
}

/// The `[drift]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Drift {
    /// Intended differences, each with an end date.
    #[serde(default)]
    pub ignore: Vec<IgnoredDrift>,
}

/// The `[check]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Acceptance {
    /// Types, and properties and attributes behind their type, such as `AWS::SQS::Queue.NewProperty`.
    #[serde(default)]
    #[cfg_attr(test, schemars(inner(regex(pattern = "^AWS::"))))]
    pub accept: BTreeSet<String>,
}

impl Acceptance {
    fn is_empty(&self) -> bool {
        self.accept.is_empty()
    }
}

/// A difference that drift reports ignore until a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct IgnoredDrift {
    /// The resource.
    pub logical_id: LogicalId,
    /// Path of the property below the resource's properties: `/DesiredCapacity`.
    pub property: PropertyPath,
    /// The last day on which the difference is ignored.
    pub until: Day,
    /// The reason, for readers of the report.
    #[cfg_attr(test, schemars(length(max = 300), regex(pattern = r"\S")))]
    pub reason: String,
}

checked_text! {
    /// A path below the component's folder: forward slashes, no way out of the folder.
    RelativePath,
    InvalidText("write a path below this folder, such as template.yaml (letters, digits, `.`, `_`, `-` and `/`, at most 200)"),
    |path| {
        path.len() <= 200
            && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
            && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
    }
}

checked_text! {
    /// A tag's value that every AWS service accepts
    /// (<https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html>).
    TagValue,
    InvalidText("write 1 to 128 letters, digits, spaces or any of _ . : / = + - @, with no space at either end"),
    |value| {
        (1..=128).contains(&value.len())
            && value.trim() == value
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b" _.:/=+-@".contains(&b))
    }
}

checked_text! {
    /// A path to a property of a resource, in the notation of CloudFormation's drift detection (a JSON pointer, RFC
    /// 6901).
    PropertyPath,
    InvalidText("write the path of a property, such as /DesiredCapacity"),
    |path| path.len() <= 300 && path.starts_with('/') && path.len() > 1 && !path.contains(char::is_control)
}

checked_text! {
    /// A calendar day, `YYYY-MM-DD`; the order of the text is the order of the days.
    Day,
    InvalidText("write a day as YYYY-MM-DD"),
    |day| is_day(day)
}

fn is_day(day: &str) -> bool {
    let shaped = day.len() == 10
        && day
            .bytes()
            .enumerate()
            .all(|(n, b)| if n == 4 || n == 7 { b == b'-' } else { b.is_ascii_digit() });
    // TOML's own date type knows the lengths of the months and the leap years.
    shaped && day.parse::<toml::value::Datetime>().is_ok()
}

impl Manifest {
    /// Parses a manifest; `file` is its name in problems. Reports all problems at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        parse_with_lines(file, text).map(|(manifest, _)| manifest)
    }
}

/// Lines of a manifest by path, such as `images.BrokerImageId` or `test.outputs_from`. For a check, `checks[0]` is the
/// line of its name, URL or address.
#[derive(Debug, Default)]
pub(crate) struct Lines(BTreeMap<String, u32>);

impl Lines {
    /// Returns the line of the value at `path`.
    pub(crate) fn of(&self, path: &str) -> Option<u32> {
        self.0.get(path).copied()
    }

    fn note(&mut self, path: String, value: &Spanned<DeValue<'_>>, problems: &Problems) {
        self.0.insert(path, problems.line(&value.span()));
    }
}

/// Parses like [`Manifest::parse`], and returns the lines for further checks as well.
pub(crate) fn parse_with_lines(file: &str, text: &str) -> Result<(Manifest, Lines), Vec<Problem>> {
    let (document, mut problems) = document(file, text)?;
    let (root, mut lines) = (Table::root(&document), Lines::default());
    root.refuse_unknown(
        &["component", "images", "test", "checks", "protect", "drift", "check", "tags"],
        &mut problems,
    );
    let component = component(&root, &mut problems);
    let images = images(&root, &mut lines, &mut problems);
    let test = test(&root, &mut lines, &mut problems);
    let checks = checks::checks(&root, &mut lines, &mut problems);
    let protect = protect(&root, &mut lines, &mut problems);
    let drift = drift(&root, &mut lines, &mut problems);
    let check = acceptance(&root, &mut problems);
    let tags = tags(&root, &mut problems);
    let manifest =
        component.map(|component| Manifest { component, images, test, checks, protect, drift, check, tags });
    problems.finish(manifest.map(|manifest| (manifest, lines)))
}

fn component(root: &Table<'_, '_>, problems: &mut Problems) -> Option<Component> {
    if root.get("component").is_none() {
        problems.add_whole(
            "there is no [component] table; write one with name, version, template, team and function",
        );
    }
    let table = root.table("component", problems)?;
    table.refuse_unknown(&["name", "version", "template", "team", "function"], problems);
    let (name, version) = (table.required("name", problems), table.required("version", problems));
    let template = table.required("template", problems);
    let (team, function) = (table.required("team", problems), table.required("function", problems));
    Some(Component { name: name?, version: version?, template: template?, team: team?, function: function? })
}

fn images(
    root: &Table<'_, '_>,
    lines: &mut Lines,
    problems: &mut Problems,
) -> BTreeMap<LogicalId, ImageConstraint> {
    let mut images = BTreeMap::new();
    let Some(table) = root.table("images", problems) else { return images };
    for (key, span, value) in table.entries() {
        let parameter = key.parse().map_err(|error| problems.add(&span, format!("`images`: {error}")));
        let constraint = text(&table.path(key), value, problems);
        if let (Ok(parameter), Some(constraint)) = (parameter, constraint) {
            lines.note(table.path(key), value, problems);
            images.insert(parameter, constraint);
        }
    }
    images
}

fn test(root: &Table<'_, '_>, lines: &mut Lines, problems: &mut Problems) -> Test {
    let mut test = Test::default();
    let Some(table) = root.table("test", problems) else { return test };
    table.refuse_unknown(&["ttl_minutes", "outputs_from"], problems);
    if let Some(value) = table.get("ttl_minutes") {
        match integer(value.get_ref()).and_then(|n| u32::try_from(n).ok()).filter(|n| TTL_MINUTES.contains(n))
        {
            Some(minutes) => test.ttl_minutes = minutes,
            None => {
                let (min, max) = TTL_MINUTES.into_inner();
                problems.add(
                    &value.span(),
                    format!("`test.ttl_minutes` must be a whole number from {min} to {max}"),
                );
            }
        }
    }
    if let Some(value) = table.get("outputs_from") {
        lines.note(table.path("outputs_from"), value, problems);
        test.outputs_from = text(&table.path("outputs_from"), value, problems);
    }
    test
}

fn tags(root: &Table<'_, '_>, problems: &mut Problems) -> Tags {
    let Some(table) = root.table("tags", problems) else { return Tags::default() };
    table.refuse_unknown(&["version"], problems);
    Tags { version: table.get("version").is_none() || table.flag("version", problems) }
}

fn protect(root: &Table<'_, '_>, lines: &mut Lines, problems: &mut Problems) -> Protect {
    let mut protect = Protect::default();
    let Some(table) = root.table("protect", problems) else { return protect };
    table.refuse_unknown(&["logical_ids"], problems);
    for (name, value) in table.items("logical_ids", problems) {
        if let Some(id) = text::<LogicalId>(&name, value, problems) {
            lines.note(format!("protect.{id}"), value, problems);
            protect.logical_ids.insert(id);
        }
    }
    protect
}

fn acceptance(root: &Table<'_, '_>, problems: &mut Problems) -> Acceptance {
    let mut acceptance = Acceptance::default();
    let Some(table) = root.table("check", problems) else { return acceptance };
    table.refuse_unknown(&["accept"], problems);
    for (name, value) in table.items("accept", problems) {
        let Some(accepted) = text::<String>(&name, value, problems) else { continue };
        if accepted.starts_with("AWS::") {
            acceptance.accept.insert(accepted);
        } else {
            let message =
                format!("`{name}` must be a type, or a type and a property: AWS::SQS::Queue.QueueName");
            problems.add(&value.span(), message);
        }
    }
    acceptance
}

fn drift(root: &Table<'_, '_>, lines: &mut Lines, problems: &mut Problems) -> Drift {
    let mut drift = Drift::default();
    let Some(table) = root.table("drift", problems) else { return drift };
    table.refuse_unknown(&["ignore"], problems);
    for (name, value) in table.items("ignore", problems) {
        let Some(table) = Table::of(name, value, problems) else { continue };
        if let Some(ignored) = ignored_drift(&table, problems) {
            lines.note(format!("drift.ignore[{}]", drift.ignore.len()), value, problems);
            drift.ignore.push(ignored);
        }
    }
    drift
}

fn ignored_drift(table: &Table<'_, '_>, problems: &mut Problems) -> Option<IgnoredDrift> {
    table.refuse_unknown(&["logical_id", "property", "until", "reason"], problems);
    let (logical_id, property) =
        (table.required("logical_id", problems), table.required("property", problems));
    let (until, reason) = (day(table, problems), table.required::<String>("reason", problems));
    let reason = reason.filter(|reason| {
        let fits = !reason.trim().is_empty() && reason.chars().count() <= 300;
        if !fits {
            problems.add(
                &table.span_of("reason"),
                format!("`{}` must say why, in at most 300 characters", table.path("reason")),
            );
        }
        fits
    });
    Some(IgnoredDrift { logical_id: logical_id?, property: property?, until: until?, reason: reason? })
}

/// Returns the day in `until`, written in quotes or as a TOML date.
fn day(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Day> {
    let Some(date) = table.get("until").and_then(|value| value.get_ref().as_datetime()) else {
        return table.required("until", problems);
    };
    let day = date.to_string().parse();
    day.map_err(|error| problems.add(&table.span_of("until"), format!("`{}`: {error}", table.path("until"))))
        .ok()
}

#[cfg(test)]
mod tests;
