//! Step Functions.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::sync::OnceLock;

/// Result of a request to start an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// It was started now, with this ARN; or it already runs with the same input.
    New(String),
    /// An execution of that name exists, running or ended.
    Exists,
}

/// Result of an answer to a task token.
#[cfg(feature = "answer-tokens")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The state machine continues.
    Accepted,
    /// No state waits with this token any more: it timed out, was answered, or its execution ended.
    Gone,
}

/// What Step Functions knows about an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs.
    Running,
    /// It has ended.
    Ended,
    /// There is none: it never ran, it ended more than 90 days ago, or it began a moment ago.
    Absent,
}

/// Executions of state machines.
#[derive(Clone)]
pub struct Executions {
    aws: Aws,
    client: OnceLock<Client>,
}

impl Executions {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    /// Starts the state machine `arn` with `input` under a deterministic `name`.
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
    pub async fn start(&self, arn: &str, name: &str, input: &serde_json::Value) -> Result<Started, Failure> {
        let request =
            self.client().start_execution().state_machine_arn(arn).name(name).input(input.to_string());
        match request.send().await {
            Ok(started) => Ok(Started::New(started.execution_arn)),
            Err(error) if code(&error) == Some("ExecutionAlreadyExists") => Ok(Started::Exists),
            Err(error) => Err(failure("StartExecution", name, &error)),
        }
    }

    /// Returns true if the execution `arn` still runs; `None` if that is not known.
    ///
    /// Only a terminal status is an end. An execution that is not found, or a call that fails, proves no end: the
    /// caller wants to take a resource away from the execution.
    pub async fn is_running(&self, arn: &str) -> Option<bool> {
        match self.standing(arn).await {
            Ok(Standing::Running) => Some(true),
            Ok(Standing::Ended) => Some(false),
            Ok(Standing::Absent) => {
                tracing::warn!("DescribeExecution {arn}: there is no such execution");
                None
            }
            Err(failure) => {
                tracing::warn!("{}", failure.chain());
                None
            }
        }
    }

    /// Returns what Step Functions knows about the execution `arn`.
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html>
    ///
    /// # Errors
    /// `Transient` if the status is one that Lockstep does not know.
    pub async fn standing(&self, arn: &str) -> Result<Standing, Failure> {
        match self.client().describe_execution().execution_arn(arn).send().await {
            Ok(execution) => match runs(&execution.status) {
                Some(true) => Ok(Standing::Running),
                Some(false) => Ok(Standing::Ended),
                None => {
                    let why = format!(
                        "DescribeExecution {arn}: the status {} is unknown",
                        execution.status.as_str()
                    );
                    Err(Failure::new(FailureKind::Transient, why))
                }
            },
            Err(error) if code(&error) == Some("ExecutionDoesNotExist") => Ok(Standing::Absent),
            Err(error) => Err(failure("DescribeExecution", arn, &error)),
        }
    }

    /// Answers a task token with `{}`: the next state reads the result itself.
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html>
    #[cfg(feature = "answer-tokens")]
    pub async fn answer(&self, token: &str) -> Result<Answered, Failure> {
        match self.client().send_task_success().task_token(token).output("{}").send().await {
            Ok(_) => Ok(Answered::Accepted),
            Err(error) => match code(&error) {
                Some("TaskTimedOut" | "TaskDoesNotExist" | "InvalidToken") => Ok(Answered::Gone),
                // The token is a secret of the execution, so the failure does not name it.
                _ => Err(failure("SendTaskSuccess", "of a wait", &error)),
            },
        }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

fn runs(status: &ExecutionStatus) -> Option<bool> {
    match status {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => Some(true),
        ExecutionStatus::Succeeded
        | ExecutionStatus::Failed
        | ExecutionStatus::TimedOut
        | ExecutionStatus::Aborted => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_status_is_not_an_end() {
        assert_eq!(runs(&ExecutionStatus::from("SOMETHING_NEW")), None);
        assert_eq!(runs(&ExecutionStatus::Running), Some(true));
        for over in ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"] {
            assert_eq!(runs(&ExecutionStatus::from(over)), Some(false));
        }
    }
}
