//! SSM parameters that name an image, for deployments outside of Lockstep: `/lockstep/images/<name>/<channel>` in each
//! account and region, where a channel is `latest` or a `<major.minor>`.
//!
//! On the delivery path they follow a push: they name the newest version. On the promotion path they follow the newest
//! deployment that succeeded in the stage of the account, or a later publication (`lockstep images publish`), so a push
//! never changes what is launched there.
//!
//! The wanted values follow from the ledger alone, so the writer compares and repairs.

use crate::delivery::stages::{Stage, Stages};
use crate::images::lifecycle::{Purpose, obstacle};
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{AmiId, ComponentName, DeploymentId, ImageName, StageName};
use crate::model::location::Location;
use crate::model::version::Version;
use crate::records::{Environment, Image, ImageVersion, Publication, PublicationState};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// Folder of all channel parameters.
pub const FOLDER: &str = "/lockstep/images";

/// Reason of a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "set_by", rename_all = "snake_case")]
pub enum SetBy {
    /// The version is the newest in an account of the delivery path.
    Newest,
    /// The newest deployment that locks the image succeeded in this environment.
    Deployment {
        /// Stage of the environment.
        stage: StageName,
        /// Name of the environment.
        environment: String,
        /// The component.
        component: ComponentName,
        /// Version of the release.
        release: Version,
        /// The deployment.
        deployment: DeploymentId,
    },
    /// `lockstep images publish` named the version.
    Publish {
        /// The stage.
        stage: StageName,
        /// ARN of the operator.
        operator: String,
        /// The deployment that carried the question.
        deployment: DeploymentId,
    },
}

/// Wanted value of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// AMI that the parameter names.
    pub ami: AmiId,
    /// Version of the image.
    pub version: Version,
    /// Time since which the parameter names it.
    pub since: Timestamp,
    /// Reason of the value.
    #[serde(flatten)]
    pub by: SetBy,
}

/// The records from which the parameters of a location follow.
#[derive(Clone, Copy, Debug)]
pub struct ChannelSources<'a> {
    /// The stages.
    pub stages: &'a Stages,
    /// Versions of images. Read for a location of the delivery path.
    pub versions: &'a [ImageVersion],
    /// Images by location. Read for a location of the delivery path.
    pub places: &'a [Image],
    /// Environments. Read for a location of the promotion path.
    pub environments: &'a [Environment],
    /// Publications of images. Read for a location of the promotion path.
    pub publications: &'a [Publication],
}

/// Returns the stage whose deployments set the parameters of `location`: the last one there, which asks for the most
/// evidence. `None` for a location without a stage, whose parameters stay as they are.
pub fn leading<'a>(stages: &'a Stages, location: &Location) -> Option<&'a Stage> {
    stages.iter().filter(|stage| stage.location() == *location).last()
}

/// Returns the wanted value of every channel parameter at `location`, by name. `None` if no stage is there.
pub fn wanted(sources: &ChannelSources<'_>, location: &Location) -> Option<BTreeMap<String, Channel>> {
    let stage = leading(sources.stages, location)?;
    Some(match stage.path() {
        DeploymentPath::Delivery => newest(sources.versions, sources.places, location),
        DeploymentPath::Promotion => proven(sources.environments, sources.publications, &stage.name),
    })
}

/// Returns the channels of an account of the delivery path. Of the versions that packaging can pin and that are
/// available there, `latest` names the newest, and each `<major.minor>` the newest of its line.
fn newest(versions: &[ImageVersion], places: &[Image], location: &Location) -> BTreeMap<String, Channel> {
    let mut found: BTreeMap<String, Channel> = BTreeMap::new();
    for version in versions.iter().filter(|version| obstacle(version, Purpose::Pin).is_none()) {
        let here = |image: &&Image| {
            image.name == version.name
                && image.version == version.version
                && image.is_at(location)
                && image.is_usable()
        };
        let Some(image) = places.iter().find(here) else { continue };
        let Some(ami) = &image.ami else { continue };
        let channel = Channel {
            ami: ami.clone(),
            version: version.version.clone(),
            since: image.recorded_at,
            by: SetBy::Newest,
        };
        for name in names(&version.name, &version.version) {
            if found.get(&name).is_none_or(|other| other.version < channel.version) {
                found.insert(name, channel.clone());
            }
        }
    }
    found
}

/// Returns the channels of an account of the promotion path: each follows the newest publication in the stage, or
/// deployment that succeeded there and locks the image, and for a `<major.minor>` a version of that line. Of two
/// versions in one lock the newer one counts.
fn proven(
    environments: &[Environment],
    publications: &[Publication],
    stage: &StageName,
) -> BTreeMap<String, Channel> {
    let mut found: BTreeMap<String, Channel> = BTreeMap::new();
    let mut add = |image: &ImageName, channel: &Channel| {
        for name in names(image, &channel.version) {
            if found.get(&name).is_none_or(|other| rank(other) < rank(channel)) {
                found.insert(name, channel.clone());
            }
        }
    };
    for publication in publications.iter().filter(|publication| publication.stage == *stage) {
        let PublicationState::Published { at } = publication.state else { continue };
        let by = SetBy::Publish {
            stage: stage.clone(),
            operator: publication.by.arn.clone(),
            deployment: publication.deployment.clone(),
        };
        let (ami, version) = (publication.ami.clone(), publication.version.clone());
        add(&publication.image, &Channel { ami, version, since: at, by });
    }
    for environment in environments.iter().filter(|environment| environment.stage == *stage) {
        let Some(proven) = &environment.proven_images else { continue };
        for image in &proven.images {
            let channel = Channel {
                ami: image.ami.clone(),
                version: image.version.clone(),
                since: proven.at,
                by: SetBy::Deployment {
                    stage: stage.clone(),
                    environment: environment.name.clone(),
                    component: environment.component.clone(),
                    release: proven.version.clone(),
                    deployment: proven.deployment.clone(),
                },
            };
            add(&image.name, &channel);
        }
    }
    found
}

/// Orders the channels of deployments and publications. The AMI decides between two of the same time.
fn rank(channel: &Channel) -> (Timestamp, &Version, &AmiId) {
    (channel.since, &channel.version, &channel.ami)
}

/// Returns the parameters that may name `version` of `image`.
fn names(image: &ImageName, version: &Version) -> [String; 2] {
    ["latest".to_owned(), version.major_minor()].map(|channel| format!("{FOLDER}/{image}/{channel}"))
}

/// Returns the image that a parameter names, or `None` for a parameter of another form.
pub fn image_of(parameter: &str) -> Option<ImageName> {
    parameter.strip_prefix(FOLDER)?.strip_prefix('/')?.split('/').next()?.parse().ok()
}

/// A change to one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The parameter is missing or has another value.
    Put {
        /// Name of the parameter.
        name: String,
        /// Wanted value.
        ami: AmiId,
    },
    /// No version is left that the parameter could name.
    Remove {
        /// Name of the parameter.
        name: String,
    },
}

/// Returns the changes that turn `found` into `wanted`.
pub fn edits(wanted: &BTreeMap<String, Channel>, found: &BTreeMap<String, String>) -> Vec<Edit> {
    let differs = |(name, channel): &(&String, &Channel)| {
        found.get(*name).map(String::as_str) != Some(channel.ami.as_str())
    };
    let put = wanted
        .iter()
        .filter(differs)
        .map(|(name, channel)| Edit::Put { name: name.clone(), ami: channel.ami.clone() });
    let gone = found
        .keys()
        .filter(|name| !wanted.contains_key(*name))
        .map(|name| Edit::Remove { name: name.clone() });
    put.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::stages::testing::{stage_text, text_of};
    use crate::images::constraint::tests::known;
    use crate::model::image_version_state::ImageVersionState;
    use crate::model::operator_action::OperatorAction;
    use crate::records::{ImageState, ProvenImage, ProvenImages};
    use jiff::Timestamp;

    fn here() -> Location {
        Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() }
    }

    fn image(version: &str, n: u32) -> Image {
        Image {
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            location: here(),
            path: DeploymentPath::Delivery,
            state: ImageState::Available,
            ami: Some(format!("ami-{n:08x}").parse().unwrap()),
            snapshots: Default::default(),
            source_ami: "ami-0123456789abcdef0".parse().unwrap(),
            commit: None,
            recorded_by: "e".into(),
            recorded_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn stages() -> Stages {
        let (development, production) = ("222222222222", "444444444444");
        let text = text_of([
            stage_text("test", development),
            stage_text("ci", development).propagating(),
            stage_text("staging", production),
            stage_text("production", production),
        ]);
        Stages::parse("stages.toml", &text).unwrap()
    }

    fn sources<'a>(stages: &'a Stages, environments: &'a [Environment]) -> ChannelSources<'a> {
        ChannelSources { stages, versions: &[], places: &[], environments, publications: &[] }
    }

    fn values(channels: BTreeMap<String, Channel>) -> Vec<(String, String)> {
        channels.into_iter().map(|(name, channel)| (name, channel.ami.to_string())).collect()
    }

    fn current(versions: &[ImageVersion], places: &[Image]) -> Vec<(String, String)> {
        let stages = stages();
        let sources = ChannelSources { versions, places, ..sources(&stages, &[]) };
        values(wanted(&sources, &here()).unwrap())
    }

    /// Returns an environment whose newest successful deployment ended at `second` and locks these versions.
    fn environment(stage: &str, component: &str, second: i64, locked: &[(&str, u32)]) -> Environment {
        let images = locked.iter().map(|(version, n)| ProvenImage {
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            ami: format!("ami-{n:08x}").parse().unwrap(),
        });
        Environment {
            epoch: 1,
            proven_images: Some(ProvenImages {
                deployment: DeploymentId::of_execution(component),
                version: "1.0.0".parse().unwrap(),
                at: Timestamp::from_second(second).unwrap(),
                images: images.collect(),
            }),
            ever_stable: true,
            ..Environment::new(stage.parse().unwrap(), component, component.parse().unwrap())
        }
    }

    fn in_production(environments: &[Environment]) -> Vec<(String, String)> {
        let stages = stages();
        let there = stages.get(&"production".parse().unwrap()).unwrap().location();
        values(wanted(&sources(&stages, environments), &there).unwrap())
    }

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(channel, ami)| (format!("{FOLDER}/logstash/{channel}"), (*ami).to_owned()))
            .collect()
    }

    #[test]
    fn channels_name_the_newest_version_and_the_newest_of_each_line() {
        let versions = ["2.0.9", "2.1.0", "2.1.10", "2.1.9"].map(known);
        let places = [image("2.0.9", 1), image("2.1.0", 2), image("2.1.10", 3), image("2.1.9", 4)];
        let expected = [("2.0", "ami-00000001"), ("2.1", "ami-00000003"), ("latest", "ami-00000003")];
        assert_eq!(current(&versions, &places), named(&expected));
    }

    #[test]
    fn absent_and_unusable_versions_are_skipped_and_a_revocation_moves_back() {
        let mut versions = ["2.1.0", "2.1.1", "2.1.2", "2.1.3-fix.1"].map(known);
        versions[2].state = ImageVersionState::Withheld;
        let mut elsewhere = image("2.1.1", 2);
        elsewhere.location.account = "333333333333".parse().unwrap();
        let places = [image("2.1.0", 1), elsewhere, image("2.1.2", 3), image("2.1.3-fix.1", 4)];
        let expected = [("2.1", "ami-00000001"), ("latest", "ami-00000001")];
        assert_eq!(current(&versions, &places), named(&expected));
        let places = [image("2.1.0", 1), image("2.1.1", 2)];
        assert_eq!(current(&versions, &places)[0].1, "ami-00000002");
        let action = OperatorAction::new("ada", "a hole", Timestamp::UNIX_EPOCH).unwrap();
        versions[1].revoked =
            Some(crate::records::Revocation::new(&versions[1].name, &versions[1].version, &action));
        assert_eq!(current(&versions, &places), named(&expected));
    }

    fn publication(version: &str, n: u32, state: PublicationState) -> Publication {
        Publication {
            deployment: DeploymentId::of_execution("arn:lockstep-promote:p"),
            stage: "production".parse().unwrap(),
            location: Location { account: "444444444444".parse().unwrap(), ..here() },
            image: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            ami: format!("ami-{n:08x}").parse().unwrap(),
            by: crate::model::person::Caller {
                arn: "arn:ada".into(),
                user_id: "AIDA".into(),
                account: "333333333333".into(),
            },
            asked_at: Timestamp::UNIX_EPOCH,
            state,
        }
    }

    #[test]
    fn a_publication_moves_a_parameter_until_a_later_deployment_does() {
        let stages = stages();
        let there = Location { account: "444444444444".parse().unwrap(), ..here() };
        let at = |second| PublicationState::Published { at: Timestamp::from_second(second).unwrap() };
        let latest = |environments: &[Environment], publications: &[Publication]| {
            let sources = ChannelSources { publications, ..sources(&stages, environments) };
            let found = wanted(&sources, &there).unwrap();
            found.get("/lockstep/images/logstash/latest").map(|channel| channel.version.to_string())
        };
        let deployed = |second| [environment("production", "logs", second, &[("2.1.3", 3)])];
        assert_eq!(latest(&deployed(1), &[publication("2.1.2", 2, at(5))]).unwrap(), "2.1.2");
        assert_eq!(latest(&deployed(6), &[publication("2.1.2", 2, at(5))]).unwrap(), "2.1.3");
        for state in [PublicationState::Waiting, PublicationState::Ended] {
            assert_eq!(latest(&[], &[publication("2.1.2", 2, state)]), None, "{state:?}");
        }
        let elsewhere = Publication { stage: "staging".parse().unwrap(), ..publication("2.1.2", 2, at(5)) };
        assert_eq!(latest(&[], &[elsewhere]), None);
    }

    #[test]
    fn parameters_of_production_follow_its_newest_successful_deployment() {
        let first = environment("production", "logs", 1, &[("2.1.3", 3)]);
        let expected = [("2.1", "ami-00000003"), ("latest", "ami-00000003")];
        assert_eq!(in_production(std::slice::from_ref(&first)), named(&expected));
        // An older version in a newer deployment: a rollback.
        let back = environment("production", "logs", 2, &[("2.1.2", 2)]);
        let expected = [("2.1", "ami-00000002"), ("latest", "ami-00000002")];
        assert_eq!(in_production(&[back]), named(&expected));
        let other = environment("production", "web", 3, &[("2.0.9", 9)]);
        let expected = [("2.0", "ami-00000009"), ("2.1", "ami-00000003"), ("latest", "ami-00000009")];
        assert_eq!(in_production(&[other, first]), named(&expected));
        let both = environment("production", "logs", 1, &[("2.1.3", 3), ("2.1.10", 10)]);
        let expected = [("2.1", "ami-0000000a"), ("latest", "ami-0000000a")];
        assert_eq!(in_production(&[both]), named(&expected));
    }

    #[test]
    fn only_the_last_stage_of_an_account_sets_its_parameters() {
        let proven = environment("production", "logs", 1, &[("2.1.3", 3)]);
        let newer = environment("staging", "logs", 2, &[("2.1.4", 4)]);
        let expected = [("2.1", "ami-00000003"), ("latest", "ami-00000003")];
        assert_eq!(in_production(&[newer.clone(), proven]), named(&expected));
        assert_eq!(in_production(&[newer]), []);
    }

    #[test]
    fn a_push_sets_no_parameter_of_production() {
        let stages = stages();
        let there = stages.get(&"production".parse().unwrap()).unwrap().location();
        let versions = ["2.1.0"].map(known);
        let places = [Image { location: there.clone(), ..image("2.1.0", 1) }];
        let sources = ChannelSources { versions: &versions, places: &places, ..sources(&stages, &[]) };
        assert_eq!(wanted(&sources, &there), Some(BTreeMap::new()));
    }

    #[test]
    fn parameters_of_a_location_without_a_stage_are_not_judged() {
        let nowhere = Location { account: "999999999999".parse().unwrap(), ..here() };
        assert_eq!(wanted(&sources(&stages(), &[]), &nowhere), None);
    }

    #[test]
    fn a_parameter_names_its_image() {
        assert_eq!(image_of("/lockstep/images/logstash/2.1"), Some("logstash".parse().unwrap()));
        for other in
            ["/lockstep/images", "/lockstep/images/", "/lockstep/imagesx/a/b", "/lockstep/images/A/b"]
        {
            assert_eq!(image_of(other), None, "{other}");
        }
    }

    #[test]
    fn wrong_parameters_are_repaired_and_correct_ones_are_left_alone() {
        let wanted = newest(&["2.1.0"].map(known), &[image("2.1.0", 1)], &here());
        let name = |channel: &str| format!("{FOLDER}/logstash/{channel}");
        let found = BTreeMap::from([
            (name("2.1"), "ami-00000001".to_owned()),
            (name("latest"), "ami-00000009".to_owned()),
            (name("1.0"), "ami-00000008".to_owned()),
        ]);
        assert_eq!(
            edits(&wanted, &found),
            [
                Edit::Put { name: name("latest"), ami: "ami-00000001".parse().unwrap() },
                Edit::Remove { name: name("1.0") },
            ]
        );
        let right = wanted.iter().map(|(name, channel)| (name.clone(), channel.ami.to_string())).collect();
        assert_eq!(edits(&wanted, &right), []);
    }
}
