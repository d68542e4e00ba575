use crate::delivery::manifest::TagValue;
use crate::model::base_image::{Base, ImageSearch};
use crate::model::error::Problem;
use crate::model::ids::ImageName;
use crate::model::toml_file::{Problems, Table, document, integer, text};
use crate::model::version::MajorMinor;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Name of the file that makes a folder a recipe.
pub const FILE: &str = "image.toml";

/// Permitted lifetime of a pre-release, in days.
pub const TTL_DAYS: RangeInclusive<u32> = 1..=365;

/// Default lifetime of a pre-release, in days.
pub const TTL_DAYS_DEFAULT: u32 = 14;

/// The only supported builder.
const BUILDER: &str = "packer";

/// Contents of an `image.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Name of the image.
    pub name: ImageName,
    /// Author's part of the version; the build number is the third part.
    pub version: MajorMinor,
    /// Team that owns the image; the tag `team`.
    pub team: TagValue,
    /// Image that the build starts from.
    pub base: Base,
    /// Lifetime of a pre-release in days, within [`TTL_DAYS`].
    pub ttl_days: u32,
}

impl Recipe {
    /// Parses an `image.toml`; `file` is its name in problems, all of which are reported at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let root = Table::root(&document);
        root.refuse_unknown(&["image", "base"], &mut problems);
        if root.get("image").is_none() {
            problems.add_whole("there is no [image] table; write one with name, version, team and builder");
        }
        if root.get("base").is_none() {
            problems.add_whole(
                "there is no [base] table; write one with `image`, with `ssm`, or with `owner` and `name`",
            );
        }
        let base = root.table("base", &mut problems).and_then(|table| base(&table, &mut problems));
        let recipe = root.table("image", &mut problems).and_then(|table| {
            table.refuse_unknown(&["name", "version", "team", "builder", "ttl_days"], &mut problems);
            let (name, version) =
                (table.required("name", &mut problems), table.required("version", &mut problems));
            let team = table.required("team", &mut problems);
            builder(&table, &mut problems);
            let ttl_days = ttl_days(&table, &mut problems);
            Some(Self { name: name?, version: version?, team: team?, base: base?, ttl_days })
        });
        problems.finish(recipe)
    }
}

fn base(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Base> {
    table.refuse_unknown(&["image", "ssm", "owner", "name"], problems);
    match (table.get("image"), table.get("ssm"), table.get("owner"), table.get("name")) {
        (Some(image), None, None, None) => text(&table.path("image"), image, problems).map(Base::Image),
        (None, Some(name), None, None) => text(&table.path("ssm"), name, problems).map(Base::Parameter),
        (None, None, Some(owner), Some(name)) => {
            let owner = text(&table.path("owner"), owner, problems);
            let name = text(&table.path("name"), name, problems);
            Some(Base::Search(ImageSearch { owner: owner?, name: name? }))
        }
        _ => {
            problems.add(
                table.span(),
                "`base` must have one of these: `image`, another image of Lockstep; `ssm`, a public parameter; `owner` \
                 and `name`, the newest image of that name of an AWS account",
            );
            None
        }
    }
}

fn builder(table: &Table<'_, '_>, problems: &mut Problems) {
    let builder = table.required::<String>("builder", problems);
    if builder.is_some_and(|builder| builder != BUILDER) {
        problems.add(&table.span_of("builder"), format!("`image.builder` must be \"{BUILDER}\""));
    }
}

fn ttl_days(table: &Table<'_, '_>, problems: &mut Problems) -> u32 {
    let Some(value) = table.get("ttl_days") else { return TTL_DAYS_DEFAULT };
    let days = integer(value.get_ref()).and_then(|n| u32::try_from(n).ok()).filter(|n| TTL_DAYS.contains(n));
    days.unwrap_or_else(|| {
        let (min, max) = TTL_DAYS.into_inner();
        problems.add(&value.span(), format!("`image.ttl_days` must be a whole number from {min} to {max}"));
        TTL_DAYS_DEFAULT
    })
}
