//! The content of a change set that a person must see to say no.

use crate::model::late_values::LateChange;
use serde::{Deserialize, Serialize};

/// The values and the access that a change set changes, as the question shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Parameters whose value changes, and those that this deployment overrides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterChange>,
    /// Values of Parameter Store and Secrets Manager that changed since the last deployment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<LateChange>,
    /// Policy statements, principals, network rules and settings of public access that change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access: Vec<AccessChange>,
    /// Warnings of CloudFormation's validation of the change set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Sentences about what could not be compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen: Vec<String>,
}

/// A value of a parameter, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownValue {
    /// The value.
    Text(String),
    /// A value that the template hides, or a reference to a secret.
    Hidden,
}

/// A parameter with its value before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterChange {
    /// Name of the parameter.
    pub name: String,
    /// Value that the stack has; `None` if it has no such parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<ShownValue>,
    /// Value that the stack gets; `None` if the parameter is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<ShownValue>,
    /// True if the value is that of an override.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overridden: bool,
}

/// A line about access that the stack has only before, or only after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccessChange {
    /// Logical id of the resource.
    pub resource: String,
    /// Type of the resource.
    pub resource_type: String,
    /// True if the line is new, false if it is gone.
    pub is_new: bool,
    /// The statement, rule or setting.
    pub line: String,
}
