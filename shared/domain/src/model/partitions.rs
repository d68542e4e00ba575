//! The partitions of AWS: the partition of a region, and the limits in it.

use crate::model::ids::Region;

/// Returns the partition of a region: the second part of every ARN.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
pub fn of(region: &Region) -> &'static str {
    match region.as_str() {
        r if r.starts_with("cn-") => "aws-cn",
        r if r.starts_with("us-gov-") => "aws-us-gov",
        r if r.starts_with("us-isob-") => "aws-iso-b",
        r if r.starts_with("us-isof-") => "aws-iso-f",
        r if r.starts_with("eu-isoe-") => "aws-iso-e",
        r if r.starts_with("us-iso-") => "aws-iso",
        r if r.starts_with("eusc-") => "aws-eusc",
        _ => "aws",
    }
}

/// Returns the sentence that explains why no image can be built in a region, or `None` if builds work there.
///
/// In these partitions Packer's Amazon plugin sets no tags in the call that creates a resource, and a builder
/// may create nothing without its tag.
pub fn why_no_builds(region: &Region) -> Option<String> {
    let tags_late = matches!(of(region), "aws-cn" | "aws-us-gov");
    tags_late.then(|| {
        format!(
            "no image can be built in {region}: there Packer tags what it makes only afterwards, and a builder may touch \
             nothing without its tag; build the image elsewhere and import it"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    #[test]
    fn a_region_is_in_one_partition() {
        for (name, partition) in [
            ("eu-west-1", "aws"),
            ("us-gov-west-1", "aws-us-gov"),
            ("eusc-de-east-1", "aws-eusc"),
            ("cn-north-1", "aws-cn"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eu-isoe-west-1", "aws-iso-e"),
        ] {
            assert_eq!(of(&region(name)), partition);
        }
    }

    #[test]
    fn no_image_is_built_where_packer_tags_late() {
        assert_eq!(why_no_builds(&region("eu-west-1")), None);
        assert_eq!(why_no_builds(&region("eusc-de-east-1")), None);
        for name in ["us-gov-west-1", "cn-north-1"] {
            assert!(why_no_builds(&region(name)).unwrap().contains("import it"));
        }
    }
}
