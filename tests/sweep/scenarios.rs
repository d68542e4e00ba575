//! What is deployed, onto what, and how it must end.

use crate::bugs::Bug;
use crate::faults::Fault;
use crate::harness::{Happening, Harness, path};
use crate::images::scenarios::ImageStep;
use crate::organisation::{CONDITIONAL, EQUAL, FIRST, REMOVAL, SAFE, release};
use lockstep_domain::ids::DeploymentId;
use lockstep_domain::records::{Decision, Environment};
use lockstep_domain::stack_plan::ChangeSetKind;
use lockstep_domain::stack_plan::StackStatus;
use lockstep_domain::stages::Path;
use lockstep_domain::token::client_token;
use lockstep_platform::cloudformation::{NewChangeSet, Stacks};
use lockstep_platform::testing::cloudformation::Trouble;
use lockstep_tests::asl::{End, Machines, Run, run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// The ARN of a state machine. Images take one path only.
fn machine(path: Path, work: Work) -> String {
    let name = match work {
        Work::Deploy | Work::Teardown => format!("{}-{work}", word_of(path)),
        Work::PromoteImage => work.to_string(),
    };
    format!("arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-{name}")
}

/// An execution of somebody else that holds the environment.
pub const RIVAL: &str = "arn:aws:states:eu-west-1:333333333333:execution:lockstep-delivery-deploy:rival";

/// What was there before.
#[derive(Clone, Debug)]
pub enum Step {
    /// A deployment of this version to this stage, however it ended.
    Deploy(&'static str, &'static str),
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
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `deploy`.
    Deploy,
    /// `teardown`.
    Teardown,
    /// `promote-image`.
    PromoteImage,
}

impl Work {
    /// What an input is for: an image is not a component, and what goes needs no version.
    pub fn of(input: &Value) -> Self {
        match (input.get("image"), input.get("version")) {
            (Some(_), _) => Self::PromoteImage,
            (None, None) => Self::Teardown,
            (None, Some(_)) => Self::Deploy,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Teardown => "teardown",
            Self::PromoteImage => "promote-image",
        })
    }
}

/// What happens while a person thinks.
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
    revert_drift: false,
    answers: &[],
    meanwhile: None,
    ends: "SUCCEEDED",
    again: "SUCCEEDED",
};

const TEARDOWN: Scenario = Scenario { work: Work::Teardown, ..CI };

const FIRST_IN_CI: Step = Step::Deploy("ci", FIRST);

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    [stack_scenarios(), crate::images::scenarios::scenarios()].concat()
}

fn stack_scenarios() -> Vec<Scenario> {
    use Decision::{Approve, Refuse};
    let production: &[Step] = &[FIRST_IN_CI];
    let later: &[Step] = &[FIRST_IN_CI, Step::Deploy("production", FIRST), Step::Deploy("ci", SAFE)];
    vec![
        Scenario { name: "create", ..CI },
        Scenario { name: "update", ground: &[FIRST_IN_CI], version: SAFE, ..CI },
        Scenario { name: "no-change", ground: &[FIRST_IN_CI], version: EQUAL, ..CI },
        Scenario { name: "empty-change-set", ground: &[FIRST_IN_CI, Step::Forget], ..CI },
        Scenario {
            name: "drift-reverted",
            ground: &[FIRST_IN_CI, Step::Drift("Topic", "DisplayName")],
            revert_drift: true,
            ..CI
        },
        Scenario {
            name: "failing-create",
            ground: &[Step::Trouble("Bucket", Trouble::Create)],
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "failing-update",
            ground: &[FIRST_IN_CI, Step::Trouble("Topic", Trouble::Update)],
            version: SAFE,
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "failing-rollback",
            ground: &[
                FIRST_IN_CI,
                Step::Trouble("Topic", Trouble::Update),
                Step::Trouble("Topic", Trouble::Rollback),
            ],
            version: SAFE,
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "rollback-without-a-resource",
            ground: &[
                FIRST_IN_CI,
                Step::Trouble("Topic", Trouble::Update),
                Step::Trouble("Topic", Trouble::Rollback),
                Step::Deploy("ci", SAFE),
            ],
            version: SAFE,
            answers: &[Approve, Approve],
            ends: "StackFailed",
            ..CI
        },
        Scenario {
            name: "update-failed-remains",
            ground: &[FIRST_IN_CI, Step::Status(StackStatus::UpdateFailed)],
            version: SAFE,
            ..CI
        },
        Scenario { name: "review-remains", ground: &[Step::Review], ..CI },
        Scenario {
            name: "rollback-complete-remains",
            ground: &[Step::Trouble("Bucket", Trouble::Create), FIRST_IN_CI, Step::Mend],
            ..CI
        },
        Scenario {
            name: "protected-remains",
            ground: &[Step::Trouble("Topic", Trouble::Create), FIRST_IN_CI, Step::Mend, Step::Kept("Bucket")],
            ends: "StackNeedsHuman",
            again: "StackNeedsHuman",
            ..CI
        },
        Scenario {
            name: "rollback-failed-remains",
            ground: &[
                Step::Trouble("Bucket", Trouble::Create),
                Step::Trouble("Topic", Trouble::Delete),
                FIRST_IN_CI,
                Step::Mend,
            ],
            ..CI
        },
        Scenario {
            name: "undeletable-remains",
            ground: &[
                Step::Trouble("Bucket", Trouble::Create),
                Step::Trouble("Topic", Trouble::Delete),
                FIRST_IN_CI,
                Step::Mend,
                Step::Trouble("Topic", Trouble::Delete),
            ],
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario { name: "somebody-else", ground: &[FIRST_IN_CI, Step::Somebody], version: SAFE, ..CI },
        Scenario {
            name: "foreign-stack",
            ground: &[Step::Foreign],
            ends: "StackNeedsHuman",
            again: "StackNeedsHuman",
            ..CI
        },
        Scenario { name: "rival", ground: &[FIRST_IN_CI, Step::Rival], version: SAFE, ..CI },
        Scenario {
            name: "conditional-replacement",
            ground: &[FIRST_IN_CI],
            version: CONDITIONAL,
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario {
            name: "removal-refused",
            ground: &[FIRST_IN_CI],
            version: REMOVAL,
            answers: &[Refuse, Refuse, Refuse],
            ends: "ApprovalRefused",
            again: "ApprovalRefused",
            ..CI
        },
        Scenario {
            name: "approved",
            ground: production,
            stage: "production",
            answers: &[Approve, Approve],
            ..CI
        },
        Scenario {
            name: "nobody-answers",
            ground: production,
            stage: "production",
            ends: "ApprovalRefused",
            again: "ApprovalRefused",
            ..CI
        },
        Scenario {
            name: "changed-while-thinking",
            ground: later,
            stage: "production",
            version: SAFE,
            answers: &[Approve, Approve],
            meanwhile: Some(Meanwhile::StackChanges),
            ..CI
        },
        Scenario { name: "teardown", ground: &[FIRST_IN_CI], answers: &[Approve, Approve], ..TEARDOWN },
        Scenario {
            name: "teardown-refused",
            ground: &[FIRST_IN_CI],
            answers: &[Refuse, Refuse],
            ends: "ApprovalRefused",
            again: "ApprovalRefused",
            ..TEARDOWN
        },
        Scenario {
            name: "teardown-fails",
            ground: &[FIRST_IN_CI, Step::Trouble("Topic", Trouble::Delete)],
            answers: &[Approve, Refuse],
            ends: "ApprovalRefused",
            ..TEARDOWN
        },
        Scenario {
            name: "teardown-without-a-resource",
            ground: &[FIRST_IN_CI, Step::Trouble("Topic", Trouble::Delete)],
            answers: &[Approve, Approve],
            ..TEARDOWN
        },
        Scenario {
            name: "teardown-of-what-is-protected",
            ground: &[FIRST_IN_CI, Step::Protect],
            ends: "StackNeedsHuman",
            again: "StackNeedsHuman",
            ..TEARDOWN
        },
    ]
}

/// The scenario of this name.
pub fn scenario(name: &str) -> Option<Scenario> {
    scenarios().into_iter().find(|scenario| scenario.name == name)
}

/// The state machines, with a mistake in them or not; read once for each thread.
fn machines(bug: Option<Bug>) -> Rc<Machines> {
    thread_local!(static READ: RefCell<Vec<(Option<Bug>, Rc<Machines>)>> = RefCell::default());
    READ.with_borrow_mut(|read| {
        if let Some((_, known)) = read.iter().find(|(of, _)| *of == bug) {
            return Rc::clone(known);
        }
        let machines = Rc::new(read_machines(bug));
        read.push((bug, Rc::clone(&machines)));
        machines
    })
}

fn read_machines(bug: Option<Bug>) -> Machines {
    let mut machines = Machines::default();
    let texts = [
        (Work::Deploy, include_str!("../../statemachines/deploy.asl.json")),
        (Work::Teardown, include_str!("../../statemachines/teardown.asl.json")),
        (Work::PromoteImage, include_str!("../../statemachines/promote-image.asl.json")),
    ];
    let paths = [Path::Delivery, Path::Promotion].into_iter();
    for (path, (work, text)) in paths.flat_map(|path| texts.map(|text| (path, text))) {
        let arn = machine(path, work);
        let functions = [
            ("LedgerFunction", "ledger"),
            ("StackFunction", "stack"),
            ("VerifyFunction", "verify"),
            ("ImageFunction", "image"),
            ("PromoteImageStateMachine", &machine(path, Work::PromoteImage)),
            ("Path", word_of(path)),
        ];
        machines.add(&arn, text, &functions);
        if let (Some(bug), Some(definition)) = (bug, machines.definition(&arn)) {
            bug.twist_machine(work, definition);
        }
    }
    machines
}

fn word_of(path: Path) -> &'static str {
    match path {
        Path::Delivery => "delivery",
        Path::Promotion => "promotion",
    }
}

/// Runs what the input is for, under a name.
pub async fn execute(harness: &Harness, name: &str, input: &Value) -> Run {
    let machine = machine(path(input), Work::of(input));
    let execution = lockstep_tests::asl::execution_arn(&machine, name);
    harness.current.replace((execution, input.clone()));
    run(harness, &machines(harness.bug), &machine, name, input).await
}

/// How a run ended, in a word.
pub fn word(run: &Run) -> &str {
    match &run.end {
        End::Failed(error) => &error.error,
        end => end.status(),
    }
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
        matches!(self, Self::Somebody | Self::Rival | Self::Image(ImageStep::Rival | ImageStep::Full))
    }

    /// Lets it happen.
    pub async fn take(&self, harness: &Harness, number: usize) {
        match self {
            Self::Deploy(stage, version) => {
                harness.answers.replace(vec![Decision::Approve; 2]);
                drop(execute(harness, &format!("ground-{number}"), &input(stage, version)).await);
            }
            Self::Trouble(id, trouble) => harness.cloud.trouble(id, *trouble),
            Self::Mend => harness.cloud.mend(),
            Self::Review => {
                harness.cloud.put_template("https://bucket/old", &release(FIRST).template);
                let name = client_token("an earlier deployment", "change-set", 1);
                let wanted = NewChangeSet {
                    stack: "ci-logs".into(),
                    name: name.clone(),
                    token: name,
                    kind: ChangeSetKind::Create,
                    template_url: "https://bucket/old".into(),
                    parameters: BTreeMap::new(),
                    tags: Vec::new(),
                    capabilities: Vec::new(),
                    role: String::new(),
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
            Self::Status(status) => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.set_status(&arn, status.clone());
            }
        }
    }
}

/// The deployment of a run.
pub fn deployment_of(run: &Run) -> DeploymentId {
    DeploymentId::of_execution(&run.execution)
}
