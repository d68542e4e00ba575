//! An organisation with two stages, and one release.

use jiff::Timestamp;
use lockstep_aws::executions::{Answered, Executions};
use lockstep_aws::function_url::Invocation;
use lockstep_aws::ledger::{Ledger, Versioned};
use lockstep_domain::delivery::environment::acquire;
use lockstep_domain::delivery::packaging;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::image::Retained;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, DeploymentId, Digest};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    Charter, Config, ConfigKind, DeployBody, Deployment, DeploymentStart, DeploymentState, Environment, Key,
    PromoteImageBody, Record, Release, ReleaseState, StackRun, SweepReport,
};
use lockstep_ledger::context::{AwsContext, InstallationFacts};
use lockstep_runtime::{HasExecutions, HasLedger, RegisteredAccounts, TaskTokens};
use lockstep_sim::FakeAws;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::context::{BUCKET, Callee, MACHINES, SimContext};
use lockstep_sim::stages::{stage_text, text_of};
use lockstep_sweep::handler::handle;
use serde_json::{Value, json};
use std::cell::Cell;
use std::rc::Rc;

pub use lockstep_sim::context::{RELEASE, TEARDOWN};

fn stages_text() -> String {
    text_of([stage_text("test", "111111111111"), stage_text("ci", "111111111111").propagating()])
}

const MANIFEST: &str = r#"
[component]
name = "logs"
version = "1.0"
template = "template.yaml"
team = "platform"
function = "logging"

[test]
ttl_minutes = 30
"#;

const TEMPLATE: &str = "Resources:
  Topic:
    Type: AWS::SNS::Topic
";

pub struct Fixture {
    /// The control plane's account.
    pub cloud: FakeAws,
    pub ledger: Ledger,
    pub sim: SimContext,
    /// The time of the owners.
    now: Rc<Cell<Timestamp>>,
    /// The same for the functions of images.
    clock: VirtualClock,
}

/// Returns a moment in the year 2100. A record that expires after it has not expired by the real clock.
pub fn at(minute: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(4_102_444_800 + minute * 60).unwrap()
}

/// Returns the ARN of the execution called `name`.
pub fn execution(name: &str) -> String {
    format!("arn:aws:states:eu-west-1:333333333333:execution:lockstep-delivery-deploy:{name}")
}

pub fn id(name: &str) -> DeploymentId {
    DeploymentId::of_execution(&execution(name))
}

fn location(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

fn start(name: &str, version: &str, stage: &str, account: &str, path: DeploymentPath) -> DeploymentStart {
    DeploymentStart {
        id: id(name),
        execution: execution(name),
        version: version.parse().unwrap(),
        stage: stage.parse().unwrap(),
        location: location(account),
        path,
        at: at(0),
    }
}

/// Returns the work on the stack of `environment` in `stage`.
pub fn stack_run(stage: &str, environment: &str) -> StackRun {
    let name = format!("{stage}-{environment}").parse().unwrap();
    StackRun::new("logs".parse().unwrap(), environment.into(), name)
}

/// Returns the promotion of logstash 2.1.0 from the first account to the second, called `name`.
pub fn promotion(name: &str) -> Deployment {
    let source = location("111111111111");
    let body = PromoteImageBody { image: "logstash".parse().unwrap(), source, plan: None };
    let start = start(name, "2.1.0", "production", "222222222222", DeploymentPath::Promotion);
    Deployment::new(start, body)
}

/// Returns the authority's function for the sweep, over the same account.
fn authority(account: &FakeAws, now: &Rc<Cell<Timestamp>>) -> Callee {
    let installed =
        InstallationFacts { state_machines: MACHINES.to_owned(), administrators: Administrators::Many };
    let context = Rc::new(AwsContext::of(&account.aws(), Callers::Sweep, "lockstep-resume", installed));
    let now = Rc::clone(now);
    Rc::new(move |payload| {
        let (context, now) = (Rc::clone(&context), now.get());
        Box::pin(async move {
            let request = serde_json::from_value(payload).unwrap();
            let invocation = Invocation::Direct(request);
            lockstep_ledger::handler::handle(context.as_ref(), Callers::Sweep, invocation, now).await
        })
    })
}

/// Returns the function of images of a path, over the same accounts. Its time is that of the sweeps.
fn images(sim: &SimContext, clock: &VirtualClock, path: DeploymentPath) -> Callee {
    let mut sim = sim.clone().on_path(path);
    sim.clock = clock.clone();
    let context = Rc::new(sim);
    Rc::new(move |payload| {
        let context = Rc::clone(&context);
        Box::pin(async move {
            let request = serde_json::from_value(payload).unwrap();
            Ok(json!(lockstep_image::handler::handle(context.as_ref(), request).await?))
        })
    })
}

/// Returns the function that owns webhook deliveries, over the same account.
fn webhook(sim: &SimContext, now: &Rc<Cell<Timestamp>>) -> Callee {
    let (context, now) = (Rc::new(sim.clone()), Rc::clone(now));
    Rc::new(move |payload| {
        let (context, now) = (Rc::clone(&context), now.get());
        Box::pin(async move {
            let request = serde_json::from_value(payload).unwrap();
            lockstep_webhook::proposals::handle(context.as_ref(), &request, now).await
        })
    })
}

/// The function that owns callbacks, over the same account. It answers no token here.
struct Resuming(SimContext);

impl HasLedger for Resuming {
    fn ledger(&self) -> &Ledger {
        self.0.ledger()
    }
}

impl HasExecutions for Resuming {
    fn executions(&self) -> &Executions {
        self.0.executions()
    }
}

impl TaskTokens for Resuming {
    async fn answer(&self, _token: &str) -> Result<Answered, Failure> {
        Err(Failure::bug("the sweep has no token answered"))
    }
}

impl RegisteredAccounts for Resuming {
    async fn is_registered(&self, _account: &AccountId) -> Result<bool, Failure> {
        Ok(true)
    }
}

fn resume(sim: &SimContext, now: &Rc<Cell<Timestamp>>) -> Callee {
    let (context, now) = (Rc::new(Resuming(sim.clone())), Rc::clone(now));
    Rc::new(move |payload| {
        let (context, now) = (Rc::clone(&context), now.get());
        Box::pin(async move {
            Ok(json!(lockstep_resume::handler::handle(context.as_ref(), &payload, now).await?))
        })
    })
}

impl Fixture {
    /// Returns an installation without configuration.
    pub fn bare() -> Self {
        let sim = SimContext::at(Timestamp::UNIX_EPOCH);
        let now = Rc::new(Cell::new(at(0)));
        let mut callees = sim.callees.borrow_mut();
        callees.insert(Callers::Sweep.function(), authority(&sim.account, &now));
        callees.insert("lockstep-webhook".to_owned(), webhook(&sim, &now));
        callees.insert("lockstep-resume".to_owned(), resume(&sim, &now));
        drop(callees);
        let clock = VirtualClock::at(at(0));
        Self { cloud: sim.account.clone(), ledger: sim.ledger().clone(), sim, now, clock }
    }

    /// Adds the functions of images of both paths.
    pub fn add_functions_of_images(&self) {
        for path in [DeploymentPath::Delivery, DeploymentPath::Promotion] {
            let function = format!("lockstep-{}-image", path.as_str());
            self.sim.callees.borrow_mut().insert(function, images(&self.sim, &self.clock, path));
        }
    }

    /// Lets the owner of versions answer to each step that the version is in `state`, without a change.
    pub fn owner_of_versions_answers(&self, state: ImageVersionState) {
        let mut callees = self.sim.callees.borrow_mut();
        let function = "lockstep-delivery-image".to_owned();
        let owner = callees.get(&function).cloned().unwrap();
        let answer: Callee = Rc::new(move |payload: Value| {
            let owner = Rc::clone(&owner);
            Box::pin(async move {
                let is_step = payload["action"] == "retain";
                if is_step { Ok(json!(Retained { state: Some(state) })) } else { owner(payload).await }
            })
        });
        callees.insert(function, answer);
    }

    /// Lets Lambda throttle each invocation of the function that owns webhook deliveries.
    pub fn intake_is_throttled(&self) {
        self.sim.throttled.borrow_mut().insert("lockstep-webhook".to_owned());
    }

    /// Points the branch of a repository to `commit`.
    pub fn head_is(&self, name: &str, commit: &str) {
        self.sim.hosts.answer(name, Ok(Some(commit.parse().unwrap())));
    }

    pub async fn new() -> Self {
        let fixture = Self::bare();
        let stages = Config {
            config: ConfigKind::Stages,
            version: 1,
            text: stages_text(),
            applied_by: "ada".into(),
            applied_at: at(0),
        };
        fixture.put(&stages).await;
        fixture.put(&fixture.release()).await;
        fixture
    }

    /// Returns a release whose manifest gives its test stack thirty minutes.
    fn release(&self) -> Release {
        let files = [("lockstep.toml", MANIFEST), ("template.yaml", TEMPLATE)];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
        let package = packaging::plan("", &files, &packaging::PackagingInput::default()).unwrap();
        self.cloud.put_object(BUCKET, "releases/a.zip", package.artifact.clone());
        Release {
            component: "logs".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            state: ReleaseState::Published,
            repository: "github.acme.logs".parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            author: "Ada".into(),
            pusher: None,
            folder: "logs".into(),
            template: "template.yaml".into(),
            artifact: "releases/a.zip".into(),
            digest: package.digest,
            source_digest: package.source_digest,
            template_digest: package.template_digest,
            test_template_digest: package.test_template_digest,
            test_differences: package.test_differences,
            serial_tests: package.serial_tests,
            commits: None,
            permissions: None,
            image_lock: package.image_lock,
            outputs: package.outputs,
            producers: Default::default(),
            team: "platform".into(),
            function: "logging".into(),
            packaged_at: at(0),
            execution: "e".into(),
            failure: None,
        }
    }

    /// Runs a sweep at this minute.
    pub async fn sweep(&self, minute: i64) -> SweepReport {
        self.now.set(at(minute));
        self.clock.advance_to(at(minute));
        let report = handle(&self.sim, at(minute)).await.unwrap();
        let kept = self.versioned::<SweepReport>(&SweepReport::last()).await;
        assert_eq!(kept.record, report, "what is answered is what is kept");
        report
    }

    pub async fn put<T: Record>(&self, record: &T) -> Versioned<T> {
        self.ledger.insert(record).await.unwrap().into_inner()
    }

    pub async fn versioned<T: Record>(&self, key: &Key) -> Versioned<T> {
        self.ledger.get(key).await.unwrap().unwrap()
    }

    pub async fn deployment(&self, name: &str) -> Deployment {
        self.versioned(&Deployment::key_of(&id(name))).await.record
    }

    pub async fn environment(&self, stage: &str, name: &str) -> Environment {
        self.versioned(&Environment::key_of(&stage.parse().unwrap(), name)).await.record
    }

    /// Stores a deployment called `name` that holds `environment` of `stage` since minute 0.
    pub async fn held(&self, name: &str, stage: &str, environment: &str) {
        let stack = stack_run(stage, environment);
        let digest = Digest::of(b"release");
        let body = DeployBody::new(stack, digest.clone(), digest, "github.acme.logs".parse().unwrap());
        let start = start(name, "1.0.0", stage, "111111111111", DeploymentPath::Delivery);
        let taken = acquire(None, &Deployment::new(start, body), at(0)).unwrap();
        self.put(&taken.environment).await;
        self.put(&Charter::of(&taken.deployment).unwrap()).await;
        self.put(&taken.deployment).await;
    }

    /// Stores the same with the environment released and the deployment in `state`.
    pub async fn left(&self, name: &str, stage: &str, environment: &str, state: DeploymentState) {
        self.held(name, stage, environment).await;
        let key = Environment::key_of(&stage.parse().unwrap(), environment);
        let stored = self.versioned::<Environment>(&key).await;
        let free = Environment { holder: None, ..stored.record.clone() };
        self.ledger.replace(&stored, free).await.unwrap();
        self.change(name, |deployment| deployment.state = state).await;
    }

    pub async fn change(&self, name: &str, change: impl FnOnce(&mut Deployment)) {
        let stored = self.versioned::<Deployment>(&Deployment::key_of(&id(name))).await;
        let mut changed = stored.record.clone();
        change(&mut changed);
        self.ledger.replace(&stored, changed).await.unwrap();
    }
}
