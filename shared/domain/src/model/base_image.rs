//! The base image of a recipe.

use crate::model::image_constraint::ImageConstraint;
use crate::model::public_parameters::PUBLIC;
use crate::model::text::{InvalidText, checked_text};
use serde::{Deserialize, Serialize};
use std::fmt;

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

checked_text! {
    /// Owner of public images: an account's id, or one of EC2's aliases.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImages.html>
    ImageOwner,
    InvalidText("write the twelve digits of the account that owns the image, or `amazon` or `aws-marketplace`"),
    |owner| {
        let is_account = owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit());
        is_account || ["amazon", "aws-marketplace"].contains(&owner)
    }
}

checked_text! {
    /// Pattern for the name of an image, in which `*` stands for any characters and `?` for one.
    NamePattern,
    InvalidText("write the name of an image, with `*` for what differs, such as ubuntu/images/hvm-ssd/ubuntu-noble-*"),
    is_name_pattern
}

/// Minimum number of literal characters in a pattern. A pattern with fewer matches almost any name, which is
/// a mistake.
const PATTERN_LITERALS_MIN: usize = 3;

/// Returns true for the characters of an image's name
/// (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RegisterImage.html>) and wildcards.
fn is_name_pattern(text: &str) -> bool {
    let of_names = |b: u8| b.is_ascii_alphanumeric() || b"()[] ./-'@_".contains(&b);
    let literals = text.bytes().filter(|b| of_names(*b)).count();
    text.len() <= 128
        && literals >= PATTERN_LITERALS_MIN
        && text.bytes().all(|b| of_names(b) || b"*?".contains(&b))
}

checked_text! {
    /// Name of a public parameter of Systems Manager: `/aws/service/...`.
    ParameterName,
    InvalidText(
        "write the name of a public parameter, such as /aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    ),
    |name| {
        name.starts_with(PUBLIC)
            && name.len() <= 500
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
    }
}
