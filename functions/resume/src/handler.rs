//! Completes the callback of an operation that may have ended.

use crate::context::ResumeContext;
use jiff::Timestamp;
use lockstep_aws::ledger::{Inserted, Ledger, Versioned};
use lockstep_aws::{metrics, scope};
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::aws_events::{account_of, ended_operation};
use lockstep_domain::delivery::callbacks::{Completion, complete};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::metric::Metric;
use lockstep_domain::records::{ApprovalDecision, Callback, CallbackState};
use lockstep_runtime::RegisteredAccounts;
use lockstep_runtime::retry::retry_on_conflict;

/// Completes the callback of the operation that `event` names. Without a callback, records that the operation has ended.
pub async fn handle(
    context: &impl ResumeContext,
    event: &serde_json::Value,
    now: Timestamp,
) -> Result<(), Failure> {
    if let Some(account) = account_of(event)
        && !is_registered(context, account).await?
    {
        tracing::warn!(account, "an event of an account that is not registered is dropped");
        metrics::emit(&[], &[(Metric::EventsOfUnknownAccounts, 1)], now);
        return Ok(());
    }
    let Some(operation) = ended_operation(event) else {
        tracing::info!("the event names no operation of Lockstep");
        return Ok(());
    };
    if !may_complete(context.ledger(), &operation).await? {
        tracing::warn!(operation, "the question has no recorded answer, so its callback remains open");
        return Ok(());
    }
    retry_on_conflict(async || settle(context, &operation, now).await).await
}

/// Returns true if the callback of `operation` may be completed.
///
/// Many functions may ask this one to look, and the end of an AWS operation costs one look at AWS if it has not come. The
/// callback of a question continues as refused if it is completed without an answer. So it needs the record of an answer,
/// which only the function of approvers writes. The timeout of its state ends a question without an answer.
async fn may_complete(ledger: &Ledger, operation: &str) -> Result<bool, Failure> {
    if !approval::is_question(operation) {
        return Ok(true);
    }
    let Some((deployment, number)) = approval::of_operation(operation) else { return Ok(false) };
    let key = ApprovalDecision::key_of(&deployment, number);
    Ok(ledger.get::<ApprovalDecision>(&key).await?.is_some_and(|found| found.record.is_decided()))
}

/// Returns true if `account` is registered. Text that is no account id is not registered.
async fn is_registered(accounts: &impl RegisteredAccounts, account: &str) -> Result<bool, Failure> {
    match account.parse::<AccountId>() {
        Ok(account) => accounts.is_registered(&account).await,
        Err(_) => Ok(false),
    }
}

async fn settle(context: &impl ResumeContext, operation: &str, now: Timestamp) -> Result<(), Failure> {
    let existing = context.ledger().get::<Callback>(&Callback::key_of(operation)).await?;
    if let Some(CallbackState::Open { execution, .. }) = existing.as_ref().map(|found| &found.record.state) {
        scope::about_execution(execution);
    }
    match complete(existing.as_ref().map(|callback| &callback.record), operation, now) {
        Completion::Answer { token, then } => {
            // The answer precedes the write. A crash between them causes a second answer, which Step Functions rejects.
            let answered = context.answer(&token).await?;
            tracing::info!(operation, ?answered, "the callback is completed");
            write(context.ledger(), existing, then).await
        }
        Completion::RecordEnd(completed) => {
            tracing::info!(operation, "the operation ended before its callback");
            write(context.ledger(), existing, completed).await
        }
        Completion::Known => Ok(()),
    }
}

async fn write(ledger: &Ledger, old: Option<Versioned<Callback>>, callback: Callback) -> Result<(), Failure> {
    match old {
        Some(old) => ledger.replace(&old, callback).await.map(drop),
        None => match ledger.insert(&callback).await? {
            Inserted::New(_) => Ok(()),
            Inserted::Exists(_) => Err(Failure::new(
                FailureKind::Conflict,
                format!("write conflict: another writer created callback {}", callback.operation),
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_aws::executions::Answered;
    use lockstep_domain::delivery::approval::operation;
    use lockstep_domain::delivery::callbacks::{Registration, register};
    use lockstep_domain::messages::Task;
    use lockstep_domain::model::ids::DeploymentId;
    use lockstep_domain::records::{Approval, Decision, Proposal, ProposedAction, Subject};
    use lockstep_runtime::{HasLedger, TaskTokens};
    use lockstep_sim::FakeAws;
    use serde_json::json;
    use std::cell::RefCell;

    /// The only registered account.
    const ADDED: &str = "222222222222";

    /// Context that records the answered tokens. The second answer to a token is too late.
    struct Context {
        ledger: Ledger,
        answered: RefCell<Vec<String>>,
    }

    impl Context {
        fn new() -> Self {
            Self { ledger: Ledger::new(&FakeAws::new().aws()), answered: RefCell::default() }
        }

        async fn wait(&self, operation: &str, token: &str) {
            let task = Task { token: token.into(), execution: "arn".into(), entered_at: now(), retry: 0 };
            let Registration::Open { wait, .. } = register(None, operation, &task, now()) else {
                panic!("nothing is registered yet")
            };
            self.ledger.insert(&wait).await.unwrap();
        }

        async fn state(&self, operation: &str) -> Option<CallbackState> {
            self.ledger
                .get::<Callback>(&Callback::key_of(operation))
                .await
                .unwrap()
                .map(|wait| wait.record.state)
        }
    }

    impl HasLedger for Context {
        fn ledger(&self) -> &Ledger {
            &self.ledger
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

    fn now() -> Timestamp {
        "2100-01-01T00:00:00Z".parse().unwrap()
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
            let Inserted::New(waiting) = context.ledger.insert(&answer(&deployment, None)).await.unwrap()
            else {
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
}
