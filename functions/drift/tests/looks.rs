//! Whole looks, over the simulated clouds and in virtual time.
#![recursion_limit = "256"]

use jiff::Timestamp;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::drift::look::Reading;
use lockstep_domain::messages::drift::{Listed, LookStart, Reported, Request, Subject};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    Config, ConfigKind, Deployed, DriftChange, DriftReport, DriftState, Environment, Inconclusive,
    LeaseHolder, ReportedValue, UnknownCause,
};
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_drift::context::Sources;
use lockstep_drift::handler::handle;
use lockstep_runtime::{Clock, HasLedger};
use lockstep_sim::cloudformation::{SimModels, SimStacks};
use lockstep_sim::context::SimContext;
use lockstep_sim::stages::{StageText, stage_text, text_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const CANARY: &str = "canary-51c9";

/// A queue, a log group and a topic whose name is a secret parameter.
fn template() -> String {
    json!({
        "Parameters": {"Secret": {"Type": "String", "NoEcho": true}},
        "Resources": {
            "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": 5}},
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
            "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Secret"}}},
        },
    })
    .to_string()
}

/// An environment of the promotion path with a stack.
struct Fixture {
    sim: SimContext,
    stack: String,
}

impl Clock for Fixture {
    fn now(&self) -> Timestamp {
        self.sim.clock.now()
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, pause: Duration) {
        self.sim.clock.advance(pause);
    }
}

impl HasLedger for Fixture {
    fn ledger(&self) -> &Ledger {
        self.sim.ledger()
    }
}

impl Sources for Fixture {
    type Stacks = SimStacks;
    type Models = SimModels;

    fn path(&self) -> DeploymentPath {
        DeploymentPath::Promotion
    }

    async fn sources(&self, _: &Location, _: &str) -> Result<(SimStacks, SimModels), Failure> {
        Ok((self.sim.cloudformation.stacks(), self.sim.cloudformation.models()))
    }
}

impl Fixture {
    fn new() -> Self {
        let sim = SimContext::new();
        let parameters = BTreeMap::from([("Secret".to_owned(), "original".to_owned())]);
        let stack = sim.cloudformation.add_stack(
            "production-logs",
            StackStatus::CreateComplete,
            &template(),
            (&parameters, &[]),
            None,
        );
        let fixture = Self { sim, stack };
        fixture.apply([stage_text("test", "111111111111"), stage_text("production", "222222222222")]);
        fixture.sim.account.put(&fixture.fresh());
        fixture
    }

    /// Makes these the stages of the organisation.
    fn apply(&self, stages: [StageText; 2]) {
        self.sim.account.put(&Config {
            config: ConfigKind::Stages,
            version: 1,
            text: text_of(stages),
            applied_by: "ada".to_owned(),
            applied_at: Timestamp::UNIX_EPOCH,
        });
    }

    fn fresh(&self) -> Environment {
        let digest = Digest::of(b"d");
        Environment {
            epoch: 3,
            ever_stable: true,
            stack_arn: Some(self.stack.clone()),
            deployed: Some(Deployed {
                version: "1.0.0".parse().unwrap(),
                digest: digest.clone(),
                template_digest: digest.clone(),
                parameters_digest: digest,
                late_digest: None,
                stack_version: "1.0.0".parse().unwrap(),
                deployment: DeploymentId::of_execution("e"),
                checked: true,
                overridden: Default::default(),
                since: Timestamp::UNIX_EPOCH,
            }),
            ..Environment::new("production".parse().unwrap(), "logs", "logs".parse().unwrap())
        }
    }

    fn subject(&self) -> Subject {
        Subject { stage: "production".parse().unwrap(), environment: "logs".into() }
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        handle(self, request).await.map(|answer| serde_json::from_value(answer).unwrap())
    }

    async fn begin(&self) -> LookStart {
        self.ask(&Request::Look { subject: self.subject() }).await.unwrap()
    }

    /// Makes a look, as the state machine does.
    async fn look(&self) -> Reported {
        let look = self.begin().await.look.expect("a look");
        let request = Request::Collect { look };
        let early = self.ask::<Value>(&request).await.unwrap_err();
        assert_eq!(early.kind, FailureKind::ChecksPending);
        self.sim.clock.advance(Duration::from_secs(10));
        self.ask(&request).await.unwrap()
    }

    async fn report(&self) -> DriftReport {
        let key = DriftReport::key_of(DeploymentPath::Promotion, &self.subject().stage, "logs");
        self.ledger().get(&key).await.unwrap().expect("a report").record
    }

    fn drift(&self, resource: &str, property: &str, value: Value) {
        self.sim.cloudformation.drift(&self.stack, resource, property, value);
    }
}

#[tokio::test]
async fn drift_is_found_explained_and_gone_again() {
    let fixture = Fixture::new();
    assert_eq!(fixture.look().await.state, DriftState::InSync);
    fixture.drift("Queue", "DelaySeconds", json!(60));
    let found = fixture.look().await;
    assert_eq!((found.state, found.change), (DriftState::Drifted, Some(DriftChange::Drifted)));
    let findings = fixture.report().await.findings.unwrap();
    assert_eq!((findings.resources, findings.in_sync, findings.drifted, findings.unknown), (3, 2, 1, 0));
    let property = &findings.drift[0].properties[0];
    assert_eq!(property.path, "DelaySeconds");
    assert_eq!((property.wanted.to_string(), property.found.to_string()), ("5".into(), "60".into()));
    assert_eq!(fixture.look().await.change, None);
    fixture.sim.cloudformation.undrift(&fixture.stack, "Queue");
    let back = fixture.look().await;
    assert_eq!((back.state, back.change), (DriftState::InSync, Some(DriftChange::BackInSync)));
}

#[tokio::test]
async fn what_the_detection_does_not_compare_is_read_or_unknown() {
    let fixture = Fixture::new();
    fixture.sim.cloudformation.detect_none_of("AWS::Logs::LogGroup");
    assert_eq!(fixture.look().await.state, DriftState::InSync);
    fixture.drift("Logs", "RetentionInDays", json!(1));
    assert_eq!(fixture.look().await.state, DriftState::Drifted);
    for (answer, cause) in [
        (Reading::Unsupported, UnknownCause::Unsupported),
        (Reading::Denied("logs:DescribeLogGroups".into()), UnknownCause::Denied),
        (Reading::NotFound, UnknownCause::NotFound),
    ] {
        fixture.sim.cloudformation.read_none_of("AWS::Logs::LogGroup", answer);
        assert_eq!(fixture.look().await.state, DriftState::Unknown);
        let findings = fixture.report().await.findings.unwrap();
        assert_eq!((findings.unknown, findings.unknowns[0].cause), (1, cause));
        assert_eq!(findings.unknowns[0].name, "Logs");
    }
}

#[tokio::test]
async fn a_secret_that_changed_is_in_no_report_and_no_answer() {
    let fixture = Fixture::new();
    fixture.drift("Topic", "DisplayName", json!(CANARY));
    let answer = fixture.look().await;
    let report = fixture.report().await;
    let property = &report.findings.as_ref().unwrap().drift[0].properties[0];
    assert_eq!((&property.wanted, &property.found), (&ReportedValue::Hidden, &ReportedValue::Hidden));
    let text = format!("{answer:?} {}", serde_json::to_string(&report).unwrap());
    assert!(!text.contains(CANARY) && !text.contains("original"), "{text}");
}

#[tokio::test]
async fn a_deployment_during_a_look_leaves_it_unknown() {
    let fixture = Fixture::new();
    fixture.drift("Queue", "DelaySeconds", json!(60));
    let look = fixture.begin().await.look.unwrap();
    fixture.sim.clock.advance(Duration::from_secs(10));
    fixture.sim.account.put(&Environment { epoch: 4, ..fixture.fresh() });
    let reported: Reported = fixture.ask(&Request::Collect { look }).await.unwrap();
    assert_eq!((reported.state, reported.change), (DriftState::Unknown, None));
    let report = fixture.report().await;
    assert_eq!(report.failed.unwrap().reason, Inconclusive::DeployedMeanwhile);
    assert_eq!(report.findings, None);
}

#[tokio::test]
async fn an_environment_that_is_not_stable_is_unknown_without_a_call() {
    let fixture = Fixture::new();
    let holder = LeaseHolder {
        deployment: DeploymentId::of_execution("other"),
        execution: "other".into(),
        since: Timestamp::UNIX_EPOCH,
    };
    fixture.sim.account.put(&Environment { holder: Some(holder), ..fixture.fresh() });
    assert_eq!(fixture.begin().await.look, None);
    assert_eq!(fixture.report().await.state(), DriftState::Unknown);
    fixture.sim.account.put(&fixture.fresh());
    fixture.sim.cloudformation.set_status(&fixture.stack, StackStatus::UpdateFailed);
    assert_eq!(fixture.begin().await.look, None);
    assert!(fixture.report().await.failed.unwrap().message.contains("UPDATE_FAILED"));
}

#[tokio::test]
async fn a_failed_look_keeps_old_findings_and_says_so() {
    let fixture = Fixture::new();
    fixture.look().await;
    let error = CaughtError { error: "AccessDenied".into(), cause: "AssumeRole: denied".into() };
    let failed: Reported = fixture.ask(&Request::Fail { subject: fixture.subject(), error }).await.unwrap();
    assert_eq!((failed.state, failed.change), (DriftState::Failed, Some(DriftChange::CheckFailed)));
    let report = fixture.report().await;
    assert!(report.failed.unwrap().message.contains("AssumeRole: denied"));
    assert_eq!(report.findings.unwrap().drifted, 0);
}

#[tokio::test]
async fn a_stage_is_listed_by_the_function_of_its_path_alone() {
    let fixture = Fixture::new();
    let input = |stage: &str, component: Option<&str>| Request::List {
        input: inputs::Drift {
            stage: Some(stage.parse().unwrap()),
            component: component.map(|name| name.parse().unwrap()),
        },
        execution: "e".to_owned(),
    };
    let all: Value = fixture.ask(&input("production", None)).await.unwrap();
    assert_eq!(all, json!({"environments": [{"stage": "production", "environment": "logs"}]}));
    let none: Value = fixture.ask(&input("production", Some("other"))).await.unwrap();
    assert_eq!(none, json!({"environments": []}));
    let tests = fixture.ask::<Value>(&input("test", None)).await.unwrap_err();
    assert!(tests.message.contains("test stacks"), "{tests}");
    let component = Some("logs".parse().unwrap());
    let anywhere =
        Request::List { input: inputs::Drift { stage: None, component }, execution: "e".to_owned() };
    let refused = fixture.ask::<Value>(&anywhere).await.unwrap_err();
    assert!(refused.message.contains("name the stage"), "{refused}");
}

/// Returns the environments whose turn `execution` takes.
async fn due(fixture: &Fixture, execution: &str) -> Vec<Subject> {
    let request = Request::List { input: inputs::Drift::default(), execution: execution.to_owned() };
    fixture.ask::<Listed>(&request).await.unwrap().environments
}

#[tokio::test]
async fn a_schedule_looks_once_in_each_window() {
    let fixture = Fixture::new();
    fixture.sim.clock.advance(Duration::from_secs(400 * 24 * 3600));
    assert_eq!(due(&fixture, "unscheduled").await, [], "no stage has a schedule");
    fixture.apply([
        stage_text("test", "111111111111"),
        stage_text("production", "222222222222").with("drift = \"rate(6 hours)\""),
    ]);
    // The release ran before the window, and the first tick of two takes the turn.
    assert_eq!(due(&fixture, "first").await, [fixture.subject()]);
    assert_eq!(due(&fixture, "second").await, []);
    // The function was interrupted, and the state asks it again.
    assert_eq!(due(&fixture, "first").await, [fixture.subject()]);
    fixture.look().await;
    assert_eq!(due(&fixture, "first").await, []);
    let report = fixture.report().await;
    assert_eq!(report.turn.map(|turn| turn.execution), Some("first".to_owned()), "the look keeps the turn");
    // Two windows pass without a tick: they are caught up by one look.
    fixture.sim.clock.advance(Duration::from_secs(13 * 3600));
    assert_eq!(due(&fixture, "third").await, [fixture.subject()]);
    fixture.look().await;
    assert_eq!(due(&fixture, "fourth").await, []);
}

#[tokio::test]
async fn a_look_that_a_person_started_counts_for_its_window() {
    let fixture = Fixture::new();
    fixture.sim.clock.advance(Duration::from_secs(400 * 24 * 3600));
    fixture.apply([
        stage_text("test", "111111111111"),
        stage_text("production", "222222222222").with("drift = \"rate(1 day)\""),
    ]);
    fixture.look().await;
    assert_eq!(due(&fixture, "e").await, []);
    fixture.sim.clock.advance(Duration::from_secs(25 * 3600));
    assert_eq!(due(&fixture, "e").await, [fixture.subject()]);
}
