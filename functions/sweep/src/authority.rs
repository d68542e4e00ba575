//! Requests to the authority, which owns what the sweep proposes to change.

use crate::context::SweepContext;
use lockstep_aws::functions::Called;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::{Failure, FailureKind};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// Timeout of a call of the authority: a little longer than the function's own.
const PATIENCE: Duration = Duration::from_secs(70);

/// Sends a request to the authority and returns its reply. Returns `None` if it lost to another writer or if the holder
/// still runs, and if no reply comes in time: the next sweep looks again.
pub async fn ask<T: DeserializeOwned>(
    context: &impl SweepContext,
    request: &Request,
) -> Result<Option<T>, Failure> {
    let function = Callers::Sweep.function();
    match context.call(&function, &json!(request), PATIENCE).await? {
        Called::Answered { error: None, payload, .. } => serde_json::from_slice(&payload)
            .map(Some)
            .map_err(|error| Failure::bug(format!("{function} gave an unknown reply")).caused_by(&error)),
        Called::Answered { error: Some(error), payload, .. } => refused(&function, error, &payload),
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
