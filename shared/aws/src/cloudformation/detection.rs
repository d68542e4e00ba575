//! CloudFormation's detection of drift in one stack.

use super::CloudFormation;
use crate::failure::failure;
use aws_sdk_cloudformation::types::{StackDriftDetectionStatus, StackResourceDrift};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lockstep_domain::drift::look::Detected;
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::model::error::{Failure, FailureKind};
use serde_json::Value;
use std::collections::BTreeMap;

/// Progress of a detection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectionState {
    /// The detection runs.
    Running,
    /// The detection has ended. It may have failed for some resources.
    Ended,
}

/// The operations of CloudFormation's detection. They change nothing in a stack.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Detections {
    /// Starts a detection on the resources of a stack, without its nested stacks. Returns its id.
    async fn detect(&self, stack: &str) -> Result<String, Failure>;

    /// Returns the progress of a detection.
    async fn detection(&self, id: &str) -> Result<DetectionState, Failure>;

    /// Returns the results of the detection `id` by logical id. A resource that it did not compare has none: a result of
    /// an earlier detection is no result.
    async fn detected(&self, stack: &str, id: &str) -> Result<BTreeMap<String, Detected>, Failure>;
}

impl Detections for CloudFormation {
    async fn detect(&self, stack: &str) -> Result<String, Failure> {
        let sent = self.client().detect_stack_drift().stack_name(stack).send().await;
        let sent = sent.map_err(|error| {
            let failed = failure("DetectStackDrift", stack, &error);
            if is_detecting(&error) { Failure { kind: FailureKind::Transient, ..failed } } else { failed }
        })?;
        sent.stack_drift_detection_id.ok_or_else(|| Failure::bug("DetectStackDrift answered without an id"))
    }

    async fn detection(&self, id: &str) -> Result<DetectionState, Failure> {
        Ok(self.progress(id).await?.0)
    }

    async fn detected(&self, stack: &str, id: &str) -> Result<BTreeMap<String, Detected>, Failure> {
        let (_, began) = self.progress(id).await?;
        let mut found = BTreeMap::new();
        let mut next = None;
        loop {
            let request = self.client().describe_stack_resource_drifts().stack_name(stack).max_results(100);
            let page = request.set_next_token(next).send().await;
            let page = page.map_err(|error| failure("DescribeStackResourceDrifts", stack, &error))?;
            for drift in page.stack_resource_drifts() {
                let is_of_detection =
                    drift.timestamp().zip(began.as_ref()).is_some_and(|(at, began)| at >= began);
                if let Some(id) = drift.logical_resource_id().filter(|_| is_of_detection) {
                    found.insert(id.to_owned(), detected(drift));
                }
            }
            next = page.next_token;
            if next.is_none() {
                return Ok(found);
            }
        }
    }
}

impl CloudFormation {
    /// Returns the progress of a detection, and the time at which it began.
    async fn progress(&self, id: &str) -> Result<(DetectionState, Option<DateTime>), Failure> {
        let request = self.client().describe_stack_drift_detection_status().stack_drift_detection_id(id);
        let found = request.send().await;
        let found = found.map_err(|error| failure("DescribeStackDriftDetectionStatus", id, &error))?;
        let state = match found.detection_status {
            Some(StackDriftDetectionStatus::DetectionInProgress) => DetectionState::Running,
            _ => DetectionState::Ended,
        };
        Ok((state, found.timestamp))
    }
}

/// Returns true if another detection of the stack runs. There is no code for it: the code is `ValidationError`, so only the
/// message distinguishes it.
fn is_detecting<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.as_service_error().is_some_and(|refused| {
        refused.code() == Some("ValidationError")
            && refused.message().is_some_and(|message| message.contains("already in progress"))
    })
}

fn detected(drift: &StackResourceDrift) -> Detected {
    let status = drift.stack_resource_drift_status().map(|status| DriftStatus::parse(status.as_str()));
    let properties = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    Detected {
        status: status.unwrap_or(DriftStatus::Unknown),
        expected: properties(drift.expected_properties()),
        actual: properties(drift.actual_properties()),
    }
}
