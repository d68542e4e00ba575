//! How far a release got: the environments that run it or ran it, and the stages that it failed in.

use crate::image_inventory::ImageUse;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, Environment, Release, ReleaseState};
use serde::Serialize;

/// The records that say how far releases got. The environments are in the order of their stages, the deployments newest
/// first.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// Every environment.
    pub environments: Vec<Environment>,
    /// The newest deployments.
    pub deployments: Vec<Deployment>,
}

/// The way of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Stages that run it, and whose checks passed.
    pub runs_in: Vec<StageName>,
    /// Stages that run it although its checks did not pass there.
    pub unchecked_in: Vec<StageName>,
    /// Stages that ran it, and to which a rollback may return it.
    pub was_in: Vec<StageName>,
    /// Stages whose newest deployment of it failed, and which do not run it.
    pub failed_in: Vec<StageName>,
}

impl Reached {
    /// Returns the way of a release.
    pub fn of(&self, release: &Release) -> Reach {
        let mut reach = Reach::default();
        for used in self.uses(&release.component, &release.version) {
            let stages = match (used.now, used.deployed.checked) {
                (true, true) => &mut reach.runs_in,
                (true, false) => &mut reach.unchecked_in,
                (false, _) => &mut reach.was_in,
            };
            if !stages.contains(&used.environment.stage) {
                stages.push(used.environment.stage.clone());
            }
        }
        reach.failed_in = self.failed(release, &reach);
        reach
    }

    /// Returns the environments that run a release, or may return to it.
    pub fn uses(&self, component: &ComponentName, version: &Version) -> Vec<ImageUse<'_>> {
        let of_component = self.environments.iter().filter(|environment| environment.component == *component);
        let uses = of_component.flat_map(|environment| {
            let now = environment.deployed.iter().map(|deployed| (deployed, true));
            let before = environment.history.iter().map(|deployed| (deployed, false));
            now.chain(before).map(move |(deployed, now)| ImageUse {
                environment,
                deployed,
                now,
                location: None,
            })
        });
        uses.filter(|used| used.deployed.version == *version).collect()
    }

    fn failed(&self, release: &Release, reach: &Reach) -> Vec<StageName> {
        let (mut seen, mut failed) = (Vec::new(), Vec::new());
        for deployment in self.deployments.iter().filter(|deployment| is_of(deployment, release)) {
            let stage = &deployment.stage;
            if seen.contains(&stage) {
                continue;
            }
            seen.push(stage);
            let runs = reach.runs_in.contains(stage) || reach.unchecked_in.contains(stage);
            let has_failed = matches!(deployment.state.outcome(), Some(Outcome::Failed | Outcome::Abandoned));
            if has_failed && !runs {
                failed.push(stage.clone());
            }
        }
        failed.reverse();
        failed
    }
}

/// Returns true for a deployment of the release to a stage other than that of its test.
fn is_of(deployment: &Deployment, release: &Release) -> bool {
    let planned = deployment.deploy().is_none_or(|deploy| deploy.plan_only);
    let is_test = deployment.stage.as_str() == lockstep_domain::model::ids::TEST;
    !planned
        && !is_test
        && deployment.component() == Some(&release.component)
        && deployment.version == release.version
}

/// Adds the account and region of each use's stage.
pub fn located<'a>(uses: Vec<ImageUse<'a>>, stages: &Stages) -> Vec<ImageUse<'a>> {
    let location = |used: &ImageUse<'_>| stages.get(&used.environment.stage).map(|stage| stage.location());
    uses.into_iter().map(|used| ImageUse { location: location(&used), ..used }).collect()
}

/// Returns the state of a release as a word.
pub fn state(release: &Release) -> &'static str {
    match release.state {
        ReleaseState::Packaged => "not tested yet",
        ReleaseState::Published => "tested",
        ReleaseState::TestFailed => "test failed",
    }
}

/// Returns the way of a release as a sentence.
pub fn sentence(reach: &Reach) -> String {
    let parts = [
        ("runs in", &reach.runs_in),
        ("fails its checks in", &reach.unchecked_in),
        ("failed in", &reach.failed_in),
        ("was in", &reach.was_in),
    ];
    let parts = parts.into_iter().filter(|(_, stages)| !stages.is_empty()).map(|(verb, stages)| {
        let names: Vec<&str> = stages.iter().map(StageName::as_str).collect();
        format!("{verb} {}", names.join(", "))
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployment, environment, release};
    use lockstep_domain::model::ids::{DeploymentId, Digest};
    use lockstep_domain::records::{Deployed, DeploymentState};

    fn deployed(version: &str, checked: bool) -> Deployed {
        Deployed {
            version: version.parse().unwrap(),
            digest: Digest::of(b"x"),
            template_digest: Digest::of(b"t"),
            parameters_digest: Digest::of(b"p"),
            late_digest: None,
            stack_version: version.parse().unwrap(),
            deployment: DeploymentId::of_execution("arn:x"),
            checked,
            overridden: Default::default(),
            since: at(5),
        }
    }

    fn running(stage: &str, version: &str, checked: bool) -> Environment {
        Environment { deployed: Some(deployed(version, checked)), ..environment(stage, "logs") }
    }

    fn failed(stage: &str) -> Deployment {
        Deployment { stage: stage.parse().unwrap(), state: DeploymentState::Failed, ..deployment() }
    }

    #[test]
    fn the_way_of_a_release_names_each_stage_once() {
        let before = Environment { history: vec![deployed("2.1.3", true)], ..running("ci", "2.1.4", true) };
        for (environments, deployments, expected) in [
            (vec![], vec![], "-"),
            (vec![running("ci", "2.1.2", true)], vec![], "-"),
            (
                vec![running("ci", "2.1.3", true), running("staging", "2.1.3", true)],
                vec![],
                "runs in ci, staging",
            ),
            (vec![running("ci", "2.1.3", false)], vec![failed("ci")], "fails its checks in ci"),
            (vec![running("ci", "2.1.3", true)], vec![failed("ci")], "runs in ci"),
            (
                vec![running("ci", "2.1.3", true)],
                vec![failed("production")],
                "runs in ci; failed in production",
            ),
            (vec![before], vec![failed("test")], "was in ci"),
            (vec![], vec![deployment_that_succeeded(), failed("ci")], "-"),
        ] {
            let reached = Reached { environments, deployments };
            assert_eq!(sentence(&reached.of(&release())), expected);
        }
    }

    fn deployment_that_succeeded() -> Deployment {
        Deployment { state: DeploymentState::Succeeded, ..deployment() }
    }

    #[test]
    fn a_release_that_passed_its_test_is_tested_and_not_published() {
        assert_eq!(state(&release()), "tested");
    }
}
