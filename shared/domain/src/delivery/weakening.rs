//! Differences between two versions of the configuration, and the ones that weaken the protection of a stage.
//!
//! The comparison errs towards weakening: a stage that is removed can come back with less protection.

use crate::delivery::approval_rule::ApprovalRule;
use crate::delivery::stages::{Stage, Stages};
use crate::model::administrators::Administrators;
use crate::model::build_policy::BuildPolicy;
use crate::model::deployment_path::DeploymentPath;
use crate::model::difference::{Difference, stronger, weaker};
use crate::model::ids::StageName;
use crate::model::look_interval::LookInterval;
use crate::model::person::PersonId;
use std::collections::BTreeSet;

/// Returns true if a difference weakens a stage.
pub fn weakens(differences: &[Difference]) -> bool {
    differences.iter().any(|difference| difference.weakens)
}

/// Returns the same differences where nothing is protected yet, so that none of them weakens.
pub fn harmless(differences: Vec<Difference>) -> Vec<Difference> {
    differences.into_iter().map(|difference| Difference { weakens: false, ..difference }).collect()
}

/// Returns the differences between two numbers of administrators.
pub fn of_administrators(old: Administrators, new: Administrators) -> Vec<Difference> {
    match (old, new) {
        (Administrators::Many, Administrators::One) => {
            vec![weaker("one administrator alone weakens a stage, after a day")]
        }
        (Administrators::One, Administrators::Many) => {
            vec![stronger("a second administrator must confirm what weakens a stage")]
        }
        (Administrators::One, Administrators::One) | (Administrators::Many, Administrators::Many) => {
            Vec::new()
        }
    }
}

/// Returns the differences from `old` to `new`, in the order of the new stages; removed stages come last.
pub fn differences(old: &Stages, new: &Stages) -> Vec<Difference> {
    let mut found = Vec::new();
    for stage in new.iter() {
        match old.get(&stage.name) {
            Some(before) => {
                found.extend(of_stage(before, stage));
                found.extend(of_order(old, new, &stage.name));
            }
            None => found.extend(of_new(old, stage)),
        }
    }
    let removed = old.iter().filter(|stage| new.get(&stage.name).is_none());
    found.extend(removed.map(|stage| weaker(format!("{} is removed", stage.name))));
    found
}

fn of_stage(old: &Stage, new: &Stage) -> Vec<Difference> {
    let name = &new.name;
    let mut found = Vec::new();
    if old.account != new.account {
        found.push(weaker(format!("{name} moves from account {} to {}", old.account, new.account)));
    }
    if old.region != new.region {
        found.push(weaker(format!("{name} moves from {} to {}", old.region, new.region)));
    }
    match (old.propagates, new.propagates) {
        (false, true) => found.push(weaker(format!("releases propagate to {name} without a promotion"))),
        (true, false) => found.push(stronger(format!("releases reach {name} by promotion only"))),
        (true, true) | (false, false) => {}
    }
    found.extend(of_approval(name, old.approval.as_ref(), new.approval.as_ref()));
    found.extend(of_builds(name, old.builds, new.builds));
    match (old.overrides, new.overrides) {
        (false, true) => found.push(weaker(format!("{name} allows overrides and clones"))),
        (true, false) => found.push(stronger(format!("{name} refuses overrides and clones"))),
        (true, true) | (false, false) => {}
    }
    found.extend(of_drift(name, old.drift, new.drift));
    let (wider, narrower) = changed(&old.checks_may_reach, &new.checks_may_reach);
    found.extend(wider.into_iter().map(|to| weaker(format!("checks of {name} may reach {to} addresses"))));
    found.extend(
        narrower
            .into_iter()
            .map(|to| stronger(format!("checks of {name} may no longer reach {to} addresses"))),
    );
    found
}

fn of_drift(name: &StageName, old: Option<LookInterval>, new: Option<LookInterval>) -> Option<Difference> {
    match (old, new) {
        (old, new) if old == new => None,
        (Some(_), None) => Some(weaker(format!("no schedule looks for drift of {name}"))),
        (old, Some(new)) => {
            let sentence = format!("drift of {name} is looked for at {new}");
            Some(Difference { sentence, weakens: old.is_some_and(|old| old < new) })
        }
        (None, None) => None,
    }
}

fn of_builds(name: &StageName, old: Option<BuildPolicy>, new: Option<BuildPolicy>) -> Option<Difference> {
    use BuildPolicy::{Approved, Automatic};
    match (old, new) {
        (Some(Approved) | None, Some(Automatic)) => {
            Some(weaker(format!("images are built in the account of {name} without a person")))
        }
        (Some(Automatic), Some(Approved)) => {
            Some(stronger(format!("a person approves builds of images in the account of {name}")))
        }
        (Some(Approved) | None, Some(Approved)) | (Some(Automatic), Some(Automatic)) | (_, None) => None,
    }
}

fn of_approval(name: &StageName, old: Option<&ApprovalRule>, new: Option<&ApprovalRule>) -> Vec<Difference> {
    match (old, new) {
        (None, None) => Vec::new(),
        (None, Some(rule)) => of_first_rule(name, rule),
        (Some(_), None) => vec![weaker(format!("{name} asks for no approval"))],
        (Some(old), Some(new)) => of_rules(name, old, new),
    }
}

/// Returns the differences from no rule to `rule`. Questions about the loss of data had a rule without one, too.
fn of_first_rule(name: &StageName, rule: &ApprovalRule) -> Vec<Difference> {
    let mut found = vec![stronger(format!("{name} asks for an approval"))];
    found.extend(of_rules(name, &ApprovalRule::confirmation(), rule));
    found
}

fn of_rules(name: &StageName, old: &ApprovalRule, new: &ApprovalRule) -> Vec<Difference> {
    let mut found = Vec::new();
    if old.count != new.count {
        let sentence = format!("{name} asks for {} approvals instead of {}", new.count, old.count);
        found.push(Difference { sentence, weakens: new.count < old.count });
    }
    let (barred, admitted) = changed(&old.not, &new.not);
    found.extend(
        admitted.into_iter().map(|part| weaker(format!("the {} may approve in {name}", part.as_str()))),
    );
    found.extend(
        barred.into_iter().map(|part| stronger(format!("the {} may not approve in {name}", part.as_str()))),
    );
    found.extend(of_approvers(name, old.from.as_ref(), new.from.as_ref()));
    found
}

fn of_approvers(
    name: &StageName,
    old: Option<&BTreeSet<PersonId>>,
    new: Option<&BTreeSet<PersonId>>,
) -> Vec<Difference> {
    match (old, new) {
        (None, None) => Vec::new(),
        (None, Some(_)) => vec![stronger(format!("only the people of a list may approve in {name}"))],
        (Some(_), None) => vec![weaker(format!("any known person may approve in {name}"))],
        (Some(old), Some(new)) => {
            let (added, removed) = changed(old, new);
            let added = added.into_iter().map(|person| weaker(format!("{person} may approve in {name}")));
            added
                .chain(
                    removed.into_iter().map(|person| stronger(format!("{person} may not approve in {name}"))),
                )
                .collect()
        }
    }
}

/// Returns the differences in the stages that prove a release before it enters `name`.
fn of_order(old: &Stages, new: &Stages, name: &StageName) -> Vec<Difference> {
    let below = |stages: &Stages| -> BTreeSet<StageName> {
        let below = stages.iter().take_while(|stage| stage.name != *name);
        below.map(|stage| stage.name.clone()).collect()
    };
    let (more, fewer) = changed(&below(old), &below(new));
    let fewer =
        fewer.into_iter().map(|stage| weaker(format!("releases reach {name} without having passed {stage}")));
    fewer
        .chain(more.into_iter().map(|stage| stronger(format!("releases must pass {stage} before {name}"))))
        .collect()
}

/// Returns the difference of a new stage. It weakens the stages of its account if it protects less than they do.
fn of_new(old: &Stages, new: &Stage) -> Vec<Difference> {
    let mut found = vec![stronger(format!("{} is new, in account {}", new.name, new.account))];
    let weaker_than = |other: &&Stage| {
        let reach = !new.checks_may_reach.is_subset(&other.checks_may_reach);
        let rule = weakens(&of_approval(&new.name, other.approval.as_ref(), new.approval.as_ref()));
        let path = other.path() == DeploymentPath::Promotion && new.path() == DeploymentPath::Delivery;
        let builds = of_builds(&new.name, other.builds, new.builds).is_some_and(|found| found.weakens);
        reach || rule || path || builds || (new.overrides && !other.overrides)
    };
    let neighbours = old.iter().filter(|other| other.account == new.account && !other.is_test());
    found.extend(neighbours.filter(weaker_than).map(|other| {
        weaker(format!("{} protects account {} less than {} does", new.name, new.account, other.name))
    }));
    found
}

/// Returns the items that only `new` has, and those that only `old` has.
fn changed<T: Ord + Clone>(old: &BTreeSet<T>, new: &BTreeSet<T>) -> (Vec<T>, Vec<T>) {
    (new.difference(old).cloned().collect(), old.difference(new).cloned().collect())
}

/// Returns the differences as lines, the weakening ones first.
pub fn lines(differences: &[Difference]) -> Vec<String> {
    let line = |difference: &Difference| match difference.weakens {
        true => format!("WEAKENS: {}", difference.sentence),
        false => difference.sentence.clone(),
    };
    let (weakening, other): (Vec<&Difference>, Vec<&Difference>) =
        differences.iter().partition(|difference| difference.weakens);
    weakening.into_iter().chain(other).map(line).collect()
}

#[cfg(test)]
mod tests;
