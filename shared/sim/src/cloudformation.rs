//! A CloudFormation in memory that behaves as the real one does, in virtual time.
//!
//! It reads templates, and a change set is the difference to the resources of a stack. Operations take time, fail as a
//! test requests, and end in the real statuses. Events carry the token of their operation, and EventBridge receives
//! each status change. Tokens are idempotent. It refuses unsupported requests. `tests/conformance` compares it with the
//! adapter on an emulator.

mod arrangement;
mod detection;
mod model;
mod operations;
mod port;
#[cfg(test)]
mod tests;

use super::clock::VirtualClock;
pub use detection::SimModels;
use jiff::Timestamp;
use lockstep_aws::cloudformation::{ChangeSetState, ChangeSetView, NewChangeSet};
use lockstep_domain::drift::look::Reading;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::plan::StackStatus;
use model::{Design, Holdings};
use operations::Moment;
pub use port::SimStacks;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Time after a change for which a read may still show the previous state.
const STALENESS: Duration = Duration::from_secs(10);

/// Duration of the creation of a change set.
const CHANGE_SET_TIME: Duration = Duration::from_secs(3);

/// Fault of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It cannot be created.
    Create,
    /// It cannot be changed.
    Update,
    /// Its change cannot be undone.
    Rollback,
    /// It cannot be deleted.
    Delete,
}

/// A visible action on a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The time.
    pub at: Timestamp,
    /// The API call, such as `ExecuteChangeSet`.
    pub call: &'static str,
    /// The stack's ARN.
    pub stack: String,
    /// The change set's ARN, if it is about one.
    pub change_set: Option<String>,
    /// The client token, if the call has one.
    pub token: String,
    /// True if the stack had ever been stable.
    pub was_stable: bool,
    /// The changes that the change set would make to the stack as it was then; empty for other calls.
    pub changes: Vec<ProposedChange>,
    /// The resources that it retains or skips.
    pub without: Vec<String>,
}

/// A resource that left its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The stack's ARN.
    pub stack: String,
    /// The logical id.
    pub logical_id: String,
    /// The type.
    pub resource_type: String,
    /// The token of the operation; empty if it had none.
    pub token: String,
    /// True if it was retained outside the stack.
    pub is_retained: bool,
    /// True if the same operation had created it.
    pub was_new: bool,
}

#[derive(Clone, Debug)]
struct ChangeSet {
    name: String,
    view: ChangeSetView,
    design: Rc<Design>,
    ready_at: Timestamp,
    then: ChangeSetState,
    /// The validation's findings about it.
    invalid: Vec<String>,
}

/// The failure of a change set.
#[derive(Clone, Debug)]
struct Refusal {
    reason: String,
    findings: Vec<String>,
}

#[derive(Clone, Debug)]
struct SimStack {
    name: String,
    arn: String,
    /// The ARN of the stack that it is nested in.
    parent: Option<String>,
    status: StackStatus,
    holdings: Holdings,
    /// Its resources before the running operation, for the rollback.
    before: Option<Holdings>,
    events: Vec<Rc<StackEvent>>,
    change_sets: Vec<ChangeSet>,
    token: Option<String>,
    ever_stable: bool,
    last_updated: Option<Timestamp>,
    is_protected: bool,
    /// True if its last operation ran in express mode.
    is_express: bool,
    /// The validation's findings about its operations, by their tokens.
    invalid: BTreeMap<String, Vec<String>>,
}

#[derive(Clone)]
struct Inner {
    clock: VirtualClock,
    pace: Duration,
    stacks: Vec<SimStack>,
    running: BTreeMap<String, VecDeque<Moment>>,
    tokens: BTreeSet<String>,
    templates: BTreeMap<String, String>,
    troubles: BTreeSet<(String, Trouble)>,
    effects: Vec<Effect>,
    /// The inputs of the change sets, in order.
    requests: Vec<NewChangeSet>,
    losses: Vec<Loss>,
    outbox: Vec<Value>,
    /// The types and names of retained resources that belong to no stack any more, with their physical ids.
    orphans: BTreeMap<(String, String), String>,
    /// The validation's findings about the next execution.
    invalid: Vec<String>,
    /// The validation's warnings about each change set.
    warnings: Vec<String>,
    /// The failure of the next change set.
    refusal: Option<Refusal>,
    /// The reason for which the change set of a nested stack fails, by its logical id.
    nested_refusals: BTreeMap<String, String>,
    /// The reason for which a change set that does not examine nested stacks fails.
    flat_refusal: Option<String>,
    /// The change sets of nested stacks that failed, by ARN.
    failed_nested: BTreeMap<String, ChangeSetView>,
    /// True if a failed operation also retains its new resources, if their deletion policy says so.
    retains_on_create: bool,
    number: u32,
    /// Detections that were started: their stacks and the times at which they end.
    detections: BTreeMap<String, (String, Timestamp)>,
    /// Types that the detection does not compare.
    undetected: BTreeSet<String>,
    /// Types that Cloud Control does not read, each with its answer.
    unread: BTreeMap<String, Reading>,
    /// Each stack before its last change, and the time of that change.
    past: BTreeMap<String, (Timestamp, Option<SimStack>)>,
    reads_stale: bool,
}

/// A CloudFormation of one account and region. Clones are the same one.
#[derive(Clone)]
pub struct SimCloudFormation(Rc<RefCell<Inner>>);

impl SimCloudFormation {
    /// Creates one without stacks, in which an operation takes a minute.
    pub fn new(clock: &VirtualClock) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            clock: clock.clone(),
            pace: Duration::from_secs(60),
            stacks: Vec::new(),
            running: BTreeMap::new(),
            tokens: BTreeSet::new(),
            templates: BTreeMap::new(),
            troubles: BTreeSet::new(),
            effects: Vec::new(),
            requests: Vec::new(),
            losses: Vec::new(),
            outbox: Vec::new(),
            orphans: BTreeMap::new(),
            invalid: Vec::new(),
            warnings: Vec::new(),
            refusal: None,
            nested_refusals: BTreeMap::new(),
            flat_refusal: None,
            failed_nested: BTreeMap::new(),
            retains_on_create: false,
            number: 0,
            detections: BTreeMap::new(),
            undetected: BTreeSet::new(),
            unread: BTreeMap::new(),
            past: BTreeMap::new(),
            reads_stale: false,
        })))
    }

    /// Returns another one in the same state, with `clock` as its time.
    pub fn duplicate(&self, clock: &VirtualClock) -> Self {
        let mut inner = self.0.borrow().clone();
        inner.clock = clock.clone();
        Self(Rc::new(RefCell::new(inner)))
    }

    /// Returns the port.
    pub fn stacks(&self) -> SimStacks {
        SimStacks::new(self.clone())
    }

    /// Stores a template at `url`.
    pub fn put_template(&self, url: &str, text: &str) {
        self.0.borrow_mut().templates.insert(url.to_owned(), text.to_owned());
    }

    /// Returns the physical id of each resource of the stack called `name`, by its logical id.
    pub fn physical_ids(&self, name: &str) -> BTreeMap<String, String> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let held = inner.find(name).into_iter().flat_map(|stack| &stack.holdings.resources);
        held.map(|(id, resource)| (id.clone(), resource.physical_id.clone())).collect()
    }

    /// Returns the resources of the stack called `name` that differ from CloudFormation's record.
    pub fn drifted(&self, name: &str) -> Vec<String> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let held = inner.find(name).into_iter().flat_map(|stack| &stack.holdings.resources);
        held.filter(|(_, resource)| !resource.drift.is_empty()).map(|(id, _)| id.clone()).collect()
    }

    /// Returns the ARN of the stack called `name`, if it exists.
    pub fn arn(&self, name: &str) -> Option<String> {
        self.0.borrow().arn_of(name)
    }

    /// Returns the time of the next scheduled event.
    pub fn next_moment(&self) -> Option<Timestamp> {
        self.0.borrow().running.values().filter_map(|moments| moments.front()).map(|moment| moment.at).min()
    }

    /// Returns the events sent to EventBridge since the last call.
    pub fn take_events(&self) -> Vec<Value> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        std::mem::take(&mut inner.outbox)
    }

    /// Returns every action, in order.
    pub fn effects(&self) -> Vec<Effect> {
        self.0.borrow().effects.clone()
    }

    /// Returns the inputs of the change sets that were created, in order.
    pub fn change_set_requests(&self) -> Vec<NewChangeSet> {
        self.0.borrow().requests.clone()
    }

    /// Returns every resource that left its stack, in order.
    pub fn losses(&self) -> Vec<Loss> {
        self.0.borrow().losses.clone()
    }

    /// Returns the template and parameters that the stack called `name` runs, and its status; `None` if it does not
    /// exist.
    pub fn runs(&self, name: &str) -> Option<(String, BTreeMap<String, String>, StackStatus)> {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let stack = inner
            .stacks
            .iter()
            .find(|stack| stack.name == name && stack.status != StackStatus::DeleteComplete)?;
        let design = &stack.holdings.design;
        Some((design.template.clone(), design.parameters.clone(), stack.status.clone()))
    }
}

impl Inner {
    fn new_stack(&mut self, name: &str) -> String {
        self.number += 1;
        let arn = format!("arn:aws:cloudformation:eu-west-1:111111111111:stack/{name}/{:08}", self.number);
        self.past.insert(arn.clone(), (self.clock.now(), None));
        self.stacks.push(SimStack {
            name: name.to_owned(),
            arn: arn.clone(),
            parent: None,
            status: StackStatus::ReviewInProgress,
            holdings: Holdings::default(),
            before: None,
            events: Vec::new(),
            change_sets: Vec::new(),
            token: None,
            ever_stable: false,
            last_updated: None,
            is_protected: false,
            is_express: false,
            invalid: BTreeMap::new(),
        });
        arn
    }

    /// Returns the stack of this ARN or, if it is not deleted, of this name.
    fn find(&self, stack: &str) -> Option<&SimStack> {
        self.stacks.iter().find(|found| {
            found.arn == stack || (found.name == stack && found.status != StackStatus::DeleteComplete)
        })
    }

    /// Returns the names of the stacks that import this export.
    fn importers(&self, export: &str) -> Vec<String> {
        let lasting = self.stacks.iter().filter(|stack| stack.status != StackStatus::DeleteComplete);
        let importing = lasting.filter(|stack| stack.holdings.design.imported_exports.contains(export));
        importing.map(|stack| stack.name.clone()).collect()
    }

    fn arn_of(&self, stack: &str) -> Option<String> {
        self.find(stack).map(|found| found.arn.clone())
    }

    fn stack_mut(&mut self, arn: &str) -> &mut SimStack {
        self.stacks.iter_mut().find(|stack| stack.arn == arn).unwrap_or_else(|| panic!("no stack {arn}"))
    }

    /// Records the stack as it is, for stale reads.
    fn remember(&mut self, arn: &str) {
        let (now, before) = (self.clock.now(), self.find(arn).cloned());
        match self.past.get(arn) {
            Some((at, _)) if *at == now => {}
            _ => drop(self.past.insert(arn.to_owned(), (now, before))),
        }
    }

    /// Moves the stack to a status: adds an event of its own, and one to EventBridge.
    fn become_(&mut self, arn: &str, status: StackStatus, reason: &str) {
        self.remember(arn);
        let stack = self.stack_mut(arn);
        stack.status = status.clone();
        stack.ever_stable |= status.proves_stability();
        let (name, token) = (stack.name.clone(), stack.token.clone());
        self.outbox.push(json!({
            "source": "aws.cloudformation",
            "detail-type": "CloudFormation Stack Status Change",
            "account": "111111111111",
            "region": "eu-west-1",
            "resources": [arn],
            "detail": {
                "stack-id": arn,
                "status-details": {"status": status.as_str(), "status-reason": reason},
                "client-request-token": token.clone().unwrap_or_default(),
            },
        }));
        self.event(arn, (&name, arn, NESTED_STACK), status.as_str(), reason);
    }

    fn event(&mut self, arn: &str, about: (&str, &str, &str), status: &str, reason: &str) {
        self.number += 1;
        let at = self.clock.now() + Duration::from_micros(u64::from(self.number));
        let stack = self.stack_mut(arn);
        let event = StackEvent {
            stack_arn: arn.to_owned(),
            logical_id: about.0.to_owned(),
            physical_id: about.1.to_owned(),
            resource_type: about.2.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            token: stack.token.clone(),
            at,
        };
        stack.events.insert(0, Rc::new(event));
    }

    /// Returns true if the name that a template gives a resource is taken: by another stack's resource, or by a
    /// retained one.
    fn is_taken(&self, wanted: &model::Wanted) -> bool {
        let Some(name) = wanted.name() else { return false };
        let mut live = self.stacks.iter().flat_map(|stack| stack.holdings.resources.values());
        self.orphans.contains_key(&name)
            || live.any(|held| held.exists() && held.wanted.name().as_ref() == Some(&name))
    }

    /// Returns the stack that holds the resource of this type and name.
    fn owner(&self, name: &(String, String)) -> Option<String> {
        let holds = |stack: &&SimStack| {
            let mut held = stack.holdings.resources.values().filter(|held| held.status != "DELETE_SKIPPED");
            held.any(|held| held.exists() && held.wanted.name().as_ref() == Some(name))
        };
        self.stacks.iter().find(holds).map(|stack| stack.arn.clone())
    }

    fn in_trouble(&self, logical_id: &str, trouble: Trouble) -> bool {
        self.troubles.contains(&(logical_id.to_owned(), trouble))
    }
}
