//! An organisation with three stages, and one component.

use lockstep_aws::function_url::Invocation;
use lockstep_aws::ledger::{Ledger, Order, Versioned};
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::hook::KEY_SECRET;
use lockstep_domain::delivery::packaging::{self, Package, PackagingInput};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::ledger::{Request, Started};
use lockstep_domain::messages::run::Run;
use lockstep_domain::messages::{Task, inputs, operator};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{DeploymentId, Digest, TEST};
use lockstep_domain::model::image_lock::ImageLock;
use lockstep_domain::model::person::Caller;
use lockstep_domain::records::{
    ChangeSet, Deployment, Environment, Evidence, Key, LogEntry, Record, Release, ReleaseState, Start,
};
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_ledger::handler::handle;
use lockstep_runtime::Installed as _;
use lockstep_sim::FakeAws;
use lockstep_sim::context::{BUCKET, SimContext};
use lockstep_sim::manifest::manifest_text;
use lockstep_sim::stages::{stage_text, with_production};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;

/// The webhook key of the installation.
pub const KEY: &str = "the webhook key of an installation, which no request holds";

pub const ADA: &str = "arn:aws:iam::333333333333:user/ada";

pub fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "222222222222").with_approval())
}

pub struct Fixture {
    pub cloud: FakeAws,
    pub ledger: Ledger,
    pub context: SimContext,
    /// Hours that passed.
    hours: Cell<i64>,
}

/// Returns the template of a release. Each version has another one.
fn template(version: &str) -> String {
    format!(
        "Description: Version {version}.\nParameters:\n  Size:\n    Type: String\n    Default: '7'\nResources:\n  \
         Topic:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Retain\n"
    )
}

/// Returns the package of a release.
fn package(version: &str) -> Package {
    let files = [("lockstep.toml", manifest_text("logs").to_string()), ("template.yaml", template(version))];
    let files = files.map(|(path, text)| (path.to_owned(), text.into_bytes())).into();
    let stages = Stages::parse("stages.toml", &stages_text()).unwrap();
    let known = PackagingInput { stages: Some(&stages), ..PackagingInput::default() };
    packaging::plan("", &files, &known).unwrap()
}

/// Returns the digest of a release.
pub fn digest(version: &str) -> Digest {
    package(version).digest
}

/// Returns the state machines of a path, as callers.
pub fn machines_of(path: DeploymentPath) -> Callers {
    match path {
        DeploymentPath::Delivery => Callers::Delivery,
        DeploymentPath::Promotion => Callers::Promotion,
    }
}

/// Returns the kind of callers that may send this request of a person.
fn callers_of(body: &str) -> Callers {
    let read = serde_json::from_str::<operator::Request>(body);
    read.map_or(Callers::Operators, |request| request.callers())
}

/// Returns a moment in the year 2100. A record that expires after it has not expired by the real clock.
pub fn at(second: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(4_102_444_800 + second).unwrap()
}

/// Returns the ARN of the execution called `name`. It is on the promotion path if its name begins with `prod`.
pub fn execution(name: &str) -> String {
    let path = if name.starts_with("prod") { "promotion" } else { "delivery" };
    format!("arn:aws:states:eu-west-1:333333333333:execution:lockstep-{path}-deploy:{name}")
}

/// Returns the name of an execution on `path`, for [`execution`].
pub fn named(path: DeploymentPath, name: &str) -> String {
    match path {
        DeploymentPath::Delivery => name.to_owned(),
        DeploymentPath::Promotion => format!("prod-{name}"),
    }
}

pub fn id(name: &str) -> DeploymentId {
    DeploymentId::of_execution(&execution(name))
}

pub fn deploy(version: &str, stage: &str) -> inputs::Deploy {
    inputs::Deploy::new("logs".parse().unwrap(), version.parse().unwrap(), stage.parse().unwrap())
}

pub fn task(token: &str) -> Task {
    Task { token: token.into(), execution: "e".into(), entered_at: at(1), retry: 0 }
}

impl Fixture {
    pub async fn new() -> Self {
        let context = SimContext::new();
        let cloud = context.account.clone();
        cloud.set_secret(KEY_SECRET, KEY);
        let ledger = Ledger::new(&cloud.aws());
        let fixture = Self { cloud, ledger, context, hours: Cell::new(0) };
        assert_eq!(fixture.ask(json!({"action": "apply_stages", "text": stages_text()})).await.0, 200);
        fixture
    }

    /// Lets time pass.
    pub fn let_pass(&self, hours: i64) {
        self.hours.set(self.hours.get() + hours);
    }

    fn now(&self, second: i64) -> jiff::Timestamp {
        at(second + self.hours.get() * 3600)
    }

    /// Returns the reply that a state machine of the right path gets.
    pub async fn invoke(&self, request: Request) -> Result<Value, Failure> {
        let callers = match (&request, request.callers()) {
            (_, [only]) => *only,
            (Request::AwaitTurn { deployment, .. }, _) => machines_of(deployment.path()),
            (
                Request::RequestApproval { deployment, .. }
                | Request::Proceed { deployment }
                | Request::Complete { deployment }
                | Request::Fail { deployment, .. },
                _,
            ) => {
                let stored = self.versioned::<Deployment>(&Deployment::key_of(deployment)).await;
                machines_of(stored.record.path)
            }
            (other, _) => panic!("which path sends {other:?}?"),
        };
        self.invoke_as(callers, request).await
    }

    /// Returns the reply of the function for `callers` to a direct invocation.
    pub async fn invoke_as(&self, callers: Callers, request: Request) -> Result<Value, Failure> {
        handle(&self.context, callers, Invocation::Direct(request), self.now(100)).await
    }

    /// Returns the status and the body that a signed request gets, sent to the function that takes it.
    pub async fn ask(&self, request: Value) -> (u16, Value) {
        self.ask_as("ada", request).await
    }

    /// Returns the status and the body that a request of the IAM user `name` gets.
    pub async fn ask_as(&self, name: &str, request: Value) -> (u16, Value) {
        let iam = json!({
            "userArn": format!("arn:aws:iam::333333333333:user/{name}"), "accountId": "333333333333",
            "userId": format!("AIDAEXAMPLE00000{}", name.to_uppercase()),
        });
        self.http(&request.to_string(), json!({ "iam": iam })).await
    }

    pub async fn http(&self, body: &str, authorizer: Value) -> (u16, Value) {
        self.http_as(callers_of(body), body, authorizer).await
    }

    /// Returns the status and the body that the function for `callers` answers over its URL.
    pub async fn http_as(&self, callers: Callers, body: &str, authorizer: Value) -> (u16, Value) {
        let event = json!({
            "version": "2.0", "rawPath": "/", "headers": {}, "body": body, "isBase64Encoded": false,
            "requestContext": {"authorizer": authorizer, "timeEpoch": 0, "http": {"method": "POST", "path": "/"}},
        });
        let invocation: Invocation<Request> = serde_json::from_value(event).unwrap();
        let answer = handle(&self.context, callers, invocation, self.now(200)).await.unwrap();
        let body = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap(), body)
    }

    pub async fn release(&self, version: &str, state: ReleaseState) -> Release {
        let package = package(version);
        let artifact = format!("releases/{version}.zip");
        self.cloud.put_object(BUCKET, &artifact, package.artifact);
        let release = Release {
            component: "logs".parse().unwrap(),
            version: version.parse().unwrap(),
            state,
            repository: "github.acme.logs".parse().unwrap(),
            commit: "0123456789012345678901234567890123456789".parse().unwrap(),
            author: "Ada".into(),
            pusher: None,
            folder: "logs".into(),
            template: "template.yaml".into(),
            artifact,
            digest: package.digest,
            source_digest: package.source_digest,
            template_digest: package.template_digest,
            test_template_digest: package.test_template_digest,
            test_differences: package.test_differences,
            serial_tests: package.serial_tests,
            commits: None,
            permissions: None,
            image_lock: ImageLock::default(),
            outputs: Default::default(),
            producers: Default::default(),
            team: "platform".into(),
            function: "logging".into(),
            packaged_at: at(0),
            execution: "e".into(),
            failure: None,
        };
        self.ledger.insert(&release).await.unwrap();
        release
    }

    /// Stores a published release with evidence of every stage in `passed`.
    pub async fn published(&self, version: &str, passed: &[&str]) -> Release {
        let release = self.release(version, ReleaseState::Published).await;
        for stage in passed {
            let evidence = Evidence {
                component: release.component.clone(),
                digest: release.digest.clone(),
                stage: stage.parse().unwrap(),
                version: release.version.clone(),
                deployment: id("earlier"),
                passed_at: at(0),
            };
            self.ledger.insert(&evidence).await.unwrap();
        }
        release
    }

    /// Begins a deployment that Grace started over the operators' function.
    pub async fn begin(
        &self,
        name: &str,
        path: DeploymentPath,
        input: inputs::Deploy,
    ) -> Result<Started, Failure> {
        let run = match path {
            DeploymentPath::Delivery => json!({"machine": "delivery-deploy", "input": input}),
            DeploymentPath::Promotion => json!({"machine": "promotion-deploy", "input": input}),
        };
        self.start_as("grace", name, run).await;
        self.begin_by_hand(name, path, input).await
    }

    /// Records that the IAM user `starter` starts a run under `name`.
    pub async fn start_as(&self, starter: &str, name: &str, run: Value) {
        let run: Run = serde_json::from_value(run).unwrap();
        let by = Caller {
            arn: format!("arn:aws:iam::333333333333:user/{starter}"),
            user_id: format!("AIDAEXAMPLE00000{}", starter.to_uppercase()),
            account: "333333333333".into(),
        };
        let (machine, input) = (run.machine().to_owned(), run.input().unwrap());
        let start = Start { deployment: id(name), name: name.into(), machine, input, by, at: at(0) };
        self.ledger.insert(&start).await.unwrap();
    }

    /// Begins a deployment whose starter is unknown.
    pub async fn begin_by_hand(
        &self,
        name: &str,
        path: DeploymentPath,
        input: inputs::Deploy,
    ) -> Result<Started, Failure> {
        let request = Request::Begin { execution: execution(name), input };
        self.invoke_as(machines_of(path), request).await.map(|answer| serde_json::from_value(answer).unwrap())
    }

    /// Lets a queued deployment wait for its turn in the own environment of logs.
    pub async fn await_turn(&self, name: &str, stage: &str, token: &str) {
        let request = Request::AwaitTurn {
            deployment: id(name),
            stage: stage.parse().unwrap(),
            environment: "logs".into(),
            task: task(token),
        };
        self.invoke(request).await.unwrap();
    }

    /// Begins the teardown, which Grace started, of the environment called `environment`, or of the component's own.
    pub async fn begin_teardown(
        &self,
        name: &str,
        path: DeploymentPath,
        stage: &str,
        environment: Option<&str>,
    ) -> Result<Started, Failure> {
        let input = inputs::Teardown {
            component: "logs".parse().unwrap(),
            stage: stage.parse().unwrap(),
            environment: environment.map(str::to_owned),
        };
        let run = match path {
            DeploymentPath::Delivery => json!({"machine": "delivery-teardown", "input": input}),
            DeploymentPath::Promotion => json!({"machine": "promotion-teardown", "input": input}),
        };
        self.start_as("grace", name, run).await;
        let request = Request::BeginTeardown { execution: execution(name), input };
        self.invoke_as(machines_of(path), request).await.map(|answer| serde_json::from_value(answer).unwrap())
    }

    /// Begins a deployment to `ci` and records its plan, and its execution if it `changed`.
    pub async fn deployed(&self, name: &str, version: &str, changed: bool) {
        self.begin(name, DeploymentPath::Delivery, deploy(version, "ci")).await.unwrap();
        self.plan(name, changed).await;
    }

    /// Changes the stack and the record as the stack function does.
    pub async fn plan(&self, name: &str, changed: bool) {
        let arn = self.stack(&self.deployment(name).await);
        let change_set = ChangeSet {
            review: Default::default(),
            arn: "arn:change-set".into(),
            attempt: 1,
            changes: Vec::new(),
            unexamined: Vec::new(),
            template_digest: Digest::of(b"template"),
            parameters_digest: Digest::of(b"parameters"),
            late_digest: None,
        };
        self.change(name, |deployment| {
            let deploy = deployment.deploy_mut().unwrap();
            deploy.parameters_digest = Some(Digest::of(b"parameters"));
            deploy.stack.arn = Some(arn);
            deploy.stack_changed = changed;
            deploy.change_set = Some(change_set);
        })
        .await;
    }

    /// Lets the stack of a deployment run its release. Returns the ARN of the stack.
    fn stack(&self, deployment: &Deployment) -> String {
        let (run, stacks) = (deployment.stack().unwrap(), &self.context.cloudformation);
        let own = package(&deployment.version.to_string());
        let text = match deployment.stage.as_str() == TEST {
            true => own.test_template,
            false => own.template.deployed_text(),
        };
        if let Some(arn) = stacks.arn(run.name.as_str()) {
            stacks.set_template(&arn, &text);
            return arn;
        }
        let identity = StackIdentity {
            stage: deployment.stage.clone(),
            environment: run.environment.clone(),
            component: Some(run.component.clone()),
            installation: self.context.installation(),
        };
        let tags: Vec<_> = identity.tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut parameters = BTreeMap::from([("Size".to_owned(), "7".to_owned())]);
        parameters.extend(deployment.deploy().unwrap().overrides.clone());
        stacks.add_stack(run.name.as_str(), StackStatus::CreateComplete, &text, (&parameters, &tags), None)
    }

    pub async fn versioned<T: Record>(&self, key: &Key) -> Versioned<T> {
        self.ledger.get(key).await.unwrap().unwrap()
    }

    pub async fn deployment(&self, name: &str) -> Deployment {
        self.versioned(&Deployment::key_of(&id(name))).await.record
    }

    pub async fn environment(&self, stage: &str) -> Environment {
        self.find_environment(stage).await.unwrap()
    }

    pub async fn find_environment(&self, stage: &str) -> Option<Environment> {
        let key = Environment::key_of(&stage.parse().unwrap(), "logs");
        self.ledger.get(&key).await.unwrap().map(|found| found.record)
    }

    /// Changes the deployment as another function would.
    pub async fn change(&self, name: &str, change: impl FnOnce(&mut Deployment)) {
        let stored = self.versioned::<Deployment>(&Deployment::key_of(&id(name))).await;
        let mut changed = stored.record.clone();
        change(&mut changed);
        self.ledger.replace(&stored, changed).await.unwrap();
    }

    /// Returns the digest of what the last question of the deployment shows.
    pub async fn shown(&self, name: &str) -> Digest {
        let deployment = self.deployment(name).await;
        approval::shown(&deployment, deployment.approvals.last().unwrap()).unwrap()
    }

    /// Returns the deployment log.
    pub async fn journal(&self, name: &str) -> Vec<String> {
        let partition = LogEntry::all_of(&id(name));
        let steps = self.ledger.list::<LogEntry>(&partition, Order::Oldest, 99).await.unwrap();
        steps.into_iter().map(|step| step.record.note).collect()
    }

    pub async fn complete(&self, name: &str) -> Result<Value, Failure> {
        self.invoke(Request::Complete { deployment: id(name) }).await
    }

    pub async fn has_evidence(&self, release: &Release, stage: &str) -> bool {
        let key = Evidence::key_of(&release.component, &release.digest, &stage.parse().unwrap());
        self.ledger.get::<Evidence>(&key).await.unwrap().is_some()
    }
}
