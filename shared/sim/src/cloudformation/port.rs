//! The port: every call of [`Stacks`], refused where CloudFormation refuses it.

use super::model::Design;
use super::{CHANGE_SET_TIME, ChangeSet, Effect, Inner, Refusal, STALENESS, SimCloudFormation, SimStack};
use lockstep_aws::cloudformation::{
    ChangeSetState, ChangeSetView, Creation, Execution, NewChangeSet, Replay, Stack, Stacks, TemplateForm,
    TemplateSource,
};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::NESTED_STACK;
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::identity::Tags;
use lockstep_domain::stacks::plan::{ChangeSetKind, LiveResource, Phase, StackStatus};
use std::rc::Rc;

/// [`SimCloudFormation`] as functions reach it.
#[derive(Clone)]
pub struct SimStacks(pub(super) SimCloudFormation);

impl SimStacks {
    pub(super) fn new(cloud: SimCloudFormation) -> Self {
        Self(cloud)
    }

    /// Applies `read` to a stack: its current state or, for a stale read, its previous one.
    fn see<T>(&self, stack: &str, read: impl Fn(&SimStack) -> T) -> Option<T> {
        let mut inner = self.0.0.borrow_mut();
        inner.settle();
        let stale = std::mem::take(&mut inner.reads_stale);
        let arn = inner.arn_of(stack)?;
        let now = inner.clock.now();
        match inner.past.get(&arn).filter(|(at, _)| stale && now.duration_since(*at) < as_signed(STALENESS)) {
            Some((_, before)) => before.as_ref().map(read),
            None => inner.find(&arn).map(read),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut inner = self.0.0.borrow_mut();
        inner.settle();
        change(&mut inner)
    }
}

fn as_signed(duration: std::time::Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}

fn refused(call: &str, why: String) -> Failure {
    Failure::rejected(format!("{call}: ValidationError: {why}"))
}

fn is_updatable(status: &StackStatus) -> bool {
    matches!(
        status,
        StackStatus::CreateComplete
            | StackStatus::UpdateComplete
            | StackStatus::UpdateRollbackComplete
            | StackStatus::ImportComplete
            | StackStatus::ImportRollbackComplete
    )
}

impl Inner {
    fn effect(
        &mut self,
        call: &'static str,
        arn: &str,
        change_set: Option<&str>,
        token: &str,
        changes: &[ProposedChange],
    ) {
        let was_stable = self.stack_mut(arn).ever_stable;
        self.effects.push(Effect {
            at: self.clock.now(),
            call,
            stack: arn.to_owned(),
            change_set: change_set.map(str::to_owned),
            token: token.to_owned(),
            was_stable,
            changes: changes.to_vec(),
            without: Vec::new(),
        });
    }

    /// Returns the stack for a change set; a placeholder if a new stack does not exist yet.
    fn reviewed(&mut self, wanted: &NewChangeSet) -> Result<String, Failure> {
        let call = "CreateChangeSet";
        let found = self.find(&wanted.stack).map(|stack| (stack.arn.clone(), stack.status.clone()));
        match (wanted.kind, found) {
            (ChangeSetKind::Create, None) => {
                let arn = self.new_stack(&wanted.stack);
                self.become_(&arn, StackStatus::ReviewInProgress, "User Initiated");
                Ok(arn)
            }
            (ChangeSetKind::Create, Some((arn, StackStatus::ReviewInProgress))) => Ok(arn),
            (ChangeSetKind::Update, Some((arn, _))) if self.failed_in_express_mode(&arn) => {
                let why = "This stack is in a UPDATE_FAILED state from a previous operation that used EXPRESS deployment mode \
                           with disable-rollback. Follow-up operations must use the same DeploymentConfig (mode=EXPRESS)";
                Err(refused(call, why.into()))
            }
            (ChangeSetKind::Update, Some((arn, status))) if is_updatable(&status) => Ok(arn),
            (ChangeSetKind::Create, Some(_)) => {
                Err(refused(call, format!("Stack [{}] already exists", wanted.stack)))
            }
            (ChangeSetKind::Update, None) => {
                Err(refused(call, format!("Stack [{}] does not exist", wanted.stack)))
            }
            (ChangeSetKind::Update, Some((arn, status))) => {
                Err(refused(call, format!("Stack:{arn} is in {status} state and can not be updated.")))
            }
        }
    }

    fn create_change_set(&mut self, wanted: &NewChangeSet) -> Result<Creation, Failure> {
        let template = match &wanted.template {
            TemplateSource::Body(text) => Some(text.clone()),
            TemplateSource::Url(url) => self.templates.get(url).cloned(),
        };
        let template = template.ok_or_else(|| refused("CreateChangeSet", "S3 error: no such key".into()))?;
        if let Some(stack) = self.find(&wanted.stack)
            && stack.change_sets.iter().any(|set| set.name == wanted.name)
        {
            return Ok(Creation::Exists);
        }
        let design = Design::read(&template, &wanted.parameters, &wanted.tags)
            .map_err(|why| refused("CreateChangeSet", why))?;
        let design = Design { reverts_drift: wanted.revert_drift, ..design };
        let arn = self.reviewed(wanted)?;
        self.number += 1;
        let number = self.number;
        let now = self.clock.now();
        let mut design = design;
        let mut changes = self.stack_mut(&arn).holdings.changes_to(&design);
        let refusal = self.refuse(wanted, &mut design, &mut changes);
        let (then, invalid) = match refusal {
            Some(Refusal { reason, findings }) => (ChangeSetState::Failed(reason), findings),
            None if changes.is_empty() => (ChangeSetState::Empty, Vec::new()),
            None => (ChangeSetState::Ready, Vec::new()),
        };
        let stack = self.stack_mut(&arn);
        let view = ChangeSetView {
            arn: format!(
                "arn:aws:cloudformation:eu-west-1:111111111111:changeSet/{}/{number:08}",
                wanted.name
            ),
            stack_arn: arn.clone(),
            description: wanted.description.clone(),
            tags: wanted.tags.iter().cloned().collect(),
            state: ChangeSetState::InProgress,
            changes: Some(changes.clone()),
        };
        let (set, ready_at) = (view.arn.clone(), now + CHANGE_SET_TIME);
        stack.change_sets.push(ChangeSet {
            name: wanted.name.clone(),
            view,
            design: Rc::new(design),
            ready_at,
            then,
            invalid,
        });
        self.requests.push(wanted.clone());
        self.effect("CreateChangeSet", &arn, Some(&set), &wanted.token, &changes);
        Ok(Creation::Begun)
    }

    /// Returns the failure of a change set, if it has one. Imports existing resources if the request says so.
    fn refuse(
        &mut self,
        wanted: &NewChangeSet,
        design: &mut Design,
        changes: &mut [ProposedChange],
    ) -> Option<Refusal> {
        if let Some(refusal) = self.refusal.take().or_else(|| self.refuse_nested(wanted, design)) {
            return Some(refusal);
        }
        let reason = wanted.imports_existing.then(|| self.import(design, changes)).and_then(Result::err)?;
        Some(Refusal { reason, findings: Vec::new() })
    }

    /// Returns the failure of a change set whose nested one fails. It names the nested one and no reason
    /// (<https://github.com/aws-cloudformation/rain/issues/526>).
    fn refuse_nested(&mut self, wanted: &NewChangeSet, design: &Design) -> Option<Refusal> {
        if !wanted.with_nested || wanted.revert_drift {
            let reason = self.flat_refusal.clone().filter(|_| !wanted.with_nested)?;
            return Some(Refusal { reason, findings: Vec::new() });
        }
        let is_nested = |id: &str| design.resources.get(id).is_some_and(|found| found.kind == NESTED_STACK);
        let (id, reason) = self.nested_refusals.iter().find(|(id, _)| is_nested(id))?;
        let place = "arn:aws:cloudformation:eu-west-1:111111111111";
        let view = ChangeSetView {
            arn: format!("{place}:changeSet/{}-{id}/{:08}", wanted.name, self.number),
            stack_arn: format!("{place}:stack/{}-{id}/{:08}", wanted.stack, self.number),
            description: String::new(),
            tags: Tags::new(),
            state: ChangeSetState::Failed(reason.clone()),
            changes: Some(Vec::new()),
        };
        let reason =
            format!("Nested change set {} was not successfully created: Currently in FAILED.", view.arn);
        self.failed_nested.insert(view.arn.clone(), view);
        Some(Refusal { reason, findings: Vec::new() })
    }

    /// Turns the additions of existing resources into imports, or returns the reason why one cannot be imported
    /// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html>).
    fn import(&self, design: &mut Design, changes: &mut [ProposedChange]) -> Result<(), String> {
        for change in changes.iter_mut().filter(|change| change.action == "Add") {
            let wanted = &design.resources[&change.logical_id];
            let Some(name) = wanted.name().filter(|_| wanted.has_literal_name()) else { continue };
            if let Some(owner) = self.owner(&name) {
                return Err(format!("{} already exists in stack {owner}", name.1));
            }
            let Some(physical_id) = self.orphans.get(&name) else { continue };
            if !wanted.is_retained() {
                return Err(format!(
                    "CloudFormation is attempting to import some resources because they already exist in your \
                     account. The resources must have the DeletionPolicy attribute set to 'Retain' or \
                     'RetainExceptOnCreate' in the template for successful import. The affected resources are {} \
                     ({})",
                    change.logical_id, name.1
                ));
            }
            change.action = "Import".to_owned();
            change.physical_id.clone_from(physical_id);
            design.imports.insert(change.logical_id.clone(), physical_id.clone());
        }
        Ok(())
    }

    fn execute_change_set(&mut self, arn: &str, token: &str) -> Result<Execution, Failure> {
        if self.tokens.contains(token) {
            return Ok(Execution::Accepted);
        }
        let found = self.stacks.iter().find_map(|stack| {
            let set = stack.change_sets.iter().find(|set| set.view.arn == arn)?;
            Some((stack.arn.clone(), stack.status.clone(), set.clone()))
        });
        let Some((stack, status, set)) = found else { return Ok(Execution::Refused) };
        let creates = status == StackStatus::ReviewInProgress;
        if set.view.state != ChangeSetState::Ready || !(creates || is_updatable(&status)) {
            return Ok(Execution::Refused);
        }
        self.tokens.insert(token.to_owned());
        let changes = set.view.changes.clone().unwrap_or_default();
        self.effect("ExecuteChangeSet", &stack, Some(arn), token, &changes);
        let sets = &mut self.stack_mut(&stack).change_sets;
        // Executing one change set deletes all others.
        sets.retain(|set| set.view.arn == arn);
        sets.iter_mut().for_each(|set| set.view.state = ChangeSetState::Executed);
        if creates && !self.invalid.is_empty() {
            self.begin_invalid_create(&stack, token);
        } else if creates {
            self.begin_create(&stack, set.design, token);
        } else {
            self.begin_update(&stack, set.design, token);
        }
        Ok(Execution::Accepted)
    }

    fn delete_stack(&mut self, stack: &str, token: &str, retained: &[String]) -> Result<(), Failure> {
        let Some(arn) = self.arn_of(stack) else { return Ok(()) };
        let status = self.stack_mut(&arn).status.clone();
        let gone = matches!(status, StackStatus::DeleteInProgress | StackStatus::DeleteComplete);
        if gone || self.tokens.contains(token) {
            return Ok(());
        }
        if self.stack_mut(&arn).is_protected {
            let why = format!("Stack [{arn}] cannot be deleted while TerminationProtection is enabled");
            return Err(refused("DeleteStack", why));
        }
        let busy = status.phase() == Phase::Running && status != StackStatus::CreateInProgress;
        if busy {
            let why = format!("Stack [{arn}] cannot be deleted while in status {status}");
            return Err(refused("DeleteStack", why));
        }
        if !retained.is_empty() && status != StackStatus::DeleteFailed {
            return Err(refused("DeleteStack", "Resources can be retained only in DELETE_FAILED".into()));
        }
        self.tokens.insert(token.to_owned());
        self.effect("DeleteStack", &arn, None, token, &[]);
        self.note_without(retained);
        if status == StackStatus::ReviewInProgress {
            // Over at once, without an event.
            self.remember(&arn);
            let stack = self.stack_mut(&arn);
            stack.status = StackStatus::DeleteComplete;
            stack.change_sets.clear();
            return Ok(());
        }
        self.begin_delete(&arn, token, retained);
        Ok(())
    }

    /// Checks that a call may act on a stack in one of these statuses; returns false if the call was already executed.
    fn acts_on(
        &mut self,
        call: &'static str,
        arn: &str,
        token: &str,
        on: &[StackStatus],
    ) -> Result<bool, Failure> {
        if self.tokens.contains(token) {
            return Ok(false);
        }
        let status = self.find(arn).map(|stack| stack.status.clone());
        let status = status.ok_or_else(|| refused(call, format!("Stack [{arn}] does not exist")))?;
        if !on.contains(&status) {
            return Err(refused(call, format!("Stack:{arn} is in {status} state")));
        }
        self.tokens.insert(token.to_owned());
        self.effect(call, arn, None, token, &[]);
        Ok(true)
    }

    fn rollback_stack(&mut self, arn: &str, token: &str) -> Result<(), Failure> {
        if self.failed_in_express_mode(arn) {
            let why = "RollbackStack is not supported for stacks that were last updated using EXPRESS deployment mode and \
                       are in a failed state";
            return Err(refused("RollbackStack", why.into()));
        }
        let on = [StackStatus::UpdateFailed, StackStatus::CreateFailed];
        if self.acts_on("RollbackStack", arn, token, &on)? {
            match self.stack_mut(arn).status {
                // There is no stable state to roll back to.
                StackStatus::CreateFailed => self.begin_delete(arn, token, &[]),
                _ => self.begin_rollback(arn, token, &[]),
            }
        }
        Ok(())
    }

    fn failed_in_express_mode(&self, stack: &str) -> bool {
        let failed = [StackStatus::UpdateFailed, StackStatus::CreateFailed];
        self.find(stack).is_some_and(|found| found.is_express && failed.contains(&found.status))
    }

    /// Updates a stack in express mode. CloudFormation refuses a replacement then, and rolls nothing back.
    fn replay(&mut self, replay: &Replay) -> Result<(), Failure> {
        let (call, arn) = ("UpdateStack", replay.arn.as_str());
        let TemplateSource::Url(url) = &replay.template else {
            return Err(refused(call, "the simulation reads templates from addresses".into()));
        };
        let template = self.templates.get(url).cloned();
        let template = template.ok_or_else(|| refused(call, "S3 error: no such key".into()))?;
        if !self.acts_on(call, arn, &replay.token, &[StackStatus::UpdateFailed])? {
            return Ok(());
        }
        let tags = self.stack_mut(arn).holdings.design.tags.clone();
        let design = Design::read(&template, &replay.parameters, &tags).map_err(|why| refused(call, why))?;
        self.stack_mut(arn).is_express = true;
        self.begin_replay(arn, Rc::new(design), &replay.token);
        Ok(())
    }

    fn continue_update_rollback(&mut self, arn: &str, token: &str, skip: &[String]) -> Result<(), Failure> {
        if self.acts_on("ContinueUpdateRollback", arn, token, &[StackStatus::UpdateRollbackFailed])? {
            self.note_without(skip);
            self.begin_rollback(arn, token, skip);
        }
        Ok(())
    }

    /// Adds these resources to the last action as omitted ones.
    fn note_without(&mut self, without: &[String]) {
        if let Some(effect) = self.effects.last_mut() {
            effect.without = without.to_vec();
        }
    }

    fn cancel_update_stack(&mut self, arn: &str, token: &str) -> Result<(), Failure> {
        if self.acts_on("CancelUpdateStack", arn, token, &[StackStatus::UpdateInProgress])? {
            // The cancellation of an update continues under the update's token.
            let of_update = self.stack_mut(arn).token.clone().unwrap_or_default();
            self.begin_rollback(arn, &of_update, &[]);
        }
        Ok(())
    }
}

impl Stacks for SimStacks {
    async fn describe(&self, stack: &str) -> Result<Option<Stack>, Failure> {
        Ok(self.see(stack, |found| Stack {
            arn: found.arn.clone(),
            status: found.status.clone(),
            parent: found.parent.clone(),
            // The service may show the tags of a placeholder; nothing may rely on it.
            tags: match found.status {
                StackStatus::ReviewInProgress => Tags::new(),
                _ => found.holdings.design.tags.iter().cloned().collect(),
            },
            parameters: found.holdings.design.parameters.clone(),
            outputs: found.holdings.outputs(),
            exports: found.holdings.design.exports.clone(),
            last_updated: found.last_updated,
            termination_protection: found.is_protected,
            is_express: found.is_express,
        }))
    }

    async fn events(
        &self,
        stack: &str,
        _enough: &dyn Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Failure> {
        Ok(self
            .see(stack, |found| found.events.iter().map(|event| (**event).clone()).collect())
            .unwrap_or_default())
    }

    async fn resources(&self, stack: &str) -> Result<Vec<LiveResource>, Failure> {
        let found = self.see(stack, |found| found.holdings.listed());
        found.ok_or_else(|| refused("ListStackResources", format!("Stack with id {stack} does not exist")))
    }

    // No template of a test has a macro.
    async fn template(&self, stack: &str, _form: TemplateForm) -> Result<String, Failure> {
        let found = self.see(stack, |found| found.holdings.design.template.clone());
        found.ok_or_else(|| refused("GetTemplate", format!("Stack with id {stack} does not exist")))
    }

    async fn change_sets(&self, stack: &str) -> Result<Vec<String>, Failure> {
        let names = |found: &SimStack| found.change_sets.iter().map(|set| set.name.clone()).collect();
        let found = self.see(stack, names);
        found.ok_or_else(|| refused("ListChangeSets", format!("Stack with id {stack} does not exist")))
    }

    async fn importers(&self, export: &str) -> Result<Vec<String>, Failure> {
        self.change(|inner| Ok(inner.importers(export)))
    }

    async fn validation_failures(&self, change_set: &str) -> Result<Vec<String>, Failure> {
        self.change(|inner| {
            let mut sets = inner.stacks.iter().flat_map(|stack| &stack.change_sets);
            let found = sets.find(|set| set.view.arn == change_set);
            Ok(found.map(|set| set.invalid.clone()).unwrap_or_default())
        })
    }

    async fn validation_warnings(&self, _change_set: &str) -> Result<Vec<String>, Failure> {
        self.change(|inner| Ok(inner.warnings.clone()))
    }

    async fn failed_validations(&self, stack: &str, token: &str) -> Result<Vec<String>, Failure> {
        let found = self.see(stack, |found| found.invalid.get(token).cloned().unwrap_or_default());
        found.ok_or_else(|| refused("DescribeEvents", format!("Stack [{stack}] does not exist")))
    }

    async fn create_change_set(&self, wanted: &NewChangeSet) -> Result<Creation, Failure> {
        self.change(|inner| inner.create_change_set(wanted))
    }

    async fn describe_change_set(
        &self,
        stack: &str,
        change_set: &str,
    ) -> Result<Option<ChangeSetView>, Failure> {
        self.change(|inner| {
            let named = |found: &&SimStack| found.arn == stack || found.name == stack;
            let found = inner.stacks.iter().find_map(|found| {
                let here = Some(found).filter(named).is_some();
                let mut sets = found.change_sets.iter();
                sets.find(|set| set.view.arn == change_set || (here && set.name == change_set))
            });
            let nested = || inner.failed_nested.get(change_set).cloned();
            Ok(found.map(|set| set.view.clone()).or_else(nested))
        })
    }

    async fn delete_change_set(&self, stack: &str, change_set: &str) -> Result<(), Failure> {
        self.change(|inner| {
            let Some(arn) = inner.arn_of(stack) else { return Ok(()) };
            let sets = &mut inner.stack_mut(&arn).change_sets;
            let before = sets.len();
            sets.retain(|set| set.name != change_set && set.view.arn != change_set);
            if inner.stack_mut(&arn).change_sets.len() < before {
                inner.effect("DeleteChangeSet", &arn, Some(change_set), "", &[]);
            }
            Ok(())
        })
    }

    async fn execute_change_set(&self, change_set: &str, token: &str) -> Result<Execution, Failure> {
        self.change(|inner| inner.execute_change_set(change_set, token))
    }

    async fn delete_stack(
        &self,
        arn: &str,
        token: &str,
        _role: &str,
        retain: &[String],
    ) -> Result<(), Failure> {
        self.change(|inner| inner.delete_stack(arn, token, retain))
    }

    async fn rollback_stack(&self, arn: &str, token: &str, _role: &str) -> Result<(), Failure> {
        self.change(|inner| inner.rollback_stack(arn, token))
    }

    async fn replay(&self, replay: &Replay) -> Result<(), Failure> {
        self.change(|inner| inner.replay(replay))
    }

    async fn continue_update_rollback(
        &self,
        arn: &str,
        token: &str,
        _role: &str,
        skip: &[String],
    ) -> Result<(), Failure> {
        self.change(|inner| inner.continue_update_rollback(arn, token, skip))
    }

    async fn cancel_update_stack(&self, arn: &str, token: &str) -> Result<(), Failure> {
        self.change(|inner| inner.cancel_update_stack(arn, token))
    }
}
