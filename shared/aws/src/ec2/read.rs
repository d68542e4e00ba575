//! Conversion of EC2's responses to the domain's types.

use aws_sdk_ec2::types::{BlockDeviceMapping, Image, SnapshotState};
use lockstep_domain::images::promotion::{Ami, AmiState, Device, Snapshot};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::InvalidId;
use std::str::FromStr;

pub(super) fn ami(image: &Image) -> Result<Ami, Failure> {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let reason = image.state_reason().and_then(|reason| reason.message()).unwrap_or_default();
    let codes = image.product_codes().iter();
    let tags = image.tags().iter();
    Ok(Ami {
        id: parsed(image.image_id())?,
        owner: parsed(image.owner_id())?,
        state: AmiState::parse(image.state().map_or("unknown", |state| state.as_str()), reason),
        architecture: text(image.architecture().map(|architecture| architecture.as_str())),
        root_device: text(image.root_device_name()),
        virtualization: text(image.virtualization_type().map(|kind| kind.as_str())),
        devices: image.block_device_mappings().iter().map(device).collect::<Result<_, _>>()?,
        platform_details: text(image.platform_details()),
        usage_operation: text(image.usage_operation()),
        product_codes: codes.filter_map(|code| code.product_code_id().map(str::to_owned)).collect(),
        tags: tags.filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()))).collect(),
    })
}

fn device(mapping: &BlockDeviceMapping) -> Result<Device, Failure> {
    let disk = mapping.ebs();
    let snapshot = disk.and_then(|disk| disk.snapshot_id()).filter(|id| !id.is_empty());
    Ok(Device {
        name: mapping.device_name().unwrap_or_default().to_owned(),
        snapshot: snapshot.map(|id| parsed(Some(id))).transpose()?,
        size_gib: disk.and_then(|disk| disk.volume_size()).and_then(|gib| u32::try_from(gib).ok()),
        volume_type: disk.and_then(|disk| disk.volume_type()).map_or("", |kind| kind.as_str()).to_owned(),
        encrypted: disk.and_then(|disk| disk.encrypted()).unwrap_or_default(),
    })
}

pub(super) fn snapshot(found: &aws_sdk_ec2::types::Snapshot) -> Result<Snapshot, Failure> {
    Ok(Snapshot {
        id: parsed(found.snapshot_id())?,
        completed: found.state() == Some(&SnapshotState::Completed),
        key: found.kms_key_id().filter(|key| !key.is_empty()).map(str::to_owned),
    })
}

pub(super) fn parsed<T: FromStr<Err = InvalidId>>(text: Option<&str>) -> Result<T, Failure> {
    text.unwrap_or_default()
        .parse()
        .map_err(|error: InvalidId| Failure::bug("EC2 answered").caused_by(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::{EbsBlockDevice, ImageState, StateReason, Tag, VolumeType};

    fn image() -> aws_sdk_ec2::types::builders::ImageBuilder {
        let disk = EbsBlockDevice::builder()
            .snapshot_id("snap-00000000000000001")
            .volume_size(8)
            .volume_type(VolumeType::Gp3)
            .encrypted(true);
        let mapping = BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(disk.build()).build();
        Image::builder()
            .image_id("ami-00000000000000001")
            .owner_id("111111111111")
            .state(ImageState::Available)
            .block_device_mappings(mapping)
            .tags(Tag::builder().key("version").value("2.1.37").build())
    }

    #[test]
    fn an_image_is_read_with_its_devices_and_tags() {
        let read = ami(&image().build()).unwrap();
        assert_eq!(read.state, AmiState::Available);
        assert_eq!(read.tags["version"], "2.1.37");
        let device = &read.devices[0];
        assert_eq!((device.size_gib, device.volume_type.as_str(), device.encrypted), (Some(8), "gp3", true));
        assert_eq!(read.snapshots().len(), 1);
    }

    #[test]
    fn a_failed_image_is_read_with_its_reason() {
        let reason = StateReason::builder().message("no key").build();
        let read = ami(&image().state(ImageState::Failed).state_reason(reason).build()).unwrap();
        assert_eq!(read.state, AmiState::Broken("failed: no key".into()));
    }

    #[test]
    fn an_image_without_a_state_is_not_usable() {
        assert_eq!(ami(&image().set_state(None).build()).unwrap().state, AmiState::Other("unknown".into()));
    }

    #[test]
    fn an_unreadable_answer_is_a_failure() {
        assert!(ami(&Image::builder().build()).is_err());
        let snapshot_without_id = aws_sdk_ec2::types::Snapshot::builder().build();
        assert!(snapshot(&snapshot_without_id).is_err());
    }
}
