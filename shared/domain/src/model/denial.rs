//! Access that AWS denied.

use serde::{Deserialize, Serialize};

/// Access that AWS denied to the role that CloudFormation uses, or to another principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Action, such as `sqs:TagQueue`; `None` if AWS does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// ARN of the resource; `None` if AWS does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// ARN of the principal; `None` if AWS does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// Cause of the denial.
    pub cause: Cause,
    /// True if AWS gives the rest in an encoded message.
    #[serde(default)]
    pub encoded: bool,
}

/// Cause of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No policy of the principal allows it, or AWS does not report the cause.
    NoStatement,
    /// A statement of the principal's own policies denies it.
    ExplicitDeny,
    /// The permissions boundary does not allow it, or denies it.
    Boundary,
    /// A service control policy does not allow it, or denies it.
    ServiceControlPolicy,
    /// A resource control policy does not allow it, or denies it.
    ResourceControlPolicy,
    /// The policy of the resource does not allow it, or denies it.
    ResourcePolicy,
    /// The policy of the session does not allow it, or denies it.
    SessionPolicy,
    /// The policy of the VPC endpoint does not allow it, or denies it.
    EndpointPolicy,
}
