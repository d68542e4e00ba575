//! Messages of the `verify` function.

use crate::model::ids::DeploymentId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Looks at the checks of a deployment's release. The error `CheckFailed` names the checks that failed, with their reasons;
/// `ChecksPending` asks the state to invoke the function again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The deployment.
    pub deployment: DeploymentId,
    /// Time at which the state was entered: the deadlines of the checks count from it.
    pub since: Timestamp,
    /// Number of retries so far.
    pub retry: u32,
}

/// Response if all checks passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Number of checks.
    pub passed: u32,
}
