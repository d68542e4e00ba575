//! The release that a rollback returns to.
//!
//! An environment keeps a history: the releases that ran before the current one and passed their checks there. A
//! deployment of a release in the history takes out that release and all newer ones. So a rollback never returns to a
//! release that failed, or that an earlier rollback left.

use crate::model::error::Failure;
use crate::records::{Deployed, Environment};

/// Maximum length of a history. The images that its releases need are retained.
pub const HISTORY_MAX: usize = 5;

/// Returns the history of `environment` once it runs `next`.
pub fn history_after(environment: &Environment, next: &Deployed) -> Vec<Deployed> {
    let is_next = |deployed: &Deployed| deployed.digest == next.digest;
    if environment.deployed.as_ref().is_some_and(is_next) {
        return environment.history.clone();
    }
    if let Some(place) = environment.history.iter().position(is_next) {
        return environment.history[..place].to_vec();
    }
    let left = environment.deployed.iter().filter(|deployed| deployed.checked);
    let mut history: Vec<Deployed> = environment.history.iter().chain(left).cloned().collect();
    history.drain(..history.len().saturating_sub(HISTORY_MAX));
    history
}

/// Returns the newest release of the history that is not revoked.
///
/// # Errors
/// `NotFound`, with the releases that cannot be returned to.
pub fn target(
    environment: &Environment,
    is_revoked: impl Fn(&Deployed) -> bool,
) -> Result<&Deployed, Failure> {
    let found = environment.history.iter().rev().find(|deployed| !is_revoked(deployed));
    found.ok_or_else(|| {
        let (component, stage) = (&environment.component, &environment.stage);
        let now = environment.deployed.as_ref().map_or_else(
            || format!("no release of {component} runs in {stage}"),
            |now| format!("{stage} runs {} of {component}", now.version),
        );
        let revoked: Vec<String> =
            environment.history.iter().map(|deployed| deployed.version.to_string()).collect();
        let why = match revoked.join(", ").as_str() {
            "" => "no release before it passed its checks there, other than those that were rolled back"
                .to_owned(),
            revoked => format!("an image of each release before it is revoked: {revoked}"),
        };
        Failure::not_found(format!("{now}: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::environment::{acquire, complete, fail};
    use crate::model::caught_error::CaughtError;
    use crate::model::ids::Digest;
    use crate::model::image_lock::ImageLock;
    use crate::records::{DeployBody, Deployment, testing};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Returns the environment after a deployment that updated its stack, and whose checks passed or failed.
    fn deployed(before: Option<&Environment>, version: &str, passes: bool) -> Environment {
        let body = DeployBody {
            digest: Digest::of(version.as_bytes()),
            parameters_digest: Some(Digest::of(b"parameters")),
            stack_changed: true,
            ..testing::deploy("logs", "ci-logs")
        };
        let epoch = before.map_or(0, |before| before.epoch);
        let wanted = Deployment::new(testing::start(&format!("{version}/{epoch}"), version, "ci"), body);
        let taken = acquire(before, &wanted, at(1)).unwrap();
        if passes {
            let done = complete(&taken.environment, &taken.deployment, &ImageLock::default(), at(2)).unwrap();
            return done.environment.unwrap();
        }
        let error = CaughtError { error: "CheckFailed".into(), cause: "no host".into() };
        fail(Some(&taken.environment), &taken.deployment, &error, at(2)).environment.unwrap()
    }

    /// Returns the environment after these deployments: the version, and true if its checks pass.
    fn after(deployments: &[(&str, bool)]) -> Environment {
        let all = deployments.iter();
        let end =
            all.fold(None, |before, (version, passes)| Some(deployed(before.as_ref(), version, *passes)));
        end.unwrap()
    }

    fn back(environment: &Environment) -> Option<String> {
        target(environment, |_| false).ok().map(|deployed| deployed.version.to_string())
    }

    #[test]
    fn the_table_of_rollbacks() {
        let (good, bad) = (true, false);
        for (deployments, expected) in [
            (&[("1.0.0", good)][..], None),
            (&[("1.0.0", bad)], None),
            (&[("1.0.0", good), ("1.0.1", good)], Some("1.0.0")),
            (&[("1.0.0", good), ("1.0.1", bad)], Some("1.0.0")),
            // The release between failed its checks.
            (&[("1.0.0", good), ("1.0.1", bad), ("1.0.2", bad)], Some("1.0.0")),
            (&[("1.0.0", bad), ("1.0.1", good)], None),
            // The same release again is no new one.
            (&[("1.0.0", good), ("1.0.1", good), ("1.0.1", good)], Some("1.0.0")),
            // A second rollback goes further back, and not to what was left.
            (&[("1.0.0", good), ("1.0.1", good), ("1.0.2", bad), ("1.0.1", good)], Some("1.0.0")),
            (&[("1.0.0", good), ("1.0.1", good), ("1.0.0", good)], None),
            // A rollback whose checks fail goes further back too.
            (&[("1.0.0", good), ("1.0.1", good), ("1.0.2", good), ("1.0.1", bad)], Some("1.0.0")),
            // What was deployed again since is no longer left.
            (
                &[("1.0.0", good), ("1.0.1", good), ("1.0.0", good), ("1.0.1", good), ("1.0.2", bad)],
                Some("1.0.1"),
            ),
        ] {
            assert_eq!(back(&after(deployments)).as_deref(), expected, "{deployments:?}");
        }
    }

    #[test]
    fn a_revoked_release_is_passed_over_and_named() {
        let environment = after(&[("1.0.0", true), ("1.0.1", true), ("1.0.2", false)]);
        let revoked = |version: &'static str| move |it: &Deployed| it.version.to_string() == version;
        assert_eq!(target(&environment, revoked("1.0.1")).unwrap().version.to_string(), "1.0.0");
        let none = target(&environment, |_| true).unwrap_err();
        assert_eq!(
            none.message,
            "ci runs 1.0.2 of logs: an image of each release before it is revoked: 1.0.0, 1.0.1"
        );
        let first = target(&after(&[("1.0.0", true)]), |_| false).unwrap_err();
        assert!(first.message.starts_with("ci runs 1.0.0 of logs: no release before it passed"), "{first}");
    }

    /// A step: a new release whose checks pass or fail, an old one again, or a rollback whose checks pass or fail.
    fn step() -> impl Strategy<Value = (Option<usize>, bool, bool)> {
        (proptest::option::of(0usize..8), any::<bool>(), any::<bool>())
    }

    proptest! {
        #[test]
        fn a_rollback_never_returns_to_a_failure(steps in prop::collection::vec(step(), 1..40)) {
            let mut environment = deployed(None, "1.0.0", true);
            // The versions that passed here, and those that a rollback left since they were deployed last.
            let (mut passed, mut left) = (vec!["1.0.0".to_owned()], Vec::new());
            for (old, rolls_back, passes) in steps {
                let now = environment.deployed.as_ref().unwrap().version.to_string();
                let target = back(&environment);
                let version = match (rolls_back, &target, old) {
                    (true, Some(target), _) => {
                        prop_assert!(passed.contains(target), "{target} passed");
                        prop_assert!(!left.contains(target), "{target} was left by a rollback");
                        prop_assert_ne!(target, &now);
                        left.push(now);
                        target.clone()
                    }
                    (_, _, Some(old)) => format!("1.0.{old}"),
                    _ => format!("1.0.{}", environment.epoch + 100),
                };
                left.retain(|known| *known != version);
                if passes {
                    passed.push(version.clone());
                }
                environment = deployed(Some(&environment), &version, passes);
                prop_assert!(environment.history.len() <= HISTORY_MAX);
            }
        }
    }
}
