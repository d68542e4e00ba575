//! The invariants of order and freshness, which hold after every case.

use super::scenarios::{CONSUMER, OF, ci};
use crate::harness::Harness;
use crate::scenarios::Scenario;
use lockstep_aws::cloudformation::Stacks;
use lockstep_aws::ledger::Order;
use lockstep_domain::delivery::freshness;
use lockstep_domain::model::ids::TEST;
use lockstep_domain::records::{Deployment, DeploymentState, Environment};
use lockstep_tests::asl::{End, Run};
use std::collections::BTreeMap;

/// The state after a push.
pub struct PushRemains<'a> {
    harness: &'a Harness,
    deployments: Vec<Deployment>,
    environments: Vec<Environment>,
    /// The output of the producer's stack.
    output: Option<String>,
    /// The value that the consumer's stack runs with.
    value: Option<String>,
}

impl<'a> PushRemains<'a> {
    /// Collects the state.
    pub async fn of(harness: &'a Harness, _: &'a Scenario) -> Self {
        let partition = Environment::all_of(&ci());
        let found = harness.ledger.list::<Environment>(&partition, Order::Oldest, 100).await.expect("a list");
        let producer = harness.cloud.stacks().describe(&format!("ci-{OF}")).await.expect("a read");
        let consumer = harness.cloud.runs(&format!("ci-{CONSUMER}"));
        Self {
            harness,
            deployments: harness.deployments().await,
            environments: found.into_iter().map(|found| found.record).collect(),
            output: producer.and_then(|stack| stack.outputs.get("Visible").cloned()),
            value: consumer.and_then(|(_, parameters, _)| parameters.get("Visible").cloned()),
        }
    }

    /// Returns the state that decides about the next push.
    pub fn in_short(&self) -> String {
        let environments: Vec<_> = self
            .environments
            .iter()
            .map(|it| {
                let deployed = it.deployed.as_ref().map(|deployed| (&deployed.digest, deployed.checked));
                (&it.name, deployed, it.holder.is_some(), &it.inputs)
            })
            .collect();
        format!("{:?} {:?} {environments:?}", self.output, self.value)
    }

    /// Returns each broken invariant as a sentence.
    pub fn broken(&self) -> Vec<String> {
        [
            self.a_consumer_begins_after_its_producer(),
            self.a_difference_is_shown(),
            self.a_consumer_follows(),
            self.inputs_are_brought_once(),
            self.every_deployment_is_closed(),
        ]
        .concat()
    }

    fn of_component<'d>(&'d self, name: &'d str) -> impl Iterator<Item = &'d Deployment> {
        let is_its =
            move |it: &&Deployment| it.component().is_some_and(|component| component.as_str() == name);
        self.deployments.iter().filter(is_its).filter(|it| self.harness.is_of_this_case(&it.execution))
    }

    fn consumer(&self) -> Option<&Environment> {
        self.environments.iter().find(|it| it.name == CONSUMER)
    }

    fn stale(&self) -> bool {
        self.consumer().is_some_and(|it| !freshness::stale(it, &self.environments).is_empty())
    }

    /// Invariant 18: the test of a consumer begins after its producer of the same push has succeeded in ci.
    fn a_consumer_begins_after_its_producer(&self) -> Vec<String> {
        let since = self.harness.began;
        let of_stage = |name, stage: &'static str| {
            self.of_component(name).filter(move |it| it.stage.as_str() == stage && it.started_at >= since)
        };
        // A push that leaves the producer alone tests no release of it.
        if of_stage(OF, TEST).next().is_none() {
            return Vec::new();
        }
        let done =
            |it: &&Deployment| matches!(it.state, DeploymentState::Succeeded | DeploymentState::NoChanges);
        let ends: Vec<_> = of_stage(OF, "ci").filter(done).filter_map(|it| it.finished_at).collect();
        let early = of_stage(CONSUMER, TEST).filter(|it| !ends.iter().any(|end| *end <= it.started_at));
        early.map(|it| format!("18: {} began before its producer was in ci", it.execution)).collect()
    }

    /// Invariant 19: the value of the consumer equals the output of the producer, or is shown as stale.
    fn a_difference_is_shown(&self) -> Vec<String> {
        match (&self.output, &self.value) {
            (Some(output), Some(value)) if output != value && !self.stale() => {
                vec![format!("19: {CONSUMER} runs with {value}, {OF} has {output}, and no record shows it")]
            }
            _ => Vec::new(),
        }
    }

    /// Invariant 19: a consumer that no hold keeps, and whose redeployment did not fail, is not stale.
    fn a_consumer_follows(&self) -> Vec<String> {
        let Some(consumer) = self.consumer() else { return Vec::new() };
        let has_failed = self.redeployments().any(|it| it.state == DeploymentState::Failed);
        if self.stale() && consumer.hold.is_none() && !has_failed {
            return vec![format!("19: {CONSUMER} is stale, and nothing keeps it from being deployed again")];
        }
        Vec::new()
    }

    fn redeployments(&self) -> impl Iterator<Item = &Deployment> {
        self.of_component(CONSUMER).filter(|it| it.deploy().is_some_and(|deploy| deploy.follows.is_some()))
    }

    /// Invariant 19: the same inputs are brought once.
    fn inputs_are_brought_once(&self) -> Vec<String> {
        let mut brought = BTreeMap::new();
        for follows in self.redeployments().filter_map(|it| it.deploy()?.follows.as_ref()) {
            *brought.entry(&follows.inputs).or_insert(0) += 1;
        }
        let twice = brought.values().filter(|times| **times > 1);
        twice
            .map(|times| format!("19: {CONSUMER} was deployed again {times} times for the same inputs"))
            .collect()
    }

    /// Invariant 10: no record is left open.
    fn every_deployment_is_closed(&self) -> Vec<String> {
        let open = self.deployments.iter().filter(|deployment| !deployment.state.is_final());
        let held = self.environments.iter().filter(|environment| environment.holder.is_some());
        open.map(|open| format!("10: deployment {} is still {:?}", open.execution, open.state))
            .chain(held.map(|held| format!("10: environment {} is still held", held.name)))
            .collect()
    }

    /// Invariant 10: a push that succeeded brought its producer to ci.
    pub fn success_is_true(&self, run: &Run) -> Vec<String> {
        let runs = |name: &str| {
            let found = self.environments.iter().find(|environment| environment.name == name);
            found.and_then(|it| it.deployed.as_ref()).is_some_and(|deployed| deployed.checked)
        };
        match run.end {
            End::Succeeded(_) if !(runs(OF) && runs(CONSUMER)) => {
                vec!["10: success, and ci does not run the components".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
