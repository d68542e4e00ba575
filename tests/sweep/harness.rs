//! The control plane within the process: the real handlers, over DynamoDB's engine and a simulated CloudFormation, in
//! virtual time.

use crate::bugs::Bug;
use crate::faults::{Driven, Faults, Kind, Pause, Site};
use crate::images::ImageWorld;
use crate::organisation;
use crate::scenarios::{Meanwhile, Work};
use crate::stacks::StruckStacks;
use crate::wire::{Wire, Written};
use jiff::Timestamp;
use lockstep_domain::checks::{Admission, Peer};
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::function_code::FunctionCode;
use lockstep_domain::hints::ended_operation;
use lockstep_domain::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::payloads;
use lockstep_domain::records::{
    Decision, Deployment, DeploymentState, Environment, Location, Release, Subject,
};
use lockstep_domain::stages::Path;
use lockstep_domain::version::Version;
use lockstep_ledger::App;
use lockstep_platform::executions::{Answered, Executions};
use lockstep_platform::function_url::Invocation;
use lockstep_platform::functions::Called;
use lockstep_platform::ledger::Ledger;
use lockstep_platform::probe::{Answer, Get, Unanswered};
use lockstep_platform::testing::clock::VirtualClock;
use lockstep_platform::testing::cloudformation::SimCloudFormation;
use lockstep_platform::testing::ec2::SimEc2;
use lockstep_platform::testing::{FakeAws, TABLE};
use lockstep_platform::waits::Waits;
use lockstep_resume::handler::Tokens;
use lockstep_tests::asl::TaskError;
use serde::Serialize;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long EventBridge and an asynchronous invocation take.
const DELIVERY: Duration = Duration::from_secs(2);
/// How long a function that failed is left alone before it gets its event again, and how often it does.
const REDELIVERY: (Duration, u32) = (Duration::from_secs(60), 2);
/// How long a copy of an image takes.
const OPERATION: Duration = Duration::from_secs(60);
/// How long a slow call takes: longer than an operation.
const SLOW: Duration = Duration::from_secs(100);
/// How long a person thinks.
const THOUGHT: Duration = Duration::from_secs(3600);

/// Who answers questions.
pub const PERSON: &str = "arn:aws:iam::333333333333:user/ada";

/// What happens at its time.
#[derive(Clone, Debug)]
pub enum Happening {
    /// `resume` gets an event, for the nth time.
    Event(Value, u32),
    /// A person answers the question of a deployment, trying for the nth time.
    Answer(DeploymentId, u32),
    /// What a scenario lets happen while a person thinks.
    Meanwhile(Meanwhile),
    /// The execution that holds the environment fails and gives it back.
    RivalEnds,
    /// The execution that brings the same image fails and takes everything back.
    ImageRivalEnds,
    /// AWS takes copies of images again.
    RoomAgain,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Answered,
    Closed,
}

/// Everything around one run.
pub struct Harness {
    pub clock: VirtualClock,
    pub faults: Arc<Faults>,
    pub wire: Arc<Wire>,
    pub account: FakeAws,
    pub cloud: SimCloudFormation,
    pub ec2: SimEc2,
    /// When the case began.
    pub began: Timestamp,
    /// The ledger as nobody strikes it.
    pub ledger: Ledger,
    pub bug: Option<Bug>,
    pub struck_ledger: Ledger,
    app: App,
    calm_app: App,
    pub waits: Waits,
    /// Step Functions, as functions ask it about executions.
    pub holders: Executions,
    tokens: RefCell<BTreeMap<String, Token>>,
    /// What became of each execution, and when.
    pub executions: RefCell<BTreeMap<String, (&'static str, Timestamp)>>,
    agenda: RefCell<BTreeMap<(Timestamp, u32), Happening>>,
    counter: Cell<u32>,
    chance: Cell<u64>,
    /// What a person answers to the first question, the second, ...
    pub answers: RefCell<Vec<Decision>>,
    /// What happens while a person thinks, once.
    pub meanwhile: Cell<Option<Meanwhile>>,
    /// The deployments whose checks passed.
    pub checked: RefCell<Vec<DeploymentId>>,
    /// The execution whose state machine runs now, and its input.
    pub current: RefCell<(String, Value)>,
    /// The execution that took the environment from the current one.
    pub successor: RefCell<Option<String>>,
}

impl Harness {
    /// An organisation in which nothing was deployed yet.
    pub async fn new() -> Self {
        let start = Timestamp::from_second(4_102_444_800).expect("the year 2100");
        let clock = VirtualClock::at(start);
        let (cloud, ec2) = (SimCloudFormation::new(&clock), SimEc2::new(&clock));
        // Shorter than what a slow call takes.
        ec2.set_pace(OPERATION);
        let harness = Self::of(&FakeAws::new(), (cloud, ec2), clock, &[], None);
        harness.ledger.insert(&organisation::stages()).await.expect("stages");
        for made in organisation::releases() {
            harness.ledger.insert(&made.release).await.expect("a release");
            harness.ledger.insert(&organisation::evidence(&made.release, "test")).await.expect("evidence");
        }
        harness
    }

    /// Another world in the same state, for a case.
    pub fn case(&self, faults: &[crate::faults::Fault], bug: Option<Bug>) -> Self {
        let clock = VirtualClock::at(self.clock.now());
        let clouds = (self.cloud.duplicate(&clock), self.ec2.duplicate(&clock));
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
        (cloud, ec2): (SimCloudFormation, SimEc2),
        clock: VirtualClock,
        faults: &[crate::faults::Fault],
        bug: Option<Bug>,
    ) -> Self {
        let faults = Faults::of(faults);
        let wire = Arc::new(Wire {
            faults: Arc::clone(&faults),
            clock: clock.clone(),
            bug,
            written: Default::default(),
            past: Default::default(),
        });
        let struck = account.behind(wire.clone()).aws();
        // What nobody strikes is written down all the same.
        let calm = Wire {
            faults: Faults::of(&[]),
            clock: clock.clone(),
            bug: None,
            written: Arc::clone(&wire.written),
            past: Default::default(),
        };
        let calm = account.behind(Arc::new(calm)).aws();
        let struck_ledger = Ledger::new(&struck, TABLE);
        Self {
            app: App::of(&struck, TABLE, "resume"),
            calm_app: App::of(&calm, TABLE, "resume"),
            waits: Waits::new(&struck, &struck_ledger, "resume"),
            holders: Executions::new(&struck),
            ledger: Ledger::new(&account.aws(), TABLE),
            account: account.clone(),
            began: clock.now(),
            clock,
            faults,
            wire,
            cloud,
            ec2,
            bug,
            struck_ledger,
            tokens: RefCell::default(),
            executions: RefCell::default(),
            agenda: RefCell::default(),
            counter: Cell::new(0),
            chance: Cell::new(0x9E37_79B9_7F4A_7C15),
            answers: RefCell::default(),
            meanwhile: Cell::new(None),
            checked: RefCell::default(),
            current: RefCell::default(),
            successor: RefCell::default(),
        }
    }

    fn count(&self) -> u32 {
        self.counter.set(self.counter.get() + 1);
        self.counter.get()
    }

    /// The next number from 0 up to 1 of a fixed series (SplitMix64).
    pub fn next_chance(&self) -> f64 {
        let state = self.chance.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.chance.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether an execution began in this case, and not on its ground.
    pub fn is_of_this_case(&self, execution: &str) -> bool {
        !execution.contains(":ground-")
    }

    /// What was written by functions, in order.
    pub fn written(&self) -> Vec<Written> {
        self.wire.written.lock().expect("nobody panics there").clone()
    }

    /// Every deployment.
    pub async fn deployments(&self) -> Vec<Deployment> {
        let found = self.ledger.list_kind::<Deployment>(1000).await.expect("a list");
        found.into_iter().map(|found| found.record).collect()
    }

    /// A deployment.
    pub async fn deployment(&self, id: &DeploymentId) -> Option<Deployment> {
        let found = self.ledger.get(&Deployment::key_of(id)).await.expect("a read");
        found.map(|found| found.record)
    }

    /// The environment of the component in `stage`.
    pub async fn environment(&self, stage: &str) -> Option<Environment> {
        let key = Environment::key_of(&stage.parse().expect("a stage"), "logs");
        self.ledger.get(&key).await.expect("a read").map(|found| found.record)
    }

    /// What DescribeExecution says of an execution from now on.
    pub fn set_execution(&self, execution: &str, status: &'static str, at: Timestamp) {
        self.account.set_execution(execution, status);
        self.executions.borrow_mut().insert(execution.to_owned(), (status, at));
    }

    /// Puts something on the agenda.
    pub fn schedule(&self, after: Duration, happening: Happening) {
        let at = self.clock.now() + after;
        self.agenda.borrow_mut().insert((at, self.count()), happening);
    }

    /// Invokes a function as Lambda does.
    pub async fn function(&self, function: &str, payload: &Value) -> Result<Value, TaskError> {
        let action = payload["action"].as_str().unwrap_or_default();
        let before = self.faults.caller();
        self.faults.set_caller(format!("{function} {action}").trim());
        self.clock.advance(Duration::from_millis(200));
        let serving: Pin<Box<dyn Future<Output = Result<Value, Failure>> + '_>> =
            Box::pin(self.serve(function, payload.clone()));
        let served = self.drive(serving).await;
        self.faults.set_caller(&before);
        self.collect();
        match served {
            None => Err(TaskError::new("Runtime.ExitError", "the runtime exited")),
            Some(Ok(answer)) => Ok(answer),
            Some(Err(failure)) => Err(TaskError::of_function(failure.kind.error_type(), &failure.message)),
        }
    }

    async fn serve(&self, function: &str, payload: Value) -> Result<Value, Failure> {
        let malformed = |error: serde_json::Error| Failure::bug(format!("{function}: {error}"));
        match function {
            "ledger" => {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                lockstep_ledger::handler::handle(&self.app, Invocation::Direct(request), self.clock.now())
                    .await
            }
            "stack" => {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_stack::handler::handle(&StackWorld(self), request).await?)
            }
            "image" => {
                let request = serde_json::from_value(payload).map_err(malformed)?;
                written(lockstep_image::handler::handle(&ImageWorld(self), request).await?)
            }
            "verify" => {
                let request: payloads::verify::Request =
                    serde_json::from_value(payload).map_err(malformed)?;
                let now = || self.clock.now();
                let passed =
                    lockstep_verify::handler::handle(&VerifyPorts(self), &request.deployment, now).await?;
                self.checked.borrow_mut().push(request.deployment);
                written(passed)
            }
            "resume" => {
                let now = self.clock.now();
                lockstep_resume::handler::handle(&self.struck_ledger, &Answers(self), &payload, now).await?;
                Ok(json!({}))
            }
            other => panic!("no function {other}"),
        }
    }

    /// Drives a function to its end, through whatever stops it on the way; nothing if it died.
    async fn drive<T>(&self, mut function: Pin<Box<dyn Future<Output = T> + '_>>) -> Option<T> {
        loop {
            match self.faults.drive(&mut function).await {
                Driven::Done(done) => return Some(done),
                Driven::Paused(Pause::Crash, _) => return None,
                Driven::Paused(why, go_on) => {
                    let caller = self.faults.caller();
                    match why {
                        Pause::Superseded => self.supersede().await,
                        _ => self.let_pass(SLOW).await,
                    }
                    self.faults.set_caller(&caller);
                    // Whoever waited is there: it is the function that is driven here.
                    let _ = go_on.send(());
                }
            }
        }
    }

    /// The current execution is aborted, though something of it still works, and a later deployment takes over.
    pub async fn supersede(&self) {
        let (execution, input) = self.current.borrow().clone();
        if self.successor.borrow().is_some() {
            return;
        }
        self.set_execution(&execution, "ABORTED", self.clock.now());
        let successor = format!("{execution}-successor");
        self.set_execution(&successor, "RUNNING", self.clock.now());
        self.successor.replace(Some(successor.clone()));
        let suspended = self.faults.suspend(true);
        // It may be too late for that: then the successor begins when its turn comes.
        drop(self.begin(&successor, &input).await);
        self.faults.suspend(suspended);
    }

    /// The first step of an execution with this input.
    async fn begin(&self, execution: &str, input: &Value) -> Result<Value, Failure> {
        let malformed = |error: serde_json::Error| Failure::bug(error.to_string());
        if Work::of(input) == Work::PromoteImage {
            let request = json!({"action": "inspect", "execution": execution, "input": input});
            let request = serde_json::from_value(request).map_err(malformed)?;
            return written(lockstep_image::handler::handle(&ImageWorld(self), request).await?);
        }
        let action = if Work::of(input) == Work::Teardown { "begin_teardown" } else { "begin" };
        let request = json!({"action": action, "execution": execution, "path": path(input), "input": input});
        let request = Invocation::Direct(serde_json::from_value(request).map_err(malformed)?);
        lockstep_ledger::handler::handle(&self.calm_app, request, self.clock.now()).await
    }

    /// The calls that changed something, in order.
    pub fn effects(&self) -> Vec<&'static str> {
        let stacks = self.cloud.effects().into_iter().map(|effect| effect.call);
        stacks.chain(self.ec2.effects().into_iter().map(|effect| effect.call)).collect()
    }

    /// What AWS was asked to tell, or tells by itself, goes on its way.
    fn collect(&self) {
        for event in self.cloud.take_events().into_iter().chain(self.ec2.take_events()) {
            if ended_operation(&event).is_some() {
                self.schedule(DELIVERY, Happening::Event(event, 0));
            }
        }
        for (_, wake) in self.account.take_invocations() {
            self.schedule(DELIVERY, Happening::Event(wake, 0));
        }
    }

    /// When something happens next, if that is before `end`.
    fn next(&self, end: Timestamp) -> Option<Timestamp> {
        let planned = self.agenda.borrow().keys().next().map(|(at, _)| *at);
        let by_themselves = self.cloud.next_moment().into_iter().chain(self.ec2.next_moment());
        planned.into_iter().chain(by_themselves).min().filter(|at| *at <= end)
    }

    /// Lets `duration` pass, with everything that happens in it.
    pub fn let_pass(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(async move {
            let end = self.clock.now() + duration;
            self.until(end, || false).await;
        })
    }

    /// Lets time pass until `end`, or until `enough` says so.
    pub async fn until(&self, end: Timestamp, enough: impl Fn() -> bool) {
        loop {
            self.collect();
            if enough() {
                return;
            }
            let Some(next) = self.next(end) else { break };
            self.clock.advance_to(next);
            self.collect();
            let due = {
                let mut agenda = self.agenda.borrow_mut();
                let first = agenda.first_entry().filter(|entry| entry.key().0 <= self.clock.now());
                first.map(|entry| entry.remove())
            };
            if let Some(happening) = due {
                self.happen(happening).await;
            }
        }
        self.clock.advance_to(end);
    }

    async fn happen(&self, happening: Happening) {
        match happening {
            Happening::Event(event, tries) => self.tell(event, tries).await,
            Happening::Answer(id, tries) => self.decide(id, tries).await,
            Happening::Meanwhile(what) => what.happen(self),
            Happening::RivalEnds => self.end_rival().await,
            Happening::RoomAgain => self.ec2.set_copies_at_once(20),
            Happening::ImageRivalEnds => crate::images::scenarios::end_rival(self).await,
        }
    }

    /// `resume` gets an event: not, once, or twice; again later if it fails.
    async fn tell(&self, event: Value, tries: u32) {
        let operation = ended_operation(&event).unwrap_or_default();
        let is_wake = event.get("wake").is_some();
        let what = operation.split('#').next().unwrap_or_default().rsplit('/').nth(1).unwrap_or("approval");
        let what = what.rsplit(':').next().unwrap_or_default();
        let struck = match tries {
            // A wake was struck, or not, where it was sent.
            0 if !is_wake => self.faults.meet(&format!("event of {what}"), Site::Event),
            _ => None,
        };
        match struck {
            Some(Kind::Before) => return,
            Some(Kind::Slow) => return self.schedule(SLOW, Happening::Event(event, 1)),
            Some(Kind::Twice) => self.schedule(DELIVERY, Happening::Event(event.clone(), 1)),
            _ => {}
        }
        self.faults.set_aside(true);
        let told = self.function("resume", &event).await;
        self.faults.set_aside(false);
        if told.is_err() && tries < REDELIVERY.1 {
            self.schedule(REDELIVERY.0, Happening::Event(event, tries + 1));
        }
    }

    /// A person will answer the question of this deployment, if it asks one.
    pub async fn ask_person(&self, id: &DeploymentId) {
        let asks = self.deployment(id).await.is_some_and(|it| it.state == DeploymentState::AwaitingApproval);
        let known = self.agenda.borrow().values().any(|it| matches!(it, Happening::Answer(..)));
        if asks && !known && !self.answers.borrow().is_empty() {
            self.schedule(THOUGHT, Happening::Answer(id.clone(), 0));
            if let Some(meanwhile) = self.meanwhile.take() {
                self.schedule(THOUGHT / 2, Happening::Meanwhile(meanwhile));
            }
        }
    }

    async fn decide(&self, id: DeploymentId, tries: u32) {
        let Some(deployment) = self.deployment(&id).await else { return };
        let Some(question) = deployment.approvals.last() else { return };
        let decision = self.answers.borrow().get(deployment.approvals.len() - 1).copied();
        let Some(decision) = decision else { return };
        let names: Vec<&str> = match &question.subject {
            Subject::Proposal(proposal) => proposal.resources.iter().map(|it| it.name.as_str()).collect(),
            Subject::ChangeSet(_) => Vec::new(),
        };
        let body = json!({
            "action": "decide", "deployment": id, "subject": question.subject.key(), "digest": question.digest,
            "decision": decision, "reason": "because", "names": names,
        });
        let event = json!({
            "version": "2.0", "rawPath": "/", "headers": {}, "body": body.to_string(), "isBase64Encoded": false,
            "requestContext": {
                "authorizer": {"iam": {"userArn": PERSON}}, "timeEpoch": 0, "http": {"method": "POST", "path": "/"},
            },
        });
        let invocation = serde_json::from_value(event).expect("an invocation");
        self.faults.set_caller("ledger decide");
        self.faults.set_aside(true);
        let answering: Pin<Box<dyn Future<Output = Result<Value, Failure>> + '_>> =
            Box::pin(lockstep_ledger::handler::handle(&self.app, invocation, self.clock.now()));
        let answered = self.drive(answering).await;
        self.faults.set_aside(false);
        self.collect();
        let heard = matches!(answered, Some(Ok(answer)) if answer["statusCode"] == 200);
        if !heard && tries < 3 {
            self.schedule(Duration::from_secs(60), Happening::Answer(id, tries + 1));
        }
    }

    async fn end_rival(&self) {
        let rival = crate::scenarios::RIVAL;
        let error = json!({"Error": "CheckFailed", "Cause": "no host"});
        let id = DeploymentId::of_execution(rival);
        let request = json!({"action": "fail", "deployment": id, "error": error});
        let request = serde_json::from_value(request).expect("a request");
        let suspended = self.faults.suspend(true);
        let done =
            lockstep_ledger::handler::handle(&self.calm_app, Invocation::Direct(request), self.clock.now())
                .await;
        drop(done);
        self.faults.suspend(suspended);
        self.set_execution(rival, "FAILED", self.clock.now());
    }

    /// A new task token.
    pub fn new_token(&self) -> String {
        let token = format!("token-{}", self.count());
        self.tokens.borrow_mut().insert(token.clone(), Token::Open);
        token
    }

    /// Whether a token was answered.
    pub fn is_answered(&self, token: &str) -> bool {
        self.tokens.borrow().get(token) == Some(&Token::Answered)
    }

    /// A token counts no longer.
    pub fn close(&self, token: &str) {
        self.tokens.borrow_mut().insert(token.to_owned(), Token::Closed);
    }
}

/// The path that an input takes.
pub fn path(input: &Value) -> Path {
    if input["stage"] == "production" { Path::Promotion } else { Path::Delivery }
}

fn written(answer: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(answer).map_err(|error| Failure::bug(error.to_string()))
}

/// The world of the `stack` function.
struct StackWorld<'a>(&'a Harness);

impl lockstep_stack::world::World for StackWorld<'_> {
    type Records = Ledger;
    type Waits = Waits;
    type Stacks = StruckStacks;

    fn records(&self) -> &Ledger {
        &self.0.struck_ledger
    }

    fn waits(&self) -> &Waits {
        &self.0.waits
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn patience(&self) -> impl Iterator<Item = Duration> {
        let clock = self.0.clock.clone();
        // Virtual time passes instead.
        std::iter::repeat_with(move || {
            clock.advance(Duration::from_secs(5));
            Duration::ZERO
        })
        .take(10)
    }

    fn execution_role(&self, location: &Location) -> String {
        format!("arn:aws:iam::{}:role/lockstep-cloudformation", location.account)
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.0.artifact(key).await
    }

    async fn stacks(&self, _location: &Location, _session: &str) -> Result<StruckStacks, Failure> {
        Ok(StruckStacks::new(&self.0.cloud, &self.0.faults, &self.0.clock, self.0.bug))
    }

    async fn empty_bucket(&self, _location: &Location, _session: &str, bucket: &str) -> Result<(), Failure> {
        unreachable!("no scenario has a throw-away stack with the bucket {bucket}")
    }

    async fn put_function(
        &self,
        _location: &Location,
        _session: &str,
        code: &FunctionCode,
    ) -> Result<(), Failure> {
        unreachable!("no scenario has a component with the function {code}")
    }

    async fn put_template(
        &self,
        _location: &Location,
        _session: &str,
        key: &str,
        text: String,
    ) -> Result<String, Failure> {
        let url = format!("https://bucket/{key}");
        let stacks = StruckStacks::new(&self.0.cloud, &self.0.faults, &self.0.clock, self.0.bug);
        stacks
            .call("PutObject", Site::Write, async || {
                self.0.cloud.put_template(&url, &text);
                Ok(url.clone())
            })
            .await
    }
}

/// The world of the `verify` function.
struct VerifyPorts<'a>(&'a Harness);

impl Harness {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let stacks = StruckStacks::new(&self.cloud, &self.faults, &self.clock, None);
        stacks
            .call("GetObject", Site::Consistent, async || {
                let made = organisation::releases().iter().find(|made| made.release.artifact == key);
                made.map(|made| made.artifact.clone()).ok_or_else(|| Failure::not_found(key.to_owned()))
            })
            .await
    }
}

impl lockstep_verify::ports::Ports for VerifyPorts<'_> {
    async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, Failure> {
        Ok(self.0.struck_ledger.expect(&Deployment::key_of(id), "the deployment").await?.record)
    }

    async fn release(&self, component: &ComponentName, version: &Version) -> Result<Release, Failure> {
        Ok(self.0.struck_ledger.expect(&Release::key_of(component, version), "the release").await?.record)
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.0.artifact(key).await
    }

    async fn call(
        &self,
        _deployment: &Deployment,
        function: &str,
        _question: &Value,
        _patience: Duration,
    ) -> Result<Called, Failure> {
        Err(Failure::new(FailureKind::NotFound, format!("no function {function}")))
    }

    async fn admission(&self, stage: &StageName) -> Result<Admission, Failure> {
        Ok(Admission::new(stage.clone(), Default::default(), None))
    }

    async fn get(
        &self,
        _get: Get<'_>,
        _admission: &Admission,
        _patience: Duration,
    ) -> Result<Answer, Unanswered> {
        unreachable!("no scenario asks a page")
    }

    async fn connect(
        &self,
        _peer: &Peer,
        _admission: &Admission,
        _patience: Duration,
    ) -> Result<(), Unanswered> {
        unreachable!("no scenario opens a connection")
    }

    fn elapsed(&self) -> Duration {
        Duration::try_from(self.0.clock.now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }

    async fn sleep(&self, pause: Duration) {
        self.0.clock.advance(pause);
    }

    async fn note(&self, _id: &DeploymentId, _note: String, _at: Timestamp) -> Result<(), Failure> {
        Ok(())
    }
}

/// Who answers task tokens.
struct Answers<'a>(&'a Harness);

impl Tokens for Answers<'_> {
    async fn answer(&self, token: &str) -> Result<Answered, Failure> {
        let harness = self.0;
        let stacks = StruckStacks::new(&harness.cloud, &harness.faults, &harness.clock, None);
        let answer = async || {
            let mut tokens = harness.tokens.borrow_mut();
            match tokens.get_mut(token) {
                Some(state @ Token::Open) => {
                    *state = Token::Answered;
                    Ok(Answered::Accepted)
                }
                _ => Ok(Answered::Gone),
            }
        };
        stacks.call("SendTaskSuccess", Site::Write, answer).await
    }
}
