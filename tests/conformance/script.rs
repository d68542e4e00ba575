//! The answers of the functions, the same for the interpreter and the emulator.

use jiff::Timestamp;
use lockstep_domain::delivery::order;
use lockstep_domain::messages::ledger::Request;
use lockstep_tests::asl::{End, TaskEnvironment, TaskError};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// The id of every deployment and promotion.
pub const ID: &str = "9f0d2a3c-5b1e-5c1d-8f7a-0123456789ab";

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// This result. A task token in the payload gets it as its answer.
    Ok(Value),
    /// An error with this name and message.
    Error(&'static str, &'static str),
}

/// Answers by function and action, such as `stack plan`: the given answers first, then the usual one.
#[derive(Clone, Debug, Default)]
pub struct Script {
    given: BTreeMap<&'static str, VecDeque<Said>>,
    suffix: usize,
    calls: Vec<(String, Value)>,
}

impl Script {
    /// Returns a script with these answers before the usual ones.
    pub fn of(answers: &[(&'static str, &[Said])]) -> Self {
        let given = answers.iter().map(|(key, said)| (*key, said.iter().cloned().collect()));
        Self { given: given.collect(), suffix: 0, calls: Vec::new() }
    }

    /// Gives nested executions unique names.
    pub fn name_executions(&mut self, suffix: usize) {
        self.suffix = suffix;
    }

    /// Returns the answered calls in order: function and action, and the payload.
    pub fn calls(&self) -> &[(String, Value)] {
        &self.calls
    }

    /// Returns the answer of `function` to `payload`.
    pub fn answer(&mut self, function: &str, payload: &Value) -> Said {
        let key = format!("{function} {}", payload["action"].as_str().unwrap_or_default());
        self.calls.push((key.trim().to_owned(), comparable(payload.clone())));
        let given = self.given.get_mut(key.trim()).and_then(VecDeque::pop_front);
        given.unwrap_or_else(|| match key.trim() {
            "ledger order_release" => Said::Ok(ordered(payload)),
            key => Said::Ok(usual(key, self.suffix)),
        })
    }
}

/// Returns a payload without the values that always differ: tokens, times, and descriptions of nested executions.
fn comparable(mut payload: Value) -> Value {
    for field in ["task", "error"] {
        if let Some(found) = payload.get_mut(field).filter(|found| !found.is_null()) {
            *found = json!("it has one");
        }
    }
    if let Some(since) = payload.get_mut("since") {
        let text = since.as_str().unwrap_or_default();
        text.parse::<Timestamp>().unwrap_or_else(|_| panic!("`since` must be a time and is `{text}`"));
        *since = json!("it has one");
    }
    for place in payload["places"].as_array_mut().into_iter().flatten() {
        if let Some(cause) = place.get_mut("Cause") {
            *cause = json!("it has one");
        }
    }
    if let Some(results) = payload["results"].as_array_mut() {
        results.iter_mut().filter_map(Value::as_object_mut).for_each(|result| drop(result.remove("cause")));
    }
    payload
}

/// Returns the next round of a push, as the function decides about it.
fn ordered(payload: &Value) -> Value {
    match serde_json::from_value(payload.clone()) {
        Ok(Request::OrderRelease { components, results }) => json!(order::next(&components, &results)),
        other => panic!("{other:?} is no round of a push"),
    }
}

/// Returns the answer of a function in the usual case.
fn usual(key: &str, suffix: usize) -> Value {
    let failed = json!({"error": "StackFailed", "cause": "the queue exists"});
    match key {
        "package recipe" => {
            let recipe =
                json!({"folder": "images/logstash", "of": "2.1", "artifact": "recipes/logstash/1.zip"});
            json!({"result": "recipe", "recipe": recipe})
        }
        "package commit" => json!({"result": "packaged", "components": [{
            "component": "logs", "outcome": "packaged", "version": "2.1.0", "environment": "logs-2-1-0",
            "pre_release": false, "test_execution": format!("tested-{suffix}"),
            "deployments": [{"stage": "ci", "execution": format!("deployed-{suffix}")}],
        }]}),
        "verify" => json!({"passed": 1}),
        "ledger begin" | "ledger begin_teardown" | "ledger proceed" => {
            json!({"deployment": ID, "images": false, "missing": []})
        }
        "ledger complete" => json!({"deployment": ID, "outcome": "succeeded"}),
        "ledger fail" | "ledger fail_release" | "image fail" | "image close" => failed,
        "ledger gate" => json!({"deploy_execution": format!("promoted-{suffix}")}),
        "ledger finish_release" => json!({"outcome": "done", "error": "", "cause": "", "results": []}),
        "stack plan" => json!({"next": "change_set"}),
        "stack change_set" => json!({"next": "execute"}),
        "stack observe" => json!({"next": "check"}),
        "stack plan_teardown" | "stack destroyed" => json!({"next": "done"}),
        "image inspect" => json!({"promotion": ID, "next": "copy"}),
        "image observe" => json!({"next": "compare"}),
        "bake claim" => json!({
            "version": "2.1.38", "next": "build", "stage": "test", "execution": format!("built-{suffix}"),
        }),
        "bake begin_build" => json!({"build": ID, "next": "build"}),
        "bake observe_build" => json!({"next": "register"}),
        "bake distribute" => json!({"places": [{
            "stage": "production", "path": "promotion", "promotion": format!("brought-{suffix}"),
            "build": format!("built-there-{suffix}"),
        }]}),
        "bake copy_failed" => json!({"next": "fail"}),
        "bake register" | "bake complete" => json!({"image": "logstash", "version": "2.1.38"}),
        "bake fail_version" => json!({"places": [{"stage": "production", "path": "promotion"}]}),
        "bake fail_build" | "bake record_discarded" => failed,
        "image record" => json!({"image": "logstash", "version": "2.1.37"}),
        _ => json!({}),
    }
}

/// The environment of the interpreter: answers come from the script, and no time passes.
pub struct Scripted {
    script: RefCell<Script>,
    tokens: Cell<u32>,
    answered: RefCell<BTreeSet<String>>,
    started: RefCell<BTreeSet<String>>,
}

impl Scripted {
    /// Returns an environment that follows `script`.
    pub fn new(script: &Script) -> Self {
        Self {
            script: RefCell::new(script.clone()),
            tokens: Cell::new(0),
            answered: RefCell::default(),
            started: RefCell::default(),
        }
    }
}

impl Scripted {
    /// Returns the calls.
    pub fn calls(&self) -> Vec<(String, Value)> {
        self.script.borrow().calls().to_vec()
    }
}

impl TaskEnvironment for Scripted {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep(&self, _: Duration) {}

    fn chance(&self) -> f64 {
        0.0
    }

    fn token(&self) -> String {
        self.tokens.set(self.tokens.get() + 1);
        format!("token-{}", self.tokens.get())
    }

    async fn invoke(&self, function: &str, payload: &Value, token: Option<&str>) -> Result<Value, TaskError> {
        // Functions are named as in a stack: the last part of the ARN, without its unique suffix.
        let name = function.rsplit("conformance-").next().unwrap_or_default();
        match self.script.borrow_mut().answer(name, payload) {
            Said::Ok(value) => {
                self.answered.borrow_mut().extend(token.map(str::to_owned));
                Ok(value)
            }
            Said::Error(error, message) => Err(TaskError::of_function(error, message)),
        }
    }

    async fn answer(&self, token: &str, _: Timestamp) -> Option<Result<Value, TaskError>> {
        self.answered.borrow().contains(token).then(|| Ok(json!({})))
    }

    fn started(&self, execution: &str) -> bool {
        self.started.borrow_mut().insert(execution.to_owned())
    }

    fn ended(&self, _: &str, _: &End) {}
}
