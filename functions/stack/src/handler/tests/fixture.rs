//! One release and its deployment, over the simulated CloudFormation.

use jiff::Timestamp;
use lockstep_aws::cloudformation::Stacks as _;
use lockstep_domain::delivery::environment::with_claims;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::delivery::packaging;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{DeploymentId, Digest, RepositoryId};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::public_parameters::PublicParameters;
use lockstep_domain::records::{
    ApprovalDecision, Decision, DeployBody, Deployed, Deployment, DeploymentStart, Environment, LeaseHolder,
    Release, ReleaseState, StackRun,
};
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::permissions::{Table, excerpt_key};
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_runtime::{Clock as _, Installed as _};
use lockstep_sim::cloudformation::{Effect, SimCloudFormation};
use lockstep_sim::context::{BUCKET, SimContext};
use lockstep_sim::faults::Faults;
use lockstep_sim::faulty::{FaultyAccount, FaultyContext, Mistake, NoMistake};
use lockstep_sim::manifest::manifest_text;
use lockstep_sim::stages::{stage_text, with_production};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The template of the release.
pub const TEMPLATE: &str = "Parameters:
  Size:
    Type: String
    Default: '7'
Resources:
  Topic:
    Type: AWS::SNS::Topic
    DeletionPolicy: Retain
Outputs:
  Host:
    Value: !Ref Topic
";

/// The template of a nested stack.
pub const CHILD: &str = "Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
";

/// The same with the policies that packaging requires.
pub const CHILD_KEPT: &str = "Resources:
  Table:
    Type: AWS::DynamoDB::Table
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
";

/// Returns the template of the release with more resources, as text of the section.
pub fn with_resources(more: &str) -> String {
    TEMPLATE.replace("Outputs:", &format!("{more}Outputs:"))
}

/// Returns a nested stack, as text of a template's resources.
pub fn nested_stack(logical_id: &str) -> String {
    format!(
        "  {logical_id}:\n    Type: AWS::CloudFormation::Stack\n    Properties: {{TemplateURL: https://bucket/nested}}\n"
    )
}

/// Time in which every operation ends.
const ENOUGH: Duration = Duration::from_secs(300);

fn manifest() -> String {
    manifest_text("logs").with_output_check("Host").to_string()
}

fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "222222222222").with_approval())
}

/// Returns the permissions that the template's topic needs.
fn permissions() -> Table {
    serde_json::from_value(serde_json::json!({
        "types": {"AWS::SNS::Topic": {
            "create": ["sns:CreateTopic"],
            "tagging": {"actions": ["sns:TagResource"]},
            "arn": "arn:${Partition}:sns:${Region}:${Account}:${/TopicName}",
            "name": "/TopicName",
        }},
        "actions": {
            "sns:CreateTopic": {"resources": ["arn:${Partition}:sns:${Region}:${Account}:${TopicName}"]},
            "sns:TagResource": {"resources": ["arn:${Partition}:sns:${Region}:${Account}:${TopicName}"]},
        },
    }))
    .unwrap()
}

/// The key of the function code that the installation ships.
pub const SHIPPED: &str =
    "functions/elb-logs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip";

/// One release of the component `logs`, and its deployment to one stage.
pub struct Fixture {
    pub sim: SimContext,
    pub cloud: SimCloudFormation,
    pub faults: Arc<Faults>,
    /// What the function runs on: `sim`, with the faults.
    pub context: FaultyContext,
    pub release: Release,
    current: RefCell<Deployment>,
}

impl Deref for Fixture {
    type Target = SimContext;

    fn deref(&self) -> &SimContext {
        &self.sim
    }
}

impl Fixture {
    pub fn new(stage: &str) -> Self {
        Self::with_template(stage, TEMPLATE)
    }

    /// Returns a fixture whose release has this template.
    pub fn with_template(stage: &str, template: &str) -> Self {
        Self::of(stage, template, &[])
    }

    /// Returns a fixture whose release uses the code of a function that Lockstep ships.
    pub fn with_function(stage: &str) -> Self {
        Self::of(stage, TEMPLATE, &[("parameters/default.toml", "Size = \"${functions.elb-logs}\"\n")])
    }

    /// Returns a fixture whose release has this template and these files beside it.
    pub fn with_files(stage: &str, template: &str, files: &[(&str, &str)]) -> Self {
        Self::of(stage, template, files)
    }

    /// Records that the environment runs what its deployment brought.
    pub fn record_as_deployed(&self) {
        let (before, deploy) = (self.deployment(), self.deploy());
        self.change_environment(|environment| {
            environment.deployed = Some(Deployed {
                version: before.version.clone(),
                digest: deploy.digest,
                template_digest: deploy.template_digest,
                parameters_digest: deploy.parameters_digest.unwrap(),
                late_digest: deploy.late_values.digest(),
                stack_version: before.version.clone(),
                deployment: before.id.clone(),
                checked: true,
                overridden: Default::default(),
                since: jiff::Timestamp::UNIX_EPOCH,
            });
        });
    }

    /// Returns a fixture whose release leaves the version out of its tags.
    pub fn without_version_tag(stage: &str) -> Self {
        let manifest = format!("{}\n[tags]\nversion = false\n", manifest());
        Self::of(stage, TEMPLATE, &[("lockstep.toml", &manifest)])
    }

    /// Returns a fixture whose release pins these public parameters.
    pub fn with_public(stage: &str, template: &str, public: &PublicParameters) -> Self {
        Self::planned(stage, template, &[], Some(public))
    }

    fn of(stage: &str, template: &str, more: &[(&str, &str)]) -> Self {
        Self::planned(stage, template, more, None)
    }

    fn planned(
        stage: &str,
        template: &str,
        more: &[(&str, &str)],
        public: Option<&PublicParameters>,
    ) -> Self {
        let manifest = manifest();
        let files = [("lockstep.toml", manifest.as_str()), ("template.yaml", template)];
        let files = files.iter().chain(more);
        let files = files.map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let (stages, shipped) =
            (Stages::parse("stages.toml", &stages_text()).unwrap(), FunctionLock::of_keys(SHIPPED).unwrap());
        let known = packaging::PackagingInput {
            stages: Some(&stages),
            functions: Some(&shipped),
            public,
            ..packaging::PackagingInput::default()
        };
        let package = packaging::plan("", &files, &known).unwrap();
        let release = release(&package);
        let sim = SimContext::at(Timestamp::UNIX_EPOCH);
        sim.apply_stages(1, &stages_text());
        let packed = permissions().pack();
        sim.account.put_object(BUCKET, &excerpt_key(&release.component, &Digest::of(&packed)), packed);
        sim.account.put_object(BUCKET, &release.artifact, package.artifact);
        sim.account.put(&release);
        let deployment = deployment(&release, stage, "arn:execution-1");
        sim.account.put(&deployment);
        sim.account.put(&environment(&deployment));
        let faults = Faults::of(&[]);
        let context = context(&sim, &faults, Rc::new(NoMistake));
        Self {
            cloud: sim.cloudformation.clone(),
            sim,
            faults,
            context,
            release,
            current: RefCell::new(deployment),
        }
    }

    /// Plants a mistake between the function and the clouds.
    pub fn with_mistake(self, mistake: impl Mistake + 'static) -> Self {
        Self { context: context(&self.sim, &self.faults, Rc::new(mistake)), ..self }
    }

    /// Adds a stack of another caller, in `status`, that runs the template of the release.
    pub fn stack(&self, name: &str, status: StackStatus) -> String {
        self.stack_of(name, status, TEMPLATE)
    }

    /// Adds a stack of another caller, in `status`, that runs this template.
    pub fn stack_of(&self, name: &str, status: StackStatus, template: &str) -> String {
        self.cloud.add_stack(name, status, template, (&BTreeMap::new(), &[]), Some("another-caller"))
    }

    /// Adds a stack with the tags of this environment of the component, in `status`, that runs this template.
    pub fn tagged_stack_of(
        &self,
        (stage, environment): (&str, &str),
        component: &str,
        status: StackStatus,
        template: &str,
    ) -> String {
        let identity = StackIdentity {
            stage: stage.parse().unwrap(),
            environment: environment.into(),
            component: Some(component.parse().unwrap()),
            installation: self.sim.installation(),
        };
        let tags: Vec<_> = identity.tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let name = format!("{stage}-{environment}");
        self.cloud.add_stack(&name, status, template, (&BTreeMap::new(), &tags), Some("another-caller"))
    }

    /// Adds the stack of the environment, in `status`, that runs the template of the release.
    pub fn own_stack(&self, status: StackStatus) -> String {
        self.own_stack_of(status, TEMPLATE)
    }

    /// Adds the stack of the environment, in `status`, that runs this template.
    pub fn own_stack_of(&self, status: StackStatus, template: &str) -> String {
        let name = self.current.borrow().stack().unwrap().name.to_string();
        let arn = self.stack_of(&name, status, template);
        self.change_environment(|environment| environment.stack_arn = Some(arn.clone()));
        arn
    }

    /// Lets every operation end.
    pub fn pass(&self) {
        self.clock.advance(ENOUGH);
    }

    /// Returns the calls of this name that took effect.
    pub fn calls(&self, name: &str) -> Vec<Effect> {
        self.cloud.effects().into_iter().filter(|effect| effect.call == name).collect()
    }

    /// Returns the deletions of stacks: the ARNs and the tokens.
    pub fn deleted(&self) -> Vec<(String, String)> {
        self.calls("DeleteStack").into_iter().map(|effect| (effect.stack, effect.token)).collect()
    }

    /// Returns the resources that were retained or skipped.
    pub fn left_out(&self) -> Vec<String> {
        self.cloud.effects().into_iter().flat_map(|effect| effect.without).collect()
    }

    /// Returns the names of the change sets of a stack; none if it does not exist.
    pub async fn change_sets(&self, name: &str) -> Vec<String> {
        match self.cloud.arn(name) {
            Some(arn) => self.cloud.stacks().change_sets(&arn).await.unwrap(),
            None => Vec::new(),
        }
    }

    pub fn id(&self) -> DeploymentId {
        self.current.borrow().id.clone()
    }

    pub fn deployment(&self) -> Deployment {
        self.account.find(&Deployment::key_of(&self.id())).unwrap()
    }

    /// Returns the environment with the reports of the current deployment, as `ledger` copies them at its end.
    pub fn environment(&self) -> Option<Environment> {
        let stored: Environment =
            self.account.find(&Environment::key_of(&self.current.borrow().stage, "logs"))?;
        let reported = self.account.find(&Deployment::key_of(&self.current.borrow().id));
        Some(reported.map_or(stored.clone(), |reported| with_claims(&stored, &reported)))
    }

    pub fn change_deployment(&self, change: impl FnOnce(&mut Deployment)) {
        let mut deployment = self.deployment();
        change(&mut deployment);
        self.account.put(&deployment);
    }

    /// Records an approval of the last question.
    pub fn approve(&self) {
        let deployment = self.deployment();
        let question = deployment.approvals.last().expect("a question").clone();
        self.account.put(&ApprovalDecision {
            deployment: deployment.id,
            question,
            answers: Vec::new(),
            decision: Some(Decision::Approve),
            valid_until: self.now().checked_add(jiff::Span::new().hours(ApprovalDecision::VALID_HOURS)).ok(),
        });
    }

    pub fn deploy(&self) -> DeployBody {
        self.deployment().deploy().unwrap().clone()
    }

    pub fn run(&self) -> StackRun {
        self.deployment().stack().unwrap().clone()
    }

    pub fn change_deploy(&self, change: impl FnOnce(&mut DeployBody)) {
        self.change_deployment(|deployment| change(deployment.deploy_mut().unwrap()));
    }

    pub fn change_environment(&self, change: impl FnOnce(&mut Environment)) {
        let mut environment = self.environment().unwrap();
        change(&mut environment);
        self.account.put(&environment);
    }

    /// Begins another deployment of the same release.
    pub fn next_deployment(&self) -> DeploymentId {
        let stage = self.current.borrow().stage.to_string();
        let next = deployment(&self.release, &stage, "arn:execution-2");
        self.account.put(&next);
        self.change_environment(|environment| environment.holder = holder(&next));
        let id = next.id.clone();
        self.current.replace(next);
        id
    }
}

fn context(sim: &SimContext, faults: &Arc<Faults>, mistake: Rc<dyn Mistake>) -> FaultyContext {
    FaultyContext::new(sim, faults, Arc::new(FaultyAccount::new(faults)), mistake)
}

fn release(package: &packaging::Package) -> Release {
    Release {
        component: "logs".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        state: ReleaseState::Packaged,
        repository: RepositoryId::github("acme", "logs").unwrap(),
        commit: "a".repeat(40).parse().unwrap(),
        author: "Ada".into(),
        pusher: None,
        folder: String::new(),
        template: String::new(),
        artifact: "artifact".into(),
        digest: package.digest.clone(),
        source_digest: package.source_digest.clone(),
        template_digest: package.template_digest.clone(),
        test_template_digest: package.test_template_digest.clone(),
        test_differences: package.test_differences.clone(),
        serial_tests: package.serial_tests,
        commits: None,
        permissions: Some(Digest::of(&permissions().pack())),
        image_lock: package.image_lock.clone(),
        outputs: package.outputs.clone(),
        producers: Default::default(),
        team: "platform".into(),
        function: "logging".into(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn:release".into(),
        failure: None,
    }
}

fn deployment(release: &Release, stage: &str, execution: &str) -> Deployment {
    let account = if stage == "production" { "222222222222" } else { "111111111111" };
    let start = DeploymentStart {
        id: DeploymentId::of_execution(execution),
        execution: execution.into(),
        version: release.version.clone(),
        stage: stage.parse().unwrap(),
        location: Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        path: DeploymentPath::Delivery,
        at: Timestamp::UNIX_EPOCH,
    };
    let name = format!("{stage}-logs").parse().unwrap();
    let stack = StackRun::new(release.component.clone(), "logs".into(), name);
    let template = release.template_digest.clone();
    let body = DeployBody::new(stack, release.digest.clone(), template, release.repository.clone());
    Deployment { epoch: 1, ..Deployment::new(start, body) }
}

fn holder(deployment: &Deployment) -> Option<LeaseHolder> {
    let (execution, since) = (deployment.execution.clone(), Timestamp::UNIX_EPOCH);
    Some(LeaseHolder { deployment: deployment.id.clone(), execution, since })
}

fn environment(deployment: &Deployment) -> Environment {
    Environment {
        epoch: 1,
        holder: holder(deployment),
        ..Environment::new(deployment.stage.clone(), "logs", "logs".parse().unwrap())
    }
}
