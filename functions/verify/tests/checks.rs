//! Tests of the checks of a deployment.

use jiff::Timestamp;
use lockstep_aws::functions::Called;
use lockstep_aws::ledger::{Ledger, Order};
use lockstep_aws::probe::{Get, ProbeResponse, Unanswered};
use lockstep_domain::delivery::archive::{Files, pack};
use lockstep_domain::delivery::checks::{Admission, Peer};
use lockstep_domain::messages::verify::Request;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    Config, ConfigKind, DeployBody, Deployment, DeploymentStart, DeploymentState, LogEntry, Release,
    ReleaseState, StackRun,
};
use lockstep_runtime::{Artifacts, Clock, HasLedger};
use lockstep_sim::FakeAws;
use lockstep_sim::stages::{stage_text, text_of};
use lockstep_verify::context::Peers;
use lockstep_verify::handler::handle;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
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

const PEERS: &str = r#"
[[checks]]
kind = "tcp"
address = "${outputs.Host}:5044"
deadline_seconds = 60

[[checks]]
kind = "http"
url = "https://${outputs.Host}/health"
matches = "ready"
deadline_seconds = 200
"#;

/// One deployment, its artifact, functions and peers with the responses of the test, and a clock that moves only while every
/// check waits.
struct Fixture {
    account: FakeAws,
    ledger: Ledger,
    deployment: Deployment,
    release: Release,
    artifact: Vec<u8>,
    answers: BTreeMap<&'static str, Result<Called, Failure>>,
    called: RefCell<Vec<(String, Value)>>,
    /// Time at which peers begin to respond.
    up_at: Duration,
    /// Result of a peer before it is up. `page` is the response after that.
    before: Unanswered,
    page: ProbeResponse,
    /// Peers that were asked, with the time.
    asked: RefCell<Vec<(String, Duration)>>,
    clock: Cell<Duration>,
    /// Number of invocations.
    invocations: Cell<u32>,
    sleepers: RefCell<BTreeSet<Duration>>,
}

impl Fixture {
    fn new(checks: &str) -> Self {
        let artifact = artifact(checks);
        let digest = Digest::of(&artifact);
        let outputs = [("Host", "broker.example"), ("Probe", "ci-logs-probe"), ("Other", "ci-logs-other")];
        let mut deployment = deployment(&digest);
        deployment.deploy_mut().unwrap().outputs =
            outputs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let ok = || Ok(Called::Answered { error: None, payload: b"{}".to_vec(), cut: false });
        let account = FakeAws::new();
        Self {
            ledger: Ledger::new(&account.aws()),
            account,
            deployment,
            release: release(&digest),
            artifact,
            answers: [("ci-logs-probe", ok()), ("ci-logs-other", ok())].into(),
            called: RefCell::default(),
            up_at: Duration::ZERO,
            before: Unanswered::NotYet("connection refused".to_owned()),
            page: ProbeResponse { status: 200, body: b"ready".to_vec() },
            asked: RefCell::default(),
            // The function has handled an invocation before.
            clock: Cell::new(Duration::from_secs(1000)),
            invocations: Cell::new(1),
            sleepers: RefCell::default(),
        }
    }

    async fn verify(&self) -> Result<u32, Failure> {
        self.account.put(&self.deployment);
        self.account.put(&self.release);
        self.account.put(&stages());
        let since = self.now();
        let mut delay = Duration::from_secs(5);
        for retry in 0.. {
            let request = Request { deployment: self.deployment.id.clone(), since, retry };
            match handle(self, &request).await {
                // As the retry policy of the state does.
                Err(failure) if failure.kind == FailureKind::ChecksPending => {
                    self.invocations.set(retry + 2);
                    self.clock.set(self.clock.get() + delay);
                    delay = delay.mul_f64(1.5).min(Duration::from_secs(60));
                }
                judged => return judged.map(|response| response.passed),
            }
        }
        unreachable!("the deadlines are finite")
    }

    /// Returns the lines of the deployment log.
    async fn notes(&self) -> Vec<String> {
        let partition = LogEntry::all_of(&self.deployment.id);
        let lines = self.ledger.list::<LogEntry>(&partition, Order::Oldest, 99).await.unwrap();
        lines.into_iter().map(|line| line.record.note).collect()
    }

    /// Returns the duration of all checks.
    fn took(&self) -> Duration {
        self.clock.get() - Duration::from_secs(1000)
    }

    /// Returns the current result of the peer `who`.
    fn ask<T>(&self, who: &str, time_limit: Duration, answer: T) -> Result<T, Unanswered> {
        assert!(time_limit > Duration::ZERO && time_limit <= Duration::from_secs(10));
        self.asked.borrow_mut().push((who.to_owned(), self.took()));
        if self.took() >= self.up_at { Ok(answer) } else { Err(self.before.clone()) }
    }

    fn times_asked(&self, who: &str) -> usize {
        self.asked.borrow().iter().filter(|(name, _)| name == who).count()
    }
}

impl Clock for Fixture {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + self.took()
    }

    fn elapsed(&self) -> Duration {
        self.clock.get()
    }

    /// Advances the clock to the first wake-up once all checks sleep. A new sleeper lets the others run first.
    async fn sleep(&self, pause: Duration) {
        let wake = self.clock.get() + pause;
        // A nanosecond separates two sleepers with the same wake-up time.
        let wake = std::iter::successors(Some(wake), |at| Some(*at + Duration::from_nanos(1)))
            .find(|at| self.sleepers.borrow_mut().insert(*at))
            .unwrap();
        loop {
            tokio::task::yield_now().await;
            if self.sleepers.borrow().first() == Some(&wake) {
                self.sleepers.borrow_mut().remove(&wake);
                self.clock.set(wake);
                return;
            }
        }
    }
}

impl HasLedger for Fixture {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Artifacts for Fixture {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        assert_eq!(key, self.release.artifact);
        Ok(self.artifact.clone())
    }
}

impl Peers for Fixture {
    fn local_endpoint(&self) -> Option<&str> {
        None
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

    async fn get(
        &self,
        get: Get<'_>,
        _: &Admission,
        time_limit: Duration,
    ) -> Result<ProbeResponse, Unanswered> {
        self.ask(get.url.as_str(), time_limit, self.page.clone())
    }

    async fn connect(&self, peer: &Peer, _: &Admission, time_limit: Duration) -> Result<(), Unanswered> {
        self.ask(&peer.to_string(), time_limit, ())
    }
}

/// Returns a stage `ci` whose checks may reach public addresses only.
fn stages() -> Config {
    Config {
        config: ConfigKind::Stages,
        version: 1,
        text: text_of([stage_text("test", "111111111111"), stage_text("ci", "111111111111").propagating()]),
        applied_by: "ada".to_owned(),
        applied_at: Timestamp::UNIX_EPOCH,
    }
}

fn artifact(checks: &str) -> Vec<u8> {
    let manifest = format!(
        "[component]\nname = \"logs\"\nversion = \"2.1\"\ntemplate = \"template.yaml\"\nteam = \"a\"\nfunction = \"b\"\n{checks}"
    );
    let template = "Resources: {T: {Type: \"AWS::SNS::Topic\", DeletionPolicy: Retain, UpdateReplacePolicy: Retain}}\n\
                    Outputs: {Host: {Value: a}, Probe: {Value: b}, Other: {Value: c}}\n";
    let files = [
        ("lockstep.toml", manifest.as_str()),
        ("template.yaml", template),
        ("image-lock.json", "{}"),
        ("deployed-template.yaml", template),
        ("test-template.json", "{}"),
    ];
    let files: Files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
    pack(&files).unwrap()
}

fn deployment(digest: &Digest) -> Deployment {
    let start = DeploymentStart {
        id: DeploymentId::of_execution("arn"),
        execution: "arn".to_owned(),
        version: "2.1.0".parse().unwrap(),
        stage: "ci".parse().unwrap(),
        location: Location { account: "111111111111".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        path: DeploymentPath::Delivery,
        at: Timestamp::UNIX_EPOCH,
    };
    let stack = StackRun::new("logs".parse().unwrap(), "logs".to_owned(), "ci-logs".parse().unwrap());
    let template = Digest::of(b"template");
    let body = DeployBody::new(stack, digest.clone(), template, "github.acme.logs".parse().unwrap());
    Deployment { epoch: 1, ..Deployment::new(start, body) }
}

fn release(digest: &Digest) -> Release {
    Release {
        component: "logs".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        state: ReleaseState::Packaged,
        repository: "github.acme.logs".parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        author: "Ada".to_owned(),
        pusher: None,
        folder: String::new(),
        template: String::new(),
        artifact: format!("releases/logs/{digest}.zip"),
        digest: digest.clone(),
        source_digest: digest.clone(),
        template_digest: digest.clone(),
        test_template_digest: digest.clone(),
        test_differences: Vec::new(),
        serial_tests: false,
        commits: None,
        permissions: None,
        image_lock: Default::default(),
        outputs: Default::default(),
        producers: Default::default(),
        team: "a".to_owned(),
        function: "b".to_owned(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn".to_owned(),
        failure: None,
    }
}

#[tokio::test]
async fn checks_that_pass_are_counted_and_noted() {
    let fixture = Fixture::new(CHECKS);
    assert_eq!(fixture.verify().await, Ok(3));
    let notes = fixture.notes().await;
    assert_eq!(notes.len(), 1);
    assert_eq!(notes[0].matches("passed: ").count(), 3, "{}", notes[0]);
    let called = fixture.called.borrow();
    let question = json!({ "component": "logs", "version": "2.1.0", "stage": "ci", "stack": "ci-logs" });
    assert_eq!(
        *called,
        [("ci-logs-probe".to_owned(), question.clone()), ("ci-logs-other".to_owned(), question)]
    );
}

#[tokio::test]
async fn row_29_check_of_a_complete_stack_waits_until_its_peer_responds() {
    let mut fixture = Fixture::new(PEERS);
    fixture.up_at = Duration::from_secs(40);
    assert_eq!(fixture.verify().await, Ok(2));
    // Both checks repeat concurrently until then, and no pause exceeds the longest one.
    assert!(
        fixture.times_asked("broker.example:5044") > 3
            && fixture.times_asked("https://broker.example/health") > 3
    );
    assert!(fixture.took() >= fixture.up_at && fixture.took() <= fixture.up_at + Duration::from_secs(20));
    let notes = fixture.notes().await;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let asked = "2 of 2 checks have not passed yet, asked until 1970-01-01T00:03:20Z at most: ";
    assert!(notes[0].starts_with(asked), "{notes:?}");
}

#[tokio::test]
async fn peer_that_never_comes_up_fails_its_check_at_the_deadline() {
    let mut fixture = Fixture::new(PEERS);
    fixture.up_at = Duration::MAX;
    let message = fixture.verify().await.unwrap_err().message;
    for part in [
        "2 of 2 checks failed",
        "connection refused (asked for 60 s)",
        "connection refused (not passed when another check failed)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // The first look after the earliest deadline decides.
    assert!((58..=100).contains(&fixture.took().as_secs()), "{:?}", fixture.took());
    assert!(fixture.times_asked("broker.example:5044") < 12, "{:?}", fixture.asked);
}

#[tokio::test]
async fn a_check_may_ask_for_an_hour_between_invocations() {
    for (up_at, passes) in [(3500, true), (u64::MAX, false)] {
        let mut fixture = Fixture::new(&PEERS.replace("= 60", "= 3600").replace("= 200", "= 3600"));
        fixture.up_at = Duration::from_secs(up_at);
        assert_eq!(fixture.verify().await.is_ok(), passes);
        assert!((3500..=3660).contains(&fixture.took().as_secs()), "{:?}", fixture.took());
        // An invocation and its retry are a transition each.
        assert!(fixture.invocations.get() <= 100, "{}", fixture.invocations.get());
        assert_eq!(fixture.notes().await.len(), 2);
    }
}

#[tokio::test]
async fn check_with_a_wrong_response_repeats() {
    let mut fixture = Fixture::new(PEERS);
    fixture.page.status = 503;
    let message = fixture.verify().await.unwrap_err().message;
    assert!(
        message.contains("1 of 2 checks failed") && message.contains("it answered 503, not 200"),
        "{message}"
    );
    assert!(fixture.times_asked("https://broker.example/health") > 3);
    // The checks pass together, so each invocation asks all of them.
    let invocations = usize::try_from(fixture.invocations.get()).unwrap();
    assert_eq!(fixture.times_asked("broker.example:5044"), invocations);
}

#[tokio::test]
async fn row_82_check_of_a_forbidden_peer_fails_at_once() {
    let mut fixture = Fixture::new(PEERS);
    fixture.up_at = Duration::MAX;
    fixture.before = Unanswered::Refused("it is a private address".to_owned());
    let failure = fixture.verify().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::CheckFailed);
    assert!(failure.message.ends_with("it is a private address"), "{}", failure.message);
    assert_eq!((fixture.asked.borrow().len(), fixture.took()), (2, Duration::ZERO));
}

#[tokio::test]
async fn output_that_is_no_target_fails_its_check_without_a_request() {
    let mut fixture = Fixture::new(PEERS);
    fixture
        .deployment
        .deploy_mut()
        .unwrap()
        .outputs
        .insert("Host".to_owned(), "user:secret@broker.example".to_owned());
    let message = fixture.verify().await.unwrap_err().message;
    assert!(message.contains("2 of 2 checks failed") && !message.contains("secret"), "{message}");
    assert!(fixture.asked.borrow().is_empty());
}

#[tokio::test]
async fn a_component_without_checks_passes() {
    let fixture = Fixture::new("");
    assert_eq!(fixture.verify().await, Ok(0));
    assert_eq!(fixture.notes().await, ["the component has no checks"]);
}

#[tokio::test]
async fn every_check_runs_and_every_failure_is_named() {
    let mut fixture = Fixture::new(CHECKS);
    fixture.deployment.deploy_mut().unwrap().outputs.insert("Host".to_owned(), "UNKNOWN".to_owned());
    let payload = br#"{"errorMessage": "no broker"}"#.to_vec();
    let failed = Called::Answered { error: Some("Unhandled".to_owned()), payload, cut: false };
    fixture.answers.insert("ci-logs-probe", Ok(failed));
    fixture.answers.insert("ci-logs-other", Ok(Called::Silent));
    let failure = fixture.verify().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::CheckFailed);
    for part in ["3 of 3 checks failed", "'UNKNOWN'", "no broker", "did not answer within"] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
    assert!(!fixture.notes().await[0].contains("passed: "), "{:?}", fixture.notes().await);
}

#[tokio::test]
async fn a_function_elsewhere_is_never_called() {
    let mut fixture = Fixture::new(CHECKS);
    let elsewhere = "arn:aws:lambda:eu-west-1:999999999999:function:x";
    fixture.deployment.deploy_mut().unwrap().outputs.insert("Probe".to_owned(), elsewhere.to_owned());
    assert_eq!(fixture.verify().await.unwrap_err().kind, FailureKind::CheckFailed);
    let called = fixture.called.borrow();
    assert!(
        called.iter().all(|(function, _)| function == "ci-logs-other") && called.len() == 1,
        "{called:?}"
    );
}

#[tokio::test]
async fn retryable_failure_of_aws_fails_the_run_and_a_refusal_the_check() {
    let mut fixture = Fixture::new(CHECKS);
    let throttled = Failure::new(FailureKind::Throttled, "slow down");
    fixture.answers.insert("ci-logs-probe", Err(throttled.clone()));
    assert_eq!(fixture.verify().await, Err(throttled));
    assert_eq!(fixture.notes().await.len(), 1, "no result is noted");
    assert!(fixture.took() >= Duration::from_secs(118));
    let denied = Failure::new(FailureKind::AccessDenied, "the role may not call it");
    fixture.answers.insert("ci-logs-probe", Err(denied));
    let failure = fixture.verify().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::CheckFailed);
    assert!(failure.message.contains("the role may not call it"), "{}", failure.message);
}

#[tokio::test]
async fn a_deployment_that_no_longer_runs_is_superseded() {
    for state in [DeploymentState::AwaitingApproval, DeploymentState::Failed, DeploymentState::Abandoned] {
        let mut fixture = Fixture::new(CHECKS);
        fixture.deployment.state = state;
        assert_eq!(fixture.verify().await.unwrap_err().kind, FailureKind::Superseded);
        assert!(fixture.called.borrow().is_empty());
    }
}

#[tokio::test]
async fn checks_come_only_from_the_deployed_artifact() {
    let mut fixture = Fixture::new(CHECKS);
    fixture.artifact = artifact("");
    assert_eq!(fixture.verify().await.unwrap_err().kind, FailureKind::Rejected);
}
