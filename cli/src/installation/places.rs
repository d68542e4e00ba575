//! The partitions and regions in which Lockstep can be installed.

use crate::failure::Failure;
use lockstep_domain::model::ids::Region;

/// The partitions whose names, endpoints and trust policies Lockstep supports. The isolated partitions have other
/// certificates, and lack services that it uses, such as CodeBuild's images and function URLs.
const PARTITIONS: [&str; 4] = ["aws", "aws-cn", "aws-eusc", "aws-us-gov"];

/// Refuses a region of an unsupported partition.
pub(super) fn can_hold_a_control_plane(region: &Region, partition: &str) -> Result<(), Failure> {
    if PARTITIONS.contains(&partition) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "Lockstep does not work in {region}: it does not support the partition {partition}"
    ))
    .next(format!("install in a region of {}", PARTITIONS.join(", "))))
}

/// Refuses a region that a control plane cannot reach: roles and events do not cross partitions.
pub(super) fn can_be_reached(region: &Region, partition: &str, from: &str) -> Result<(), Failure> {
    if partition == from {
        return Ok(());
    }
    let what = format!("{region} is in the partition {partition}, and this control plane in {from}");
    Err(Failure::usage(what)
        .next(format!("install another control plane in {partition}: lockstep install --region {region}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_isolated_partition_is_refused_with_the_supported_ones() {
        let region = |name: &str| name.parse::<Region>().unwrap();
        for partition in PARTITIONS {
            can_hold_a_control_plane(&region("eu-west-1"), partition).unwrap();
        }
        let refused = can_hold_a_control_plane(&region("us-iso-east-1"), "aws-iso").unwrap_err();
        assert!(refused.what.contains("us-iso-east-1") && refused.what.contains("aws-iso"), "{refused}");
        assert!(refused.next.contains("aws-us-gov"), "{refused}");
    }

    #[test]
    fn a_region_of_another_partition_is_refused() {
        let region = "cn-north-1".parse::<Region>().unwrap();
        can_be_reached(&region, "aws", "aws").unwrap();
        let refused = can_be_reached(&region, "aws-cn", "aws").unwrap_err();
        assert!(
            refused.what.contains("cn-north-1") && refused.next.contains("--region cn-north-1"),
            "{refused}"
        );
    }
}
