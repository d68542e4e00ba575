//! What a deployment's checks amount to.

use jiff::Timestamp;
use lockstep_domain::archive::{Files, pack};
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{ComponentName, DeploymentId, Digest};
use lockstep_domain::records::{
    Deployment, DeploymentKind, DeploymentState, Location, Release, ReleaseState,
};
use lockstep_domain::stages::Path;
use lockstep_domain::version::Version;
use lockstep_platform::functions::Called;
use lockstep_verify::handler::handle;
use lockstep_verify::ports::Ports;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

const CHECKS: &str = r#"
[[checks]]
kind = "output"
name = "Host"
matches = "^[a-z.]+$"

[[checks]]
kind = "lambda"
name = "Probe"

[[checks]]
kind = "lambda"
name = "Other"
"#;

/// One deployment, its artifact, and functions that answer what the test says.
struct World {
    deployment: Deployment,
    release: Release,
    artifact: Vec<u8>,
    answers: BTreeMap<&'static str, Result<Called, Failure>>,
    called: RefCell<Vec<(String, Value)>>,
    notes: RefCell<Vec<String>>,
}

impl World {
    fn new(checks: &str) -> Self {
        let artifact = artifact(checks);
        let digest = Digest::of(&artifact);
        let outputs = [("Host", "broker.example"), ("Probe", "ci-logs-probe"), ("Other", "ci-logs-other")];
        let mut deployment = deployment(&digest);
        deployment.outputs = outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ok = || Ok(Called::Answered { error: None, payload: b"{}".to_vec(), cut: false });
        Self {
            deployment,
            release: release(&digest),
            artifact,
            answers: [("ci-logs-probe", ok()), ("ci-logs-other", ok())].into(),
            called: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    async fn verify(&self) -> Result<u32, Failure> {
        handle(self, &self.deployment.id, || Timestamp::UNIX_EPOCH).await.map(|response| response.passed)
    }
}

impl Ports for World {
    async fn deployment(&self, _: &DeploymentId) -> Result<Deployment, Failure> {
        Ok(self.deployment.clone())
    }

    async fn release(&self, _: &ComponentName, _: &Version) -> Result<Release, Failure> {
        Ok(self.release.clone())
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        assert_eq!(key, self.release.artifact);
        Ok(self.artifact.clone())
    }

    async fn call(
        &self,
        _: &Deployment,
        function: &str,
        question: &Value,
        _: Duration,
    ) -> Result<Called, Failure> {
        self.called.borrow_mut().push((function.to_owned(), question.clone()));
        self.answers[function].clone()
    }

    async fn note(&self, _: &DeploymentId, note: String, _: Timestamp) -> Result<(), Failure> {
        self.notes.borrow_mut().push(note);
        Ok(())
    }
}

fn artifact(checks: &str) -> Vec<u8> {
    let manifest = format!(
        "[component]\nname = \"logs\"\nversion = \"2.1\"\ntemplate = \"template.yaml\"\nteam = \"a\"\nfunction = \"b\"\n{checks}"
    );
    let template = "Resources: {T: {Type: \"AWS::SNS::Topic\", DeletionPolicy: Retain, UpdateReplacePolicy: Retain}}\n\
                    Outputs: {Host: {Value: a}, Probe: {Value: b}, Other: {Value: c}}\n";
    let files: Files =
        [("lockstep.toml", manifest.as_str()), ("template.yaml", template), ("image-lock.json", "{}")]
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .into();
    pack(&files).unwrap()
}

fn deployment(digest: &Digest) -> Deployment {
    Deployment {
        component: Some("logs".parse().unwrap()),
        epoch: 1,
        digest: Some(digest.clone()),
        ..Deployment::new(
            DeploymentId::of_execution("arn"),
            DeploymentKind::Deploy { environment: "logs".to_owned(), stack: "ci-logs".parse().unwrap() },
            "arn",
            "2.1.0".parse().unwrap(),
            "ci".parse().unwrap(),
            Location { account: "111111111111".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
            Path::Delivery,
            Timestamp::UNIX_EPOCH,
        )
    }
}

fn release(digest: &Digest) -> Release {
    Release {
        component: "logs".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        state: ReleaseState::Packaged,
        repository: "github.acme.logs".parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        author: "Ada".to_owned(),
        folder: String::new(),
        artifact: format!("releases/logs/{digest}.zip"),
        digest: digest.clone(),
        source_digest: digest.clone(),
        template_digest: digest.clone(),
        test_template_digest: digest.clone(),
        image_lock: Default::default(),
        outputs: Default::default(),
        team: "a".to_owned(),
        function: "b".to_owned(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn".to_owned(),
        failure: None,
    }
}

#[tokio::test]
async fn checks_that_pass_are_counted_and_noted() {
    let world = World::new(CHECKS);
    assert_eq!(world.verify().await, Ok(3));
    let notes = world.notes.borrow();
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].matches("passed: ").count(), 3, "{}", notes[0]);
    let called = world.called.borrow();
    let question = json!({ "component": "logs", "version": "2.1.0", "stage": "ci", "stack": "ci-logs" });
    assert_eq!(
        *called,
        [("ci-logs-probe".to_owned(), question.clone()), ("ci-logs-other".to_owned(), question)]
    );
}

#[tokio::test]
async fn a_component_without_checks_passes() {
    let world = World::new("");
    assert_eq!(world.verify().await, Ok(0));
    assert_eq!(*world.notes.borrow(), ["the component has no checks"]);
}

#[tokio::test]
async fn every_check_runs_and_every_failure_is_named() {
    let mut world = World::new(CHECKS);
    world.deployment.outputs.insert("Host".to_owned(), "UNKNOWN".to_owned());
    let payload = br#"{"errorMessage": "no broker"}"#.to_vec();
    let failed = Called::Answered { error: Some("Unhandled".to_owned()), payload, cut: false };
    world.answers.insert("ci-logs-probe", Ok(failed));
    world.answers.insert("ci-logs-other", Ok(Called::Silent));
    let failure = world.verify().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::CheckFailed);
    for part in ["3 of 3 checks failed", "'UNKNOWN'", "no broker", "did not answer within"] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
    assert!(!world.notes.borrow()[0].contains("passed: "), "{:?}", world.notes);
}

#[tokio::test]
async fn a_function_elsewhere_is_never_called() {
    let mut world = World::new(CHECKS);
    let elsewhere = "arn:aws:lambda:eu-west-1:999999999999:function:x";
    world.deployment.outputs.insert("Probe".to_owned(), elsewhere.to_owned());
    assert_eq!(world.verify().await.unwrap_err().kind, FailureKind::CheckFailed);
    let called = world.called.borrow();
    assert!(
        called.iter().all(|(function, _)| function == "ci-logs-other") && called.len() == 1,
        "{called:?}"
    );
}

#[tokio::test]
async fn what_aws_cannot_do_now_says_nothing_of_the_stack_and_a_refusal_does() {
    let mut world = World::new(CHECKS);
    let throttled = Failure::new(FailureKind::Throttled, "slow down");
    world.answers.insert("ci-logs-probe", Err(throttled.clone()));
    assert_eq!(world.verify().await, Err(throttled));
    assert!(world.notes.borrow().is_empty());
    let denied = Failure::new(FailureKind::AccessDenied, "the role may not call it");
    world.answers.insert("ci-logs-probe", Err(denied));
    let failure = world.verify().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::CheckFailed);
    assert!(failure.message.contains("the role may not call it"), "{}", failure.message);
}

#[tokio::test]
async fn a_deployment_that_no_longer_runs_is_superseded() {
    for state in [DeploymentState::AwaitingApproval, DeploymentState::Failed, DeploymentState::Abandoned] {
        let mut world = World::new(CHECKS);
        world.deployment.state = state;
        assert_eq!(world.verify().await.unwrap_err().kind, FailureKind::Superseded);
        assert!(world.called.borrow().is_empty());
    }
}

#[tokio::test]
async fn checks_come_from_the_bytes_that_were_deployed_and_no_others() {
    let mut world = World::new(CHECKS);
    world.artifact = artifact("");
    assert_eq!(world.verify().await.unwrap_err().kind, FailureKind::Rejected);
}
