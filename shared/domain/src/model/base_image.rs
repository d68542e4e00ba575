//! The base image of a recipe.

use crate::model::image_constraint::ImageConstraint;
use crate::model::text::text_conversions;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The base image of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// The newest version of another Lockstep image that the constraint admits.
    Image(ImageConstraint),
    /// The AMI that a public parameter names in each region.
    /// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-public-parameters-ami.html>
    Parameter(ParameterName),
    /// The newest image of an owner with a matching name. In the record of a version, the image that the
    /// build used.
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

/// A search for images of one owner by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSearch {
    /// Owner of the images.
    pub owner: ImageOwner,
    /// Pattern of their names.
    pub name: NamePattern,
}

impl fmt::Display for ImageSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.owner)
    }
}

/// Owner of public images: an account's id, or one of EC2's aliases.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageOwner(String);

impl ImageOwner {
    /// Returns the owner as text.
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

/// Pattern for the name of an image, in which `*` stands for any characters and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern(String);

/// Minimum number of literal characters in a pattern. A pattern with fewer matches almost any name, which is
/// a mistake.
const PATTERN_LITERALS_MIN: usize = 3;

impl NamePattern {
    /// Returns the pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NamePattern {
    type Err = &'static str;

    /// Accepts the characters of an image's name
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>) and wildcards.
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

text_conversions!(ParameterName, ImageOwner, NamePattern);

/// Name of a public parameter of Systems Manager: `/aws/service/...`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ParameterName(String);

impl ParameterName {
    /// Returns the name as text.
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
