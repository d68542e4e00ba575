//! The order of components: producers before their consumers.
//!
//! A component whose parameters take `${outputs.<other>.<X>}` is a *consumer* of the other component, its *producer*. Within
//! a push and within a promotion, a consumer begins once its producers have succeeded. Components that do not depend on
//! each other run side by side. A cycle has no order, so packaging and `lockstep check` refuse it.

use crate::delivery::packaging::Package;
use crate::delivery::webhook_delivery::outcome_of;
use crate::messages::ledger::{ComponentResult, Ordered};
use crate::messages::package::PackagedComponent;
use crate::model::caught_error::stopped_with;
use crate::model::error::Problem;
use crate::model::ids::ComponentName;
use crate::model::outcome::Outcome;
use std::collections::{BTreeMap, BTreeSet};

/// The producers of each component.
pub type Graph = BTreeMap<ComponentName, BTreeSet<ComponentName>>;

/// A component that cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The component.
    pub component: ComponentName,
    /// The producer that ended first: the one to repair.
    pub by: ComponentName,
    /// Outcome of that producer, which is no success.
    pub outcome: Outcome,
}

/// The components that can begin, and those that cannot any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The components whose producers have succeeded. They are independent of each other.
    pub ready: Vec<ComponentName>,
    /// The components of which a producer did not succeed.
    pub blocked: Vec<Blocked>,
}

/// Returns the next round of `graph` after the components that `ended`. A producer outside the graph is in its stage
/// already.
pub fn round(graph: &Graph, ended: &BTreeMap<ComponentName, Outcome>) -> Round {
    let mut ended = ended.clone();
    let mut round = Round::default();
    while let Some(blocked) = graph.keys().find_map(|component| block(graph, &ended, &round, component)) {
        ended.insert(blocked.component.clone(), blocked.outcome);
        round.blocked.push(blocked);
    }
    let is_done = |producer: &ComponentName| {
        !graph.contains_key(producer) || ended.get(producer).is_some_and(|outcome| outcome.is_success())
    };
    let waiting = graph.iter().filter(|(component, _)| !ended.contains_key(*component));
    round.ready = waiting
        .filter(|(_, producers)| producers.iter().all(is_done))
        .map(|(component, _)| component.clone())
        .collect();
    round
}

/// Returns the reason for which `component` cannot begin, or `None` if it has ended or nothing blocks it. An overtaken
/// producer counts last.
fn block(
    graph: &Graph,
    ended: &BTreeMap<ComponentName, Outcome>,
    known: &Round,
    component: &ComponentName,
) -> Option<Blocked> {
    if ended.contains_key(component) {
        return None;
    }
    let outcomes = graph[component].iter().filter_map(|by| Some((by, *ended.get(by)?)));
    let (by, outcome) = outcomes
        .filter(|(_, outcome)| !outcome.is_success())
        .min_by_key(|(_, outcome)| *outcome == Outcome::Superseded)?;
    let first = known.blocked.iter().find(|blocked| blocked.component == *by);
    let by = first.map_or_else(|| by.clone(), |blocked| blocked.by.clone());
    Some(Blocked { component: component.clone(), by, outcome })
}

/// Returns the components of a push that can begin now, and the results of those that cannot begin any more. `results`
/// are the results so far.
///
/// A pre-release reaches no stage, so pre-releases run side by side.
pub fn next(components: &[PackagedComponent], results: &[ComponentResult]) -> Ordered {
    let (mut graph, mut ended) = (Graph::new(), BTreeMap::new());
    for component in components {
        match component {
            PackagedComponent::Packaged(release) => {
                let producers = if release.pre_release { BTreeSet::new() } else { release.producers.clone() };
                graph.insert(release.component.clone(), producers);
                let is_its = |result: &&ComponentResult| result.component == release.component.as_str();
                let outcome = results.iter().find(is_its).map(outcome_of);
                ended.extend(outcome.map(|outcome| (release.component.clone(), outcome)));
            }
            PackagedComponent::Unchanged { .. } => {}
            // A label that is no name of a component has no consumers.
            PackagedComponent::Rejected { component, .. } => {
                if let Ok(name) = component.parse::<ComponentName>() {
                    graph.insert(name.clone(), BTreeSet::new());
                    ended.insert(name, Outcome::Rejected);
                }
            }
        }
    }
    let round = round(&graph, &ended);
    let mut ordered = Ordered::default();
    for component in components {
        let PackagedComponent::Packaged(release) = component else { continue };
        if round.ready.contains(&release.component) {
            ordered.ready.push(release.clone());
        }
        if let Some(blocked) = round.blocked.iter().find(|blocked| blocked.component == release.component) {
            ordered.not_begun.push(ComponentResult {
                component: release.component.to_string(),
                version: release.version.to_string(),
                // A producer that was stopped is no failure of its consumer.
                outcome: stopped_with(blocked.outcome).map_or(Outcome::Failed, |_| blocked.outcome),
                cause: not_begun(blocked),
            });
        }
    }
    ordered
}

/// Returns the sentence about a component that did not begin.
pub fn not_begun(blocked: &Blocked) -> String {
    let by = &blocked.by;
    match blocked.outcome {
        Outcome::Superseded => format!("not begun: a later push overtook {by}"),
        Outcome::Cancelled => format!("not begun: {by} was cancelled"),
        Outcome::Expired => format!("not begun: {by} waited too long for its turn"),
        Outcome::Refused => format!("not begun: {by} was refused"),
        Outcome::NeedsApproval => {
            format!("not begun: {by} waits for an answer; after it, run the command again")
        }
        _ => format!("not begun: {by} failed"),
    }
}

/// Returns the shortest path from `component` over producers back to itself, or `None` if it is on no cycle.
pub fn cycle(graph: &Graph, component: &ComponentName) -> Option<Vec<ComponentName>> {
    let producers = |of: &ComponentName| graph.get(of).into_iter().flatten();
    let mut paths = vec![vec![component.clone()]];
    let mut seen = BTreeSet::new();
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            for producer in path.last().into_iter().flat_map(producers) {
                let path: Vec<ComponentName> = path.iter().chain([producer]).cloned().collect();
                if producer == component {
                    return Some(path);
                }
                if seen.insert(producer.clone()) {
                    longer.push(path);
                }
            }
        }
        paths = longer;
    }
    None
}

/// Returns the problem of a component that is on a cycle, at its reference to the next component of the cycle.
pub fn cycle_problem(package: &Package, graph: &Graph) -> Option<Problem> {
    let path = cycle(graph, &package.manifest.component.name)?;
    let next = path.get(1)?;
    let place = package.uses.iter().find(|used| used.output.component == *next)?;
    let shown: Vec<&str> = path.iter().map(ComponentName::as_str).collect();
    let message = format!(
        "`{}`: these components need each other, so none of them can be deployed first: {}; remove one of the references",
        place.parameter,
        shown.join(" -> ")
    );
    Some(Problem::at(place.file.clone(), place.line, message))
}

#[cfg(test)]
mod tests;
