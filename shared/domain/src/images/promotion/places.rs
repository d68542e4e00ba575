//! Sources of a copy, and retries of failed copies.

use crate::delivery::stages::Stages;
use crate::model::deployment_path::DeploymentPath;
use crate::model::location::Location;
use crate::records::{Image, ImageState};

/// Maximum number of attempts before the failure of a copy is final. Each attempt has a token of its own, and starts
/// only after the one before has visibly failed.
pub const ATTEMPTS_MAX: u32 = 3;

/// Returns the images of `places` (all of one version) that can be copied to `target`, best first.
///
/// Within an account nothing has to be shared, so its own regions come first. From other accounts only the account of
/// the image's origin is used, and there the target's region first: images that production received are not shared
/// again.
pub fn sources<'a>(places: &[&'a Image], target: &Location) -> Vec<&'a Image> {
    let usable = |image: &&&Image| {
        image.state == ImageState::Available && image.ami.is_some() && image.location != *target
    };
    let origin = places.iter().filter(usable).find(|image| image.ami.as_ref() == Some(&image.source_ami));
    let origin = origin.map(|image| &image.location.account);
    let near =
        |image: &&&Image| image.location.account == target.account || Some(&image.location.account) == origin;
    let mut found: Vec<&Image> = places.iter().filter(usable).filter(near).copied().collect();
    found.sort_by_key(|image| {
        (
            image.location.account != target.account,
            image.location.region != target.region,
            image.ami.as_ref() != Some(&image.source_ami),
            &image.location,
        )
    });
    found
}

/// Returns true if `image`, which is in the table of `path`, is a record that the functions of `path` may make: the
/// image is in an account of that path. A function of the delivery path therefore cannot give an image to an account of
/// the promotion path.
pub fn of_its_path(image: &Image, path: DeploymentPath, stages: &Stages) -> bool {
    image.path == path && stages.path_of(&image.location.account).is_none_or(|its| its == path)
}

/// Returns the attempt after `failed`, or `None` after the last.
pub fn next_attempt(failed: u32) -> Option<u32> {
    (failed < ATTEMPTS_MAX).then(|| failed + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::stages::testing::{stage_text, with_production};
    use crate::images::promotion::tests::record;

    fn image(account: &str, region: &str, ami: u32) -> Image {
        let ami = format!("ami-{ami:017x}");
        let mut image = record(account, Some(&ami), ImageState::Available);
        image.location.region = region.parse().unwrap();
        image
    }

    #[test]
    fn a_record_of_one_path_about_an_account_of_the_other_is_ignored() {
        use DeploymentPath::{Delivery, Promotion};
        let (development, production, unused) = ("111111111111", "222222222222", "333333333333");
        let text = with_production(development, stage_text("production", production));
        let stages = Stages::parse("stages.toml", &text).unwrap();
        let is_trusted = |account: &str, its: DeploymentPath, table: DeploymentPath| {
            of_its_path(&Image { path: its, ..image(account, "eu-west-1", 1) }, table, &stages)
        };
        for (account, path, other) in [(development, Delivery, Promotion), (production, Promotion, Delivery)]
        {
            assert!(is_trusted(account, path, path));
            assert!(!is_trusted(account, other, other), "a table of the other path");
            assert!(!is_trusted(account, path, other), "a path that its table denies");
        }
        assert!(is_trusted(unused, Delivery, Delivery), "no stage is there any more");
    }

    fn order(places: &[Image], account: &str, region: &str) -> Vec<String> {
        let target = Location { account: account.parse().unwrap(), region: region.parse().unwrap() };
        let places: Vec<&Image> = places.iter().collect();
        let label =
            |image: &&Image| format!("{}/{}", &image.location.account.as_str()[..1], image.location.region);
        sources(&places, &target).iter().map(label).collect()
    }

    #[test]
    fn the_nearest_source_is_first_and_copies_are_not_shared_again() {
        let origin = image("111111111111", "eu-west-1", 1);
        let places = [
            image("222222222222", "eu-west-1", 2),
            origin,
            image("111111111111", "eu-central-1", 3),
            image("333333333333", "eu-central-1", 4),
        ];
        assert_eq!(
            order(&places, "222222222222", "eu-central-1"),
            ["2/eu-west-1", "1/eu-central-1", "1/eu-west-1"]
        );
        assert_eq!(order(&places, "444444444444", "eu-west-1"), ["1/eu-west-1", "1/eu-central-1"]);
        assert_eq!(order(&places, "111111111111", "us-east-1"), ["1/eu-west-1", "1/eu-central-1"]);
    }

    #[test]
    fn an_unusable_image_and_the_target_itself_are_no_sources() {
        let mut half = image("111111111111", "eu-west-1", 1);
        half.state = ImageState::Promoting;
        assert!(order(&[half], "222222222222", "eu-west-1").is_empty());
        assert!(order(&[image("111111111111", "eu-west-1", 1)], "111111111111", "eu-west-1").is_empty());
    }

    #[test]
    fn a_copy_is_attempted_at_most_three_times() {
        let attempts: Vec<u32> = std::iter::successors(Some(1), |failed| next_attempt(*failed)).collect();
        assert_eq!(attempts, [1, 2, 3]);
    }
}
