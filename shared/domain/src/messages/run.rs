//! Runs that the authority starts for an operator, with the caller as their starter.

use super::inputs;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

/// A state machine with its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "machine", content = "input", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Run {
    /// Promotes a release.
    Promote(inputs::Promote),
    /// Deploys on the delivery path.
    DeliveryDeploy(inputs::Deploy),
    /// Deploys on the promotion path.
    PromotionDeploy(inputs::Deploy),
    /// Tears down on the delivery path.
    DeliveryTeardown(inputs::Teardown),
    /// Tears down on the promotion path.
    PromotionTeardown(inputs::Teardown),
}

impl Run {
    /// Returns the name of the state machine, without `lockstep-`.
    pub fn machine(&self) -> &'static str {
        self.into()
    }

    /// Returns the input of the state machine.
    pub fn input(&self) -> serde_json::Result<Value> {
        match self {
            Self::Promote(input) => serde_json::to_value(input),
            Self::DeliveryDeploy(input) | Self::PromotionDeploy(input) => serde_json::to_value(input),
            Self::DeliveryTeardown(input) | Self::PromotionTeardown(input) => serde_json::to_value(input),
        }
    }
}
