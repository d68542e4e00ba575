//! The order of components: producers before their consumers.
//!
//! A component whose parameters take `${outputs.<other>.<X>}` is a *consumer* of the other component, its *producer*. Within
//! a push and within a promotion, a consumer begins once its producers have succeeded. Components that do not depend on
//! each other run side by side. A cycle has no order, so packaging and `lockstep check` refuse it.

use crate::delivery::packaging::Package;
use crate::delivery::webhook_delivery::outcome_of;
use crate::messages::ledger::{ComponentResult, Ordered};
use crate::messages::package::PackagedComponent;
use crate::model::error::Problem;
use crate::model::ids::ComponentName;
use crate::model::outcome::Outcome;
use std::collections::{BTreeMap, BTreeSet};

/// The producers of each component.
pub type Graph = BTreeMap<ComponentName, BTreeSet<ComponentName>>;

/// End of a component within a push or a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The release is in every stage that it should reach.
    Succeeded,
    /// The release did not get there.
    Failed,
    /// A later push overtook the release.
    Superseded,
}

/// A component that cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The component.
    pub component: ComponentName,
    /// The producer that ended first: the one to repair.
    pub by: ComponentName,
    /// End of that producer, and so of the component.
    pub ending: Ending,
}

/// The components that can begin, and those that cannot any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The components whose producers have succeeded. They are independent of each other.
    pub ready: Vec<ComponentName>,
    /// The components of which a producer did not succeed.
    pub blocked: Vec<Blocked>,
}

/// Returns the next round of `graph` after `endings`. A producer outside the graph is in its stage already.
pub fn round(graph: &Graph, endings: &BTreeMap<ComponentName, Ending>) -> Round {
    let mut ended = endings.clone();
    let mut round = Round::default();
    while let Some(blocked) = graph.keys().find_map(|component| block(graph, &ended, &round, component)) {
        ended.insert(blocked.component.clone(), blocked.ending);
        round.blocked.push(blocked);
    }
    let is_done = |producer: &ComponentName| {
        !graph.contains_key(producer) || ended.get(producer) == Some(&Ending::Succeeded)
    };
    let waiting = graph.iter().filter(|(component, _)| !ended.contains_key(*component));
    round.ready = waiting
        .filter(|(_, producers)| producers.iter().all(is_done))
        .map(|(component, _)| component.clone())
        .collect();
    round
}

/// Returns the reason for which `component` cannot begin, or `None` if it has ended or nothing blocks it. A failure counts
/// before an overtaken producer.
fn block(
    graph: &Graph,
    ended: &BTreeMap<ComponentName, Ending>,
    known: &Round,
    component: &ComponentName,
) -> Option<Blocked> {
    if ended.contains_key(component) {
        return None;
    }
    let with = |ending: Ending| {
        graph[component].iter().find(|producer| ended.get(*producer) == Some(&ending)).map(|by| (by, ending))
    };
    let (by, ending) = with(Ending::Failed).or_else(|| with(Ending::Superseded))?;
    let first = known.blocked.iter().find(|blocked| blocked.component == *by);
    let by = first.map_or_else(|| by.clone(), |blocked| blocked.by.clone());
    Some(Blocked { component: component.clone(), by, ending })
}

/// Returns the components of a push that can begin now, and the results of those that cannot begin any more. `results`
/// are the results so far.
///
/// A pre-release reaches no stage, so pre-releases run side by side.
pub fn next(components: &[PackagedComponent], results: &[ComponentResult]) -> Ordered {
    let (mut graph, mut endings) = (Graph::new(), BTreeMap::new());
    for component in components {
        match component {
            PackagedComponent::Packaged(release) => {
                let producers = if release.pre_release { BTreeSet::new() } else { release.producers.clone() };
                graph.insert(release.component.clone(), producers);
                let is_its = |result: &&ComponentResult| result.component == release.component.as_str();
                let ended = results.iter().find(is_its).map(|result| ending(outcome_of(result)));
                endings.extend(ended.map(|ended| (release.component.clone(), ended)));
            }
            PackagedComponent::Unchanged { .. } => {}
            // A label that is no name of a component has no consumers.
            PackagedComponent::Rejected { component, .. } => {
                if let Ok(name) = component.parse::<ComponentName>() {
                    graph.insert(name.clone(), BTreeSet::new());
                    endings.insert(name, Ending::Failed);
                }
            }
        }
    }
    let round = round(&graph, &endings);
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
                outcome: match blocked.ending {
                    Ending::Superseded => Outcome::Superseded,
                    Ending::Succeeded | Ending::Failed => Outcome::Failed,
                },
                cause: not_begun(blocked),
            });
        }
    }
    ordered
}

/// Returns the sentence about a component that did not begin.
pub fn not_begun(blocked: &Blocked) -> String {
    match blocked.ending {
        Ending::Superseded => format!("not begun: a later push overtook {}", blocked.by),
        Ending::Succeeded | Ending::Failed => format!("not begun: {} failed", blocked.by),
    }
}

fn ending(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Superseded => Ending::Superseded,
        outcome if outcome.is_success() => Ending::Succeeded,
        _ => Ending::Failed,
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
