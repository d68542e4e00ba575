//! The people: one starts deployments, and the other answers their questions.

use crate::agenda::Happening;
use crate::functions::Serving;
use crate::harness::Harness;
use crate::workflows::Work;
use lockstep_domain::delivery::approval;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::run::Run;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::person::Caller;
use lockstep_domain::records::{Decision, DeploymentState, Start, Subject};
use lockstep_ledger::handler::handle;
use serde_json::{Value, json};
use std::time::Duration;

/// The person who starts each deployment.
fn starter() -> Caller {
    Caller {
        arn: "arn:aws:iam::333333333333:user/grace".into(),
        user_id: "AIDAEXAMPLE00000GRACE".into(),
        account: "333333333333".into(),
    }
}

impl Harness {
    /// Records the starter of an execution with this input, as the operators' function does before it starts one.
    pub async fn record_starter(&self, execution: &str, input: &Value) {
        let asked = input.clone();
        let run = match Work::of(input) {
            Work::Deploy => serde_json::from_value(asked).map(Run::PromotionDeploy),
            Work::Teardown => serde_json::from_value(asked).map(Run::PromotionTeardown),
            Work::PromoteImage | Work::BakeImage | Work::BuildImage | Work::Release => return,
        };
        let run = run.expect("an input");
        let start = Start {
            deployment: DeploymentId::of_execution(execution),
            name: "by-hand".into(),
            machine: run.machine().to_owned(),
            input: run.input().expect("JSON"),
            by: starter(),
            at: self.clock.now(),
        };
        self.ledger.insert(&start).await.expect("a write");
    }

    /// Schedules the approver's answer to the question of this deployment, if it asks one.
    pub async fn ask_person(&self, id: &DeploymentId) {
        let asks = self.deployment(id).await.is_some_and(|it| it.state == DeploymentState::AwaitingApproval);
        let known =
            self.agenda.borrow().values().any(|it| matches!(it, Happening::Answer(asked, _) if asked == id));
        if asks && !known && !self.answers.borrow().is_empty() {
            self.schedule(self.thought.get(), Happening::Answer(id.clone(), 0));
            if let Some(meanwhile) = self.meanwhile.take() {
                self.schedule(self.thought.get() / 2, Happening::Meanwhile(meanwhile));
            }
        }
    }

    /// Answers the question of this deployment, on the nth attempt.
    pub async fn decide(&self, id: DeploymentId, tries: u32) {
        let Some(deployment) = self.deployment(&id).await else { return };
        let Some(question) = deployment.approvals.last() else { return };
        let decision = self.answers.borrow().get(deployment.approvals.len() - 1).copied();
        let Some(mut decision) = decision else { return };
        if self.refused.borrow().iter().any(|version| deployment.version.to_string() == *version) {
            decision = Decision::Refuse;
        }
        let names: Vec<&str> = match &question.subject {
            Subject::Proposal(proposal) => proposal.resources.iter().map(|it| it.name.as_str()).collect(),
            Subject::ChangeSet(_) | Subject::Build(_) | Subject::Publish(_) => Vec::new(),
        };
        let shown = approval::shown(&deployment, question).expect("a digest");
        let body = json!({
            "shown": shown,
            "action": "decide", "deployment": id, "subject": question.subject.key(), "digest": question.digest,
            "decision": decision, "reason": "because", "names": names,
        });
        // Who started a build is unknown, so a second person approves it too.
        let second = matches!((&question.subject, decision), (Subject::Build(_), Decision::Approve));
        let mut answered = self.answer_as("ada", &body).await;
        if second && is_heard(answered.as_ref()) {
            answered = self.answer_as("grace", &body).await;
        }
        if !is_heard(answered.as_ref()) && tries < 3 {
            self.schedule(Duration::from_secs(60), Happening::Answer(id, tries + 1));
        }
    }

    /// Sends an answer as the IAM user `name`. Returns `None` if the function died.
    async fn answer_as(&self, name: &str, body: &Value) -> Option<Result<Value, Failure>> {
        self.faults.set_caller("ledger decide");
        self.faults.set_aside(true);
        let answered = self.ask_ledger(Callers::Approvers, name, body).await;
        self.faults.set_aside(false);
        answered
    }

    /// Sends a request of the IAM user `name` to the ledger function for `callers`. Returns `None` if the function died.
    pub async fn ask_ledger(
        &self,
        callers: Callers,
        name: &str,
        body: &Value,
    ) -> Option<Result<Value, Failure>> {
        let iam = json!({
            "userArn": format!("arn:aws:iam::333333333333:user/{name}"),
            "userId": format!("AIDAEXAMPLE00000{}", name.to_uppercase()), "accountId": "333333333333",
        });
        let event = json!({
            "version": "2.0", "rawPath": "/", "headers": {}, "body": body.to_string(), "isBase64Encoded": false,
            "requestContext": {
                "authorizer": {"iam": iam}, "timeEpoch": 0, "http": {"method": "POST", "path": "/"},
            },
        });
        let invocation = serde_json::from_value(event).expect("an invocation");
        let answering: Serving<'_> = Box::pin(handle(&self.context, callers, invocation, self.clock.now()));
        let answered = self.drive(answering).await;
        self.collect().await;
        answered
    }
}

/// Returns true if the function took the answer.
fn is_heard(answered: Option<&Result<Value, Failure>>) -> bool {
    matches!(answered, Some(Ok(answer)) if answer["statusCode"] == 200)
}
