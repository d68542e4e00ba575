//! `deploy` and `teardown` in the sweep: what lies between their functions and CloudFormation, and the world around the
//! function.

pub mod checks;
pub mod invariants;
pub mod scenarios;
mod statuses;

use crate::boundary::Boundary;
use crate::bugs::Bug;
use crate::faults::{Faults, Site};
use crate::harness::Harness;
use jiff::Timestamp;
use lockstep_domain::delivery::function_code::FunctionCode;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::permissions::lack::{Answer, Question};
use lockstep_domain::stacks::stack_plan::LiveResource;
use lockstep_platform::cloudformation::{ChangeSetView, Creation, Execution, NewChangeSet, Stack, Stacks};
use lockstep_platform::ledger::Ledger;
use lockstep_platform::waits::Waits;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::cloudformation::{SimCloudFormation, SimStacks};
use std::sync::Arc;
use std::time::Duration;

/// CloudFormation, struck where the case says so.
pub struct StruckStacks {
    cloud: SimCloudFormation,
    stacks: SimStacks,
    boundary: Boundary,
    bug: Option<Bug>,
}

impl StruckStacks {
    /// `cloud`, struck by `faults`.
    pub fn new(
        cloud: &SimCloudFormation,
        faults: &Arc<Faults>,
        clock: &VirtualClock,
        bug: Option<Bug>,
    ) -> Self {
        let (cloud, stacks) = (cloud.clone(), cloud.stacks());
        Self { cloud, stacks, boundary: Boundary::new(faults, clock), bug }
    }

    /// What [`Bug::ApprovalByName`] takes a change set's ARN for: whichever was made last.
    fn newest_change_set(&self, asked: &str) -> String {
        let made = self.cloud.effects().into_iter().rev().find(|effect| effect.call == "CreateChangeSet");
        match made.and_then(|made| made.change_set) {
            Some(newest) if asked == crate::bugs::BY_NAME => newest,
            _ => asked.to_owned(),
        }
    }

    fn token(&self, token: &str) -> String {
        let mut token = token.to_owned();
        if let Some(bug) = self.bug {
            bug.twist_token(&mut token);
        }
        token
    }

    /// Makes a call, or what the case makes of it.
    pub async fn call<T>(
        &self,
        name: &str,
        site: Site,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.boundary.cross(name, site, || self.cloud.read_stale_once(), call).await
    }
}

impl Stacks for StruckStacks {
    async fn describe(&self, stack: &str) -> Result<Option<Stack>, Failure> {
        let seen = self.call("DescribeStacks", Site::Read, async || self.stacks.describe(stack).await).await;
        match self.bug {
            Some(bug) => bug.twist_stack(seen),
            None => seen,
        }
    }

    async fn events(
        &self,
        stack: &str,
        enough: &dyn Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Failure> {
        let events = async || self.stacks.events(stack, enough).await;
        let seen = self.call("DescribeStackEvents", Site::Read, events).await;
        match self.bug {
            Some(Bug::EmptyIsAbsent) => Ok(seen.unwrap_or_default()),
            Some(bug) => seen.map(|events| bug.twist_events(events)),
            None => seen,
        }
    }

    async fn resources(&self, stack: &str) -> Result<Vec<LiveResource>, Failure> {
        let seen =
            self.call("ListStackResources", Site::Read, async || self.stacks.resources(stack).await).await;
        match self.bug {
            Some(Bug::SurvivorsIgnored | Bug::OnceStableRecreated) => seen.map(|_| Vec::new()),
            Some(Bug::EmptyIsAbsent) => Ok(seen.unwrap_or_default()),
            _ => seen,
        }
    }

    async fn template(&self, stack: &str) -> Result<String, Failure> {
        self.call("GetTemplate", Site::Read, async || self.stacks.template(stack).await).await
    }

    async fn change_sets(&self, stack: &str) -> Result<Vec<String>, Failure> {
        self.call("ListChangeSets", Site::Read, async || self.stacks.change_sets(stack).await).await
    }

    async fn importers(&self, export: &str) -> Result<Vec<String>, Failure> {
        self.call("ListImports", Site::Read, async || self.stacks.importers(export).await).await
    }

    async fn validation_failures(&self, change_set: &str) -> Result<Vec<String>, Failure> {
        let look = async || self.stacks.validation_failures(change_set).await;
        self.call("DescribeEvents", Site::Read, look).await
    }

    async fn failed_validations(&self, stack: &str, token: &str) -> Result<Vec<String>, Failure> {
        let look = async || self.stacks.failed_validations(stack, token).await;
        self.call("DescribeEvents", Site::Read, look).await
    }

    async fn create_change_set(&self, wanted: &NewChangeSet) -> Result<Creation, Failure> {
        let wanted = NewChangeSet { token: self.token(&wanted.token), ..wanted.clone() };
        let create = async || self.stacks.create_change_set(&wanted).await;
        self.call("CreateChangeSet", Site::Write, create).await
    }

    async fn describe_change_set(
        &self,
        stack: &str,
        change_set: &str,
    ) -> Result<Option<ChangeSetView>, Failure> {
        let change_set = match self.bug {
            Some(Bug::ApprovalByName) => self.newest_change_set(change_set),
            _ => change_set.to_owned(),
        };
        let seen = self
            .call("DescribeChangeSet", Site::Read, async || {
                self.stacks.describe_change_set(stack, &change_set).await
            })
            .await?;
        Ok(match self.bug {
            Some(bug) => seen.map(|view| bug.twist_change_set(view)),
            None => seen,
        })
    }

    async fn delete_change_set(&self, stack: &str, change_set: &str) -> Result<(), Failure> {
        let delete = async || self.stacks.delete_change_set(stack, change_set).await;
        self.call("DeleteChangeSet", Site::Write, delete).await
    }

    async fn execute_change_set(&self, change_set: &str, token: &str) -> Result<Execution, Failure> {
        let token = self.token(token);
        let change_set = match self.bug {
            Some(Bug::ApprovalByName) => self.newest_change_set(change_set),
            _ => change_set.to_owned(),
        };
        let execute = async || self.stacks.execute_change_set(&change_set, &token).await;
        self.call("ExecuteChangeSet", Site::Write, execute).await
    }

    async fn delete_stack(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        retain: &[String],
    ) -> Result<(), Failure> {
        let token = self.token(token);
        let delete = async || self.stacks.delete_stack(arn, &token, role, retain).await;
        self.call("DeleteStack", Site::Write, delete).await
    }

    async fn rollback_stack(&self, arn: &str, token: &str, role: &str) -> Result<(), Failure> {
        let token = self.token(token);
        let rollback = async || self.stacks.rollback_stack(arn, &token, role).await;
        self.call("RollbackStack", Site::Write, rollback).await
    }

    async fn continue_update_rollback(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        skip: &[String],
    ) -> Result<(), Failure> {
        let token = self.token(token);
        let go_on = async || self.stacks.continue_update_rollback(arn, &token, role, skip).await;
        self.call("ContinueUpdateRollback", Site::Write, go_on).await
    }

    async fn cancel_update_stack(&self, arn: &str, token: &str) -> Result<(), Failure> {
        let token = self.token(token);
        let cancel = async || self.stacks.cancel_update_stack(arn, &token).await;
        self.call("CancelUpdateStack", Site::Write, cancel).await
    }
}

/// The world of the `stack` function.
pub struct StackWorld<'a>(pub &'a Harness);

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
        format!("arn:aws:iam::{}:role/lockstep-delivery-cloudformation", location.account)
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.0.artifact(key).await
    }

    async fn stacks(&self, _location: &Location, _session: &str) -> Result<StruckStacks, Failure> {
        Ok(StruckStacks::new(&self.0.cloud, &self.0.faults, &self.0.clock, self.0.bug))
    }

    async fn simulate(
        &self,
        _location: &Location,
        _session: &str,
        _questions: &[Question],
    ) -> Result<Vec<Answer>, Failure> {
        unreachable!("no scenario has a release that says what it needs")
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
