//! State of stacks and faults of resources that a test sets.

use super::model::{Design, Holdings};
use super::{SimCloudFormation, Trouble, operations};
use lockstep_aws::cloudformation::ChangeSetState;
use lockstep_domain::stacks::plan::StackStatus;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

impl SimCloudFormation {
    /// Sets the duration of later operations.
    pub fn set_pace(&self, pace: Duration) {
        self.0.borrow_mut().pace = pace;
    }

    /// Applies `trouble` to the resources of this logical id from now on, in every stack.
    pub fn trouble(&self, logical_id: &str, trouble: Trouble) {
        self.0.borrow_mut().troubles.insert((logical_id.to_owned(), trouble));
    }

    /// Removes every trouble of resources.
    pub fn end_trouble(&self) {
        self.0.borrow_mut().troubles.clear();
    }

    /// Lets the next execution of a change set that creates a stack fail its validation with this sentence.
    pub fn invalidate(&self, sentence: &str) {
        self.0.borrow_mut().invalid.push(sentence.to_owned());
    }

    /// Lets failed operations keep their new resources if the deletion policy retains them: the behavior of
    /// ExecuteChangeSet without `RetainExceptOnCreate`.
    pub fn retain_on_create(&self) {
        self.0.borrow_mut().retains_on_create = true;
    }

    /// Lets the next read show the stack before its last change, if that change is recent.
    pub fn read_stale_once(&self) {
        self.0.borrow_mut().reads_stale = true;
    }

    /// Adds an existing stack, in `status` since an operation `token`.
    ///
    /// # Panics
    /// If the template cannot be read.
    pub fn add_stack(
        &self,
        name: &str,
        status: StackStatus,
        template: &str,
        (parameters, tags): (&BTreeMap<String, String>, &[(String, String)]),
        token: Option<&str>,
    ) -> String {
        let design = Design::read(template, parameters, tags).unwrap_or_else(|error| panic!("{error}"));
        let mut inner = self.0.borrow_mut();
        let arn = inner.new_stack(name);
        let stack = inner.stack_mut(&arn);
        stack.holdings = operations::made(&design, &Holdings::default(), name);
        stack.token = token.map(str::to_owned);
        inner.become_(&arn, status, "");
        inner.outbox.clear();
        arn
    }

    /// Sets the status of each resource of a stack, as a failed operation may leave it.
    pub fn set_resource_status(&self, arn: &str, logical_id: &str, status: &str) {
        let mut inner = self.0.borrow_mut();
        if let Some(resource) = inner.stack_mut(arn).holdings.resources.get_mut(logical_id) {
            resource.status = status.to_owned();
        }
    }

    /// Sets the status of the stack, as after an operation outside the test; a running operation succeeds in its time.
    pub fn set_status(&self, arn: &str, status: StackStatus) {
        let mut inner = self.0.borrow_mut();
        inner.become_(arn, status.clone(), "");
        inner.outbox.clear();
        inner.let_end(arn, &status);
    }

    /// Changes a property of a resource outside of CloudFormation.
    pub fn drift(&self, arn: &str, logical_id: &str, property: &str, value: Value) {
        let mut inner = self.0.borrow_mut();
        if let Some(resource) = inner.stack_mut(arn).holdings.resources.get_mut(logical_id) {
            resource.drift.insert(property.to_owned(), value);
        }
    }

    /// Sets the termination protection of a stack.
    pub fn protect(&self, arn: &str, protected: bool) {
        self.0.borrow_mut().stack_mut(arn).is_protected = protected;
    }

    /// Updates the stack as another writer, under that writer's token, without a change of its resources.
    pub fn somebody_updates(&self, arn: &str, token: &str) {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let design = inner.stack_mut(arn).holdings.design.clone();
        inner.stack_mut(arn).change_sets.iter_mut().for_each(|set| set.view.state = ChangeSetState::Obsolete);
        inner.begin_update(arn, design, token);
    }
}
