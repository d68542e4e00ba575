//! The two deployment paths.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// One of the two deployment paths. It decides which principal the roles of an account trust.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DeploymentPath {
    /// Started by a push: the `release` state machine, which also fetches and builds the authors' code.
    Delivery,
    /// Started by an operator: the `promote` state machine, which never builds anything.
    Promotion,
}

impl DeploymentPath {
    /// Both paths.
    pub const ALL: [Self; 2] = [Self::Delivery, Self::Promotion];

    /// Returns the name of the path in templates, roles and state machines.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the path of an execution by the name of its state machine: `lockstep-promot..` is of the promotion path.
    pub fn of_execution(execution_arn: &str) -> Self {
        match execution_arn.split(':').any(|part| part.starts_with("lockstep-promot")) {
            true => Self::Promotion,
            false => Self::Delivery,
        }
    }
}
