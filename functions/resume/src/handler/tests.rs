//! Callbacks over the in-process DynamoDB engine.

use super::*;
use lockstep_aws::executions::{Answered, Executions};
use lockstep_domain::delivery::approval::operation;
use lockstep_domain::messages::Task;
use lockstep_domain::messages::resume::Forget;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Approval, Decision, Proposal, ProposedAction, Subject};
use lockstep_runtime::{HasExecutions, HasLedger, TaskTokens};
use lockstep_sim::{FakeAws, Interceptor, Reply};
use serde_json::json;
use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;

/// The only registered account.
const ADDED: &str = "222222222222";

/// Context that records the answered tokens. The second answer to a token is too late.
struct Context {
    account: FakeAws,
    ledger: Ledger,
    executions: Executions,
    answered: RefCell<Vec<String>>,
}

impl Context {
    fn new() -> Self {
        let account = FakeAws::new();
        let (ledger, executions) = (Ledger::new(&account.aws()), Executions::new(&account.aws()));
        Self { account, ledger, executions, answered: RefCell::default() }
    }

    async fn wait(&self, operation: &str, token: &str) {
        self.registers(operation, &task(token, "arn", 0)).await;
    }

    async fn registers(&self, operation: &str, task: &Task) {
        let register = Register { register: Waiting { operation: operation.into(), task: task.clone() } };
        handle(self, &json!(register), now()).await.unwrap();
    }

    /// Returns the token that waits for `operation`, if one does.
    async fn token(&self, operation: &str) -> Option<String> {
        match self.state(operation).await? {
            CallbackState::Open { token, .. } => Some(token),
            _ => None,
        }
    }

    async fn state(&self, operation: &str) -> Option<CallbackState> {
        self.ledger.get::<Callback>(&Callback::key_of(operation)).await.unwrap().map(|wait| wait.record.state)
    }
}

impl HasLedger for Context {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl HasExecutions for Context {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl TaskTokens for Context {
    async fn answer(&self, token: &str) -> Result<Answered, Failure> {
        let gone = self.answered.borrow().iter().any(|known| known == token);
        self.answered.borrow_mut().push(token.to_owned());
        Ok(if gone { Answered::Gone } else { Answered::Accepted })
    }
}

impl RegisteredAccounts for Context {
    async fn is_registered(&self, account: &AccountId) -> Result<bool, Failure> {
        Ok(account.as_str() == ADDED)
    }
}

/// Step Functions that answers no request.
struct Throttling;

impl Interceptor for Throttling {
    fn intercept<'a>(
        &'a self,
        _: lockstep_sim::Request,
        _: &'a FakeAws,
    ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>> {
        Box::pin(async { Some((400, json!({"__type": "ThrottlingException"}).to_string())) })
    }
}

fn now() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

/// Returns a task of `execution` that was entered `second` seconds ago.
fn task(token: &str, execution: &str, second: i64) -> Task {
    let entered_at = now().checked_sub(second.seconds()).unwrap();
    Task { token: token.into(), execution: execution.into(), entered_at, retry: 0 }
}

#[tokio::test]
async fn the_newest_registration_wins_in_any_order() {
    for order in [[2, 1], [1, 2]] {
        let context = Context::new();
        for second in order {
            context.registers("op", &task(&format!("{second} seconds ago"), "arn", second)).await;
        }
        assert_eq!(context.token("op").await.as_deref(), Some("1 seconds ago"));
        assert!(context.answered.borrow().is_empty());
    }
}

#[tokio::test]
async fn a_token_of_an_operation_that_ended_first_is_answered_at_once() {
    let context = Context::new();
    handle(&context, &json!({"wake": "op"}), now()).await.unwrap();
    context.wait("op", "token").await;
    assert_eq!(*context.answered.borrow(), ["token"]);
    assert_eq!(context.state("op").await, Some(CallbackState::Answered { execution: "arn".into() }));
}

#[tokio::test]
async fn registering_the_same_task_again_writes_nothing() {
    let context = Context::new();
    context.wait("op", "token").await;
    context.account.take_calls();
    context.wait("op", "token").await;
    assert_eq!(context.account.take_calls(), ["GetItem"]);
}

/// A function that waits could otherwise keep another execution from its answer.
#[tokio::test]
async fn a_callback_of_an_execution_that_may_run_is_not_taken() {
    for (status, is_taken) in [(None, false), (Some("RUNNING"), false), (Some("ABORTED"), true)] {
        let context = Context::new();
        context.wait("op", "token").await;
        if let Some(status) = status {
            context.account.set_execution("arn", status);
        }
        context.registers("op", &task("rival", "arn:rival", 0)).await;
        let token = context.token("op").await;
        assert_eq!(token.as_deref(), Some(if is_taken { "rival" } else { "token" }), "{status:?}");
    }
}

/// Otherwise a registration would be lost, and its state would look only once it times out.
#[tokio::test]
async fn a_registration_fails_while_the_holders_status_cannot_be_read() {
    let mut context = Context::new();
    context.wait("op", "token").await;
    context.executions = Executions::new(&context.account.behind(Arc::new(Throttling)).aws());
    let task = task("rival", "arn:rival", 0);
    let register = json!(Register { register: Waiting { operation: "op".into(), task: task.clone() } });
    let failed = handle(&context, &register, now()).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Transient);
    assert_eq!(failed.message, "the status of arn cannot be read");
    assert_eq!(context.token("op").await.as_deref(), Some("token"));
    context.executions = Executions::new(&context.account.aws());
    context.account.set_execution("arn", "ABORTED");
    context.registers("op", &task).await;
    assert_eq!(context.token("op").await.as_deref(), Some("rival"));
}

#[tokio::test]
async fn an_execution_that_step_functions_forgot_holds_no_callback() {
    let context = Context::new();
    context.wait("op", "token").await;
    for (hours, is_taken) in [(KNOWN_HOURS - 1, false), (KNOWN_HOURS, true)] {
        let later = now().checked_add(hours.hours()).unwrap();
        let register = Waiting { operation: "op".into(), task: task("rival", "arn:rival", 0) };
        handle(&context, &json!(Register { register }), later).await.unwrap();
        let token = context.token("op").await;
        assert_eq!(token.as_deref(), Some(if is_taken { "rival" } else { "token" }), "{hours}");
    }
}

#[tokio::test]
async fn a_callback_is_forgotten_only_once_its_execution_has_ended() {
    let context = Context::new();
    let forget = async |operation: &str| {
        let request = json!(Forget { forget: operation.into() });
        handle(&context, &request, now()).await.unwrap().is_forgotten
    };
    context.wait("op", "token").await;
    assert!(!forget("op").await, "unknown is not ended");
    context.account.set_execution("arn", "RUNNING");
    assert!(!forget("op").await);
    context.account.set_execution("arn", "TIMED_OUT");
    assert!(forget("op").await);
    assert_eq!(context.state("op").await, None);
    assert!(!forget("op").await, "there is none any more");
    handle(&context, &json!({"wake": "op"}), now()).await.unwrap();
    assert!(!forget("op").await, "a note of an end expires by itself");
    assert_eq!(context.state("op").await, Some(CallbackState::Completed));
}

#[tokio::test]
async fn repeated_end_answers_the_callback_once() {
    let context = Context::new();
    context.wait("op", "token").await;
    for _ in 0..3 {
        handle(&context, &json!({"wake": "op"}), now()).await.unwrap();
    }
    assert_eq!(*context.answered.borrow(), ["token"]);
    assert_eq!(context.state("op").await, Some(CallbackState::Answered { execution: "arn".into() }));
}

#[tokio::test]
async fn end_before_the_callback_is_recorded() {
    let context = Context::new();
    handle(&context, &json!({"wake": "op"}), now()).await.unwrap();
    assert!(context.answered.borrow().is_empty());
    assert_eq!(context.state("op").await, Some(CallbackState::Completed));
}

#[tokio::test]
async fn event_counts_only_in_a_registered_account() {
    let image = "arn:aws:ec2:eu-west-1::image/ami-0123456789abcdef0";
    let event = |account: &str| {
        json!({
            "source": "aws.ec2",
            "detail-type": "EC2 AMI State Change",
            "account": account,
            "resources": [image],
            "detail": {"State": "available"},
        })
    };
    let context = Context::new();
    for stranger in ["999999999999", "", "not an account"] {
        handle(&context, &event(stranger), now()).await.unwrap();
        assert_eq!(context.state(image).await, None, "{stranger}");
    }
    handle(&context, &event(ADDED), now()).await.unwrap();
    assert_eq!(context.state(image).await, Some(CallbackState::Completed));
}

/// Returns the answer to the first question of `deployment`.
fn answer(deployment: &DeploymentId, decision: Option<Decision>) -> ApprovalDecision {
    let proposal = Proposal {
        stack: "arn:stack".into(),
        action: ProposedAction::Delete,
        resources: Vec::new(),
        policies: None,
    };
    let question = Approval {
        shown: None,
        number: 1,
        reasons: Vec::new(),
        subject: Subject::Proposal(proposal),
        digest: None,
        asked_at: now(),
    };
    let deployment = deployment.clone();
    ApprovalDecision { deployment, question, answers: Vec::new(), decision, valid_until: None }
}

/// A function that only acts could otherwise refuse each question by waking it: an answer that is missing refuses.
#[tokio::test]
async fn a_question_is_completed_only_once_its_answer_is_recorded() {
    for decision in [Decision::Approve, Decision::Refuse] {
        let context = Context::new();
        let deployment = DeploymentId::of_execution("e");
        let question = operation(&deployment, 1);
        context.wait(&question, "token").await;
        let asked = context.state(&question).await;
        handle(&context, &json!({ "wake": question }), now()).await.unwrap();
        assert!(context.answered.borrow().is_empty());
        assert_eq!(context.state(&question).await, asked);
        // More approvers must answer.
        let Inserted::New(waiting) = context.ledger.insert(&answer(&deployment, None)).await.unwrap() else {
            panic!()
        };
        handle(&context, &json!({ "wake": question }), now()).await.unwrap();
        assert!(context.answered.borrow().is_empty());
        context.ledger.replace(&waiting, answer(&deployment, Some(decision))).await.unwrap();
        handle(&context, &json!({ "wake": question }), now()).await.unwrap();
        assert_eq!(*context.answered.borrow(), ["token"]);
    }
}

#[tokio::test]
async fn an_answer_covers_its_own_question_and_no_other_key() {
    let context = Context::new();
    let deployment = DeploymentId::of_execution("e");
    context.ledger.insert(&answer(&deployment, Some(Decision::Approve))).await.unwrap();
    let other = operation(&DeploymentId::of_execution("f"), 1);
    for key in [operation(&deployment, 2), other, "approval#".to_owned(), "approval#x#1".to_owned()] {
        context.wait(&key, "token").await;
        handle(&context, &json!({ "wake": key }), now()).await.unwrap();
        assert!(context.answered.borrow().is_empty(), "{key}");
    }
}

#[tokio::test]
async fn unknown_event_writes_nothing() {
    let context = Context::new();
    handle(&context, &json!({"source": "acme"}), now()).await.unwrap();
    assert!(context.answered.borrow().is_empty());
    assert_eq!(context.state("op").await, None);
}
