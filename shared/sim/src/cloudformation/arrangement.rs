//! State of stacks and faults of resources that a test sets.

use super::model::{Design, Holdings};
use super::{Refusal, SimCloudFormation, Trouble, operations};
use lockstep_aws::cloudformation::ChangeSetState;
use lockstep_domain::drift::look::Reading;
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

    /// Lets the next change set fail for this reason, after the validation found `findings`.
    pub fn refuse_change_set(&self, reason: &str, findings: &[&str]) {
        let findings = findings.iter().map(|&finding| finding.to_owned()).collect();
        self.0.borrow_mut().refusal = Some(Refusal { reason: reason.to_owned(), findings });
    }

    /// Lets each change set that examines the nested stack `logical_id` fail, because that of the nested stack fails
    /// for this reason: a value that another nested stack returns is not known yet.
    pub fn refuse_nested_change_set(&self, logical_id: &str, reason: &str) {
        self.0.borrow_mut().nested_refusals.insert(logical_id.to_owned(), reason.to_owned());
    }

    /// Lets each change set that does not examine nested stacks fail for this reason.
    pub fn refuse_change_set_without_nested(&self, reason: &str) {
        self.0.borrow_mut().flat_refusal = Some(reason.to_owned());
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

    /// Lets an express operation of another caller fail on the stack `arn`, after it changed the stack to `template`.
    ///
    /// # Panics
    /// If the template cannot be read.
    pub fn fail_in_express_mode(&self, arn: &str, template: &str) {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let (parameters, tags) = {
            let design = &inner.stack_mut(arn).holdings.design;
            (design.parameters.clone(), design.tags.clone())
        };
        let design = Design::read(template, &parameters, &tags).unwrap_or_else(|error| panic!("{error}"));
        let stack = inner.stack_mut(arn);
        stack.holdings = operations::made(&design, &stack.holdings.clone(), "express");
        stack.is_express = true;
        stack.token = Some("cdk-deploy".to_owned());
        inner.become_(arn, StackStatus::UpdateFailed, "Resource handler returned message: not accepted");
    }

    /// Lets CloudFormation's validation warn about each change set.
    pub fn warn_of(&self, warning: &str) {
        self.0.borrow_mut().warnings.push(warning.to_owned());
    }

    /// Makes `child` the nested stack `logical_id` of the stack `arn`, whose template has it. Operations on the parent
    /// do not reach it.
    ///
    /// # Panics
    /// If the stack has no such resource.
    pub fn nest(&self, arn: &str, logical_id: &str, child: &str) {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let nested = inner.stack_mut(arn).holdings.resources.get_mut(logical_id);
        let nested = nested.unwrap_or_else(|| panic!("{arn} has no resource {logical_id}"));
        nested.physical_id = child.to_owned();
        inner.stack_mut(child).parent = Some(arn.to_owned());
    }

    /// Lets the stack run this template, as after an update outside the test.
    ///
    /// # Panics
    /// If the template cannot be read.
    pub fn set_template(&self, arn: &str, template: &str) {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let held = inner.stack_mut(arn).holdings.clone();
        let design = Design::read(template, &held.design.parameters, &held.design.tags);
        let design = design.unwrap_or_else(|error| panic!("{error}"));
        inner.number += 1;
        let salt = inner.number.to_string();
        inner.stack_mut(arn).holdings = operations::made(&design, &held, &salt);
    }

    /// Adds an event about a resource, under the token of the stack's newest operation.
    pub fn add_event(
        &self,
        arn: &str,
        (logical_id, resource_type): (&str, &str),
        status: &str,
        reason: &str,
    ) {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        inner.event(arn, (logical_id, "", resource_type), status, reason);
    }

    /// Removes the stack, as CloudFormation does some months after a deletion.
    pub fn forget(&self, arn: &str) {
        let mut inner = self.0.borrow_mut();
        inner.running.remove(arn);
        inner.past.remove(arn);
        inner.stacks.retain(|stack| stack.arn != arn);
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
        inner.settle();
        inner.running.remove(arn);
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

    /// Lets the detection compare no resource of a type.
    pub fn detect_none_of(&self, resource_type: &str) {
        self.0.borrow_mut().undetected.insert(resource_type.to_owned());
    }

    /// Lets Cloud Control give `answer` for each resource of a type.
    pub fn read_none_of(&self, resource_type: &str, answer: Reading) {
        self.0.borrow_mut().unread.insert(resource_type.to_owned(), answer);
    }

    /// Brings a property of a resource back to its declared value, outside of CloudFormation.
    pub fn undrift(&self, arn: &str, logical_id: &str) {
        if let Some(resource) = self.0.borrow_mut().stack_mut(arn).holdings.resources.get_mut(logical_id) {
            resource.drift.clear();
        }
    }

    /// Sets the termination protection of a stack.
    pub fn protect(&self, arn: &str, protected: bool) {
        self.0.borrow_mut().stack_mut(arn).is_protected = protected;
    }

    /// Starts an update of another caller, under its token and without a change of the resources. Every change set of the
    /// stack is obsolete from then on.
    pub fn update_as_other_caller(&self, arn: &str, token: &str) {
        let mut inner = self.0.borrow_mut();
        inner.settle();
        let design = inner.stack_mut(arn).holdings.design.clone();
        inner.stack_mut(arn).change_sets.iter_mut().for_each(|set| set.view.state = ChangeSetState::Obsolete);
        inner.begin_update(arn, design, token);
    }
}
