//! The plan of a new `stages.toml`: its differences, and the mistakes that a person must name to make them.
//!
//! The rules of the file itself are those of [`Stages::parse`], and protections are those of [`weakening`]. This module
//! compares the file with what exists: the accounts that were added, and the environments that run a stack.

use crate::delivery::stages::{Stage, Stages};
use crate::delivery::weakening;
use crate::installation::accounts::Registered;
use crate::model::deployment_path::DeploymentPath;
use crate::model::difference::Difference;
use crate::model::ids::{AccountId, StageName};
use crate::records::Environment;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Maximum number of environments that a sentence lists.
const LISTED_MAX: usize = 10;

/// A reason to refuse a file, unless the caller names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objection {
    /// No role of the account trusts this installation.
    NeverAdded {
        /// The account.
        account: AccountId,
        /// The stages in it.
        stages: Vec<StageName>,
    },
    /// The roles of the account trust the functions of the other path.
    OtherPath {
        /// The account.
        account: AccountId,
        /// The path that the account was added to.
        added_to: DeploymentPath,
        /// The stages in it.
        stages: Vec<StageName>,
    },
    /// Stacks run where the stage would no longer be.
    Orphans {
        /// The stage.
        stage: StageName,
        /// Names of the environments that have a stack.
        environments: Vec<String>,
        /// The change of the stage, as the middle of a sentence.
        change: String,
    },
}

impl Objection {
    /// Returns the name by which the caller accepts it: that of the account, or of the stage.
    pub fn name(&self) -> &str {
        match self {
            Self::NeverAdded { account, .. } | Self::OtherPath { account, .. } => account.as_str(),
            Self::Orphans { stage, .. } => stage.as_str(),
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverAdded { account, stages } => write!(
                f,
                "account {account} of {} was never added: each deployment there would fail; run lockstep accounts add",
                listed(stages)
            ),
            Self::OtherPath { account, added_to, stages } => write!(
                f,
                "account {account} of {} was added to the {} path, and its roles trust no other: each deployment \
                 there would fail",
                listed(stages),
                added_to.as_str()
            ),
            Self::Orphans { stage, environments, change } => write!(
                f,
                "{stage} {change}, and the stacks of {} would run on where no command finds them; tear them down first \
                 with lockstep teardown",
                listed(environments)
            ),
        }
    }
}

fn listed<T: fmt::Display>(items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(LISTED_MAX).map(ToString::to_string).collect();
    match items.len().saturating_sub(LISTED_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The plan of a new version of the stages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StagesPlan {
    /// The differences to the version that applies; empty for the first version.
    pub differences: Vec<Difference>,
    /// The objections that the caller did not name.
    pub objections: Vec<Objection>,
    /// The names that the caller gave and no objection has.
    pub unused: Vec<String>,
}

/// Plans the change from `old`, which is `None` before the first version, to `new`.
///
/// `registered` are the added accounts, and `environments` those of the old stages. `accepted` are the names that the caller
/// gave.
pub fn plan(
    old: Option<&Stages>,
    new: &Stages,
    registered: &Registered,
    environments: &[Environment],
    accepted: &BTreeSet<String>,
) -> StagesPlan {
    let mut all = of_accounts(new, registered);
    all.extend(old.iter().flat_map(|old| orphans(old, new, environments)));
    let names: BTreeSet<String> = all.iter().map(|objection| objection.name().to_owned()).collect();
    StagesPlan {
        differences: old.map(|old| weakening::differences(old, new)).unwrap_or_default(),
        unused: accepted.difference(&names).cloned().collect(),
        objections: all.into_iter().filter(|objection| !accepted.contains(objection.name())).collect(),
    }
}

/// Returns the objections to the accounts of the stages. An account is on one path, so all its stages agree.
fn of_accounts(new: &Stages, registered: &Registered) -> Vec<Objection> {
    let mut by_account: BTreeMap<&AccountId, Vec<&Stage>> = BTreeMap::new();
    for stage in new.iter() {
        by_account.entry(&stage.account).or_default().push(stage);
    }
    let objection = |(account, stages): (&AccountId, Vec<&Stage>)| {
        let names = stages.iter().map(|stage| stage.name.clone()).collect();
        let path = stages.first()?.path();
        match registered.get(account) {
            None => Some(Objection::NeverAdded { account: account.clone(), stages: names }),
            Some(added_to) if *added_to != path => {
                Some(Objection::OtherPath { account: account.clone(), added_to: *added_to, stages: names })
            }
            Some(_) => None,
        }
    };
    by_account.into_iter().filter_map(objection).collect()
}

fn orphans(old: &Stages, new: &Stages, environments: &[Environment]) -> Vec<Objection> {
    let objection = |stage: &Stage| {
        let change = leaves(stage, new.get(&stage.name))?;
        let here = environments.iter().filter(|environment| environment.stage == stage.name);
        let here: Vec<String> = here.filter(|it| has_stack(it)).map(|it| it.name.clone()).collect();
        let orphans = Objection::Orphans { stage: stage.name.clone(), environments: here.clone(), change };
        (!here.is_empty()).then_some(orphans)
    };
    old.iter().filter_map(objection).collect()
}

/// Returns how the stage leaves its stacks, as the middle of a sentence; `None` if it remains where they are.
fn leaves(old: &Stage, new: Option<&Stage>) -> Option<String> {
    match new {
        None => Some("is removed".to_owned()),
        Some(new) if new.location() != old.location() => Some(format!(
            "moves from account {} in {} to {} in {}",
            old.account, old.region, new.account, new.region
        )),
        Some(new) if new.path() != old.path() => Some(format!("moves to the {} path", new.path().as_str())),
        Some(_) => None,
    }
}

fn has_stack(environment: &Environment) -> bool {
    environment.deployed.is_some() || environment.stack_arn.is_some() || environment.holder.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::stages::testing::stage_text;

    const DEVELOPMENT: &str = "111111111111";
    const STAGING: &str = "222222222222";
    const PRODUCTION: &str = "333333333333";
    const OTHER: &str = "444444444444";

    /// Returns stages with these texts after `test`.
    fn stages(texts: &[String]) -> Stages {
        let test = stage_text("test", DEVELOPMENT).to_string();
        Stages::parse("stages.toml", &format!("{test}{}", texts.concat())).unwrap()
    }

    fn ci() -> String {
        stage_text("ci", DEVELOPMENT).propagating().to_string()
    }

    fn old() -> Stages {
        stages(&[
            ci(),
            stage_text("staging", STAGING).to_string(),
            stage_text("production", PRODUCTION).to_string(),
        ])
    }

    fn registered(accounts: &[(&str, DeploymentPath)]) -> Registered {
        accounts.iter().map(|(account, path)| (account.parse().unwrap(), *path)).collect()
    }

    fn all_added() -> Registered {
        use DeploymentPath::{Delivery, Promotion};
        registered(&[
            (DEVELOPMENT, Delivery),
            (STAGING, Promotion),
            (PRODUCTION, Promotion),
            (OTHER, Promotion),
        ])
    }

    fn running(stage: &str, name: &str) -> Environment {
        let mut environment = Environment::new(stage.parse().unwrap(), name, "logs".parse().unwrap());
        environment.stack_arn = Some("arn".into());
        environment
    }

    fn names(plan: &StagesPlan) -> Vec<&str> {
        plan.objections.iter().map(Objection::name).collect()
    }

    #[test]
    fn each_change_has_its_objections_and_each_goes_by_its_name() {
        let staging = || stage_text("staging", STAGING).to_string();
        let production = || stage_text("production", PRODUCTION).to_string();
        let elsewhere = stage_text("staging", STAGING).in_region("eu-central-1").to_string();
        let moved = stage_text("staging", OTHER).to_string();
        let stranger = stage_text("staging", "999999999999").to_string();
        let raised = stage_text("staging", STAGING).propagating().to_string();
        let table: [(&str, Stages, &[&str]); 8] = [
            ("the same file", old(), &[]),
            (
                "another rule of approval",
                stages(&[ci(), stage_text("staging", STAGING).with_approval().to_string(), production()]),
                &[],
            ),
            ("a stage without a stack is removed", stages(&[ci(), staging()]), &[]),
            ("a stage with a stack is removed", stages(&[ci(), production()]), &["staging"]),
            ("a stage moves to another account", stages(&[ci(), moved, production()]), &["staging"]),
            ("a stage moves to another region", stages(&[ci(), elsewhere, production()]), &["staging"]),
            (
                "an account was never added",
                stages(&[ci(), stranger, production()]),
                &["999999999999", "staging"],
            ),
            ("an account is on the other path", stages(&[ci(), raised, production()]), &[STAGING, "staging"]),
        ];
        let environments = [running("staging", "logs"), running("staging", "cache"), running("ci", "logs")];
        for (what, new, expected) in table {
            let planned =
                |accepted: &BTreeSet<String>| plan(Some(&old()), &new, &all_added(), &environments, accepted);
            let refused = planned(&BTreeSet::new());
            assert_eq!(names(&refused), expected, "{what}");
            for kept in expected {
                let others =
                    expected.iter().filter(|name| *name != kept).map(|name| (*name).to_owned()).collect();
                assert_eq!(names(&planned(&others)), [*kept], "{what}: every name is needed");
            }
            let accepted = planned(&expected.iter().map(|name| (*name).to_owned()).collect());
            assert!(accepted.objections.is_empty() && accepted.unused.is_empty(), "{what}");
            assert_eq!(accepted.differences, weakening::differences(&old(), &new), "{what}");
        }
    }

    #[test]
    fn first_stages_are_judged_by_their_accounts_alone() {
        let first = plan(None, &old(), &Registered::new(), &[], &BTreeSet::new());
        assert_eq!(names(&first), [DEVELOPMENT, STAGING, PRODUCTION]);
        let text = first.objections[0].to_string();
        assert!(
            text.contains("of test, ci was never added") && text.contains("lockstep accounts add"),
            "{text}"
        );
        assert_eq!(plan(None, &old(), &all_added(), &[], &BTreeSet::new()), StagesPlan::default());
    }

    #[test]
    fn only_an_environment_with_a_stack_is_orphaned() {
        let without = stages(&[ci(), stage_text("production", PRODUCTION).to_string()]);
        let of = |environments: &[Environment]| {
            plan(Some(&old()), &without, &all_added(), environments, &BTreeSet::new()).objections
        };
        let mut gone = running("staging", "logs");
        gone.stack_arn = None;
        assert!(of(&[gone]).is_empty());
        let many: Vec<Environment> = (0..12).map(|n| running("staging", &format!("logs-{n}"))).collect();
        let text = of(&many)[0].to_string();
        assert!(
            text.contains("is removed, and the stacks of logs-0, ") && text.contains(" and 2 more "),
            "{text}"
        );
    }

    #[test]
    fn a_name_without_an_objection_is_a_mistake() {
        let accepted = BTreeSet::from(["production".to_owned()]);
        assert_eq!(plan(Some(&old()), &old(), &all_added(), &[], &accepted).unused, ["production"]);
    }
}
