//! Messages of the `verify` function.

use crate::model::ids::DeploymentId;
use serde::{Deserialize, Serialize};

/// Runs the checks of a deployment's release. The error `CheckFailed` names the checks that failed, with their reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The deployment.
    pub deployment: DeploymentId,
}

/// Response if all checks passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Number of checks.
    pub passed: u32,
}
