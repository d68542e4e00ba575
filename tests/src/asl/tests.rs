use super::*;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

const MACHINE: &str = "arn:aws:states:eu-west-1:1:stateMachine:m";

/// An environment that answers from a list. Time passes only where a state machine waits.
struct Script {
    seconds: Cell<f64>,
    answers: RefCell<VecDeque<Result<Value, TaskError>>>,
    tokens: Cell<u32>,
    answered: RefCell<Vec<String>>,
    sent: RefCell<Vec<Value>>,
}

impl Script {
    fn of<const N: usize>(answers: [Result<Value, TaskError>; N]) -> Self {
        Self {
            seconds: Cell::new(0.0),
            answers: RefCell::new(answers.into()),
            tokens: Cell::new(0),
            answered: RefCell::default(),
            sent: RefCell::default(),
        }
    }

    async fn run(&self, definition: Value, input: Value) -> Run {
        let mut machines = Machines::default();
        machines.add(MACHINE, &definition.to_string(), &[("F", "f")]);
        run(self, &machines, MACHINE, "x", &input).await
    }
}

impl TaskEnvironment for Script {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs_f64(self.seconds.get())
    }

    async fn sleep(&self, duration: Duration) {
        self.seconds.set(self.seconds.get() + duration.as_secs_f64());
    }

    fn chance(&self) -> f64 {
        0.5
    }

    fn token(&self) -> String {
        self.tokens.set(self.tokens.get() + 1);
        format!("token-{}", self.tokens.get())
    }

    async fn invoke(&self, _: &str, payload: &Value, token: Option<&str>) -> Result<Value, TaskError> {
        self.sent.borrow_mut().push(payload.clone());
        let answer = self.answers.borrow_mut().pop_front().expect("an answer");
        if let (Some(token), Ok(Value::Bool(true))) = (token, &answer) {
            self.answered.borrow_mut().push(token.to_owned());
        }
        answer
    }

    async fn answer(&self, token: &str, deadline: Timestamp) -> Option<Result<Value, TaskError>> {
        if self.answered.borrow().iter().any(|known| known == token) {
            return Some(Ok(json!({})));
        }
        let rest: Duration = deadline.duration_since(self.now()).try_into().unwrap_or_default();
        self.sleep(rest).await;
        None
    }

    fn started(&self, _: &str) -> bool {
        true
    }

    fn ended(&self, _: &str, _: &End) {}
}

fn task(more: Value) -> Value {
    let mut task = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
        "Arguments": {"FunctionName": "${F}", "Payload": {"got": "{% $states.input %}"}},
    });
    task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"StartAt": "A", "States": {"A": task}})
}

#[tokio::test]
async fn a_task_sends_its_arguments_and_assigns_its_variables() {
    let environment = Script::of([Ok(json!({"n": 4})), Ok(json!("end"))]);
    let second = json!({
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
        "Arguments": {"FunctionName": "${F}", "Payload": "{% $kept + $states.input %}"},
        "Output": "{% $states.result.Payload %}",
    });
    let mut definition = task(json!({
        "Assign": {"kept": "{% $states.result.Payload.n %}"},
        "Output": "{% $states.result.Payload.n + 1 %}",
        "Next": "B",
    }));
    definition["States"]["A"].as_object_mut().unwrap().remove("End");
    definition["States"]["B"] = second;
    let run = environment.run(definition, json!(1)).await;
    assert_eq!(run.end, End::Succeeded(json!("end")));
    assert_eq!(*environment.sent.borrow(), [json!({"got": 1}), json!(9)]);
    assert_eq!((run.path, run.transitions), (vec!["A".to_owned(), "B".to_owned()], 2));
}

#[tokio::test]
async fn a_retry_waits_and_counts_and_the_catch_gets_the_last_error() {
    let failed = || Err(TaskError::of_function("Transient", "later"));
    let environment = Script::of([failed(), failed(), failed()]);
    let definition = task(json!({
        "Retry": [{"ErrorEquals": ["Transient"], "IntervalSeconds": 10, "MaxAttempts": 2}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F"}],
    }));
    let mut definition = definition;
    definition["States"]["F"] =
        json!({"Type": "Fail", "Error": "{% $states.input.Error %}", "Cause": "{% $states.input.Cause %}"});
    let run = environment.run(definition, json!({})).await;
    assert_eq!(run.end, End::Failed(TaskError::of_function("Transient", "later")));
    assert_eq!((run.path, run.transitions), (vec!["A".to_owned(), "F".to_owned()], 4));
    assert!((environment.seconds.get() - 30.0).abs() < 0.001);
}

fn waiting() -> Value {
    let mut definition = task(json!({
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "TimeoutSeconds": 900,
        "Catch": [{"ErrorEquals": ["States.Timeout"], "Output": "{% $states.input %}", "Next": "Late"}],
    }));
    definition["States"]["A"]["Arguments"]["Payload"] = json!({"token": "{% $states.context.Task.Token %}"});
    definition["States"]["Late"] = json!({"Type": "Pass", "Output": "late", "End": true});
    definition
}

#[tokio::test]
async fn a_waiting_state_ends_with_the_answer_to_its_token_or_times_out() {
    let environment = Script::of([Ok(json!(true)), Ok(json!(false))]);
    assert_eq!(environment.run(waiting(), json!({})).await.end, End::Succeeded(json!({})));
    assert_eq!(environment.run(waiting(), json!({})).await.end, End::Succeeded(json!("late")));
    assert_eq!(*environment.sent.borrow(), [json!({"token": "token-1"}), json!({"token": "token-2"})]);
    assert!((environment.seconds.get() - 900.0).abs() < 0.001);
}

#[tokio::test]
async fn the_timeout_of_the_execution_ends_a_wait_for_a_token() {
    let environment = Script::of([Ok(json!(false))]);
    let mut definition = waiting();
    definition["TimeoutSeconds"] = json!(60);
    assert_eq!(environment.run(definition, json!({})).await.end, End::TimedOut);
    assert!((environment.seconds.get() - 60.0).abs() < 0.001);
}

#[tokio::test]
async fn a_map_returns_results_in_order_and_fails_with_its_first_failed_item() {
    let map = || {
        json!({"StartAt": "M", "States": {"M": {
            "Type": "Map", "Items": "{% $states.input %}", "End": true,
            "ItemProcessor": task(json!({"Output": "{% $states.result.Payload %}"})),
        }}})
    };
    let environment = Script::of([Ok(json!(1)), Ok(json!(2))]);
    let run = environment.run(map(), json!(["a", "b"])).await;
    assert_eq!(run.end, End::Succeeded(json!([1, 2])));
    assert_eq!(run.path, ["M", "A", "A"]);
    let environment = Script::of([Ok(json!(1)), Err(TaskError::new("E", "why"))]);
    assert_eq!(
        environment.run(map(), json!(["a", "b", "c"])).await.end,
        End::Failed(TaskError::new("E", "why"))
    );
}

#[tokio::test]
async fn a_choice_takes_its_first_true_rule_and_fails_on_an_undefined_value() {
    let definition = |condition: &str| {
        json!({"StartAt": "C", "States": {
            "C": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "Yes"}], "Default": "No"},
            "Yes": {"Type": "Pass", "Output": "yes", "End": true},
            "No": {"Type": "Pass", "Output": "no", "End": true},
        }})
    };
    let environment = Script::of([]);
    for (n, said) in [(1, "yes"), (2, "no")] {
        let run = environment.run(definition("{% $states.input.n = 1 %}"), json!({"n": n})).await;
        assert_eq!(run.end, End::Succeeded(json!(said)));
    }
    let run = environment.run(definition("{% $states.input.m %}"), json!({})).await;
    assert!(
        matches!(run.end, End::Failed(TaskError { error, .. }) if error == "States.QueryEvaluationError")
    );
}
