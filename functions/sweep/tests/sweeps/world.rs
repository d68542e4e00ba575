//! An organisation with two stages, and one release.

use lockstep_domain::delivery::environment::take;
use lockstep_domain::delivery::packaging;
use lockstep_domain::messages::sweep::Followed;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{CommitSha, DeploymentId};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::path::Path;
use lockstep_domain::records::{
    Config, ConfigKind, Deployment, DeploymentKind, DeploymentState, Environment, Key, Record, Release,
    ReleaseState, Repository, SweepReport,
};
use lockstep_platform::ledger::{Ledger, Versioned};
use lockstep_sim::{FakeAws, TABLE};
use lockstep_sweep::handler::{Answer, handle, serve};
use lockstep_sweep::heads::Heads;
use lockstep_sweep::{App, Names};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

pub const RELEASE: &str = "arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-release";
pub const TEARDOWN: &str = "arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-delivery-teardown";
const BUCKET: &str = "lockstep-artifacts";

const STAGES: &str = r#"
[[stages]]
name = "test"
account = "111111111111"
region = "eu-west-1"

[[stages]]
name = "ci"
account = "111111111111"
region = "eu-west-1"
propagates = true
"#;

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

pub struct World {
    pub cloud: FakeAws,
    pub heads: Hosts,
    pub accounts: super::images::Accounts,
    pub ledger: Ledger,
    app: App,
}

/// A moment in the year 2100: what expires a while later has not expired yet.
pub fn at(minute: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(4_102_444_800 + minute * 60).unwrap()
}

/// The execution called `name`.
pub fn execution(name: &str) -> String {
    format!("arn:aws:states:eu-west-1:333333333333:execution:lockstep-delivery-deploy:{name}")
}

pub fn id(name: &str) -> DeploymentId {
    DeploymentId::of_execution(&execution(name))
}

/// Git hosts in memory: what each repository's branch points to, by the repository's name.
#[derive(Default)]
pub struct Hosts {
    heads: RefCell<BTreeMap<String, Result<Option<CommitSha>, Failure>>>,
    asked: Cell<u32>,
}

impl Hosts {
    pub fn now(&self, name: &str, commit: &str) {
        self.heads.borrow_mut().insert(name.into(), Ok(Some(commit.parse().unwrap())));
    }

    pub fn gone(&self, name: &str) {
        self.heads.borrow_mut().insert(name.into(), Ok(None));
    }

    pub fn fails(&self, name: &str, failure: Failure) {
        self.heads.borrow_mut().insert(name.into(), Err(failure));
    }

    /// How often they were asked.
    pub fn asked(&self) -> u32 {
        self.asked.get()
    }
}

impl Heads for Hosts {
    async fn head(&self, repository: &Repository) -> Result<Option<CommitSha>, Failure> {
        self.asked.set(self.asked.get() + 1);
        self.heads.borrow()[repository.id.name()].clone()
    }
}

impl World {
    /// An installation that nobody has configured.
    pub fn bare() -> Self {
        let cloud = FakeAws::new();
        let names = Names {
            table: TABLE,
            bucket: BUCKET,
            resume_function: "lockstep-resume",
            release: RELEASE,
            teardown: TEARDOWN,
        };
        let app = App::of(&cloud.aws(), &names);
        let ledger = Ledger::new(&cloud.aws(), TABLE);
        Self { cloud, heads: Hosts::default(), accounts: super::images::Accounts::new(), ledger, app }
    }

    pub async fn new() -> Self {
        let world = Self::bare();
        let stages = Config {
            config: ConfigKind::Stages,
            version: 1,
            text: STAGES.into(),
            applied_by: "ada".into(),
            applied_at: at(0),
        };
        world.put(&stages).await;
        world.put(&world.release()).await;
        world
    }

    /// A release whose manifest says that its throw-away stack lives for thirty minutes.
    fn release(&self) -> Release {
        let files = [("lockstep.toml", MANIFEST), ("template.yaml", TEMPLATE)];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
        let package = packaging::plan("", &files, &packaging::World::default()).unwrap();
        self.cloud.put_object(BUCKET, "releases/a.zip", package.artifact.clone());
        Release {
            component: "logs".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            state: ReleaseState::Published,
            repository: "github.acme.logs".parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            author: "Ada".into(),
            folder: "logs".into(),
            template: "template.yaml".into(),
            artifact: "releases/a.zip".into(),
            digest: package.digest,
            source_digest: package.source_digest,
            template_digest: package.template_digest,
            test_template_digest: package.test_template_digest,
            permissions: None,
            image_lock: package.image_lock,
            outputs: package.outputs,
            team: "platform".into(),
            function: "logging".into(),
            packaged_at: at(0),
            execution: "e".into(),
            failure: None,
        }
    }

    /// Sweeps at this minute.
    pub async fn sweep(&self, minute: i64) -> SweepReport {
        let report = handle(&self.app, &self.heads, &self.accounts, at(minute)).await.unwrap();
        let kept = self.versioned::<SweepReport>(&SweepReport::last()).await;
        assert_eq!(kept.record, report, "what is answered is what is kept");
        report
    }

    /// Lets the parameters of an image follow, everywhere or at a stage.
    pub async fn follow(&self, image: &str, stage: Option<&str>) -> Result<Followed, Failure> {
        let asked = json!({"action": "channels", "image": image, "stage": stage});
        match serve(&self.app, &self.heads, &self.accounts, &asked, at(0)).await? {
            Answer::Followed(followed) => Ok(followed),
            Answer::Swept(report) => panic!("it swept: {report:?}"),
        }
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

    /// A deployment called `name` has the environment `environment` of `stage` since minute 0.
    pub async fn held(&self, name: &str, stage: &str, environment: &str) {
        let stack = format!("{stage}-{environment}").parse().unwrap();
        let wanted = Deployment {
            component: Some("logs".parse().unwrap()),
            ..Deployment::new(
                id(name),
                DeploymentKind::Deploy { environment: environment.into(), stack },
                &execution(name),
                "1.0.0".parse().unwrap(),
                stage.parse().unwrap(),
                Location { account: "111111111111".parse().unwrap(), region: "eu-west-1".parse().unwrap() },
                Path::Delivery,
                at(0),
            )
        };
        let taken = take(None, &wanted, at(0)).unwrap();
        self.put(&taken.environment).await;
        self.put(&taken.deployment).await;
    }

    /// The same, given back, with its deployment in `state`.
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
