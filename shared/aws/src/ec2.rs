//! Machine images and their snapshots in one account and region.
//!
//! [`Images`] is the port, [`Ec2`] its adapter. Every list is read to the last page. An absent image is a result; a
//! read that failed is a failure and never absence.

mod encryption;
mod read;
pub mod references;
pub mod retention;
pub mod under_tags;

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, Filter, LaunchPermission,
    LaunchPermissionModifications, OperationType, ResourceType, SnapshotAttributeName, Tag, TagSpecification,
};
use lockstep_domain::images::promotion::{Ami, Snapshot, TAG_DEPLOYMENT, TAG_IMAGE, TAG_VERSION};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AccountId, AmiId, DeploymentId, ImageName, Region, SnapshotId};
use lockstep_domain::model::version::Version;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Request for a copy. Equal requests with the same token make one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCopy {
    /// The image to copy.
    pub source: AmiId,
    /// The region of the source.
    pub source_region: Region,
    /// The copy's name, unique in its account and region.
    pub name: String,
    /// The client token.
    pub token: String,
    /// The tags of the copy and of its snapshots, in a fixed order.
    pub tags: Vec<(String, String)>,
    /// The key to encrypt it under; `None` keeps the source's encryption.
    pub key: Option<String>,
}

/// Result of a request for a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The copy has this id. It is pending, or was started earlier with the same token.
    Begun(AmiId),
    /// The source, or its storage, is not visible: it is not shared, or the share has not propagated.
    NotVisible(String),
    /// The account's limit of concurrent copies is reached; the text is AWS's.
    Full(String),
    /// AWS refuses to copy this image into that account; the text is AWS's.
    Refused(String),
}

/// The operations of EC2 that Lockstep needs.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Images {
    /// Returns the image as this account sees it, or `None` if it is not visible.
    async fn describe(&self, ami: &AmiId) -> Result<Option<Ami>, Failure>;

    /// Returns the images that this account owns and that are tagged as `version` of `image`.
    async fn owned(&self, image: &ImageName, version: &Version) -> Result<Vec<Ami>, Failure>;

    /// Returns the snapshots among `ids` that exist.
    async fn snapshots(&self, ids: &BTreeSet<SnapshotId>) -> Result<Vec<Snapshot>, Failure>;

    /// Returns the snapshots of this account that are tagged as made by `promotion`.
    async fn snapshots_of(&self, promotion: &DeploymentId) -> Result<BTreeSet<SnapshotId>, Failure>;

    /// Shares the image with `account`, which may then launch it. Undone by [`Images::unshare`].
    async fn share(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure>;

    /// Revokes the share of an image; the share may never have existed, and the image may be gone.
    async fn unshare(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure>;

    /// Shares the snapshot with `account`, which may then read it. Undone by [`Images::unshare_snapshot`].
    async fn share_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure>;

    /// Revokes the share of a snapshot; the share may never have existed, and the snapshot may be gone.
    async fn unshare_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure>;

    /// Starts a copy into this account. Undone by [`Images::deregister`] and [`Images::delete_snapshot`].
    async fn copy(&self, wanted: &NewCopy) -> Result<Copied, Failure>;

    /// Returns true if this account sees the images of certain providers only ("Allowed AMIs"), so that a shared image
    /// may be invisible.
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-allowed-amis.html>
    async fn sees_allowed_images_only(&self) -> Result<bool, Failure>;

    /// Tags an image and its snapshots; a repeated call changes nothing. Needs no undo: tags are overwritten.
    async fn tag(
        &self,
        ami: &AmiId,
        snapshots: &BTreeSet<SnapshotId>,
        tags: &[(String, String)],
    ) -> Result<(), Failure>;

    /// Deregisters an image of this account; it may be gone. This cannot be undone.
    async fn deregister(&self, ami: &AmiId) -> Result<(), Failure>;

    /// Deletes a snapshot of this account; it may be gone. This cannot be undone.
    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), Failure>;
}

/// EC2 in the account and region of an [`Aws`].
pub struct Ec2 {
    aws: Aws,
    client: OnceLock<Client>,
}

impl Ec2 {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }

    async fn described_snapshots(&self, filters: Vec<Filter>) -> Result<Vec<Snapshot>, Failure> {
        let mut snapshots = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().describe_snapshots().set_filters(Some(filters.clone()));
            // Without a size, EC2 does not split the response into pages at all.
            let page = request.max_results(1000).set_next_token(next).send().await;
            let page = page.map_err(|error| failure("DescribeSnapshots", "of an image", &error))?;
            for snapshot in page.snapshots() {
                snapshots.push(read::snapshot(snapshot)?);
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(snapshots);
            }
        }
    }

    async fn set_launch_permission(
        &self,
        ami: &AmiId,
        change: LaunchPermissionModifications,
    ) -> Result<(), Failure> {
        let request = self.client().modify_image_attribute().image_id(ami.as_str()).launch_permission(change);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(code(&error)) => Err(gone(ami.as_str())),
            Err(error) => Err(failure("ModifyImageAttribute", ami.as_str(), &error)),
        }
    }

    async fn set_volume_permission(
        &self,
        snapshot: &SnapshotId,
        change: CreateVolumePermissionModifications,
        operation: OperationType,
    ) -> Result<(), Failure> {
        let request = self
            .client()
            .modify_snapshot_attribute()
            .snapshot_id(snapshot.as_str())
            .attribute(SnapshotAttributeName::CreateVolumePermission)
            .operation_type(operation)
            .create_volume_permission(change);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(code(&error)) => Err(gone(snapshot.as_str())),
            Err(error) => Err(failure("ModifySnapshotAttribute", snapshot.as_str(), &error)),
        }
    }
}

/// Returns true if a code means that an image or a snapshot does not exist.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html>
fn is_gone(code: Option<&str>) -> bool {
    matches!(code, Some("InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" | "InvalidSnapshot.NotFound"))
}

fn gone(id: &str) -> Failure {
    Failure::not_found(format!("{id} does not exist"))
}

/// Returns success if the image or snapshot is gone: it is not shared any more.
fn ok_if_gone(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
        other => other,
    }
}

fn filter(name: &str, values: impl IntoIterator<Item = String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().collect())).build()
}

fn sdk_tags(tags: &[(String, String)]) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

impl Images for Ec2 {
    async fn describe(&self, ami: &AmiId) -> Result<Option<Ami>, Failure> {
        // Without this, a disabled image would look as if it were gone.
        let request = self.client().describe_images().image_ids(ami.as_str()).include_disabled(true);
        match request.send().await {
            Ok(answer) => answer.images().first().map(read::ami).transpose(),
            Err(error) if is_gone(code(&error)) => Ok(None),
            Err(error) => Err(failure("DescribeImages", ami.as_str(), &error)),
        }
    }

    async fn owned(&self, image: &ImageName, version: &Version) -> Result<Vec<Ami>, Failure> {
        let filters = vec![
            filter(&format!("tag:{TAG_IMAGE}"), [image.to_string()]),
            filter(&format!("tag:{TAG_VERSION}"), [version.to_string()]),
        ];
        let mut images = Vec::new();
        let mut next = None;
        loop {
            let request = self.client().describe_images().owners("self").include_disabled(true);
            let request = request.set_filters(Some(filters.clone())).max_results(1000).set_next_token(next);
            let page = request.send().await;
            let page = page.map_err(|error| failure("DescribeImages", image.as_str(), &error))?;
            for image in page.images() {
                images.push(read::ami(image)?);
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(images);
            }
        }
    }

    async fn snapshots(&self, ids: &BTreeSet<SnapshotId>) -> Result<Vec<Snapshot>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // As a filter: in a request by id, one missing snapshot would hide all the others.
        self.described_snapshots(vec![filter("snapshot-id", ids.iter().map(ToString::to_string))]).await
    }

    async fn snapshots_of(&self, promotion: &DeploymentId) -> Result<BTreeSet<SnapshotId>, Failure> {
        let tag = filter(&format!("tag:{TAG_DEPLOYMENT}"), [promotion.to_string()]);
        let found = self.described_snapshots(vec![tag]).await?;
        Ok(found.into_iter().map(|snapshot| snapshot.id).collect())
    }

    async fn share(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        let account = LaunchPermission::builder().user_id(account.as_str()).build();
        self.set_launch_permission(ami, LaunchPermissionModifications::builder().add(account).build()).await
    }

    async fn unshare(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        let account = LaunchPermission::builder().user_id(account.as_str()).build();
        let change = LaunchPermissionModifications::builder().remove(account).build();
        ok_if_gone(self.set_launch_permission(ami, change).await)
    }

    async fn share_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        let account = CreateVolumePermission::builder().user_id(account.as_str()).build();
        let change = CreateVolumePermissionModifications::builder().add(account).build();
        self.set_volume_permission(snapshot, change, OperationType::Add).await
    }

    async fn unshare_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        let account = CreateVolumePermission::builder().user_id(account.as_str()).build();
        let change = CreateVolumePermissionModifications::builder().remove(account).build();
        ok_if_gone(self.set_volume_permission(snapshot, change, OperationType::Remove).await)
    }

    async fn copy(&self, wanted: &NewCopy) -> Result<Copied, Failure> {
        let tags = [ResourceType::Image, ResourceType::Snapshot].map(|kind| {
            TagSpecification::builder().resource_type(kind).set_tags(Some(sdk_tags(&wanted.tags))).build()
        });
        let request = self
            .client()
            .copy_image()
            .source_image_id(wanted.source.as_str())
            .source_region(wanted.source_region.as_str())
            .name(&wanted.name)
            .client_token(&wanted.token)
            .set_encrypted(wanted.key.as_ref().map(|_| true))
            .set_kms_key_id(wanted.key.clone())
            .set_tag_specifications(Some(tags.into()));
        match request.send().await {
            Ok(answer) => {
                let id = answer.image_id().unwrap_or_default();
                let id = id.parse().map_err(|error| Failure::bug("CopyImage answered").caused_by(&error))?;
                Ok(Copied::Begun(id))
            }
            Err(error) => {
                let why = failure("CopyImage", wanted.source.as_str(), &error);
                match (code(&error), why.kind) {
                    // The quota of concurrent copies: a copy that ends frees a slot.
                    (Some("ResourceLimitExceeded"), _) => Ok(Copied::Full(why.message)),
                    (Some("InvalidAMIID.NotFound" | "InvalidSnapshot.NotFound"), _) => {
                        Ok(Copied::NotVisible(why.message))
                    }
                    (_, FailureKind::Rejected) if means_invisible_storage(&why.message) => {
                        Ok(Copied::NotVisible(why.message))
                    }
                    // Only the message identifies a licence error. A name that is taken, or a token with other
                    // parameters, is no reason to build the image elsewhere.
                    (
                        Some("InvalidRequest" | "OperationNotPermitted" | "UnsupportedOperation"),
                        FailureKind::Rejected,
                    ) => Ok(Copied::Refused(why.message)),
                    _ => Err(why),
                }
            }
        }
    }

    async fn sees_allowed_images_only(&self) -> Result<bool, Failure> {
        let answer = self.client().get_allowed_images_settings().send().await;
        let answer = answer.map_err(|error| failure("GetAllowedImagesSettings", "of this region", &error))?;
        Ok(answer.state() == Some("enabled"))
    }

    async fn tag(
        &self,
        ami: &AmiId,
        snapshots: &BTreeSet<SnapshotId>,
        tags: &[(String, String)],
    ) -> Result<(), Failure> {
        let ids = std::iter::once(ami.to_string()).chain(snapshots.iter().map(ToString::to_string)).collect();
        let request = self.client().create_tags().set_resources(Some(ids)).set_tags(Some(sdk_tags(tags)));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let failed = failure("CreateTags", ami.as_str(), &error);
                Err(if self.is_image_gone(&failed, ami).await { gone(ami.as_str()) } else { failed })
            }
        }
    }

    async fn deregister(&self, ami: &AmiId) -> Result<(), Failure> {
        match self.client().deregister_image().image_id(ami.as_str()).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(code(&error)) => Ok(()),
            Err(error) => {
                self.unless_image_is_gone(failure("DeregisterImage", ami.as_str(), &error), ami).await
            }
        }
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), Failure> {
        match self.client().delete_snapshot().snapshot_id(snapshot.as_str()).send().await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(code(&error)) => Ok(()),
            Err(error) => {
                let failed = failure("DeleteSnapshot", snapshot.as_str(), &error);
                if self.is_snapshot_gone(&failed, snapshot).await { Ok(()) } else { Err(failed) }
            }
        }
    }
}

/// Returns true if the message means an invisible snapshot. EC2 has no code for a snapshot that is not shared, only
/// `InvalidRequest` and these words.
fn means_invisible_storage(message: &str) -> bool {
    message.contains("permission to access the storage")
}
