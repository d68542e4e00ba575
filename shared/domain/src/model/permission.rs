//! A permission that a template needs.

use serde::{Deserialize, Serialize};

/// Whether a permission is needed for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It is.
    Required,
    /// It may be; `because` says what decides.
    Conditional,
}

/// One action on one resource that the role needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Need {
    /// The line of the resource in the template.
    pub line: u32,
    /// The logical id of the resource.
    pub resource: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The action, such as `sqs:TagQueue`.
    pub action: String,
    /// The ARN it applies to, with `*` for what is not known.
    pub arn: String,
    /// How well the ARN is known.
    pub certainty: Certainty,
    /// Whether it is needed for certain.
    pub level: Level,
    /// The reason.
    pub because: String,
    /// The condition key that narrows it further, and its value.
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

/// How well the resource of a permission is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// The ARN is known to the last letter, or the action applies to no resource of its own.
    Exact,
    /// The stack creates the resource, and AWS makes its name or its id.
    Made,
    /// The ARN belongs to something else whose name is not known.
    Open,
}
