//! The port: every call of [`Images`], refused where EC2 refuses it.

use super::model::{Image, Shelf, Stored};
use super::{Inner, SimEc2};
use lockstep_aws::ec2::{Copied, Images, NewCopy};
use lockstep_domain::images::promotion::{Ami, AmiState, Snapshot, TAG_DEPLOYMENT};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AccountId, AmiId, DeploymentId, ImageName, SnapshotId};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use std::collections::BTreeSet;

/// [`SimEc2`] as one account reaches it in one region.
#[derive(Clone)]
pub struct SimImages {
    cloud: SimEc2,
    pub(super) here: Location,
}

impl SimImages {
    pub(super) fn new(cloud: SimEc2, here: Location) -> Self {
        Self { cloud, here }
    }

    /// Applies `read` to the records: their current state or, for a stale read, the previous one.
    fn see<T: Clone>(
        &self,
        call: &'static str,
        shelf: impl Fn(&Inner) -> &Shelf<T>,
        wanted: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        let mut inner = self.cloud.0.borrow_mut();
        inner.settle();
        inner.calls.push(call);
        let stale = std::mem::take(&mut inner.reads_stale);
        shelf(&inner).seen(stale, inner.clock.now(), wanted)
    }

    pub(super) fn images(&self, wanted: impl Fn(&Image) -> bool) -> Vec<Image> {
        self.see("DescribeImages", |inner| &inner.images, wanted)
    }

    pub(super) fn stored(&self, wanted: impl Fn(&Stored) -> bool) -> Vec<Stored> {
        let here = |stored: &Stored| stored.location.region == self.here.region;
        self.see("DescribeSnapshots", |inner| &inner.snapshots, |stored| here(stored) && wanted(stored))
    }

    fn sees(&self, image: &Image) -> bool {
        let inner = self.cloud.0.borrow();
        let now = inner.clock.now();
        image.location.region == self.here.region && image.is_seen_by(&self.here.account, inner.lag, now)
    }

    fn reads(&self, stored: &Stored) -> bool {
        let inner = self.cloud.0.borrow();
        stored.is_read_by(&self.here.account, inner.lag, inner.clock.now())
    }

    /// Executes a call that makes a change; its response may be lost.
    pub(super) fn change<T>(
        &self,
        call: &'static str,
        change: impl FnOnce(&mut Inner, &Location) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        inner.settle();
        inner.calls.push(call);
        let done = change(&mut inner, &self.here)?;
        match inner.lost.remove(call) {
            true => Err(Failure::new(FailureKind::Transient, format!("{call}: the answer was lost"))),
            false => Ok(done),
        }
    }
}

fn refused(call: &str, id: &str, why: &str) -> Failure {
    Failure::rejected(format!("{call} {id}: {why}"))
}

/// Returns success if the image or snapshot is gone: it is not shared any more.
fn ok_if_gone(result: Result<(), Failure>) -> Result<(), Failure> {
    match result {
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
        other => other,
    }
}

impl Inner {
    /// Fails unless `here` owns the image. An invisible image does not exist for it, and a shared one is not its own.
    fn own_image(&self, call: &str, here: &Location, ami: &AmiId) -> Result<(), Failure> {
        let found = self.images.get(ami.as_str()).filter(|image| image.location.region == here.region);
        let seen = |image: &&Image| {
            image.location == *here || image.is_seen_by(&here.account, self.lag, self.clock.now())
        };
        match found.filter(seen) {
            None => Err(Failure::not_found(format!("{ami} does not exist"))),
            Some(image) if image.location == *here => Ok(()),
            Some(_) => {
                let why = format!("{call}: AuthFailure: Not authorized for image:{ami}");
                Err(Failure::new(FailureKind::AccessDenied, why))
            }
        }
    }

    fn own_snapshot(&self, here: &Location, snapshot: &SnapshotId) -> Result<(), Failure> {
        let found = self.snapshots.get(snapshot.as_str());
        match found.filter(|found| found.location == *here) {
            Some(_) => Ok(()),
            None => Err(Failure::not_found(format!("{snapshot} does not exist"))),
        }
    }

    fn set_launch_permission(
        &mut self,
        here: &Location,
        ami: &AmiId,
        account: &AccountId,
        shared: bool,
    ) -> Result<(), Failure> {
        self.own_image("ModifyImageAttribute", here, ami)?;
        let now = self.clock.now();
        let pending = |image: &Image| image.ami.state == AmiState::Pending;
        if self.images.get(ami.as_str()).is_some_and(pending) {
            return Err(Failure::not_found(format!("{ami} does not exist yet")));
        }
        let has = self.images.get(ami.as_str()).is_some_and(|it| it.shared_with.contains_key(account));
        if has == shared {
            return Ok(());
        }
        self.images.change(ami.as_str(), now, |image| {
            match shared {
                true => drop(image.shared_with.insert(account.clone(), now)),
                false => drop(image.shared_with.remove(account)),
            };
        });
        self.effect(if shared { "Share" } else { "Unshare" }, here, ami.as_str(), Some(account), "");
        Ok(())
    }

    fn set_volume_permission(
        &mut self,
        here: &Location,
        snapshot: &SnapshotId,
        account: &AccountId,
        shared: bool,
    ) -> Result<(), Failure> {
        self.own_snapshot(here, snapshot)?;
        let now = self.clock.now();
        let found = self.snapshots.get(snapshot.as_str());
        let key = found.and_then(|found| found.snapshot.key.as_ref()).and_then(|key| self.keys.get(key));
        if shared && key.is_some_and(|key| key.is_managed_by_aws) {
            let why = "OperationNotPermitted: Encrypted snapshots with EBS default key cannot be shared";
            return Err(refused("ModifySnapshotAttribute", snapshot.as_str(), why));
        }
        if found.is_some_and(|found| found.shared_with.contains_key(account)) == shared {
            return Ok(());
        }
        self.snapshots.change(snapshot.as_str(), now, |stored| {
            match shared {
                true => drop(stored.shared_with.insert(account.clone(), now)),
                false => drop(stored.shared_with.remove(account)),
            };
        });
        self.effect(if shared { "Share" } else { "Unshare" }, here, snapshot.as_str(), Some(account), "");
        Ok(())
    }

    pub(super) fn deregister(&mut self, here: &Location, ami: &AmiId) -> Result<(), Failure> {
        self.own_image("DeregisterImage", here, ami)?;
        let image = self.images.get(ami.as_str()).cloned();
        if image.as_ref().is_some_and(|image| image.is_protected) {
            let why = "OperationNotPermitted: deregistration protection is enabled";
            return Err(refused("DeregisterImage", ami.as_str(), why));
        }
        self.effect("DeregisterImage", here, ami.as_str(), None, "");
        self.images.remove(ami.as_str(), self.clock.now());
        self.announce(here, ami, "deregistered", "");
        Ok(())
    }

    pub(super) fn delete_snapshot(&mut self, here: &Location, snapshot: &SnapshotId) -> Result<(), Failure> {
        self.own_snapshot(here, snapshot)?;
        let user = self.images.iter().find(|image| image.ami.snapshots().contains(snapshot));
        if let Some(user) = user {
            let user = &user.ami.id;
            let why = format!("InvalidSnapshot.InUse: The snapshot is currently in use by {user}");
            return Err(Failure::new(FailureKind::Transient, format!("DeleteSnapshot {snapshot}: {why}")));
        }
        self.effect("DeleteSnapshot", here, snapshot.as_str(), None, "");
        self.snapshots.remove(snapshot.as_str(), self.clock.now());
        Ok(())
    }

    fn tag(
        &mut self,
        here: &Location,
        ami: &AmiId,
        snapshots: &BTreeSet<SnapshotId>,
        tags: &[(String, String)],
    ) -> Result<(), Failure> {
        let now = self.clock.now();
        self.own_image("CreateTags", here, ami)?;
        for snapshot in snapshots {
            self.own_snapshot(here, snapshot)?;
        }
        self.images.change(ami.as_str(), now, |image| image.ami.tags.extend(tags.iter().cloned()));
        for snapshot in snapshots {
            self.snapshots.change(snapshot.as_str(), now, |it| it.tags.extend(tags.iter().cloned()));
        }
        self.effect("CreateTags", here, ami.as_str(), None, "");
        Ok(())
    }
}

impl Images for SimImages {
    async fn sees_allowed_images_only(&self) -> Result<bool, Failure> {
        let mut inner = self.cloud.0.borrow_mut();
        inner.calls.push("GetAllowedImagesSettings");
        Ok(inner.closed.contains(&self.here.account))
    }

    async fn describe(&self, ami: &AmiId) -> Result<Option<Ami>, Failure> {
        let found = self.images(|image| image.ami.id == *ami).into_iter().next();
        Ok(found.filter(|image| self.sees(image)).map(|image| image.seen_by(&self.here.account)))
    }

    async fn owned(&self, image: &ImageName, version: &Version) -> Result<Vec<Ami>, Failure> {
        let tagged = |found: &Image| found.location == self.here && found.ami.is_tagged(image, version);
        let own = self.images(tagged).into_iter().filter(|found| self.sees(found));
        Ok(own.map(|found| found.ami).collect())
    }

    async fn snapshots(&self, ids: &BTreeSet<SnapshotId>) -> Result<Vec<Snapshot>, Failure> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = self.stored(|found| ids.contains(&found.snapshot.id));
        let seen = wanted.into_iter().filter(|found| self.reads(found));
        Ok(seen.map(|found| found.snapshot).collect())
    }

    async fn snapshots_of(&self, promotion: &DeploymentId) -> Result<BTreeSet<SnapshotId>, Failure> {
        let promotion = promotion.to_string();
        let own = self.stored(|found| {
            found.location == self.here && found.tags.get(TAG_DEPLOYMENT) == Some(&promotion)
        });
        Ok(own.into_iter().map(|found| found.snapshot.id).collect())
    }

    async fn share(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        self.change("ModifyImageAttribute", |inner, here| {
            inner.set_launch_permission(here, ami, account, true)
        })
    }

    async fn unshare(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        ok_if_gone(self.change("ModifyImageAttribute", |inner, here| {
            inner.set_launch_permission(here, ami, account, false)
        }))
    }

    async fn share_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        self.change("ModifySnapshotAttribute", |inner, here| {
            inner.set_volume_permission(here, snapshot, account, true)
        })
    }

    async fn unshare_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        ok_if_gone(self.change("ModifySnapshotAttribute", |inner, here| {
            inner.set_volume_permission(here, snapshot, account, false)
        }))
    }

    async fn copy(&self, wanted: &NewCopy) -> Result<Copied, Failure> {
        self.change("CopyImage", |inner, here| inner.copy(here, wanted))
    }

    async fn tag(
        &self,
        ami: &AmiId,
        snapshots: &BTreeSet<SnapshotId>,
        tags: &[(String, String)],
    ) -> Result<(), Failure> {
        self.change("CreateTags", |inner, here| inner.tag(here, ami, snapshots, tags))
    }

    async fn deregister(&self, ami: &AmiId) -> Result<(), Failure> {
        ok_if_gone(self.change("DeregisterImage", |inner, here| inner.deregister(here, ami)))
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), Failure> {
        ok_if_gone(self.change("DeleteSnapshot", |inner, here| inner.delete_snapshot(here, snapshot)))
    }
}

impl lockstep_aws::ec2::references::References for SimImages {
    async fn references(
        &self,
        wanted: &BTreeSet<AmiId>,
    ) -> Result<std::collections::BTreeMap<AmiId, Vec<String>>, Failure> {
        let used = |image: &Image| {
            image.location == self.here && wanted.contains(&image.ami.id) && !image.references.is_empty()
        };
        let used = self.see("DescribeImageReferences", |inner| &inner.images, used).into_iter();
        Ok(used.map(|image| (image.ami.id, image.references.into_iter().collect())).collect())
    }
}
