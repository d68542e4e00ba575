//! A CloudFormation in memory whose stacks have any state that a test needs, and one release.

use jiff::Timestamp;
use lockstep_aws::cloudformation::{
    ChangeSetState, ChangeSetView, Creation, Execution, NewChangeSet, Stack, Stacks,
};
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::delivery::packaging;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, Digest, RepositoryId};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::records::{
    DeployBody, Deployment, DeploymentStart, Environment, LeaseHolder, Release, ReleaseState, StackRun,
};
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::permissions::{Table, excerpt_key};
use lockstep_domain::stacks::plan::{LiveResource, StackStatus};
use lockstep_sim::context::{BUCKET, CloudFormations, SimContext};
use lockstep_sim::stages::{stage_text, with_production};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

const TEMPLATE: &str = "Parameters:
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

/// The template of every nested stack.
const CHILD: &str = "Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
";

const MANIFEST: &str = r#"[component]
name = "logs"
version = "1.0"
template = "template.yaml"
team = "platform"
function = "logging"

[[checks]]
kind = "output"
name = "Host"
matches = ".+"
"#;

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

struct ScriptedStack {
    arn: String,
    status: StackStatus,
    outputs: BTreeMap<String, String>,
    events: Vec<StackEvent>,
    change_sets: BTreeMap<String, ChangeSetView>,
    resources: Vec<LiveResource>,
    token: Option<String>,
}

#[derive(Default)]
pub struct ScriptedStacks {
    stacks: RefCell<BTreeMap<String, ScriptedStack>>,
    clock: Cell<i64>,
    /// The state of the next change set.
    pub next_state: RefCell<Option<ChangeSetState>>,
    /// The changes of the next change set.
    pub next_changes: RefCell<Vec<ProposedChange>>,
    /// True if change sets have an unknown form.
    pub unreadable: Cell<bool>,
    /// True if the next call that changes something takes effect but loses its answer.
    pub lose_next_answer: Cell<bool>,
    pub created: RefCell<Vec<NewChangeSet>>,
    pub executed: RefCell<Vec<String>>,
    pub deleted: RefCell<Vec<(String, String)>>,
    /// True if stacks are protected from deletion.
    pub termination_protection: Cell<bool>,
    /// The exports of stacks, by the keys of their outputs.
    pub exports: RefCell<BTreeMap<String, String>>,
    /// The importers of every export.
    pub importers: RefCell<Vec<String>>,
    /// The findings of validation for every change set.
    pub invalid: RefCell<Vec<String>>,
    /// The resources that were retained or skipped.
    pub left_out: RefCell<Vec<String>>,
}

impl ScriptedStacks {
    /// Adds a stack in `status`.
    pub fn stack(&self, name: &str, status: StackStatus) {
        let arn = format!("arn:aws:cloudformation:eu-west-1:111111111111:stack/{name}/{}", self.tick());
        let outputs = BTreeMap::from([("Host".to_owned(), "h".to_owned())]);
        let stack = ScriptedStack {
            arn,
            status: status.clone(),
            outputs,
            events: Vec::new(),
            change_sets: BTreeMap::new(),
            resources: Vec::new(),
            token: Some("another-caller".into()),
        };
        self.stacks.borrow_mut().insert(name.to_owned(), stack);
        self.become_(name, status);
    }

    pub fn arn(&self, name: &str) -> String {
        self.stacks.borrow()[name].arn.clone()
    }

    pub fn resource(&self, name: &str, logical_id: &str, resource_type: &str, status: &str) {
        let resource = LiveResource {
            logical_id: logical_id.into(),
            physical_id: "p".into(),
            resource_type: resource_type.into(),
            status: status.into(),
        };
        self.stacks.borrow_mut().get_mut(name).unwrap().resources.push(resource);
    }

    /// Adds a nested stack to a stack.
    pub fn nested(&self, name: &str, logical_id: &str, child: &str) {
        self.stack(child, StackStatus::UpdateComplete);
        let resource = LiveResource {
            logical_id: logical_id.into(),
            physical_id: self.arn(child),
            resource_type: NESTED_STACK.into(),
            status: "UPDATE_COMPLETE".into(),
        };
        self.stacks.borrow_mut().get_mut(name).unwrap().resources.push(resource);
    }

    pub fn set_output(&self, name: &str, key: &str, value: &str) {
        let mut stacks = self.stacks.borrow_mut();
        stacks.get_mut(name).unwrap().outputs.insert(key.into(), value.into());
    }

    pub fn change_set_names(&self, name: &str) -> Vec<String> {
        self.stacks.borrow()[name].change_sets.keys().cloned().collect()
    }

    pub fn set_change_sets(&self, name: &str, state: ChangeSetState) {
        let mut stacks = self.stacks.borrow_mut();
        stacks.get_mut(name).unwrap().change_sets.values_mut().for_each(|view| view.state = state.clone());
    }

    /// Ends the running operation in `status`.
    pub fn finish(&self, name: &str, status: &str) {
        self.become_(name, StackStatus::parse(status));
    }

    pub fn event(&self, name: &str, event: StackEvent) {
        let at = Timestamp::from_second(self.tick()).unwrap();
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get_mut(name).unwrap();
        stack.events.insert(0, StackEvent { stack_arn: stack.arn.clone(), at, ..event });
    }

    fn become_(&self, name: &str, status: StackStatus) {
        let event = {
            let mut stacks = self.stacks.borrow_mut();
            let stack = stacks.get_mut(name).unwrap();
            stack.status = status.clone();
            StackEvent {
                stack_arn: stack.arn.clone(),
                logical_id: name.into(),
                physical_id: stack.arn.clone(),
                resource_type: NESTED_STACK.into(),
                status: status.to_string(),
                reason: String::new(),
                token: stack.token.clone(),
                at: Timestamp::UNIX_EPOCH,
            }
        };
        self.event(name, event);
    }

    fn begin(&self, name: &str, token: &str, status: StackStatus) {
        self.stacks.borrow_mut().get_mut(name).unwrap().token = Some(token.to_owned());
        self.become_(name, status);
    }

    fn name_of(&self, stack: &str) -> Option<String> {
        let stacks = self.stacks.borrow();
        let found = stacks.iter().find(|(name, found)| {
            found.arn == stack || (*name == stack && found.status != StackStatus::DeleteComplete)
        });
        found.map(|(name, _)| name.clone())
    }

    fn name_of_change_set(&self, stack: &str, change_set: &str) -> Option<(String, String)> {
        let stacks = self.stacks.borrow();
        let mut all = stacks.iter().flat_map(|(name, found)| {
            found
                .change_sets
                .iter()
                .map(move |(change_set, view)| (name.clone(), change_set.clone(), view.arn.clone()))
        });
        all.find(|(name, own, arn)| arn == change_set || (name == stack && own == change_set))
            .map(|(name, own, _)| (name, own))
    }

    fn tick(&self) -> i64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn answer<T>(&self, value: T) -> Result<T, Failure> {
        if self.lose_next_answer.replace(false) {
            return Err(Failure::new(FailureKind::Transient, "the answer was lost"));
        }
        Ok(value)
    }
}

/// Returns the event of a resource that failed to create. [`ScriptedStacks::event`] sets its stack and its
/// time.
pub fn failed_event(logical_id: &str, reason: &str, token: &str) -> StackEvent {
    StackEvent {
        stack_arn: String::new(),
        logical_id: logical_id.into(),
        physical_id: String::new(),
        resource_type: "AWS::SNS::Topic".into(),
        status: "CREATE_FAILED".into(),
        reason: reason.into(),
        token: Some(token.into()),
        at: Timestamp::UNIX_EPOCH,
    }
}

/// The scripted stacks as a function reaches them.
#[derive(Clone)]
pub struct Here(Rc<ScriptedStacks>);

impl CloudFormations for Here {
    type Stacks = Self;

    fn stacks(&self) -> Self {
        self.clone()
    }

    fn put_template(&self, _: &str, _: &str) {}
}

impl Deref for Here {
    type Target = ScriptedStacks;

    fn deref(&self) -> &ScriptedStacks {
        &self.0
    }
}

impl Stacks for Here {
    async fn describe(&self, stack: &str) -> Result<Option<Stack>, Failure> {
        let name = self.name_of(stack);
        let stacks = self.stacks.borrow();
        Ok(name.map(|name| &stacks[&name]).map(|found| Stack {
            arn: found.arn.clone(),
            status: found.status.clone(),
            parent: None,
            outputs: found.outputs.clone(),
            exports: self.exports.borrow().clone(),
            last_updated: None,
            termination_protection: self.termination_protection.get(),
        }))
    }

    async fn events(
        &self,
        stack: &str,
        _enough: &dyn Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Failure> {
        let name = self.name_of(stack);
        Ok(name.map(|name| self.stacks.borrow()[&name].events.clone()).unwrap_or_default())
    }

    async fn resources(&self, stack: &str) -> Result<Vec<LiveResource>, Failure> {
        let name = self.name_of(stack).unwrap();
        Ok(self.stacks.borrow()[&name].resources.clone())
    }

    async fn template(&self, stack: &str) -> Result<String, Failure> {
        let of_child = self.name_of(stack).is_some_and(|name| name.contains("Child"));
        Ok(if of_child { CHILD } else { TEMPLATE }.to_owned())
    }

    async fn change_sets(&self, stack: &str) -> Result<Vec<String>, Failure> {
        Ok(self.change_set_names(&self.name_of(stack).unwrap()))
    }

    async fn importers(&self, _export: &str) -> Result<Vec<String>, Failure> {
        Ok(self.importers.borrow().clone())
    }

    async fn validation_failures(&self, _change_set: &str) -> Result<Vec<String>, Failure> {
        Ok(self.invalid.borrow().clone())
    }

    async fn failed_validations(&self, _stack: &str, _token: &str) -> Result<Vec<String>, Failure> {
        Ok(self.invalid.borrow().clone())
    }

    async fn create_change_set(&self, wanted: &NewChangeSet) -> Result<Creation, Failure> {
        if self.name_of_change_set(&wanted.stack, &wanted.name).is_some() {
            return Ok(Creation::Exists);
        }
        if self.name_of(&wanted.stack).is_none() {
            self.stack(&wanted.stack, StackStatus::ReviewInProgress);
        }
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get_mut(&wanted.stack).unwrap();
        let changes = self.next_changes.borrow().clone();
        let view = ChangeSetView {
            arn: format!("arn:change-set/{}", wanted.name),
            stack_arn: stack.arn.clone(),
            description: wanted.description.clone(),
            state: self.next_state.take().unwrap_or(ChangeSetState::Ready),
            changes: (!self.unreadable.get()).then_some(changes),
        };
        stack.change_sets.insert(wanted.name.clone(), view);
        self.created.borrow_mut().push(wanted.clone());
        self.answer(Creation::Begun)
    }

    async fn describe_change_set(
        &self,
        stack: &str,
        change_set: &str,
    ) -> Result<Option<ChangeSetView>, Failure> {
        let found = self.name_of_change_set(stack, change_set);
        Ok(found.map(|(stack, name)| self.stacks.borrow()[&stack].change_sets[&name].clone()))
    }

    async fn delete_change_set(&self, stack: &str, change_set: &str) -> Result<(), Failure> {
        if let Some((stack, name)) = self.name_of_change_set(stack, change_set) {
            self.stacks.borrow_mut().get_mut(&stack).unwrap().change_sets.remove(&name);
        }
        Ok(())
    }

    async fn execute_change_set(&self, change_set: &str, token: &str) -> Result<Execution, Failure> {
        let Some((stack, name)) = self.name_of_change_set("", change_set) else {
            return Ok(Execution::Refused);
        };
        let (state, status) = {
            let stacks = self.stacks.borrow();
            (stacks[&stack].change_sets[&name].state.clone(), stacks[&stack].status.clone())
        };
        if state != ChangeSetState::Ready {
            return Ok(Execution::Refused);
        }
        self.set_change_sets(&stack, ChangeSetState::Executed);
        let creates = status == StackStatus::ReviewInProgress;
        let next = if creates { StackStatus::CreateInProgress } else { StackStatus::UpdateInProgress };
        self.begin(&stack, token, next);
        self.executed.borrow_mut().push(token.to_owned());
        self.answer(Execution::Accepted)
    }

    async fn delete_stack(
        &self,
        arn: &str,
        token: &str,
        _role: &str,
        retain: &[String],
    ) -> Result<(), Failure> {
        if let Some(name) = self.name_of(arn) {
            self.begin(&name, token, StackStatus::DeleteInProgress);
            self.deleted.borrow_mut().push((arn.to_owned(), token.to_owned()));
            self.left_out.borrow_mut().extend(retain.iter().cloned());
        }
        self.answer(())
    }

    async fn rollback_stack(&self, arn: &str, token: &str, _role: &str) -> Result<(), Failure> {
        let name = self.name_of(arn).unwrap();
        self.begin(&name, token, StackStatus::UpdateRollbackInProgress);
        self.answer(())
    }

    async fn continue_update_rollback(
        &self,
        arn: &str,
        token: &str,
        _role: &str,
        skip: &[String],
    ) -> Result<(), Failure> {
        let name = self.name_of(arn).unwrap();
        self.begin(&name, token, StackStatus::UpdateRollbackInProgress);
        self.left_out.borrow_mut().extend(skip.iter().cloned());
        self.answer(())
    }

    async fn cancel_update_stack(&self, arn: &str, token: &str) -> Result<(), Failure> {
        let name = self.name_of(arn).unwrap();
        self.begin(&name, token, StackStatus::UpdateRollbackInProgress);
        self.answer(())
    }
}

/// The key of the function code that the installation ships.
pub const SHIPPED: &str =
    "functions/elb-logs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip";

/// One release of the component `logs`, and its deployment to one stage.
pub struct Fixture {
    pub sim: SimContext<Here>,
    pub cloud: Rc<ScriptedStacks>,
    pub release: Release,
    current: RefCell<Deployment>,
}

impl Deref for Fixture {
    type Target = SimContext<Here>;

    fn deref(&self) -> &SimContext<Here> {
        &self.sim
    }
}

impl Fixture {
    pub fn new(stage: &str) -> Self {
        Self::of(stage, &[("lockstep.toml", MANIFEST), ("template.yaml", TEMPLATE)])
    }

    /// Returns a fixture whose release uses the code of a function that Lockstep ships.
    pub fn with_function(stage: &str) -> Self {
        let values = "Size = \"${functions.elb-logs}\"\n";
        let files = [("lockstep.toml", MANIFEST), ("template.yaml", TEMPLATE)];
        Self::of(stage, &[&files[..], &[("parameters/default.toml", values)]].concat())
    }

    fn of(stage: &str, files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        let (stages, shipped) =
            (Stages::parse("stages.toml", &stages_text()).unwrap(), FunctionLock::of_keys(SHIPPED).unwrap());
        let known = packaging::PackagingInput {
            stages: Some(&stages),
            functions: Some(&shipped),
            ..packaging::PackagingInput::default()
        };
        let package = packaging::plan("", &files, &known).unwrap();
        let release = release(&package);
        let cloud: Rc<ScriptedStacks> = Rc::default();
        let sim = SimContext::over(Timestamp::UNIX_EPOCH, Here(Rc::clone(&cloud)));
        sim.apply_stages(1, &stages_text());
        let packed = permissions().pack();
        sim.account.put_object(BUCKET, &excerpt_key(&release.component, &Digest::of(&packed)), packed);
        sim.account.put_object(BUCKET, &release.artifact, package.artifact);
        sim.account.put(&release);
        let deployment = deployment(&release, stage, "arn:execution-1");
        sim.account.put(&deployment);
        sim.account.put(&environment(&deployment));
        Self { sim, cloud, release, current: RefCell::new(deployment) }
    }

    pub fn id(&self) -> DeploymentId {
        self.current.borrow().id.clone()
    }

    pub fn deployment(&self) -> Deployment {
        self.account.find(&Deployment::key_of(&self.id())).unwrap()
    }

    pub fn environment(&self) -> Option<Environment> {
        self.account.find(&Environment::key_of(&self.current.borrow().stage, "logs"))
    }

    pub fn change_deployment(&self, change: impl FnOnce(&mut Deployment)) {
        let mut deployment = self.deployment();
        change(&mut deployment);
        self.account.put(&deployment);
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

    /// Records the stack as that of the environment.
    pub fn own(&self, stack: &str) {
        let arn = self.cloud.arn(stack);
        self.change_environment(|environment| environment.stack_arn = Some(arn));
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
        permissions: Some(Digest::of(&permissions().pack())),
        image_lock: package.image_lock.clone(),
        outputs: package.outputs.clone(),
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
        stage: deployment.stage.clone(),
        name: "logs".into(),
        component: "logs".parse().unwrap(),
        epoch: 1,
        holder: holder(deployment),
        deployed: None,
        previous: None,
        stack_arn: None,
        ever_stable: false,
        taint: None,
        last_deployment: None,
    }
}
