//! Executions of state machines, for an operator that follows them.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::HistoryEventType;
use jiff::Timestamp;
use lockstep_domain::model::error::Failure;
use serde::Serialize;
use serde_json::Value;

/// Status of an execution, with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "status")]
pub enum Status {
    /// The execution runs.
    Running,
    /// The execution succeeded with this output.
    Succeeded {
        /// The output.
        output: Value,
    },
    /// The execution failed, timed out or was stopped.
    Failed {
        /// The error's name.
        error: String,
        /// The error's cause.
        cause: String,
    },
}

/// One execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its input.
    pub input: Value,
    /// Its status.
    #[serde(flatten)]
    pub status: Status,
    /// Time of its start.
    pub started_at: Timestamp,
    /// Time of its end, if it ended.
    pub ended_at: Option<Timestamp>,
}

/// An event of an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// Its number within the execution, from 1.
    pub number: i64,
    /// The time.
    pub at: Timestamp,
    /// The event itself.
    #[serde(flatten)]
    pub what: What,
}

/// Kind of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// A state was entered.
    Entered {
        /// The state.
        state: String,
    },
    /// A state was left.
    Left {
        /// The state.
        state: String,
    },
    /// An execution of another state machine was started.
    Started {
        /// Its ARN.
        execution: String,
    },
    /// A task failed; the state machine may retry or continue.
    TaskFailed {
        /// The error's name.
        error: String,
        /// The error's cause.
        cause: String,
    },
}

/// The executions in one account and region.
pub struct Follow {
    client: Client,
}

impl Follow {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { client: Client::new(aws.sdk_config()) }
    }

    /// Returns one execution; `None` if it does not exist (its ARN is wrong, or it ended more than 90 days ago).
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html>
    pub async fn describe(&self, arn: &str) -> Result<Option<Execution>, Failure> {
        let found = match self.client.describe_execution().execution_arn(arn).send().await {
            Ok(found) => found,
            Err(error) if code(&error) == Some("ExecutionDoesNotExist") => return Ok(None),
            Err(error) => return Err(failure("DescribeExecution", arn, &error)),
        };
        let json =
            |text: Option<&str>| text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let status = match found.status.as_str() {
            "RUNNING" | "PENDING_REDRIVE" => Status::Running,
            "SUCCEEDED" => Status::Succeeded { output: json(found.output()) },
            other => Status::Failed {
                error: found.error().unwrap_or(other).to_owned(),
                cause: found.cause().unwrap_or_default().to_owned(),
            },
        };
        Ok(Some(Execution {
            arn: arn.to_owned(),
            input: json(found.input()),
            status,
            started_at: time(&found.start_date),
            ended_at: found.stop_date.as_ref().map(time),
        }))
    }

    /// Returns the events of an execution after the event `after`, oldest first, without inputs and outputs.
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html>
    pub async fn happenings(&self, arn: &str, after: i64) -> Result<Vec<Happening>, Failure> {
        let mut happenings = Vec::new();
        let mut next = None;
        loop {
            let request = self.client.get_execution_history().execution_arn(arn).set_next_token(next);
            let page = match request.send().await {
                Ok(page) => page,
                Err(error) => return Err(failure("GetExecutionHistory", arn, &error)),
            };
            happenings.extend(page.events.iter().filter(|event| event.id > after).filter_map(happening));
            next = page.next_token;
            if next.is_none() {
                return Ok(happenings);
            }
        }
    }

    /// Returns the newest executions of a state machine, newest first, at most `limit` (1 to 1000).
    /// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html>
    pub async fn newest(&self, state_machine: &str, limit: i32) -> Result<Vec<(String, Timestamp)>, Failure> {
        let request = self.client.list_executions().state_machine_arn(state_machine).max_results(limit);
        let page = request.send().await.map_err(|error| failure("ListExecutions", state_machine, &error))?;
        Ok(page
            .executions
            .iter()
            .map(|found| (found.execution_arn.clone(), time(&found.start_date)))
            .collect())
    }
}

fn happening(event: &aws_sdk_sfn::types::HistoryEvent) -> Option<Happening> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let what = match event.r#type {
        HistoryEventType::TaskFailed => {
            let details = event.task_failed_event_details()?;
            What::TaskFailed { error: text(details.error()), cause: text(details.cause()) }
        }
        HistoryEventType::TaskTimedOut => {
            let details = event.task_timed_out_event_details()?;
            What::TaskFailed { error: text(details.error()), cause: text(details.cause()) }
        }
        HistoryEventType::TaskSubmitted => {
            let output = event.task_submitted_event_details()?.output()?;
            let output: Value = serde_json::from_str(output).ok()?;
            What::Started { execution: output["ExecutionArn"].as_str()?.to_owned() }
        }
        _ => match (event.state_entered_event_details(), event.state_exited_event_details()) {
            (Some(entered), _) => What::Entered { state: entered.name().to_owned() },
            (_, Some(left)) => What::Left { state: left.name().to_owned() },
            _ => return None,
        },
    };
    Some(Happening { number: event.id, at: time(&event.timestamp), what })
}

fn time(at: &aws_smithy_types::DateTime) -> Timestamp {
    let nanoseconds = i32::try_from(at.subsec_nanos()).unwrap_or_default();
    Timestamp::new(at.secs(), nanoseconds).unwrap_or_default()
}
