//! Machine images for makers of base images: registration, listing and shares.

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, EbsBlockDevice, Image, ImageAttributeName, SnapshotAttributeName,
    VolumeType,
};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, SnapshotId};
use std::collections::{BTreeMap, BTreeSet};

/// An image of this account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnImage {
    /// Its id.
    pub ami: AmiId,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its snapshots.
    pub snapshots: BTreeSet<SnapshotId>,
}

/// The machine images of one account and region.
pub struct BaseImages {
    aws: Aws,
    client: Client,
}

impl BaseImages {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: Client::new(aws.sdk_config()) }
    }

    /// Registers an image with one empty volume of 8 GiB in the steps of an image builder: volume, snapshot,
    /// registration.
    pub async fn register(&self, name: &str) -> Result<AmiId, Failure> {
        let zone = format!("{}a", self.aws.region());
        let volume = self.client.create_volume().availability_zone(zone).size(8).volume_type(VolumeType::Gp3);
        let volume = volume.send().await.map_err(|error| failure("CreateVolume", name, &error))?;
        let snapshot = self.client.create_snapshot().set_volume_id(volume.volume_id).description(name);
        let snapshot = snapshot.send().await.map_err(|error| failure("CreateSnapshot", name, &error))?;
        let disk = EbsBlockDevice::builder().set_snapshot_id(snapshot.snapshot_id).volume_size(8).build();
        let registered = self
            .client
            .register_image()
            .name(name)
            .architecture(ArchitectureValues::X8664)
            .virtualization_type("hvm")
            .root_device_name("/dev/xvda")
            .block_device_mappings(BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(disk).build());
        let registered = registered.send().await.map_err(|error| failure("RegisterImage", name, &error))?;
        parsed(registered.image_id())
    }

    /// Returns every image that this account owns.
    pub async fn owned(&self) -> Result<Vec<OwnImage>, Failure> {
        let answer = self.client.describe_images().owners("self").send().await;
        let answer = answer.map_err(|error| failure("DescribeImages", "of this account", &error))?;
        answer.images().iter().map(own_image).collect()
    }

    /// Returns the others that may launch the image: accounts, organisations, or `all`.
    pub async fn launched_by(&self, ami: &AmiId) -> Result<Vec<String>, Failure> {
        let request = self.client.describe_image_attribute().image_id(ami.as_str());
        let answer = request.attribute(ImageAttributeName::LaunchPermission).send().await;
        let answer = answer.map_err(|error| failure("DescribeImageAttribute", ami.as_str(), &error))?;
        let who = answer.launch_permissions().iter().map(|permission| {
            let named =
                [permission.user_id(), permission.organization_arn(), permission.organizational_unit_arn()];
            named.into_iter().flatten().next().unwrap_or("all").to_owned()
        });
        Ok(who.collect())
    }

    /// Returns the others that may read the snapshot: accounts, or `all`.
    pub async fn read_by(&self, snapshot: &SnapshotId) -> Result<Vec<String>, Failure> {
        let request = self.client.describe_snapshot_attribute().snapshot_id(snapshot.as_str());
        let answer = request.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
        let answer =
            answer.map_err(|error| failure("DescribeSnapshotAttribute", snapshot.as_str(), &error))?;
        let who = answer.create_volume_permissions().iter();
        Ok(who.map(|permission| permission.user_id().unwrap_or("all").to_owned()).collect())
    }
}

fn own_image(image: &Image) -> Result<OwnImage, Failure> {
    let tag = |tag: &aws_sdk_ec2::types::Tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()));
    let disks = image.block_device_mappings().iter().filter_map(|mapping| mapping.ebs()?.snapshot_id());
    Ok(OwnImage {
        ami: parsed(image.image_id())?,
        tags: image.tags().iter().filter_map(tag).collect(),
        snapshots: disks.map(|id| parsed(Some(id))).collect::<Result<_, _>>()?,
    })
}

fn parsed<T: std::str::FromStr<Err = lockstep_domain::model::ids::InvalidId>>(
    id: Option<&str>,
) -> Result<T, Failure> {
    id.unwrap_or_default().parse().map_err(|error| Failure::bug("EC2 answered").caused_by(&error))
}
