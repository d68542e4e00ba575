//! What a case starts from, what is done then, and how it must end. The tables are those of [`crate::stacks`],
//! [`crate::images`] and [`crate::bakes`].

use crate::agenda::Happening;
use crate::bakes::scenarios::BakeStep;
use crate::bugs::Bug;
use crate::harness::Harness;
use crate::images::scenarios::ImageStep;
use crate::organisation::{FIRST, evidence, release};
use crate::stacks::scenarios::RIVAL;
use crate::workflows::{Work, execute};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Decision, Environment};
use lockstep_domain::stacks::plan::ChangeSetKind;
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_platform::cloudformation::{NewChangeSet, Stacks, TemplateSource};
use lockstep_sim::cloudformation::Trouble;
use lockstep_sim::faults::Fault;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What was there before.
#[derive(Clone, Debug)]
pub enum Step {
    /// A deployment of this version to this stage, however it ended.
    Deploy(&'static str, &'static str),
    /// This version has passed this stage.
    Passed(&'static str, &'static str),
    /// From now on this resource is in trouble.
    Trouble(&'static str, Trouble),
    /// Nothing is in trouble any more.
    Mend,
    /// A change set of an earlier deployment that nobody executed, on a stack that was never created.
    Review,
    /// The ledger knows nothing of what the last deployment to `ci` did.
    Forget,
    /// Somebody updates the stack, and is not done yet.
    Somebody,
    /// A stack of that name which Lockstep did not make.
    Foreign,
    /// Another execution holds the environment for half a minute.
    Rival,
    /// The failed creation of the stack in `ci` left this resource, as one by somebody else may have.
    Kept(&'static str),
    /// Somebody changed this property of this resource of the stack in `ci` by hand.
    Drift(&'static str, &'static str),
    /// The termination protection of the stack in `ci` is on.
    Protect,
    /// The stack in `ci` is in this status.
    Status(StackStatus),
    /// Something about images.
    Image(ImageStep),
    /// Something about what is baked.
    Bake(BakeStep),
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Somebody updates the stack, so that every change set on it is obsolete.
    StackChanges,
}

impl Meanwhile {
    /// It happens.
    pub fn happen(self, harness: &Harness) {
        let arn = harness.cloud.arn("production-logs").expect("there is a stack");
        harness.cloud.somebody_updates(&arn, "Console-UpdateStack-1");
    }
}

/// One scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in a case.
    pub name: &'static str,
    /// What it is for.
    pub work: Work,
    /// What was there before.
    pub ground: &'static [Step],
    /// The stage.
    pub stage: &'static str,
    /// The version.
    pub version: &'static str,
    /// The branch that is baked from.
    pub branch: &'static str,
    /// Whether drift is to be reverted.
    pub revert_drift: bool,
    /// What a person answers.
    pub answers: &'static [Decision],
    /// What happens while they think.
    pub meanwhile: Option<Meanwhile>,
    /// How it ends when nothing strikes: `SUCCEEDED`, or the error's name.
    pub ends: &'static str,
    /// How deploying again ends once nothing is in trouble any more.
    pub again: &'static str,
}

/// A deployment to `ci` of what runs at first.
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

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    [
        crate::stacks::scenarios::scenarios(),
        crate::images::scenarios::scenarios(),
        crate::bakes::scenarios::scenarios(),
    ]
    .concat()
}

/// The scenario of this name.
pub fn scenario(name: &str) -> Option<Scenario> {
    scenarios().into_iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// What the state machine is given.
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
            Work::BakeImage | Work::BuildImage => crate::bakes::scenarios::input(self.branch, self.version),
        }
    }

    /// Whether the stack is to go.
    pub fn is_teardown(&self) -> bool {
        self.work == Work::Teardown
    }

    /// The world before anything is struck.
    pub async fn prepare(&self) -> Harness {
        let harness = Harness::new().await;
        harness.faults.suspend(true);
        for (number, step) in self.ground.iter().enumerate() {
            step.take(&harness, number).await;
        }
        // Whatever the ground left to happen has happened, unless it is what the scenario is about.
        if !self.ground.iter().any(Step::goes_on) {
            harness.let_pass(Duration::from_secs(7200)).await;
        }
        harness
    }

    /// The world of one case.
    pub fn case(&self, ground: &Harness, faults: &[Fault], bug: Option<Bug>) -> Harness {
        let case = ground.case(faults, bug);
        case.answers.replace(self.answers.to_vec());
        case.meanwhile.set(self.meanwhile);
        case
    }
}

fn input(stage: &str, version: &str) -> Value {
    json!({"component": "logs", "version": version, "stage": stage})
}

impl Step {
    /// Whether it goes on while the scenario runs.
    fn goes_on(&self) -> bool {
        matches!(
            self,
            Self::Somebody
                | Self::Rival
                | Self::Image(ImageStep::Rival | ImageStep::Full)
                | Self::Bake(BakeStep::Rival | BakeStep::Used)
        )
    }

    /// Lets it happen.
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
            Self::Mend => harness.cloud.end_trouble(),
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
                    tags: Vec::new(),
                    capabilities: Vec::new(),
                    role: String::new(),
                    imports_existing: false,
                    revert_drift: false,
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
            Self::Somebody => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.somebody_updates(&arn, "Console-UpdateStack-1");
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
                    "action": "begin", "execution": RIVAL, "path": "delivery", "input": input("ci", FIRST),
                });
                harness.function("ledger", &request).await.expect("it begins");
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
            Self::Status(status) => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.set_status(&arn, status.clone());
            }
        }
    }
}
