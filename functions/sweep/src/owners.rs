//! Requests to the functions that own the records which the sweep proposes to change.

use crate::context::SweepContext;
use lockstep_aws::functions::Called;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// The function that owns webhook deliveries.
pub const INTAKE: &str = "lockstep-webhook";

/// The function that owns callbacks.
pub const CALLBACKS: &str = "lockstep-resume";

/// Timeout of a call: a little longer than that of the slowest function.
const PATIENCE: Duration = Duration::from_secs(110);

/// Returns the function that owns the images in accounts of `path`. That of the delivery path also owns versions.
pub fn of_images(path: DeploymentPath) -> String {
    format!("lockstep-{}-image", path.as_str())
}

/// Sends a request to the authority, as [`ask`].
pub async fn ask_authority<T: DeserializeOwned>(
    context: &impl SweepContext,
    request: &ledger::Request,
) -> Result<Option<T>, Failure> {
    ask(context, &Callers::Sweep.function(), request).await
}

/// Sends a request to an owner and returns its reply. Returns `None` if the owner lost to another writer or if a
/// holder still runs, and if no reply comes in time: the next sweep looks again.
pub async fn ask<T: DeserializeOwned>(
    context: &impl SweepContext,
    function: &str,
    request: &impl Serialize,
) -> Result<Option<T>, Failure> {
    let Some(payload) = send(context, function, request).await? else { return Ok(None) };
    serde_json::from_slice(&payload)
        .map(Some)
        .map_err(|error| Failure::bug(format!("{function} gave an unknown reply")).caused_by(&error))
}

/// Sends a request to an owner, as [`ask`], and returns its reply as it is.
pub async fn send(
    context: &impl SweepContext,
    function: &str,
    request: &impl Serialize,
) -> Result<Option<Vec<u8>>, Failure> {
    match context.call(function, &json!(request), PATIENCE).await? {
        Called::Answered { error: None, payload, .. } => Ok(Some(payload)),
        Called::Answered { error: Some(error), payload, .. } => refused(function, error, &payload),
        Called::Silent => Ok(None),
        Called::Absent => Err(Failure::not_found(format!("there is no function {function}"))),
    }
}

/// Returns `None` for a request that came too late, and the failure for every other refusal.
fn refused<T>(function: &str, error: String, payload: &[u8]) -> Result<Option<T>, Failure> {
    let said: Value = serde_json::from_slice(payload).unwrap_or_default();
    let kind = said["errorType"].as_str().unwrap_or_default();
    if [FailureKind::Conflict, FailureKind::EnvironmentBusy].map(FailureKind::error_type).contains(&kind) {
        return Ok(None);
    }
    let caught = CaughtError { error, cause: String::from_utf8_lossy(payload).into_owned() };
    Err(Failure::rejected(format!("{function} refuses it: {}", caught.sentence())))
}
