//! An interpreter of the Amazon States Language that runs within the process. It covers the part of the language that
//! our state machines use.
//!
//! The specification is <https://states-language.net/spec.html>, with the JSONata of
//! <https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>. A [`TaskEnvironment`] provides time, randomness
//! and the effects of tasks. With a virtual clock and a seed, each run is the same. `tests/conformance` compares the
//! interpreter with the emulator's Step Functions.

pub mod expressions;
mod retry;
mod states;

use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// An error as a state machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskError {
    /// The name of the error.
    pub error: String,
    /// The cause: for a Lambda function, JSON with `errorType` and `errorMessage`.
    pub cause: String,
}

impl TaskError {
    /// Returns an error with this name and cause.
    pub fn new(error: &str, cause: &str) -> Self {
        Self { error: error.to_owned(), cause: cause.to_owned() }
    }

    /// Returns the error of a Lambda function that failed.
    pub fn of_function(error_type: &str, message: &str) -> Self {
        let cause = json!({"errorType": error_type, "errorMessage": message});
        Self::new(error_type, &cause.to_string())
    }

    fn as_json(&self) -> Value {
        json!({"Error": self.error, "Cause": self.cause})
    }
}

/// The environment of a state machine: a clock, a source of randomness, and the functions that its tasks invoke.
#[expect(async_fn_in_trait, reason = "a run is one future on one thread")]
pub trait TaskEnvironment {
    /// Returns the current time.
    fn now(&self) -> Timestamp;

    /// Lets `duration` pass.
    async fn sleep(&self, duration: Duration);

    /// Returns a number from 0 up to 1, for jitter.
    fn chance(&self) -> f64;

    /// Returns a new, unique task token.
    fn token(&self) -> String;

    /// Invokes a function and returns its answer. `token` is the task token in the payload, if the state waits for one.
    async fn invoke(&self, function: &str, payload: &Value, token: Option<&str>) -> Result<Value, TaskError>;

    /// Waits for the answer to `token`. Returns `None` if there is no answer by `deadline`; the token is invalid
    /// afterwards.
    async fn answer(&self, token: &str, deadline: Timestamp) -> Option<Result<Value, TaskError>>;

    /// Records the start of an execution. Returns false if its name is taken.
    fn started(&self, execution: &str) -> bool;

    /// Records the end of an execution.
    fn ended(&self, execution: &str, end: &End);
}

/// The state machines by ARN.
#[derive(Clone, Debug, Default)]
pub struct Machines(BTreeMap<String, Value>);

impl Machines {
    /// Adds the state machine `arn`: `text` with each `${Name}` replaced.
    ///
    /// # Panics
    /// If the result is not JSON.
    pub fn add(&mut self, arn: &str, text: &str, substitutions: &[(&str, &str)]) {
        let mut text = text.to_owned();
        for (name, value) in substitutions {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        let definition = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arn}: {error}"));
        self.0.insert(arn.to_owned(), definition);
    }

    /// Returns the definition of `arn` for modification.
    pub fn definition(&mut self, arn: &str) -> Option<&mut Value> {
        self.0.get_mut(arn)
    }
}

/// The end of an execution.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Success, with this output.
    Succeeded(Value),
    /// Failure, with this error.
    Failed(TaskError),
    /// The timeout of the whole execution.
    TimedOut,
}

impl End {
    /// Returns the status that `DescribeExecution` shows.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

/// An execution that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The ARN of the execution.
    pub execution: String,
    /// The states that the execution entered, in order. States inside a Map are included, states of nested executions
    /// are not.
    pub path: Vec<String>,
    /// Number of transitions that AWS charges for: one for each state entered and one for each retry.
    pub transitions: usize,
    /// The end of the execution.
    pub end: End,
}

/// Returns the ARN of the execution `name` of a state machine.
pub fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replace(":stateMachine:", ":execution:"))
}

/// Runs the state machine `machine` under the name `name`, which must be free.
///
/// # Panics
/// If there is no such state machine, or the definition uses a feature that this interpreter lacks.
pub async fn run(
    environment: &impl TaskEnvironment,
    machines: &Machines,
    machine: &str,
    name: &str,
    input: &Value,
) -> Run {
    let definition = machines.0.get(machine).unwrap_or_else(|| panic!("no state machine {machine}"));
    let execution = execution_arn(machine, name);
    environment.started(&execution);
    let run = states::execute(environment, machines, definition, (machine, name), input).await;
    environment.ended(&execution, &run.end);
    run
}

#[cfg(test)]
mod tests;
