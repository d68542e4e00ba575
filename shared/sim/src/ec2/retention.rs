//! The end of an image's life: deprecated, and deregistered with its snapshots.

use super::SimImages;
use super::model::{Image, Stored};
use jiff::Timestamp;
use lockstep_aws::ec2::retention::{ImageRetention, made};
use lockstep_domain::images::orphans::{Tagged, TaggedImage};
use lockstep_domain::images::promotion::TAG_IMAGE;
use lockstep_domain::images::retention::Removed;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, SnapshotId};
use std::collections::BTreeMap;

impl ImageRetention for SimImages {
    async fn deprecate(&self, ami: &AmiId, _: Timestamp) -> Result<(), Failure> {
        self.change("EnableImageDeprecation", |inner, here| {
            let now = inner.clock.now();
            inner.images.change(ami.as_str(), now, |image| image.is_deprecated = true);
            inner.effect("EnableImageDeprecation", here, ami.as_str(), None, "");
            Ok(())
        })
    }

    async fn restore(&self, ami: &AmiId) -> Result<(), Failure> {
        self.change("DisableImageDeprecation", |inner, here| {
            let now = inner.clock.now();
            inner.images.change(ami.as_str(), now, |image| image.is_deprecated = false);
            inner.effect("DisableImageDeprecation", here, ami.as_str(), None, "");
            Ok(())
        })
    }

    async fn remove(&self, ami: &AmiId) -> Result<Removed, Failure> {
        self.change("DeregisterImage", |inner, here| {
            let gone = Ok(Removed::Gone { left: BTreeMap::new() });
            let Some(image) = inner.images.get(ami.as_str()).cloned() else { return gone };
            if image.is_protected {
                let why = format!(
                    "DeregisterImage {ami}: OperationNotPermitted: deregistration protection is enabled"
                );
                return Ok(Removed::Protected { why });
            }
            match inner.deregister(here, ami) {
                Err(failure) if failure.kind == FailureKind::NotFound => return gone,
                other => other?,
            }
            let mut left = BTreeMap::new();
            for snapshot in image.ami.snapshots() {
                if inner.delete_snapshot(here, &snapshot).is_err() {
                    left.insert(snapshot, "skipped".to_owned());
                }
            }
            Ok(Removed::Gone { left })
        })
    }

    async fn remove_snapshot(&self, snapshot: &SnapshotId) -> Result<Option<String>, Failure> {
        self.change("DeleteSnapshot", |inner, here| match inner.delete_snapshot(here, snapshot) {
            Err(used) if used.message.contains("InUse") => Ok(Some(used.message)),
            Err(gone) if gone.kind == FailureKind::NotFound => Ok(None),
            deleted => deleted.map(|()| None),
        })
    }

    async fn tagged(&self) -> Result<Tagged, Failure> {
        let is_ours = |tags: &BTreeMap<String, String>| tags.contains_key(TAG_IMAGE);
        let here = |image: &Image| image.location == self.here && is_ours(&image.ami.tags);
        let images = self.images(here).into_iter();
        let images = images.map(|image| {
            let (snapshots, is_deprecated) = (image.ami.snapshots(), image.is_deprecated);
            let made = made(&image.ami.tags, Some(image.since));
            (image.ami.id, TaggedImage { made, snapshots, is_deprecated })
        });
        let here = |stored: &Stored| stored.location == self.here && is_ours(&stored.tags);
        let stored = self.stored(here).into_iter();
        Ok(Tagged {
            images: images.collect(),
            snapshots: stored
                .map(|found| (found.snapshot.id, made(&found.tags, Some(found.since))))
                .collect(),
        })
    }
}
