//! Operations: the sequence of steps after a start.

use super::model::{Design, Holdings, Resource, Wanted};
use super::{Inner, Loss, Trouble};
use jiff::Timestamp;
use lockstep_aws::cloudformation::ChangeSetState;
use lockstep_domain::stacks::plan::{Phase, StackStatus};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Duration of the clean-up after an update.
const CLEANUP: Duration = Duration::from_secs(5);

/// One step of an operation.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    status: StackStatus,
    reason: String,
    resources: Vec<(String, &'static str, String)>,
    then: Then,
}

/// Result of a step.
#[derive(Clone)]
enum Then {
    Nothing,
    /// The stack has these resources.
    Hold(Box<Holdings>),
    /// The stack has its resources from before the operation.
    Restore,
    /// Remains of a creation or a deletion: every other resource is deleted.
    Keep(BTreeMap<String, Resource>),
}

/// Returns the resources of `design`, made from `held`. An equal resource, or one changed in place, keeps its physical
/// id.
pub(super) fn made(design: &Design, held: &Holdings, salt: &str) -> Holdings {
    let changes = held.changes_to(design);
    let moved = |id: &str| {
        changes.iter().any(|c| {
            c.logical_id == *id && (c.action == "Add" || !matches!(c.replacement.as_str(), "" | "False"))
        })
    };
    let written =
        |id: &str, name: &String| changes.iter().any(|c| c.logical_id == *id && c.properties.contains(name));
    let resources = design.resources.iter().map(|(id, wanted)| {
        let kept = held.resources.get(id).filter(|_| !moved(id)).map(|kept| &kept.physical_id);
        let physical_id = match design.imports.get(id).or(kept) {
            Some(known) => known.clone(),
            None => format!("{}-{salt}", id.to_lowercase()),
        };
        let status = if held.resources.contains_key(id) { "UPDATE_COMPLETE" } else { "CREATE_COMPLETE" };
        // A property that was changed outside remains, unless the operation overwrites it.
        let kept = held.resources.get(id).filter(|_| !moved(id) && !design.reverts_drift);
        let drift = kept.into_iter().flat_map(|kept| kept.drift.clone());
        let drift = drift.filter(|(name, _)| !written(id, name)).collect();
        (id.clone(), Resource { wanted: wanted.clone(), physical_id, status: status.to_owned(), drift })
    });
    let design = Design { reverts_drift: false, imports: BTreeMap::new(), ..design.clone() };
    Holdings { resources: resources.collect(), design: Rc::new(design) }
}

impl Inner {
    /// Applies every step that is due.
    pub(super) fn settle(&mut self) {
        let now = self.clock.now();
        while let Some(arn) = self.due(now) {
            let moment = self.running.get_mut(&arn).and_then(std::collections::VecDeque::pop_front);
            if let Some(moment) = moment {
                self.happen(&arn, moment);
            }
        }
        self.running.retain(|_, moments| !moments.is_empty());
        for stack in &mut self.stacks {
            for set in &mut stack.change_sets {
                if set.view.state == ChangeSetState::InProgress && set.ready_at <= now {
                    set.view.state = set.then.clone();
                }
            }
        }
    }

    fn due(&self, now: Timestamp) -> Option<String> {
        let first = self.running.iter().filter_map(|(arn, moments)| Some((moments.front()?.at, arn)));
        first.filter(|(at, _)| *at <= now).min().map(|(_, arn)| arn.clone())
    }

    fn happen(&mut self, arn: &str, moment: Moment) {
        self.remember(arn);
        let before = self.stack_mut(arn).holdings.clone();
        for (logical_id, status, reason) in &moment.resources {
            let known = self.stack_mut(arn).holdings.resources.get_mut(logical_id).map(|resource| {
                resource.status = (*status).to_owned();
                // A resource whose creation failed does not exist.
                if *status == "CREATE_FAILED" {
                    resource.physical_id.clear();
                }
                (resource.physical_id.clone(), resource.wanted.kind.clone())
            });
            let (physical, kind) = known.unwrap_or((String::new(), "AWS::SNS::Topic".to_owned()));
            self.event(arn, (logical_id, &physical, &kind), status, reason);
        }
        let token = self.stack_mut(arn).token.clone().unwrap_or_default();
        let stack = self.stack_mut(arn);
        match moment.then {
            Then::Nothing => {}
            Then::Hold(holdings) => stack.holdings = *holdings,
            Then::Restore => stack.holdings = stack.before.take().unwrap_or(before.clone()),
            Then::Keep(resources) => stack.holdings.resources = resources,
        }
        let gone = moment.status == StackStatus::DeleteComplete;
        let after = if gone { Holdings::default() } else { stack.holdings.clone() };
        let start = stack.before.clone();
        self.record_losses(arn, &before, &after, start.as_ref(), &token);
        if moment.status.proves_stability() && moment.status.phase() == Phase::Ended {
            // Only an operation that may roll back needs the previous resources.
            let failed =
                matches!(moment.status, StackStatus::UpdateFailed | StackStatus::UpdateRollbackFailed);
            let stack = self.stack_mut(arn);
            stack.before = stack.before.take().filter(|_| failed);
        }
        self.become_(arn, moment.status, &moment.reason);
    }

    /// Records the resources that no longer exist.
    fn record_losses(
        &mut self,
        arn: &str,
        before: &Holdings,
        after: &Holdings,
        start: Option<&Holdings>,
        token: &str,
    ) {
        for (logical_id, resource) in before.resources.iter().filter(|(_, resource)| resource.exists()) {
            let still = after.resources.get(logical_id).filter(|r| r.physical_id == resource.physical_id);
            if still.is_some_and(Resource::exists) {
                continue;
            }
            let left = self.find(arn).and_then(|stack| stack.holdings.resources.get(logical_id));
            if left.map_or(resource.is_retained(), |left| left.status == "DELETE_SKIPPED") {
                let name = resource.wanted.name().map(|name| (name, resource.physical_id.clone()));
                self.orphans.extend(name);
            }
            self.losses.push(Loss {
                stack: arn.to_owned(),
                logical_id: logical_id.clone(),
                resource_type: resource.wanted.kind.clone(),
                token: token.to_owned(),
                is_retained: resource.is_retained(),
                was_new: start.is_some_and(|start| {
                    let old = start.resources.get(logical_id);
                    old.is_none_or(|old| old.physical_id != resource.physical_id)
                }),
            });
        }
    }

    fn begin(&mut self, arn: &str, token: &str, status: StackStatus, moments: Vec<Moment>) {
        let now = self.clock.now();
        self.remember(arn);
        let stack = self.stack_mut(arn);
        stack.token = (!token.is_empty()).then(|| token.to_owned());
        stack.last_updated = Some(now);
        self.become_(arn, status, "User Initiated");
        self.running.insert(arn.to_owned(), moments.into());
    }

    fn moment(&self, after: Duration, status: StackStatus) -> Moment {
        let at = self.clock.now() + after;
        Moment { at, status, reason: String::new(), resources: Vec::new(), then: Then::Nothing }
    }

    /// Ends an operation that started outside the simulation.
    pub(super) fn let_end(&mut self, arn: &str, status: &StackStatus) {
        let end = match status {
            StackStatus::CreateInProgress => StackStatus::CreateComplete,
            StackStatus::RollbackInProgress => StackStatus::RollbackComplete,
            StackStatus::DeleteInProgress => StackStatus::DeleteComplete,
            StackStatus::UpdateInProgress | StackStatus::UpdateCompleteCleanupInProgress => {
                StackStatus::UpdateComplete
            }
            StackStatus::UpdateRollbackInProgress | StackStatus::UpdateRollbackCompleteCleanupInProgress => {
                StackStatus::UpdateRollbackComplete
            }
            StackStatus::ImportInProgress => StackStatus::ImportComplete,
            StackStatus::ImportRollbackInProgress => StackStatus::ImportRollbackComplete,
            _ => return,
        };
        let end = self.moment(self.pace, end);
        self.running.insert(arn.to_owned(), [end].into());
    }

    /// Creates the resources of the change set on a stack that was only reviewed.
    pub(super) fn begin_create(&mut self, arn: &str, design: Rc<Design>, token: &str) {
        let (half, pace) = (self.pace / 2, self.pace);
        let name = self.stack_mut(arn).name.clone();
        let failing = self.failing(&design);
        self.adopt(&design);
        self.number += 1;
        let holdings = made(&design, &Holdings::default(), &format!("{name}-{}", self.number));
        let stack = self.stack_mut(arn);
        stack.holdings = holdings.clone();
        stack.before = Some(Holdings::default());
        for resource in stack.holdings.resources.values_mut() {
            resource.status = "CREATE_IN_PROGRESS".to_owned();
        }
        let Some(failing) = failing else {
            let all = design.resources.keys().map(|id| (id.clone(), "CREATE_COMPLETE", String::new()));
            let end = Moment { resources: all.collect(), ..self.moment(pace, StackStatus::CreateComplete) };
            return self.begin(arn, token, StackStatus::CreateInProgress, vec![end]);
        };
        let resources = design.resources.keys().map(|id| match *id == failing {
            true if design.imports.contains_key(id) => {
                (id.clone(), "IMPORT_FAILED", format!("{id} cannot be imported"))
            }
            true => (id.clone(), "CREATE_FAILED", format!("{id} already exists")),
            false => (id.clone(), "CREATE_COMPLETE", String::new()),
        });
        let failed = Moment {
            resources: resources.collect(),
            reason: format!("The following resource(s) failed to create: [{failing}]."),
            ..self.moment(half, StackStatus::RollbackInProgress)
        };
        let mut left = holdings.resources;
        if !design.imports.contains_key(&failing) {
            left.remove(&failing);
        }
        let retains = self.retains_on_create;
        // An imported resource leaves the stack unchanged.
        let released: Vec<String> = design.imports.keys().cloned().collect();
        let end = self.removal(
            left,
            (Trouble::Rollback, retains),
            StackStatus::RollbackComplete,
            StackStatus::RollbackFailed,
            &released,
        );
        self.begin(arn, token, StackStatus::CreateInProgress, vec![failed, end]);
    }

    /// Starts a creation that CloudFormation's validation ends before it touches a resource.
    pub(super) fn begin_invalid_create(&mut self, arn: &str, token: &str) {
        let found = std::mem::take(&mut self.invalid);
        self.stack_mut(arn).invalid.insert(token.to_owned(), found);
        let moments = vec![
            self.moment(self.pace / 2, StackStatus::RollbackInProgress),
            self.moment(self.pace, StackStatus::RollbackComplete),
        ];
        self.begin(arn, token, StackStatus::CreateInProgress, moments);
    }

    /// Returns the resource that cannot be created or imported.
    fn failing(&self, design: &Design) -> Option<String> {
        let fails = |(id, wanted): &(&String, &Rc<Wanted>)| {
            self.in_trouble(id, Trouble::Create)
                || (!design.imports.contains_key(*id) && self.is_taken(wanted))
        };
        design.resources.iter().find(fails).map(|(id, _)| id.clone())
    }

    /// Removes the imports of a design from the retained resources without a stack.
    fn adopt(&mut self, design: &Design) {
        for name in design.imports.keys().filter_map(|id| design.resources[id].name()) {
            self.orphans.remove(&name);
        }
    }

    /// Returns the end of an operation that removes `resources`: success, or failure because of a resource in
    /// `trouble`. `retains` says if it follows their deletion policies.
    fn removal(
        &self,
        mut resources: BTreeMap<String, Resource>,
        (trouble, retains): (Trouble, bool),
        well: StackStatus,
        badly: StackStatus,
        retained: &[String],
    ) -> Moment {
        let mut reported = Vec::new();
        let mut status = well;
        for (id, resource) in resources.iter_mut().filter(|(_, resource)| resource.exists()) {
            let (end, reason) = if (retains && resource.is_retained()) || retained.contains(id) {
                ("DELETE_SKIPPED", String::new())
            } else if self.in_trouble(id, trouble) || self.in_trouble(id, Trouble::Delete) {
                status = badly.clone();
                ("DELETE_FAILED", format!("{id} is not empty"))
            } else {
                ("DELETE_COMPLETE", String::new())
            };
            resource.status = end.to_owned();
            reported.push((id.clone(), end, reason));
        }
        Moment { resources: reported, then: Then::Keep(resources), ..self.moment(self.pace, status) }
    }

    /// Updates a stable stack to `design`.
    pub(super) fn begin_update(&mut self, arn: &str, design: Rc<Design>, token: &str) {
        let (half, pace) = (self.pace / 2, self.pace);
        self.number += 1;
        let salt = self.number.to_string();
        let held = self.stack_mut(arn).holdings.clone();
        self.stack_mut(arn).before = Some(held.clone());
        self.stack_mut(arn).is_express = false;
        let changes = held.changes_to(&design);
        let failing = changes.iter().find(|change| {
            let id = &change.logical_id;
            match change.action.as_str() {
                "Add" => {
                    let is_imported = design.imports.contains_key(id);
                    self.in_trouble(id, Trouble::Create)
                        || (!is_imported && self.is_taken(&design.resources[id]))
                }
                _ => self.in_trouble(id, Trouble::Update),
            }
        });
        let Some(failing) = failing else {
            self.adopt(&design);
            let reported = changes.iter().filter(|change| change.action != "Remove");
            let reported = reported
                .map(|change| (change.logical_id.clone(), "UPDATE_COMPLETE", String::new()))
                .collect();
            let then = Then::Hold(Box::new(made(&design, &held, &salt)));
            let changed = Moment {
                resources: reported,
                then,
                ..self.moment(pace, StackStatus::UpdateCompleteCleanupInProgress)
            };
            let end = self.moment(pace + CLEANUP, StackStatus::UpdateComplete);
            return self.begin(arn, token, StackStatus::UpdateInProgress, vec![changed, end]);
        };
        if self.retains_on_create {
            let new = changes.iter().filter(|c| c.action == "Add" && c.logical_id != failing.logical_id);
            let new = new.map(|change| &change.logical_id).filter(|id| !design.imports.contains_key(*id));
            let new = new.filter(|id| design.resources[*id].is_retained());
            let orphans = new.filter_map(|id| Some((design.resources[id].name()?, id.to_lowercase())));
            self.orphans.extend(orphans.collect::<Vec<_>>());
        }
        let status = if failing.action == "Add" { "CREATE_FAILED" } else { "UPDATE_FAILED" };
        let id = failing.logical_id.clone();
        let failed = Moment {
            resources: vec![(id.clone(), status, format!("{id} is not accepted"))],
            reason: format!("The following resource(s) failed to update: [{id}]."),
            ..self.moment(half, StackStatus::UpdateRollbackInProgress)
        };
        let mut moments = vec![failed];
        moments.extend(self.undoing(&held, pace, &[]));
        self.begin(arn, token, StackStatus::UpdateInProgress, moments);
    }

    /// Updates a stack in express mode, which leaves a failure as it is.
    pub(super) fn begin_replay(&mut self, arn: &str, design: Rc<Design>, token: &str) {
        let held = self.stack_mut(arn).holdings.clone();
        let changes = held.changes_to(&design);
        let failing = changes.iter().find(|change| self.in_trouble(&change.logical_id, Trouble::Update));
        let end = match failing {
            Some(failing) => {
                let id = failing.logical_id.clone();
                let resources = vec![(id.clone(), "UPDATE_FAILED", format!("{id} is not accepted"))];
                Moment { resources, ..self.moment(self.pace, StackStatus::UpdateFailed) }
            }
            None => {
                self.number += 1;
                let then = Then::Hold(Box::new(made(&design, &held, &self.number.to_string())));
                Moment { then, ..self.moment(self.pace, StackStatus::UpdateComplete) }
            }
        };
        self.begin(arn, token, StackStatus::UpdateInProgress, vec![end]);
    }

    /// Returns the steps of an update's rollback, from `after` on.
    fn undoing(&self, held: &Holdings, after: Duration, skip: &[String]) -> Vec<Moment> {
        let stuck = |id: &&String| !skip.contains(id) && self.in_trouble(id, Trouble::Rollback);
        let stuck = held.resources.keys().find(stuck);
        if let Some(id) = stuck {
            let reported = vec![(id.clone(), "UPDATE_FAILED", format!("{id} cannot be changed back"))];
            let end = self.moment(after, StackStatus::UpdateRollbackFailed);
            return vec![Moment { resources: reported, ..end }];
        }
        let cleaning = self.moment(after, StackStatus::UpdateRollbackCompleteCleanupInProgress);
        let restored = Moment { then: Then::Restore, ..cleaning };
        vec![restored, self.moment(after + CLEANUP, StackStatus::UpdateRollbackComplete)]
    }

    /// Deletes the stack and retains `retained` outside it.
    pub(super) fn begin_delete(&mut self, arn: &str, token: &str, retained: &[String]) {
        let held = self.stack_mut(arn).holdings.resources.clone();
        let end = self.removal(
            held,
            (Trouble::Delete, true),
            StackStatus::DeleteComplete,
            StackStatus::DeleteFailed,
            retained,
        );
        self.running.remove(arn);
        self.stack_mut(arn).change_sets.clear();
        self.stack_mut(arn).before = None;
        self.begin(arn, token, StackStatus::DeleteInProgress, vec![end]);
    }

    /// Rolls a stack whose update or rollback failed back to its previous resources, without those in `skip`.
    pub(super) fn begin_rollback(&mut self, arn: &str, token: &str, skip: &[String]) {
        let stack = self.stack_mut(arn);
        let held = stack.before.clone().unwrap_or_else(|| stack.holdings.clone());
        let moments = self.undoing(&held, self.pace, skip);
        self.begin(arn, token, StackStatus::UpdateRollbackInProgress, moments);
    }
}
