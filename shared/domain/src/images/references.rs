//! References to image versions, from the locks of releases in the ledger.

use crate::model::ids::{ComponentName, ImageName, StageName};
use crate::model::version::Version;
use crate::records::{
    Deployed, Deployment, Environment, Publication, PublicationState, Release, ReleaseState,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A reason to retain a version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "snake_case")]
pub enum Reference {
    /// An environment runs a release that pins the version.
    Runs {
        /// Stage of the environment.
        stage: StageName,
        /// Name of the environment.
        environment: String,
        /// Version of the release.
        release: Version,
    },
    /// An environment ran such a release before, and a rollback needs it.
    Ran {
        /// Stage of the environment.
        stage: StageName,
        /// Name of the environment.
        environment: String,
        /// Version of the release.
        release: Version,
    },
    /// The parameters of the account name it, since it is of the newest deployment that succeeded in the environment.
    Named {
        /// Stage of the environment.
        stage: StageName,
        /// Name of the environment.
        environment: String,
    },
    /// An operator published it in the stage, or asks to.
    Published {
        /// The stage.
        stage: StageName,
    },
    /// A deployment of such a release has not ended.
    OnItsWay {
        /// Target stage.
        stage: StageName,
        /// Name of the component.
        component: ComponentName,
        /// Version of the release.
        release: Version,
    },
    /// Such a release is newer than the one that some environment of its component runs, and may still be deployed
    /// there.
    MayCome {
        /// Name of the component.
        component: ComponentName,
        /// Version of the release.
        release: Version,
    },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs { stage, environment, release } => write!(f, "{stage}/{environment} runs {release}"),
            Self::Ran { stage, environment, release } => {
                write!(f, "{stage}/{environment} ran {release} before")
            }
            Self::Named { stage, environment } => {
                write!(f, "the last success in {stage}/{environment} names it in /lockstep/images")
            }
            Self::Published { stage } => write!(f, "it is published in {stage}"),
            Self::OnItsWay { stage, component, release } => {
                write!(f, "{component} {release} is on its way to {stage}")
            }
            Self::MayCome { component, release } => write!(f, "{component} {release} may still be deployed"),
        }
    }
}

/// Referenced versions, with the references to each.
pub type ReferenceGraph = BTreeMap<(ImageName, Version), BTreeSet<Reference>>;

/// Ledger records that can refer to image versions.
#[derive(Clone, Copy, Debug)]
pub struct ReferenceSources<'a> {
    /// Every environment of every stage.
    pub environments: &'a [Environment],
    /// Deployments that have not ended.
    pub unfinished: &'a [Deployment],
    /// Releases of their components.
    pub releases: &'a [Release],
    /// Publications of images.
    pub publications: &'a [Publication],
}

/// Returns every referenced version, with the references to it.
///
/// A release may still be deployed if it is newer than the oldest one that an environment of its component runs. Before
/// a component ran anywhere, each of its releases may be deployed. A release that failed its test cannot be deployed.
pub fn reference_graph(needs: &ReferenceSources<'_>) -> ReferenceGraph {
    let mut uses = ReferenceGraph::new();
    for release in needs.releases {
        let found = uses_of(needs, release);
        if found.is_empty() {
            continue;
        }
        for locked in release.image_lock.0.values() {
            uses.entry((locked.name.clone(), locked.version.clone()))
                .or_default()
                .extend(found.iter().cloned());
        }
    }
    for environment in needs.environments {
        let (stage, name) = (&environment.stage, &environment.name);
        for image in environment.proven_images.iter().flat_map(|proven| &proven.images) {
            let named = Reference::Named { stage: stage.clone(), environment: name.clone() };
            uses.entry((image.name.clone(), image.version.clone())).or_default().insert(named);
        }
    }
    for publication in needs.publications.iter().filter(|it| still_counts(it, needs.publications)) {
        let published = Reference::Published { stage: publication.stage.clone() };
        let key = (publication.image.clone(), publication.version.clone());
        uses.entry(key).or_default().insert(published);
    }
    uses
}

/// Returns true if the publication waits, or if no later one replaced it in its stage for the same line of versions.
fn still_counts(publication: &Publication, all: &[Publication]) -> bool {
    let PublicationState::Published { at } = publication.state else {
        return publication.state == PublicationState::Waiting;
    };
    let replaces = |other: &Publication| {
        let later = matches!(other.state, PublicationState::Published { at: then } if then > at);
        later
            && (&other.stage, &other.image) == (&publication.stage, &publication.image)
            && other.version.major_minor() == publication.version.major_minor()
    };
    !all.iter().any(replaces)
}

fn uses_of(needs: &ReferenceSources<'_>, release: &Release) -> BTreeSet<Reference> {
    let is_it = |deployed: &&Deployed| deployed.version == release.version;
    let own = || needs.environments.iter().filter(|environment| environment.component == release.component);
    let mut found = BTreeSet::new();
    for environment in own() {
        let (stage, name) = (environment.stage.clone(), environment.name.clone());
        if environment.deployed.as_ref().filter(is_it).is_some() {
            let (stage, environment) = (stage.clone(), name.clone());
            found.insert(Reference::Runs { stage, environment, release: release.version.clone() });
        }
        if environment.history.iter().any(|deployed| is_it(&deployed)) {
            found.insert(Reference::Ran { stage, environment: name, release: release.version.clone() });
        }
    }
    let about = |deployment: &&Deployment| {
        !deployment.state.is_final()
            && deployment.component() == Some(&release.component)
            && deployment.version == release.version
    };
    found.extend(needs.unfinished.iter().filter(about).map(|deployment| Reference::OnItsWay {
        stage: deployment.stage.clone(),
        component: release.component.clone(),
        release: release.version.clone(),
    }));
    let oldest =
        own().filter_map(|environment| environment.deployed.as_ref()).map(|deployed| &deployed.version).min();
    let may_come =
        oldest.is_none_or(|oldest| release.version > *oldest) && release.state != ReleaseState::TestFailed;
    if may_come {
        found.insert(Reference::MayCome {
            component: release.component.clone(),
            release: release.version.clone(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{DeploymentId, Digest};
    use crate::model::image_lock::{ImageLock, LockedImage};
    use crate::records::{ProvenImage, ProvenImages, testing};
    use jiff::Timestamp;

    fn release(version: &str, image: &str) -> Release {
        let digest = Digest::of(b"x");
        let locked = LockedImage {
            parameter: "ImageId".parse().unwrap(),
            name: "logstash".parse().unwrap(),
            version: image.parse().unwrap(),
            commit: None,
            source_ami: "ami-00000001".parse().unwrap(),
        };
        Release {
            version: version.parse().unwrap(),
            digest,
            image_lock: ImageLock([(locked.parameter.clone(), locked)].into()),
            ..crate::records::testing::release()
        }
    }

    fn deployed(version: &str) -> Deployed {
        let digest = Digest::of(b"x");
        Deployed {
            version: version.parse().unwrap(),
            digest: digest.clone(),
            template_digest: digest.clone(),
            parameters_digest: digest,
            late_digest: None,
            stack_version: version.parse().unwrap(),
            deployment: DeploymentId::of_execution("e"),
            checked: true,
            overridden: Default::default(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    fn environment(stage: &str, runs: Option<&str>, ran: Option<&str>) -> Environment {
        Environment {
            epoch: 1,
            deployed: runs.map(deployed),
            history: ran.map(deployed).into_iter().collect(),
            ever_stable: true,
            ..Environment::new(stage.parse().unwrap(), "logs", "logs".parse().unwrap())
        }
    }

    fn lines(needs: &ReferenceSources<'_>) -> Vec<String> {
        let line = |((name, version), found): ((ImageName, Version), BTreeSet<Reference>)| {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            format!("{name}@{version}: {}", found.join("; "))
        };
        reference_graph(needs).into_iter().map(line).collect()
    }

    #[test]
    fn current_previous_pending_and_future_releases_need_their_images() {
        let releases = [
            release("1.0.0", "2.1.0"),
            release("1.0.1", "2.1.1"),
            release("1.0.2", "2.1.2"),
            release("1.0.3", "2.1.3"),
            Release { state: ReleaseState::TestFailed, ..release("1.0.4", "2.1.4") },
        ];
        let environments =
            [environment("ci", Some("1.0.2"), Some("1.0.1")), environment("production", Some("1.0.2"), None)];
        let body = testing::deploy("logs", "ci-logs");
        let going_back = Deployment::new(testing::start("arn", "1.0.0", "ci"), body);
        let needs = ReferenceSources {
            environments: &environments,
            unfinished: &[going_back],
            releases: &releases,
            publications: &[],
        };
        assert_eq!(
            lines(&needs),
            [
                "logstash@2.1.0: logs 1.0.0 is on its way to ci",
                "logstash@2.1.1: ci/logs ran 1.0.1 before",
                "logstash@2.1.2: ci/logs runs 1.0.2; production/logs runs 1.0.2",
                "logstash@2.1.3: logs 1.0.3 may still be deployed",
            ]
        );
        assert_eq!(lines(&ReferenceSources { unfinished: &[], ..needs }).len(), 3, "it has ended");
    }

    #[test]
    fn an_image_that_a_parameter_of_production_names_is_needed() {
        // The environment runs a release whose deployment failed its checks, and ran another such release before.
        let mut failing = environment("production", Some("1.0.2"), Some("1.0.1"));
        failing.proven_images = Some(ProvenImages {
            deployment: DeploymentId::of_execution("e"),
            version: "1.0.0".parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            images: vec![ProvenImage {
                name: "logstash".parse().unwrap(),
                version: "2.1.0".parse().unwrap(),
                ami: "ami-0123456789abcdef0".parse().unwrap(),
            }],
        });
        let needs =
            ReferenceSources { environments: &[failing], unfinished: &[], releases: &[], publications: &[] };
        assert_eq!(
            lines(&needs),
            ["logstash@2.1.0: the last success in production/logs names it in /lockstep/images"]
        );
    }

    #[test]
    fn a_published_version_is_needed_until_a_later_one_replaces_it() {
        let publication = |version: &str, state| Publication {
            deployment: DeploymentId::of_execution(version),
            stage: "production".parse().unwrap(),
            location: testing::location("222222222222"),
            image: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            ami: "ami-0123456789abcdef0".parse().unwrap(),
            by: crate::model::person::Caller {
                arn: "arn:ada".into(),
                user_id: "AIDA".into(),
                account: "333333333333".into(),
            },
            asked_at: Timestamp::UNIX_EPOCH,
            state,
        };
        let at = |second| PublicationState::Published { at: Timestamp::from_second(second).unwrap() };
        let publications = [
            publication("2.0.9", at(1)),
            publication("2.1.0", at(1)),
            publication("2.1.1", at(2)),
            publication("2.1.2", PublicationState::Ended),
            publication("2.1.3", PublicationState::Waiting),
        ];
        let needs = ReferenceSources {
            environments: &[],
            unfinished: &[],
            releases: &[],
            publications: &publications,
        };
        let expected = ["2.0.9", "2.1.1", "2.1.3"]
            .map(|version| format!("logstash@{version}: it is published in production"));
        assert_eq!(lines(&needs), expected);
    }

    #[test]
    fn before_a_component_first_runs_each_of_its_releases_counts() {
        let releases = [release("1.0.0", "2.1.0"), release("1.0.1", "2.1.0")];
        let needs = ReferenceSources {
            environments: &[environment("ci", None, None)],
            unfinished: &[],
            releases: &releases,
            publications: &[],
        };
        assert_eq!(
            lines(&needs),
            ["logstash@2.1.0: logs 1.0.0 may still be deployed; logs 1.0.1 may still be deployed"]
        );
    }

    #[test]
    fn an_environment_that_lags_behind_retains_all_newer_releases() {
        let releases = [release("1.0.0", "2.1.0"), release("1.0.1", "2.1.1"), release("1.0.2", "2.1.2")];
        let environments =
            [environment("ci", Some("1.0.2"), None), environment("production", Some("1.0.0"), None)];
        let needs = ReferenceSources {
            environments: &environments,
            unfinished: &[],
            releases: &releases,
            publications: &[],
        };
        assert_eq!(lines(&needs).len(), 3);
    }
}
