//! Lambda functions: called synchronously, as a component's check is, or sent an event.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Builder;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use lockstep_domain::model::error::Failure;
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

/// A function of ours that is invoked asynchronously, with the same retries as every other call.
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
    /// <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
    pub async fn send(&self, event: &impl Serialize) -> Result<(), Failure> {
        let payload = serde_json::to_vec(event)
            .map_err(|error| Failure::bug("an event cannot be written as JSON").caused_by(&error))?;
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let sent = client
            .invoke()
            .function_name(&self.function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload))
            .send()
            .await;
        sent.map(drop).map_err(|error| failure("Invoke", &self.function, &error))
    }
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
    fn a_long_answer_is_cut_and_marked_as_cut() {
        let long = answered(None, Some(Blob::new(vec![b'x'; ANSWER_BYTES_MAX + 1])));
        let Called::Answered { payload, cut, .. } = long else { panic!("{long:?}") };
        assert_eq!((payload.len(), cut), (ANSWER_BYTES_MAX, true));
        let empty = Called::Answered { error: Some("Unhandled".to_owned()), payload: vec![], cut: false };
        assert_eq!(answered(Some("Unhandled".to_owned()), None), empty);
    }
}
