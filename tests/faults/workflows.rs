//! The state machines: the real files with their placeholders replaced, run by the interpreter.

use crate::bugs::Bug;
use crate::harness::Harness;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_tests::asl::{End, Machines, Run, run};
use serde_json::Value;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// The workflow of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Deploy,
    Teardown,
    PromoteImage,
    BakeImage,
    /// `build-image`, which `bake-image` starts.
    BuildImage,
    /// A push.
    Release,
}

impl Work {
    /// Returns the workflow of an input. A bake has no version yet, and a teardown needs none.
    pub fn of(input: &Value) -> Self {
        match (input.get("image"), input.get("version")) {
            (None, None) if input.get("commit").is_some() => Self::Release,
            (Some(_), None) => Self::BakeImage,
            (Some(_), Some(_)) => Self::PromoteImage,
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
            Self::BakeImage => "bake-image",
            Self::BuildImage => "build-image",
            Self::Release => "release",
        })
    }
}

/// Returns the ARN of a state machine. Some workflows have one machine for both paths.
fn machine(path: DeploymentPath, work: Work) -> String {
    let name = match work {
        Work::Deploy | Work::Teardown | Work::BuildImage => format!("{}-{work}", word_of(path)),
        Work::PromoteImage | Work::BakeImage | Work::Release => work.to_string(),
    };
    format!("arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-{name}")
}

/// Returns the path of an input.
pub fn path(input: &Value) -> DeploymentPath {
    if input["stage"] == "production" { DeploymentPath::Promotion } else { DeploymentPath::Delivery }
}

/// Returns the state machines of a path, as callers of the ledger.
pub fn machines_of(path: DeploymentPath) -> Callers {
    match path {
        DeploymentPath::Delivery => Callers::Delivery,
        DeploymentPath::Promotion => Callers::Promotion,
    }
}

/// Returns the state machines, with or without a mistake. Each thread reads them once.
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
    let works =
        [Work::Deploy, Work::Teardown, Work::PromoteImage, Work::BakeImage, Work::BuildImage, Work::Release];
    let paths = [DeploymentPath::Delivery, DeploymentPath::Promotion].into_iter();
    for (path, work) in paths.flat_map(|path| works.map(|work| (path, work))) {
        let arn = machine(path, work);
        // Pushes alone bake, on the delivery path.
        let of_pushes = matches!(work, Work::BakeImage | Work::Release);
        let of_ledger = if of_pushes { DeploymentPath::Delivery } else { path };
        let ledger = format!("ledger-{}", word_of(of_ledger));
        let functions = [
            ("LedgerFunction", ledger.as_str()),
            ("StackFunction", "stack"),
            ("VerifyFunction", "verify"),
            ("ImageFunction", "image"),
            ("DeliveryImageFunction", "delivery-image"),
            ("PackageFunction", "package"),
            ("BakeFunction", "bake"),
            ("DeliveryBakeFunction", "bake"),
            ("PromotionBakeFunction", "bake"),
            ("DeployStateMachine", &machine(DeploymentPath::Delivery, Work::Deploy)),
            ("BakeImageStateMachine", &machine(DeploymentPath::Delivery, Work::BakeImage)),
            ("PromoteImageStateMachine", &machine(path, Work::PromoteImage)),
            ("DeliveryBuildStateMachine", &machine(DeploymentPath::Delivery, Work::BuildImage)),
            ("PromotionBuildStateMachine", &machine(DeploymentPath::Promotion, Work::BuildImage)),
        ];
        machines.add(&arn, &definition(work), &functions);
        if let (Some(bug), Some(definition)) = (bug, machines.definition(&arn)) {
            bug.twist_machine(work, definition);
        }
    }
    machines
}

/// Returns the JSON of the state machine that a workflow names.
fn definition(work: Work) -> String {
    lockstep_tests::state_machines().get(&work.to_string()).expect("a state machine").json()
}

fn word_of(path: DeploymentPath) -> &'static str {
    match path {
        DeploymentPath::Delivery => "delivery",
        DeploymentPath::Promotion => "promotion",
    }
}

/// Runs the workflow of the input, under a name.
pub async fn execute(harness: &Harness, name: &str, input: &Value) -> Run {
    harness.record_starter(&execution_of(name, input), input).await;
    execute_unasked(harness, name, input).await
}

/// Returns the ARN of the execution of an input under a name.
pub fn execution_of(name: &str, input: &Value) -> String {
    lockstep_tests::asl::execution_arn(&machine(path(input), Work::of(input)), name)
}

/// Runs the workflow of the input, which no person asked for, under a name.
pub async fn execute_unasked(harness: &Harness, name: &str, input: &Value) -> Run {
    let machine = machine(path(input), Work::of(input));
    harness.current.replace((execution_of(name, input), input.clone()));
    run(harness, &machines(harness.bug), &machine, name, input).await
}

/// Returns the end of a run in a word.
pub fn word(run: &Run) -> &str {
    match &run.end {
        End::Failed(error) => &error.error,
        end => end.status(),
    }
}
/// Returns the deployment of a run.
pub fn deployment_of(run: &Run) -> DeploymentId {
    DeploymentId::of_execution(&run.execution)
}
