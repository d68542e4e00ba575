//! Scenarios: the state before, the action, and the expected end. [`crate::stacks`], [`crate::images`] and
//! [`crate::bakes`] hold the tables.

use crate::agenda::Happening;
use crate::bakes::scenarios::BakeStep;
use crate::bugs::Bug;
use crate::harness::Harness;
use crate::images::scenarios::ImageStep;
use crate::organisation::{FIRST, evidence, release};
use crate::pushes::scenarios::PushStep;
use crate::stacks::scenarios::RIVAL;
use crate::workflows::{Work, execute};
use lockstep_aws::cloudformation::{NewChangeSet, Stacks, TemplateSource};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Decision, Environment};
use lockstep_domain::stacks::identity::{InstallationId, StackIdentity};
use lockstep_domain::stacks::plan::ChangeSetKind;
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_sim::cloudformation::Trouble;
use lockstep_sim::context::EXTERNAL_ID;
use lockstep_sim::faults::Fault;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A step that prepares the state before the scenario.
#[derive(Clone, Debug)]
pub enum Step {
    /// A deployment of this version to this stage, with any end.
    Deploy(&'static str, &'static str),
    /// This version has passed this stage.
    Passed(&'static str, &'static str),
    /// Operations on this resource fail from now on.
    Trouble(&'static str, Trouble),
    /// No operation fails any more.
    EndTrouble,
    /// A change set of an earlier deployment was never executed, on a stack that was never created.
    Review,
    /// The ledger has no record of the last deployment to `ci`.
    Forget,
    /// An update by another caller is still running on the stack.
    ForeignUpdate,
    /// A stack of that name exists that Lockstep did not create.
    Foreign,
    /// Another execution holds the environment for half a minute.
    Rival,
    /// The failed creation of the stack in `ci` left this resource, as a stack of another owner can.
    Kept(&'static str),
    /// This property of this resource of the stack in `ci` was changed by hand.
    Drift(&'static str, &'static str),
    /// The termination protection of the stack in `ci` is on.
    Protect,
    /// The stack in `ci` has this status.
    Status(StackStatus),
    /// A step about images.
    Image(ImageStep),
    /// A step about bakes.
    Bake(BakeStep),
    /// A step about pushes.
    Push(PushStep),
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Another caller updates the stack, so that every change set on it is obsolete.
    StackChanges,
}

impl Meanwhile {
    /// Performs the action.
    pub fn happen(self, harness: &Harness) {
        let arn = harness.cloud.arn("production-logs").expect("there is a stack");
        harness.cloud.update_as_other_caller(&arn, "Console-UpdateStack-1");
    }
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The name in a case.
    pub name: &'static str,
    /// The workflow.
    pub work: Work,
    /// The state before.
    pub ground: &'static [Step],
    pub stage: &'static str,
    pub version: &'static str,
    /// The branch that is baked from.
    pub branch: &'static str,
    /// True if the deployment reverts drift.
    pub revert_drift: bool,
    /// The answers of the approver.
    pub answers: &'static [Decision],
    /// The action while the approver thinks.
    pub meanwhile: Option<Meanwhile>,
    /// The end without faults: `SUCCEEDED`, or the name of the error.
    pub ends: &'static str,
    /// The end of the next deployment, once no operation fails any more.
    pub again: &'static str,
}

/// A deployment of the first version to `ci`.
pub const CI: Scenario = Scenario {
    name: "",
    work: Work::Deploy,
    ground: &[],
    stage: "ci",
    version: FIRST,
    branch: "main",
    revert_drift: false,
    answers: &[],
    meanwhile: None,
    ends: "SUCCEEDED",
    again: "SUCCEEDED",
};

/// Returns every scenario.
pub fn scenarios() -> Vec<Scenario> {
    [
        crate::stacks::scenarios::scenarios(),
        crate::images::scenarios::scenarios(),
        crate::bakes::scenarios::scenarios(),
        crate::pushes::scenarios::scenarios(),
    ]
    .concat()
}

/// Returns the scenario of this name.
pub fn scenario(name: &str) -> Option<Scenario> {
    scenarios().into_iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Returns the input of the state machine.
    pub fn input(&self) -> Value {
        match self.work {
            Work::Deploy if self.revert_drift => {
                let mut input = input(self.stage, self.version);
                input["revert_drift"] = json!(true);
                input
            }
            Work::Deploy => input(self.stage, self.version),
            Work::Teardown => json!({"component": "logs", "stage": self.stage}),
            Work::PromoteImage => crate::images::scenarios::input(self.stage),
            Work::Release => crate::pushes::scenarios::input(self.version),
            Work::BakeImage | Work::BuildImage => crate::bakes::scenarios::input(self.branch, self.version),
        }
    }

    /// Returns true if the scenario deletes the stack.
    pub fn is_teardown(&self) -> bool {
        self.work == Work::Teardown
    }

    /// Returns the harness before any fault.
    pub async fn prepare(&self) -> Harness {
        let harness = Harness::new().await;
        harness.faults.suspend(true);
        for (number, step) in self.ground.iter().enumerate() {
            step.take(&harness, number).await;
        }
        // All scheduled happenings of the ground take place first, unless the scenario is about one of them.
        if !self.ground.iter().any(Step::goes_on) {
            harness.let_pass(Duration::from_secs(7200)).await;
        }
        harness
    }

    /// Returns the harness of one case.
    pub fn case(&self, ground: &Harness, faults: &[Fault], bug: Option<Bug>) -> Harness {
        let case = ground.case(faults, bug);
        case.answers.replace(self.answers.to_vec());
        case.meanwhile.set(self.meanwhile);
        case
    }
}

pub fn input(stage: &str, version: &str) -> Value {
    json!({"component": "logs", "version": version, "stage": stage})
}

/// Returns the tags of the stack of a component in `ci`.
fn tags_of(component: &str) -> Vec<(String, String)> {
    let identity = StackIdentity {
        stage: "ci".parse().expect("a stage"),
        environment: component.to_owned(),
        component: Some(component.parse().expect("a component")),
        installation: InstallationId::of_external_id(EXTERNAL_ID),
    };
    identity.tags().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

impl Step {
    /// Returns true if the step continues while the scenario runs.
    fn goes_on(&self) -> bool {
        matches!(
            self,
            Self::ForeignUpdate
                | Self::Rival
                | Self::Image(ImageStep::Rival | ImageStep::Full)
                | Self::Bake(BakeStep::Rival | BakeStep::Used)
        )
    }

    /// Applies the step.
    pub async fn take(&self, harness: &Harness, number: usize) {
        match self {
            Self::Deploy(stage, version) => {
                harness.answers.replace(vec![Decision::Approve; 2]);
                drop(execute(harness, &format!("ground-{number}"), &input(stage, version)).await);
            }
            Self::Passed(stage, version) => {
                let evidence = evidence(&release(version).release, stage);
                harness.ledger.insert(&evidence).await.expect("a write");
            }
            Self::Trouble(id, trouble) => harness.cloud.trouble(id, *trouble),
            Self::EndTrouble => harness.cloud.end_trouble(),
            Self::Review => {
                harness.cloud.put_template("https://bucket/old", &release(FIRST).template);
                let name = client_token("an earlier deployment", "change-set", 1);
                let wanted = NewChangeSet {
                    stack: "ci-logs".into(),
                    name: name.clone(),
                    token: name,
                    kind: ChangeSetKind::Create,
                    template: TemplateSource::Url("https://bucket/old".into()),
                    parameters: BTreeMap::new(),
                    tags: tags_of("logs"),
                    capabilities: Vec::new(),
                    role: String::new(),
                    imports_existing: false,
                    revert_drift: false,
                    with_nested: true,
                    description: String::new(),
                };
                harness.cloud.stacks().create_change_set(&wanted).await.expect("a change set");
            }
            Self::Forget => {
                let key = Environment::key_of(&"ci".parse().expect("a stage"), "logs");
                let known = harness.ledger.get::<Environment>(&key).await.expect("a read").expect("there");
                let forgotten = Environment { deployed: None, ..known.record.clone() };
                harness.ledger.replace(&known, forgotten).await.expect("a write");
            }
            Self::ForeignUpdate => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.update_as_other_caller(&arn, "Console-UpdateStack-1");
            }
            Self::Foreign => {
                let (template, none) = (&release(FIRST).template, BTreeMap::new());
                let token = Some("Console-CreateStack-1");
                harness.cloud.add_stack(
                    "ci-logs",
                    StackStatus::CreateComplete,
                    template,
                    (&none, &[]),
                    token,
                );
            }
            Self::Rival => {
                harness.set_execution(RIVAL, "RUNNING", harness.clock.now());
                let request = json!({
                    "action": "begin", "execution": RIVAL, "input": input("ci", FIRST),
                });
                harness.function("ledger-delivery", &request).await.expect("it begins");
                harness.schedule(Duration::from_secs(25), Happening::RivalEnds);
            }
            Self::Kept(id) => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.set_resource_status(&arn, id, "DELETE_SKIPPED");
            }
            Self::Drift(id, property) => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.drift(&arn, id, property, json!("typed by hand"));
            }
            Self::Protect => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.protect(&arn, true);
            }
            Self::Image(step) => step.take(harness, number).await,
            Self::Bake(step) => step.take(harness, number).await,
            Self::Push(step) => step.take(harness, number).await,
            Self::Status(status) => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.set_status(&arn, status.clone());
            }
        }
    }
}
