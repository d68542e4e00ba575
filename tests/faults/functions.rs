//! Lambda within the process: the real handlers, and the faults that can stop one midway.

use crate::harness::{Harness, Token};
use crate::stacks::checks::Verifying;
use crate::workflows::{Work, machines_of, path};
use lockstep_aws::executions::{Answered, Executions};
use lockstep_aws::function_url::Invocation;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::messages::{self, callers::Callers};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_runtime::{HasExecutions, HasLedger, RegisteredAccounts, TaskTokens};
use lockstep_sim::faults::{Driven, Pause, Site};
use lockstep_sim::faulty::FaultyContext;
use lockstep_tests::asl::TaskError;
use serde::Serialize;
use serde_json::{Value, json};
use std::pin::Pin;
use std::time::Duration;

/// The duration of a slow call: longer than an operation.
pub const SLOW: Duration = Duration::from_secs(100);

/// A running function.
pub type Serving<'a> = Pin<Box<dyn Future<Output = Result<Value, Failure>> + 'a>>;

impl Harness {
    /// Invokes a function as Lambda does.
    pub async fn function(&self, function: &str, payload: &Value) -> Result<Value, TaskError> {
        let action = payload["action"].as_str().unwrap_or_default();
        let before = self.faults.caller();
        let crate_name = if function.starts_with("ledger-") { "ledger" } else { function };
        self.faults.set_caller(format!("{crate_name} {action}").trim());
        self.clock.advance(Duration::from_millis(200));
        let served = self.drive(self.serve(function, payload.clone())).await;
        self.faults.set_caller(&before);
        self.collect().await;
        match served {
            None => Err(TaskError::new("Runtime.ExitError", "the runtime exited")),
            Some(Ok(answer)) => Ok(answer),
            Some(Err(failure)) => Err(TaskError::of_function(failure.kind.error_type(), &failure.message)),
        }
    }

    /// Each function is boxed alone: together they would be one type that is too deep for the compiler.
    fn serve<'a>(&'a self, function: &'a str, payload: Value) -> Serving<'a> {
        let malformed = move |error: serde_json::Error| Failure::bug(format!("{function}: {error}"));
        match function {
            "ledger-delivery" => self.ledger_function(&self.context, Callers::Delivery, payload),
            "ledger-promotion" => self.ledger_function(&self.context, Callers::Promotion, payload),
            "stack" => Box::pin(async move {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_stack::handler::handle(&self.context, request).await?)
            }),
            "image" => Box::pin(async move {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_image::handler::handle(&self.context, request).await?)
            }),
            // The function of images of the delivery path sets the parameters of its accounts.
            "delivery-image" => Box::pin(async move {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_image::handler::handle(&self.delivery, request).await?)
            }),
            "package" => Box::pin(async move {
                let now = self.clock.now();
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_package::handler::handle(&self.context, request, now).await?)
            }),
            "bake" => Box::pin(async move {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_bake::handler::handle(&self.context, request).await?)
            }),
            "verify" => Box::pin(async move {
                let request: messages::verify::Request =
                    serde_json::from_value(payload).map_err(malformed)?;
                let passed = lockstep_verify::handler::handle(&Verifying(self), &request).await?;
                self.checked.borrow_mut().push(request.deployment);
                written(passed)
            }),
            "resume" => Box::pin(async move {
                let now = self.clock.now();
                written(lockstep_resume::handler::handle(&Resuming(self), &payload, now).await?)
            }),
            other => panic!("no function {other}"),
        }
    }

    /// Runs the `ledger` function for `callers`, with or without faults as its context says.
    pub fn ledger_function<'a>(
        &'a self,
        context: &'a FaultyContext,
        callers: Callers,
        payload: Value,
    ) -> Serving<'a> {
        Box::pin(async move {
            let request =
                serde_json::from_value(payload).map_err(|error| Failure::bug(format!("ledger: {error}")))?;
            let now = self.clock.now();
            lockstep_ledger::handler::handle(context, callers, Invocation::Direct(request), now).await
        })
    }

    /// Drives a function to its end through every fault. Returns `None` if the function died.
    pub async fn drive<T>(&self, mut function: Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
        loop {
            match self.faults.drive(&mut function).await {
                Driven::Done(done) => return Some(done),
                Driven::Paused(Pause::Crash, _) => return None,
                Driven::Paused(why, go_on) => {
                    let caller = self.faults.caller();
                    match why {
                        Pause::Superseded => self.supersede().await,
                        _ => self.let_pass(SLOW).await,
                    }
                    self.faults.set_caller(&caller);
                    // The receiver exists: it is the function that this loop drives.
                    let _ = go_on.send(());
                }
            }
        }
    }

    /// Aborts the current execution, although part of it still runs, and lets a later deployment take over.
    pub async fn supersede(&self) {
        let (execution, input) = self.current.borrow().clone();
        if self.successor.borrow().is_some() {
            return;
        }
        // The executions that it started are aborted too.
        for running in self.running.borrow().iter().chain([&execution]) {
            self.set_execution(running, "ABORTED", self.clock.now());
        }
        let successor = format!("{execution}-successor");
        self.set_execution(&successor, "RUNNING", self.clock.now());
        self.successor.replace(Some(successor.clone()));
        let suspended = self.faults.suspend(true);
        // The takeover may come too late. The successor then begins after this run.
        self.record_starter(&successor, &input).await;
        drop(self.begin(&successor, &input).await);
        self.faults.suspend(suspended);
    }

    /// Runs the first step of an execution with this input.
    fn begin<'a>(&'a self, execution: &'a str, input: &'a Value) -> Serving<'a> {
        let begin = move |action: &str| json!({"action": action, "execution": execution, "input": input});
        let callers = machines_of(path(input));
        match Work::of(input) {
            Work::Deploy => self.ledger_function(&self.fault_free, callers, begin("begin")),
            Work::Teardown => self.ledger_function(&self.fault_free, callers, begin("begin_teardown")),
            Work::PromoteImage => self.serve("image", begin("inspect")),
            Work::BakeImage => Box::pin(async move {
                let mut package = input.clone();
                package["action"] = json!("recipe");
                let mut packaged = self.serve("package", package).await?;
                let mut claim = begin("claim");
                claim["recipe"] = packaged["recipe"].take();
                self.serve("bake", claim).await
            }),
            Work::Release => {
                let mut package = begin("commit");
                for field in ["repository", "ref", "commit"] {
                    package[field] = input[field].clone();
                }
                self.serve("package", package)
            }
            Work::BuildImage => unreachable!("only bake-image starts it"),
        }
    }
}

fn written(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| Failure::bug(error.to_string()))
}

/// The context of the `resume` function. Every account was added.
struct Resuming<'a>(&'a Harness);

impl HasLedger for Resuming<'_> {
    fn ledger(&self) -> &Ledger {
        self.0.context.ledger()
    }
}

impl HasExecutions for Resuming<'_> {
    fn executions(&self) -> &Executions {
        self.0.context.executions()
    }
}

impl TaskTokens for Resuming<'_> {
    async fn answer(&self, token: &str) -> Result<Answered, Failure> {
        let answer = async || {
            let mut tokens = self.0.tokens.borrow_mut();
            match tokens.get_mut(token) {
                Some(state @ Token::Open) => {
                    *state = Token::Answered;
                    Ok(Answered::Accepted)
                }
                _ => Ok(Answered::Gone),
            }
        };
        self.0.context.cross("SendTaskSuccess", Site::Write, answer).await
    }
}

impl RegisteredAccounts for Resuming<'_> {
    async fn is_registered(&self, _account: &AccountId) -> Result<bool, Failure> {
        Ok(true)
    }
}
