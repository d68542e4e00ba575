//! Calls that a role may make on a resource by the tags of the resource alone.
//!
//! A resource that is gone has no tags. So IAM denies such a call before EC2 can say that the resource does not
//! exist, and a repeated deletion would look like a missing permission. After a denial the adapter looks at the
//! resource, which needs no tag.

use super::{Ec2, Images as _};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, SnapshotId};

/// The actions that the templates allow by the tags of an image or a snapshot. For each, the adapter tells a resource
/// that is gone from a denial.
pub const UNDER_TAGS: [&str; 5] = [
    "ec2:CreateTags",
    "ec2:DeleteSnapshot",
    "ec2:DeregisterImage",
    "ec2:DisableImageDeprecation",
    "ec2:EnableImageDeprecation",
];

impl Ec2 {
    /// Returns true if `failed` is a denial that only means that the image is gone.
    pub(super) async fn is_image_gone(&self, failed: &Failure, ami: &AmiId) -> bool {
        failed.kind == FailureKind::AccessDenied && matches!(self.describe(ami).await, Ok(None))
    }

    /// Returns true if `failed` is a denial that only means that the snapshot is gone.
    pub(super) async fn is_snapshot_gone(&self, failed: &Failure, snapshot: &SnapshotId) -> bool {
        failed.kind == FailureKind::AccessDenied
            && self.snapshots(&[snapshot.clone()].into()).await.is_ok_and(|found| found.is_empty())
    }

    /// Returns success if the image of a failed call is gone, and the failure otherwise.
    pub(super) async fn unless_image_is_gone(&self, failed: Failure, ami: &AmiId) -> Result<(), Failure> {
        if self.is_image_gone(&failed, ami).await { Ok(()) } else { Err(failed) }
    }
}

#[cfg(test)]
mod tests;
