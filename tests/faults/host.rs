//! The harness as the environment of the state machines.

use crate::harness::Harness;
use jiff::Timestamp;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_sim::faults::{Kind, Site};
use lockstep_tests::asl::{End, TaskEnvironment, TaskError};
use serde_json::{Value, json};
use std::time::Duration;

impl Harness {
    /// Returns the innermost state machine that runs now.
    fn machine_at_work(&self) -> String {
        let running = self.running.borrow();
        let machine = running.last().and_then(|execution| execution.rsplit(':').nth(1)).unwrap_or_default();
        machine.trim_start_matches("lockstep-").to_owned()
    }
}

impl TaskEnvironment for Harness {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        match self.crew.get() {
            true => self.park(self.clock.now() + duration, None).await,
            false => self.let_pass(duration).await,
        }
    }

    fn chance(&self) -> f64 {
        self.next_chance()
    }

    fn token(&self) -> String {
        self.new_token()
    }

    async fn invoke(&self, function: &str, payload: &Value, _: Option<&str>) -> Result<Value, TaskError> {
        let action = payload["action"].as_str().unwrap_or_default();
        // The executions of a crew take turns at each call.
        if self.crew.get() {
            self.park(self.clock.now(), None).await;
        }
        self.faults.set_caller(&self.machine_at_work());
        let name = format!("invoke {function} {action}");
        let answer = match self.faults.meet(name.trim(), Site::Invocation) {
            Some(Kind::Before) => return Err(TaskError::new("Lambda.ServiceException", "struck")),
            Some(Kind::Throttled) => return Err(TaskError::new("Lambda.TooManyRequestsException", "struck")),
            Some(Kind::Lost) => {
                let _ = self.function(function, payload).await;
                Err(TaskError::new("Lambda.Unknown", "struck"))
            }
            Some(Kind::Twice) => {
                let _ = self.function(function, payload).await;
                self.function(function, payload).await
            }
            Some(Kind::Superseded) => {
                self.supersede().await;
                self.function(function, payload).await
            }
            Some(Kind::Slow) => {
                self.let_pass(Duration::from_secs(100)).await;
                self.function(function, payload).await
            }
            _ => self.function(function, payload).await,
        };
        // Step Functions takes no step of an aborted execution. Here it takes some, but it cannot wait for ever.
        if action == "await_turn" && self.successor.borrow().is_some() {
            return Err(TaskError::new("Aborted", "a successor took over"));
        }
        if action == "request_approval" {
            let id: DeploymentId = serde_json::from_value(payload["deployment"].clone()).expect("an id");
            self.ask_person(&id).await;
        }
        answer
    }

    async fn answer(&self, token: &str, deadline: Timestamp) -> Option<Result<Value, TaskError>> {
        if self.crew.get() {
            while !self.is_answered(token) && self.clock.now() < deadline {
                self.park(deadline, Some(token)).await;
            }
        } else {
            self.until(deadline, || self.is_answered(token)).await;
        }
        let answered = self.is_answered(token);
        self.close(token);
        answered.then(|| Ok(json!({})))
    }

    fn started(&self, execution: &str) -> bool {
        let known = self.executions.borrow().get(execution).map(|(status, _)| *status);
        if known.is_none() {
            self.set_execution(execution, "RUNNING", self.clock.now());
        }
        let is_free = matches!(known, None | Some("RUNNING"));
        if is_free {
            self.running.borrow_mut().push(execution.to_owned());
        }
        is_free
    }

    fn ended(&self, execution: &str, end: &End) {
        self.running.borrow_mut().pop();
        // An aborted execution keeps its status, whatever its last calls did.
        let aborted = matches!(self.executions.borrow().get(execution), Some(("ABORTED", _)));
        if !aborted {
            self.set_execution(execution, end.status(), self.clock.now());
        }
    }
}
