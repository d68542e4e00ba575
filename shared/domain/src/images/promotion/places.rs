//! Where a copy comes from, and what happens when one fails.

use crate::model::location::Location;
use crate::records::{Image, ImageState};

/// How often a copy is begun before its failure is final. Each attempt has a token of its own, and is begun only after the
/// one before was seen to have failed.
pub const ATTEMPTS_MAX: u32 = 3;

/// The images of `places` (one version, wherever it is) that can be copied to `target`, the best first.
///
/// Within an account nothing need be shared, so its own regions come first. From elsewhere only the account that the image
/// comes from is asked, the target's region before others: what production has is not shared on.
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

/// The attempt after `failed`, if there is one.
pub fn next_attempt(failed: u32) -> Option<u32> {
    (failed < ATTEMPTS_MAX).then(|| failed + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::promotion::tests::record;

    fn image(account: &str, region: &str, ami: u32) -> Image {
        let ami = format!("ami-{ami:017x}");
        let mut image = record(account, Some(&ami), ImageState::Available);
        image.location.region = region.parse().unwrap();
        image
    }

    fn order(places: &[Image], account: &str, region: &str) -> Vec<String> {
        let target = Location { account: account.parse().unwrap(), region: region.parse().unwrap() };
        let places: Vec<&Image> = places.iter().collect();
        let told =
            |image: &&Image| format!("{}/{}", &image.location.account.as_str()[..1], image.location.region);
        sources(&places, &target).iter().map(told).collect()
    }

    #[test]
    fn the_nearest_place_that_has_it_comes_first_and_nothing_is_shared_on() {
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
    fn what_is_not_usable_is_no_source_and_neither_is_the_target() {
        let mut half = image("111111111111", "eu-west-1", 1);
        half.state = ImageState::Promoting;
        assert!(order(&[half], "222222222222", "eu-west-1").is_empty());
        assert!(order(&[image("111111111111", "eu-west-1", 1)], "111111111111", "eu-west-1").is_empty());
    }

    #[test]
    fn a_copy_is_begun_three_times_at_most() {
        let attempts: Vec<u32> = std::iter::successors(Some(1), |failed| next_attempt(*failed)).collect();
        assert_eq!(attempts, [1, 2, 3]);
    }
}
