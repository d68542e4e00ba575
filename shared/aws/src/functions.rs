//! Lambda functions: called synchronously, as a component's check is, or sent an event.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::{ErrorCause, Failure, FailureKind};
use serde::Serialize;
use std::sync::OnceLock;
use std::time::Duration;

/// Maximum number of bytes to read of a function's response. The response of a check fits.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Result of a function call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// The function responded.
    Answered {
        /// Lambda's error type, if the function failed.
        error: Option<String>,
        /// The response, cut to [`ANSWER_BYTES_MAX`].
        payload: Vec<u8>,
        /// True if the response was cut.
        cut: bool,
    },
    /// No response in time; the function may still run.
    Silent,
    /// There is no function of that name.
    Absent,
}

/// The Lambda functions of one account and region.
pub struct Functions {
    aws: Aws,
    client: OnceLock<Client>,
}

impl Functions {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    /// Calls `function` (a name or an ARN) with `payload` and waits for the response, at most for `patience`.
    ///
    /// The function makes one call: the caller decides if a check may run twice.
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
    ///
    /// # Errors
    /// A refusal or a fault of Lambda itself; never a fault of the called function.
    pub async fn call(
        &self,
        function: &str,
        payload: &serde_json::Value,
        patience: Duration,
    ) -> Result<Called, Failure> {
        let request = self
            .client()
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::RequestResponse)
            .payload(Blob::new(payload.to_string()));
        match tokio::time::timeout(patience, request.send()).await {
            Err(_) => Ok(Called::Silent),
            Ok(Ok(answer)) => Ok(answered(answer.function_error, answer.payload)),
            Ok(Err(error)) if code(&error) == Some("ResourceNotFoundException") => Ok(Called::Absent),
            Ok(Err(error)) => Err(failure("Invoke", function, &error)),
        }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let once = RetryConfig::disabled();
            // Only the caller's patience ends a call that was made.
            let patient =
                TimeoutConfig::builder().disable_operation_timeout().disable_operation_attempt_timeout();
            let config =
                Builder::from(self.aws.sdk_config()).retry_config(once).timeout_config(patient.build());
            Client::from_conf(config.build())
        })
    }
}

/// A function of ours that takes requests, with the same limits and retries as every other call.
#[derive(Clone)]
pub struct Receiver {
    aws: Aws,
    client: OnceLock<Client>,
    function: String,
}

impl Receiver {
    /// Creates the client of the function `function`.
    pub fn new(aws: &Aws, function: &str) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), function: function.to_owned() }
    }

    /// Invokes the function with `event`, and does not wait for a response.
    pub async fn send(&self, event: &impl Serialize) -> Result<(), Failure> {
        self.invoke(InvocationType::Event, event).await.map(drop)
    }

    /// Invokes the function with `request` and waits until it has carried it out.
    ///
    /// A call that hangs is repeated, so the function may receive the request twice.
    ///
    /// # Errors
    /// `Transient` if the function fails, with the function's own error as the cause.
    pub async fn ask(&self, request: &impl Serialize) -> Result<(), Failure> {
        let answer = self.invoke(InvocationType::RequestResponse, request).await?;
        carried_out(&self.function, answered(answer.function_error, answer.payload))
    }

    /// Invokes the function.
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
    async fn invoke(&self, how: InvocationType, payload: &impl Serialize) -> Result<InvokeOutput, Failure> {
        let payload = serde_json::to_vec(payload)
            .map_err(|error| Failure::bug("a request cannot be written as JSON").caused_by(&error))?;
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let request =
            client.invoke().function_name(&self.function).invocation_type(how).payload(Blob::new(payload));
        request.send().await.map_err(|error| failure("Invoke", &self.function, &error))
    }
}

/// Returns the failure of a function that did not carry out a request.
fn carried_out(function: &str, called: Called) -> Result<(), Failure> {
    let Called::Answered { error: Some(error), payload, .. } = called else { return Ok(()) };
    let caught = CaughtError { error, cause: String::from_utf8_lossy(&payload).into_owned() };
    let kind = caught.names().pop().unwrap_or_default();
    let cause = ErrorCause::new(&format!("{kind}: {}", caught.sentence()));
    let what = format!("{function} did not carry out the request");
    Err(Failure::new(FailureKind::Transient, what).caused_by(&cause))
}

fn answered(error: Option<String>, payload: Option<Blob>) -> Called {
    let mut payload = payload.map(Blob::into_inner).unwrap_or_default();
    let cut = payload.len() > ANSWER_BYTES_MAX;
    payload.truncate(ANSWER_BYTES_MAX);
    Called::Answered { error, payload, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_the_function_did_not_carry_out_is_a_failure() {
        let reply = |error: Option<&str>, text: &str| {
            answered(error.map(str::to_owned), Some(Blob::new(text.as_bytes().to_vec())))
        };
        carried_out("lockstep-resume", reply(None, r#"{"is_forgotten":false}"#)).unwrap();
        let said = r#"{"errorType":"Conflict","errorMessage":"five lost writes"}"#;
        let failed = carried_out("lockstep-resume", reply(Some("Unhandled"), said)).unwrap_err();
        assert_eq!(failed.kind, FailureKind::Transient);
        let chain = failed.chain();
        assert!(
            chain.contains("lockstep-resume did not carry") && chain.contains("Conflict: five lost writes"),
            "{chain}"
        );
        let failed = carried_out("lockstep-resume", reply(Some("Unhandled"), "no JSON")).unwrap_err();
        assert!(failed.chain().contains("Unhandled: no JSON"), "{}", failed.chain());
    }

    #[test]
    fn a_long_answer_is_cut_and_marked_as_cut() {
        let long = answered(None, Some(Blob::new(vec![b'x'; ANSWER_BYTES_MAX + 1])));
        let Called::Answered { payload, cut, .. } = long else { panic!("{long:?}") };
        assert_eq!((payload.len(), cut), (ANSWER_BYTES_MAX, true));
        let empty = Called::Answered { error: Some("Unhandled".to_owned()), payload: vec![], cut: false };
        assert_eq!(answered(Some("Unhandled".to_owned()), None), empty);
    }
}
