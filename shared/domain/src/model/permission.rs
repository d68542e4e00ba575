//! A permission that a template needs.

use serde::{Deserialize, Serialize};
use strum::Display;

/// Certainty that a permission is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The permission is needed.
    Required,
    /// The permission may be needed; `because` gives the condition.
    Conditional,
}

/// One action on one resource that the role needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Need {
    /// Line of the resource in the template.
    pub line: u32,
    /// Logical id of the resource.
    pub resource: String,
    /// Type of the resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// The action, such as `sqs:TagQueue`.
    pub action: String,
    /// ARN that the action applies to, with `*` for unknown parts.
    pub arn: String,
    /// Certainty of the ARN.
    pub certainty: Certainty,
    /// Certainty that the permission is needed.
    pub level: Level,
    /// The reason.
    pub because: String,
    /// Condition key that restricts the permission further, with its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
}

/// A condition key and the value that a call has for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    /// The key, such as `iam:PassedToService`.
    pub key: String,
    /// The value, such as `lambda.amazonaws.com`.
    pub value: String,
}

/// Certainty about the resource of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The whole ARN is known, or the action applies to no resource of its own.
    Exact,
    /// The stack creates the resource, and AWS generates its name or its id.
    Made,
    /// The ARN belongs to a foreign resource of unknown name.
    Open,
}
