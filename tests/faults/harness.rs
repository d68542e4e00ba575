//! The control plane within the process: the real handlers over DynamoDB's engine and simulated CloudFormation and EC2,
//! in virtual time.
//!
//! [`crate::agenda`] lets time pass, [`crate::functions`] invokes functions, [`crate::people`] answers questions.

use crate::agenda::Happening;
use crate::bakes::recipes;
use crate::bugs::Bug;
use crate::crews::stage::Parked;
use crate::organisation;
use crate::pushes::repository;
use crate::scenarios::Meanwhile;
use crate::wire::{Wire, Written};
use jiff::Timestamp;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{ApprovalDecision, Decision, Deployment, Environment};
use lockstep_sim::FakeAws;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::cloudformation::SimCloudFormation;
use lockstep_sim::codebuild::SimCodeBuild;
use lockstep_sim::context::{BUCKET, SimContext};
use lockstep_sim::ec2::SimEc2;
use lockstep_sim::faults::Faults;
use lockstep_sim::faulty::{FaultyContext, Mistake, NoMistake};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The duration of a build and of a copy of an image.
const OPERATION: Duration = Duration::from_secs(60);

/// The time before the approver answers.
const THOUGHT: Duration = Duration::from_secs(3600);

/// The state of a task token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// The token has no answer yet.
    Open,
    /// The token has its answer.
    Answered,
    /// The token is invalid.
    Closed,
}

/// The environment of one run.
pub struct Harness {
    pub clock: VirtualClock,
    pub faults: Arc<Faults>,
    pub wire: Arc<Wire>,
    pub account: FakeAws,
    pub cloud: SimCloudFormation,
    pub ec2: SimEc2,
    pub codebuild: SimCodeBuild,
    /// The start of the case.
    pub began: Timestamp,
    /// The ledger without faults.
    pub ledger: Ledger,
    pub bug: Option<Bug>,
    /// The context of functions, with faults.
    pub context: FaultyContext,
    /// The same for the function of images of the delivery path.
    pub delivery: FaultyContext,
    /// The context of functions, without faults.
    pub fault_free: FaultyContext,
    /// Every task token.
    pub tokens: RefCell<BTreeMap<String, Token>>,
    /// The status of each execution, and its time.
    pub executions: RefCell<BTreeMap<String, (&'static str, Timestamp)>>,
    /// The happenings by their time.
    pub agenda: RefCell<BTreeMap<(Timestamp, u32), Happening>>,
    counter: Cell<u32>,
    chance: Cell<u64>,
    /// The answers of the approver to the first question, the second, ...
    pub answers: RefCell<Vec<Decision>>,
    /// The single action while the approver thinks.
    pub meanwhile: Cell<Option<Meanwhile>>,
    /// The deployments whose checks passed.
    pub checked: RefCell<Vec<DeploymentId>>,
    /// The execution whose state machine runs now, and its input.
    pub current: RefCell<(String, Value)>,
    /// The executions that run now, each started by the one before it.
    pub running: RefCell<Vec<String>>,
    /// The execution that took the environment from the current one.
    pub successor: RefCell<Option<String>>,
    /// True while several executions run at once.
    pub crew: Cell<bool>,
    /// The wait of the execution that parked last.
    pub parked: RefCell<Option<Parked>>,
    /// The time before the approver answers.
    pub thought: Cell<Duration>,
    /// The versions whose questions the approver refuses, whatever the answers.
    pub refused: RefCell<Vec<&'static str>>,
}

impl Harness {
    /// Returns an organisation without deployments.
    pub async fn new() -> Self {
        let start = Timestamp::from_second(4_102_444_800).expect("the year 2100");
        let clock = VirtualClock::at(start);
        let (cloud, ec2) = (SimCloudFormation::new(&clock), SimEc2::new(&clock));
        let codebuild = SimCodeBuild::new(&clock, &ec2);
        // An operation is shorter than a slow call.
        ec2.set_pace(OPERATION);
        codebuild.set_pace(OPERATION);
        let harness = Self::of(&FakeAws::new(), (cloud, ec2, codebuild), clock, &[], None);
        harness.ledger.insert(&organisation::stages()).await.expect("stages");
        for made in organisation::releases() {
            harness.account.put_object(BUCKET, &made.release.artifact, made.artifact.clone());
            harness.ledger.insert(&made.release).await.expect("a release");
            harness.ledger.insert(&organisation::evidence(&made.release, "test")).await.expect("evidence");
        }
        harness
    }

    /// Returns another harness in the same state, for a case.
    pub fn case(&self, faults: &[lockstep_sim::faults::Fault], bug: Option<Bug>) -> Self {
        let clock = VirtualClock::at(self.clock.now());
        let ec2 = self.ec2.duplicate(&clock);
        let codebuild = self.codebuild.duplicate(&clock, &ec2);
        let clouds = (self.cloud.duplicate(&clock), ec2, codebuild);
        let case = Self::of(&self.account.duplicate(), clouds, clock, faults, bug);
        for (execution, (status, at)) in self.executions.borrow().iter() {
            case.set_execution(execution, status, *at);
        }
        *case.agenda.borrow_mut() = self.agenda.borrow().clone();
        case.counter.set(self.counter.get());
        case
    }

    fn of(
        account: &FakeAws,
        (cloud, ec2, codebuild): (SimCloudFormation, SimEc2, SimCodeBuild),
        clock: VirtualClock,
        faults: &[lockstep_sim::faults::Fault],
        bug: Option<Bug>,
    ) -> Self {
        let faults = Faults::of(faults);
        let wire = Arc::new(Wire {
            faults: Arc::clone(&faults),
            clock: clock.clone(),
            bug,
            written: Default::default(),
            past: Default::default(),
            units: Default::default(),
        });
        // Calls without faults are recorded too.
        let calm = Wire {
            faults: Faults::of(&[]),
            clock: clock.clone(),
            bug: None,
            written: Arc::clone(&wire.written),
            past: Default::default(),
            units: Default::default(),
        };
        let sim = SimContext::of(&clock, account, cloud.clone(), ec2.clone(), codebuild.clone());
        let sim = sim.on_path(DeploymentPath::Promotion);
        for commit in recipes::COMMITS {
            let commit = commit.parse().expect("a commit");
            sim.hosts.hold(&commit, recipes::tarball(&commit));
        }
        for commit in repository::COMMITS {
            let commit = commit.parse().expect("a commit");
            sim.hosts.hold(&commit, repository::tarball(&commit));
        }
        let mistake: Rc<dyn Mistake> = match bug {
            Some(bug) => Rc::new(bug),
            None => Rc::new(NoMistake),
        };
        let unstruck = Faults::of(&[]);
        Self {
            delivery: FaultyContext::new(
                &sim.clone().on_path(DeploymentPath::Delivery),
                &faults,
                wire.clone(),
                Rc::clone(&mistake),
            ),
            context: FaultyContext::new(&sim, &faults, wire.clone(), mistake),
            fault_free: FaultyContext::new(&sim, &unstruck, Arc::new(calm), Rc::new(NoMistake)),
            ledger: Ledger::new(&account.aws()),
            account: account.clone(),
            began: clock.now(),
            clock,
            faults,
            wire,
            cloud,
            ec2,
            codebuild,
            bug,
            tokens: RefCell::default(),
            executions: RefCell::default(),
            agenda: RefCell::default(),
            counter: Cell::new(0),
            chance: Cell::new(0x9E37_79B9_7F4A_7C15),
            answers: RefCell::default(),
            meanwhile: Cell::new(None),
            checked: RefCell::default(),
            current: RefCell::default(),
            running: RefCell::default(),
            successor: RefCell::default(),
            crew: Cell::new(false),
            parked: RefCell::default(),
            thought: Cell::new(THOUGHT),
            refused: RefCell::default(),
        }
    }

    /// Returns a unique number.
    pub fn count(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    /// Returns the next number from 0 up to 1 of a fixed series (SplitMix64).
    pub fn next_chance(&self) -> f64 {
        let state = self.chance.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.chance.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Returns true if an execution began in this case and not on its ground.
    pub fn is_of_this_case(&self, execution: &str) -> bool {
        !execution.contains(":ground-")
    }

    /// Returns the records that functions wrote, in order.
    pub fn written(&self) -> Vec<Written> {
        self.wire.written.lock().expect("no thread panics there").clone()
    }

    /// Returns the answers of approvers, oldest first.
    pub async fn decisions(&self) -> Vec<ApprovalDecision> {
        let found = self.ledger.list_kind::<ApprovalDecision>(1000).await.expect("a list");
        found.into_iter().rev().map(|found| found.record).collect()
    }

    /// Returns every deployment.
    pub async fn deployments(&self) -> Vec<Deployment> {
        let found = self.ledger.list_kind::<Deployment>(1000).await.expect("a list");
        found.into_iter().map(|found| found.record).collect()
    }

    /// Returns a deployment.
    pub async fn deployment(&self, id: &DeploymentId) -> Option<Deployment> {
        let found = self.ledger.get(&Deployment::key_of(id)).await.expect("a read");
        found.map(|found| found.record)
    }

    /// Returns the environment of the component in `stage`.
    pub async fn environment(&self, stage: &str) -> Option<Environment> {
        let key = Environment::key_of(&stage.parse().expect("a stage"), "logs");
        self.ledger.get(&key).await.expect("a read").map(|found| found.record)
    }

    /// Sets the status that DescribeExecution shows for an execution.
    pub fn set_execution(&self, execution: &str, status: &'static str, at: Timestamp) {
        self.account.set_execution(execution, status);
        self.executions.borrow_mut().insert(execution.to_owned(), (status, at));
    }

    /// Returns the calls that changed state, in order.
    pub fn effects(&self) -> Vec<&'static str> {
        let stacks = self.cloud.effects().into_iter().map(|effect| effect.call);
        let images = self.ec2.effects().into_iter().map(|effect| effect.call);
        let builds = self.codebuild.started().into_iter().map(|_| "StartBuild");
        stacks.chain(images).chain(builds).collect()
    }

    /// Returns a new task token.
    pub fn new_token(&self) -> String {
        let token = format!("token-{}", self.count());
        self.tokens.borrow_mut().insert(token.clone(), Token::Open);
        token
    }

    /// Returns true if a token has an answer.
    pub fn is_answered(&self, token: &str) -> bool {
        self.tokens.borrow().get(token) == Some(&Token::Answered)
    }

    /// Makes a token invalid.
    pub fn close(&self, token: &str) {
        self.tokens.borrow_mut().insert(token.to_owned(), Token::Closed);
    }
}
