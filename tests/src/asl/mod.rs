//! The Amazon States Language, as far as our state machines use it, run within the process.
//!
//! The specification is <https://states-language.net/spec.html>, with the JSONata of
//! <https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html>. Time, randomness and everything a
//! task does belong to a [`World`]: with a virtual clock and a seed, a run is the same every time. `tests/conformance`
//! holds it against the emulator's Step Functions.

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
    /// Its name.
    pub error: String,
    /// Its cause: for a Lambda function, JSON with `errorType` and `errorMessage`.
    pub cause: String,
}

impl TaskError {
    /// An error.
    pub fn new(error: &str, cause: &str) -> Self {
        Self { error: error.to_owned(), cause: cause.to_owned() }
    }

    /// What a function answered that failed.
    pub fn of_function(error_type: &str, message: &str) -> Self {
        let cause = json!({"errorType": error_type, "errorMessage": message});
        Self::new(error_type, &cause.to_string())
    }

    fn as_json(&self) -> Value {
        json!({"Error": self.error, "Cause": self.cause})
    }
}

/// What surrounds a state machine: a clock, a die, and what its tasks reach.
#[expect(async_fn_in_trait, reason = "a run is one future on one thread")]
pub trait World {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Lets time pass.
    async fn sleep(&self, duration: Duration);

    /// A number from 0 up to 1, for jitter.
    fn chance(&self) -> f64;

    /// A task token that nobody had before.
    fn token(&self) -> String;

    /// Invokes a function and waits for its answer. `token` is the one that was given to it, if its state waits.
    async fn invoke(&self, function: &str, payload: &Value, token: Option<&str>) -> Result<Value, TaskError>;

    /// What `token` was answered with, as soon as it is; nothing if it was not by `deadline`. The token counts no longer
    /// then.
    async fn answer(&self, token: &str, deadline: Timestamp) -> Option<Result<Value, TaskError>>;

    /// Takes note that an execution runs; whether its name was free.
    fn started(&self, execution: &str) -> bool;

    /// Takes note that an execution is over.
    fn ended(&self, execution: &str, end: &End);
}

/// The state machines by ARN.
#[derive(Clone, Debug, Default)]
pub struct Machines(BTreeMap<String, Value>);

impl Machines {
    /// Adds the state machine `arn`: `text` with each `${Name}` replaced.
    ///
    /// # Panics
    /// If that is not JSON.
    pub fn add(&mut self, arn: &str, text: &str, substitutions: &[(&str, &str)]) {
        let mut text = text.to_owned();
        for (name, value) in substitutions {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        let definition = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arn}: {error}"));
        self.0.insert(arn.to_owned(), definition);
    }

    /// The definition of `arn`, to be changed.
    pub fn definition(&mut self, arn: &str) -> Option<&mut Value> {
        self.0.get_mut(arn)
    }
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With this output.
    Succeeded(Value),
    /// With this error.
    Failed(TaskError),
    /// At the time-out of the whole.
    TimedOut,
}

impl End {
    /// The status that `DescribeExecution` shows.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

/// An execution that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its ARN.
    pub execution: String,
    /// The states that were entered, in order; those inside Maps included, those of nested executions not.
    pub path: Vec<String>,
    /// How many transitions AWS charges for: one for each state entered and one for each retry.
    pub transitions: usize,
    /// How it ended.
    pub end: End,
}

/// The ARN of the execution `name` of a state machine.
pub fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replace(":stateMachine:", ":execution:"))
}

/// Runs the state machine `machine` under a name that is free.
///
/// # Panics
/// If there is no such state machine, or it uses what this interpreter does not know.
pub async fn run(world: &impl World, machines: &Machines, machine: &str, name: &str, input: &Value) -> Run {
    let definition = machines.0.get(machine).unwrap_or_else(|| panic!("no state machine {machine}"));
    let execution = execution_arn(machine, name);
    world.started(&execution);
    let run = states::execute(world, machines, definition, (machine, name), input).await;
    world.ended(&execution, &run.end);
    run
}

#[cfg(test)]
mod tests;
