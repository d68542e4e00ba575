//! What is deployed, onto what, and how it must end.

use crate::bugs::Bug;
use crate::faults::Fault;
use crate::harness::{Happening, Harness, is_teardown, path};
use crate::organisation::{CONDITIONAL, EQUAL, FIRST, REMOVAL, SAFE, release};
use lockstep_domain::ids::DeploymentId;
use lockstep_domain::records::{Decision, Environment};
use lockstep_domain::stack_plan::ChangeSetKind;
use lockstep_domain::stack_plan::StackStatus;
use lockstep_domain::token::client_token;
use lockstep_platform::cloudformation::{NewChangeSet, Stacks};
use lockstep_platform::testing::cloudformation::Trouble;
use lockstep_tests::asl::{End, Machines, Run, run};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// The ARN of a state machine.
fn machine(path: &str, name: &str) -> String {
    format!("arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-{path}-{name}")
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
    /// The termination protection of the stack in `ci` is on.
    Protect,
    /// The stack in `ci` is in this status.
    Status(StackStatus),
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
    /// What was there before.
    pub ground: &'static [Step],
    /// The stage.
    pub stage: &'static str,
    /// The version.
    pub version: &'static str,
    /// What a person answers.
    pub answers: &'static [Decision],
    /// What happens while they think.
    pub meanwhile: Option<Meanwhile>,
    /// How it ends when nothing strikes: `SUCCEEDED`, or the error's name.
    pub ends: &'static str,
    /// How deploying again ends once nothing is in trouble any more.
    pub again: &'static str,
}

/// The version of what is to be torn down.
const GONE: &str = "";

const CI: Scenario = Scenario {
    name: "",
    ground: &[],
    stage: "ci",
    version: FIRST,
    answers: &[],
    meanwhile: None,
    ends: "SUCCEEDED",
    again: "SUCCEEDED",
};

const TEARDOWN: Scenario = Scenario { version: GONE, ..CI };

const FIRST_IN_CI: Step = Step::Deploy("ci", FIRST);

/// Every scenario.
pub fn scenarios() -> Vec<Scenario> {
    use Decision::{Approve, Refuse};
    let production: &[Step] = &[FIRST_IN_CI];
    let later: &[Step] = &[FIRST_IN_CI, Step::Deploy("production", FIRST), Step::Deploy("ci", SAFE)];
    vec![
        Scenario { name: "create", ..CI },
        Scenario { name: "update", ground: &[FIRST_IN_CI], version: SAFE, ..CI },
        Scenario { name: "no-change", ground: &[FIRST_IN_CI], version: EQUAL, ..CI },
        Scenario { name: "empty-change-set", ground: &[FIRST_IN_CI, Step::Forget], ..CI },
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
            ground: &[Step::Trouble("Topic", Trouble::Create), FIRST_IN_CI, Step::Mend],
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
        ("deploy", include_str!("../../statemachines/deploy.asl.json")),
        ("teardown", include_str!("../../statemachines/teardown.asl.json")),
    ];
    let paths = ["delivery", "promotion"].into_iter();
    for (path, (name, text)) in paths.flat_map(|path| texts.map(|text| (path, text))) {
        let arn = machine(path, name);
        let functions = [
            ("LedgerFunction", "ledger"),
            ("StackFunction", "stack"),
            ("VerifyFunction", "verify"),
            ("ImageFunction", "image"),
            ("PromoteImageStateMachine", "promote-image"),
            ("Path", path),
        ];
        machines.add(&arn, text, &functions);
        if let (Some(bug), "deploy", Some(definition)) = (bug, name, machines.definition(&arn)) {
            bug.twist_machine(definition);
        }
    }
    machines
}

/// Runs `deploy`, or `teardown` if that is what the input is for, under a name.
pub async fn deploy(harness: &Harness, name: &str, input: &Value) -> Run {
    let path = serde_json::to_value(path(input)).expect("a path");
    let machine =
        machine(path.as_str().expect("a word"), if is_teardown(input) { "teardown" } else { "deploy" });
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
        match self.version {
            GONE => json!({"component": "logs", "stage": self.stage}),
            version => input(self.stage, version),
        }
    }

    /// Whether the stack is to go.
    pub fn is_teardown(&self) -> bool {
        self.version == GONE
    }

    /// The world before anything is struck.
    pub async fn prepare(&self) -> Harness {
        let harness = Harness::new().await;
        harness.faults.suspend(true);
        for (number, step) in self.ground.iter().enumerate() {
            step.take(&harness, number).await;
        }
        // Whatever the ground left to happen has happened, unless it is what the scenario is about.
        if !self.ground.iter().any(|step| matches!(step, Step::Somebody | Step::Rival)) {
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
    /// Lets it happen.
    pub async fn take(&self, harness: &Harness, number: usize) {
        match self {
            Self::Deploy(stage, version) => {
                harness.answers.replace(vec![Decision::Approve; 2]);
                drop(deploy(harness, &format!("ground-{number}"), &input(stage, version)).await);
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
            Self::Protect => {
                let arn = harness.cloud.arn("ci-logs").expect("a stack");
                harness.cloud.protect(&arn, true);
            }
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
