use crate::delivery::manifest::TagValue;
use crate::images::ImageConstraint;
use crate::model::error::Problem;
use crate::model::ids::ImageName;
use crate::model::toml_file::{Problems, Table, document, integer, text};
use crate::model::version::MajorMinor;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The name of the file that makes a folder a recipe.
pub const FILE: &str = "image.toml";

/// For how many days a pre-release may live.
pub const TTL_DAYS: RangeInclusive<u32> = 1..=365;

/// For how many days it does if the recipe does not say.
pub const TTL_DAYS_DEFAULT: u32 = 14;

/// The only builder there is.
const BUILDER: &str = "packer";

/// What an `image.toml` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The image's name.
    pub name: ImageName,
    /// The author's part of the version; the build number is the third.
    pub version: MajorMinor,
    /// The team that owns it; the tag `team`.
    pub team: TagValue,
    /// The image that it starts from.
    pub base: Base,
    /// For how many days a pre-release lives, within [`TTL_DAYS`].
    pub ttl_days: u32,
}

/// The image that a recipe starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// The newest version of another image of ours that the constraint admits.
    Image(ImageConstraint),
    /// The AMI that a public parameter names in each region.
    /// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html>
    Parameter(ParameterName),
    /// The newest image of an owner with such a name; in the record of a version, the one image that this was.
    Search(ImageSearch),
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(constraint) => constraint.fmt(f),
            Self::Parameter(parameter) => parameter.fmt(f),
            Self::Search(search) => search.fmt(f),
        }
    }
}

/// Somebody's images by their name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSearch {
    /// Whose.
    pub owner: ImageOwner,
    /// Their name.
    pub name: NamePattern,
}

impl fmt::Display for ImageSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.owner)
    }
}

/// Who owns images that others may use: an account's id, or one of the aliases that EC2 knows.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageOwner(String);

impl ImageOwner {
    /// The owner as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageOwner {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_account = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if is_account || ["amazon", "aws-marketplace"].contains(&text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "write the twelve digits of the account that owns the image, or `amazon` or `aws-marketplace`",
            )
        }
    }
}

/// The name of an image, in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

/// The fewest characters of a pattern that stand for themselves: so few that it may still be anything are a mistake.
const PATTERN_LITERALS_MIN: usize = 3;

impl NamePattern {
    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamePattern {
    type Err = &'static str;

    /// The characters are those of an image's name
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_names = |b: u8| b.is_ascii_alphanumeric() || b"()[] ./-'@_".contains(&b);
        let literals = text.bytes().filter(|b| of_names(*b)).count();
        let valid = text.len() <= 128
            && literals >= PATTERN_LITERALS_MIN
            && text.bytes().all(|b| of_names(b) || b"*?".contains(&b));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "write the name of an image, with `*` for what differs, such as ubuntu/images/hvm-ssd/ubuntu-noble-*",
            )
        }
    }
}

macro_rules! from_and_to_text {
    ($($name:ident),+) => {$(
        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

from_and_to_text!(ParameterName, ImageOwner, NamePattern);

/// The name of a public parameter of Systems Manager: `/aws/service/...`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ParameterName(String);

impl ParameterName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = text.starts_with("/aws/service/")
            && text.len() <= 500
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err("write the name of a public parameter, such as \
                 /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64")
        }
    }
}

impl Recipe {
    /// Reads an `image.toml`; `file` is its name in problems, of which all are told at once.
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
                "`base` must have one of these: `image`, another image of ours; `ssm`, a public parameter; `owner` and \
                 `name`, somebody's newest image of that name",
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
