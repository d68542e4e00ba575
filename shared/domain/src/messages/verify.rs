//! The `verify` function.

use crate::model::ids::DeploymentId;
use serde::{Deserialize, Serialize};

/// Run the checks of a deployment's release. The error `CheckFailed` says which failed and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The deployment.
    pub deployment: DeploymentId,
}

/// All checks passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// How many there were.
    pub passed: u32,
}
