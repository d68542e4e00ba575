//! Deprecation and removal of images.

use super::{Ec2, filter, is_gone, read};
use crate::failure::{code, failure};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use lockstep_domain::images::orphans::{Made, Tagged, TaggedImage};
use lockstep_domain::images::promotion::{TAG_DEPLOYMENT, TAG_IMAGE, TAG_VERSION};
use lockstep_domain::images::retention::Removed;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, SnapshotId};
use std::collections::BTreeMap;

/// The operations of EC2 that retirement needs.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait ImageRetention {
    /// Deprecates an image of this account from `at` on, which is not in the past; the image may be gone. Undone by
    /// [`ImageRetention::restore`]. Running instances are not affected.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EnableImageDeprecation.html>
    async fn deprecate(&self, ami: &AmiId, at: Timestamp) -> Result<(), Failure>;

    /// Cancels the deprecation of an image, which may not exist; the image may be gone.
    async fn restore(&self, ami: &AmiId) -> Result<(), Failure>;

    /// Deregisters an image of this account, and deletes its snapshots that no other image needs; the image may be
    /// gone. This cannot be undone. A protected image remains, and the result is `Protected`.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html>
    async fn remove(&self, ami: &AmiId) -> Result<Removed, Failure>;

    /// Deletes a snapshot of this account, which may be gone, unless an image needs it; then returns EC2's
    /// message, which names the image. This cannot be undone.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSnapshot.html>
    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<Option<String>, Failure>;

    /// Returns the images and snapshots of this account that carry our tags.
    async fn tagged(&self) -> Result<Tagged, Failure>;
}

impl ImageRetention for Ec2 {
    async fn deprecate(&self, ami: &AmiId, at: Timestamp) -> Result<(), Failure> {
        let at = DateTime::from_secs(at.as_second());
        match self.client().enable_image_deprecation().image_id(ami.as_str()).deprecate_at(at).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(code(&error)) => Ok(()),
            Err(error) => {
                self.unless_image_is_gone(failure("EnableImageDeprecation", ami.as_str(), &error), ami).await
            }
        }
    }

    async fn restore(&self, ami: &AmiId) -> Result<(), Failure> {
        match self.client().disable_image_deprecation().image_id(ami.as_str()).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(code(&error)) => Ok(()),
            Err(error) => {
                self.unless_image_is_gone(failure("DisableImageDeprecation", ami.as_str(), &error), ami).await
            }
        }
    }

    async fn remove(&self, ami: &AmiId) -> Result<Removed, Failure> {
        let request =
            self.client().deregister_image().image_id(ami.as_str()).delete_associated_snapshots(true);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if is_gone(code(&error)) => return Ok(Removed::Gone { left: BTreeMap::new() }),
            Err(error) => {
                let failed = failure("DeregisterImage", ami.as_str(), &error);
                return match (code(&error), failed.kind) {
                    (Some("OperationNotPermitted"), FailureKind::Rejected | FailureKind::AccessDenied) => {
                        Ok(Removed::Protected { why: failed.message })
                    }
                    _ if self.is_image_gone(&failed, ami).await => {
                        Ok(Removed::Gone { left: BTreeMap::new() })
                    }
                    _ => Err(failed),
                };
            }
        };
        let mut left = BTreeMap::new();
        for result in answer.delete_snapshot_results() {
            let code = result.return_code().map_or("unknown", |code| code.as_str());
            if code != "success" {
                left.insert(read::parsed(result.snapshot_id())?, code.to_owned());
            }
        }
        Ok(Removed::Gone { left })
    }

    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<Option<String>, Failure> {
        match self.client().delete_snapshot().snapshot_id(snapshot.as_str()).send().await {
            Ok(_) => Ok(None),
            Err(error) if is_gone(code(&error)) => Ok(None),
            Err(error) => {
                let failed = failure("DeleteSnapshot", snapshot.as_str(), &error);
                if code(&error) == Some("InvalidSnapshot.InUse") {
                    Ok(Some(failed.chain()))
                } else if self.is_snapshot_gone(&failed, snapshot).await {
                    Ok(None)
                } else {
                    Err(failed)
                }
            }
        }
    }

    async fn tagged(&self) -> Result<Tagged, Failure> {
        let mut tagged = Tagged::default();
        let ours = || filter("tag-key", [TAG_IMAGE.to_owned()]);
        let mut next = None;
        loop {
            let request =
                self.client().describe_images().owners("self").filters(ours()).include_deprecated(true);
            let page = request.max_results(1000).set_next_token(next).send().await;
            let page = page.map_err(|error| failure("DescribeImages", "of ours", &error))?;
            for image in page.images() {
                let ami = read::ami(image)?;
                let made_at = image.creation_date().and_then(|date| date.parse().ok());
                let found = TaggedImage {
                    made: made(&ami.tags, made_at),
                    snapshots: ami.snapshots(),
                    is_deprecated: image.deprecation_time().is_some(),
                };
                tagged.images.insert(ami.id, found);
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                break;
            }
        }
        loop {
            let request = self.client().describe_snapshots().owner_ids("self").filters(ours());
            let page = request.max_results(1000).set_next_token(next).send().await;
            let page = page.map_err(|error| failure("DescribeSnapshots", "of ours", &error))?;
            for snapshot in page.snapshots() {
                let tags = snapshot.tags().iter();
                let tags = tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
                let made_at = snapshot.start_time().and_then(|at| Timestamp::from_second(at.secs()).ok());
                tagged
                    .snapshots
                    .insert(read::parsed(snapshot.snapshot_id())?, made(&tags.collect(), made_at));
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(tagged);
            }
        }
    }
}

/// Returns the origin of an image or snapshot that carries these tags.
pub fn made(tags: &BTreeMap<String, String>, at: Option<Timestamp>) -> Made {
    let tag = |key: &str| tags.get(key).map_or("?", String::as_str);
    let deployment = tags.get(TAG_DEPLOYMENT).and_then(|id| id.parse().ok());
    Made { label: format!("{}@{}", tag(TAG_IMAGE), tag(TAG_VERSION)), deployment, at }
}
