//! SSM parameters that name the newest image, for deployments outside of Lockstep: `/lockstep/images/<name>/<channel>`
//! in each account and region, where a channel is `latest` or a `<major.minor>`.
//!
//! The wanted values follow from the ledger alone, so the writer compares and repairs.

use crate::images::lifecycle::{Purpose, obstacle};
use crate::model::ids::{AmiId, ImageName};
use crate::model::location::Location;
use crate::model::version::Version;
use crate::records::{Image, ImageVersion};
use std::collections::BTreeMap;

/// Folder of all channel parameters.
pub const FOLDER: &str = "/lockstep/images";

/// Returns the wanted value of every channel parameter at `location`, by name. Of the versions that packaging can pin
/// and that are available there, `latest` names the newest, and each `<major.minor>` the newest of its line.
pub fn wanted(versions: &[ImageVersion], places: &[Image], location: &Location) -> BTreeMap<String, AmiId> {
    let mut newest: BTreeMap<(&ImageName, String), (&Version, &AmiId)> = BTreeMap::new();
    for version in versions.iter().filter(|version| obstacle(version, Purpose::Pin).is_none()) {
        let here = |image: &&Image| {
            image.name == version.name
                && image.version == version.version
                && image.is_at(location)
                && image.is_usable()
        };
        let Some(ami) = places.iter().find(here).and_then(|image| image.ami.as_ref()) else { continue };
        for channel in ["latest".to_owned(), version.version.major_minor()] {
            let current = newest.entry((&version.name, channel)).or_insert((&version.version, ami));
            if version.version > *current.0 {
                *current = (&version.version, ami);
            }
        }
    }
    newest
        .into_iter()
        .map(|((name, channel), (_, ami))| (format!("{FOLDER}/{name}/{channel}"), ami.clone()))
        .collect()
}

/// Returns those of `all` parameters that name versions of `image`.
pub fn of(image: &ImageName, all: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let folder = format!("{FOLDER}/{image}/");
    all.into_iter().filter(|(name, _)| name.starts_with(&folder)).collect()
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
pub fn edits(wanted: &BTreeMap<String, AmiId>, found: &BTreeMap<String, String>) -> Vec<Edit> {
    let differs =
        |(name, ami): &(&String, &AmiId)| found.get(*name).map(String::as_str) != Some(ami.as_str());
    let put =
        wanted.iter().filter(differs).map(|(name, ami)| Edit::Put { name: name.clone(), ami: ami.clone() });
    let gone = found
        .keys()
        .filter(|name| !wanted.contains_key(*name))
        .map(|name| Edit::Remove { name: name.clone() });
    put.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::constraint::tests::known;
    use crate::model::image_version_state::ImageVersionState;
    use crate::model::operator_action::OperatorAction;
    use crate::records::ImageState;
    use jiff::Timestamp;

    fn here() -> Location {
        Location { account: "222222222222".parse().unwrap(), region: "eu-west-1".parse().unwrap() }
    }

    fn image(version: &str, n: u32) -> Image {
        Image {
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            location: here(),
            state: ImageState::Available,
            ami: Some(format!("ami-{n:08x}").parse().unwrap()),
            snapshots: Default::default(),
            source_ami: "ami-0123456789abcdef0".parse().unwrap(),
            commit: None,
            shared_with: Default::default(),
            recorded_by: "e".into(),
            recorded_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn current(versions: &[ImageVersion], places: &[Image]) -> Vec<(String, String)> {
        wanted(versions, places, &here()).into_iter().map(|(name, ami)| (name, ami.to_string())).collect()
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
        versions[1] = crate::images::lifecycle::revoke(&versions[1], &action).unwrap();
        assert_eq!(current(&versions, &places), named(&expected));
    }

    #[test]
    fn another_image_has_parameters_of_its_own() {
        let all = ["logstash/2.1", "logstash-base/2.1", "kibana/2.1"].map(|name| format!("{FOLDER}/{name}"));
        let all = all.map(|name| (name, "ami-00000001".to_owned())).into();
        let own = of(&"logstash".parse().unwrap(), all);
        assert_eq!(own.into_keys().collect::<Vec<_>>(), [format!("{FOLDER}/logstash/2.1")]);
    }

    #[test]
    fn wrong_parameters_are_repaired_and_correct_ones_are_left_alone() {
        let wanted = wanted(&["2.1.0"].map(known), &[image("2.1.0", 1)], &here());
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
        let right = wanted.iter().map(|(name, ami)| (name.clone(), ami.to_string())).collect();
        assert_eq!(edits(&wanted, &right), []);
    }
}
