//! `promote-image` in the sweep: what lies between its function and EC2, and the world around the function.

pub mod invariants;
pub mod scenarios;

use crate::boundary::Boundary;
use crate::bugs::Bug;
use crate::faults::Site;
use crate::harness::Harness;
use jiff::Timestamp;
use lockstep_domain::images::promotion::keys::{Grant, Key};
use lockstep_domain::images::promotion::{Ami, Snapshot};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, AmiId, CommitSha, DeploymentId, ImageName, SnapshotId};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::path::Path;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::Repository;
use lockstep_image::world::World;
use lockstep_platform::ec2::references::References;
use lockstep_platform::ec2::{Copied, Images, NewCopy};
use lockstep_platform::kms::{Keys, NewGrant};
use lockstep_platform::ledger::Ledger;
use lockstep_platform::waits::Waits;
use lockstep_runtime::Clock;
use lockstep_sim::ec2::{SimEc2, SimImages, SimKeys};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// EC2 in one account and region, struck where the case says so.
pub struct StruckImages {
    ec2: SimEc2,
    images: SimImages,
    boundary: Boundary,
    bug: Option<Bug>,
}

impl StruckImages {
    /// EC2 at `location`.
    pub fn new(harness: &Harness, location: &Location) -> Self {
        Self {
            ec2: harness.ec2.clone(),
            images: harness.ec2.images(location),
            boundary: Boundary::new(&harness.faults, &harness.clock),
            bug: harness.bug,
        }
    }

    async fn call<T>(
        &self,
        name: &str,
        site: Site,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.boundary.cross(name, site, || self.ec2.read_stale_once(), call).await
    }
}

impl Images for StruckImages {
    async fn sees_allowed_images_only(&self) -> Result<bool, Failure> {
        let look = async || self.images.sees_allowed_images_only().await;
        self.call("GetAllowedImagesSettings", Site::Read, look).await
    }

    async fn describe(&self, ami: &AmiId) -> Result<Option<Ami>, Failure> {
        let seen = self.call("DescribeImages", Site::Read, async || self.images.describe(ami).await).await?;
        Ok(match self.bug {
            Some(bug) => seen.map(|ami| bug.twist_ami(ami)),
            None => seen,
        })
    }

    async fn owned(&self, image: &ImageName, version: &Version) -> Result<Vec<Ami>, Failure> {
        if self.bug == Some(Bug::DebrisIgnored) {
            return Ok(Vec::new());
        }
        self.call("DescribeImages", Site::Read, async || self.images.owned(image, version).await).await
    }

    async fn snapshots(&self, ids: &BTreeSet<SnapshotId>) -> Result<Vec<Snapshot>, Failure> {
        self.call("DescribeSnapshots", Site::Read, async || self.images.snapshots(ids).await).await
    }

    async fn snapshots_of(&self, promotion: &DeploymentId) -> Result<BTreeSet<SnapshotId>, Failure> {
        let look = async || self.images.snapshots_of(promotion).await;
        self.call("DescribeSnapshots", Site::Read, look).await
    }

    async fn share(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        let share = async || self.images.share(ami, account).await;
        self.call("ModifyImageAttribute", Site::Write, share).await
    }

    async fn unshare(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        let unshare = async || self.images.unshare(ami, account).await;
        self.call("ModifyImageAttribute", Site::Write, unshare).await
    }

    async fn share_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        if self.bug == Some(Bug::ImageAlone) {
            return Ok(());
        }
        let share = async || self.images.share_snapshot(snapshot, account).await;
        self.call("ModifySnapshotAttribute", Site::Write, share).await
    }

    async fn unshare_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        let unshare = async || self.images.unshare_snapshot(snapshot, account).await;
        self.call("ModifySnapshotAttribute", Site::Write, unshare).await
    }

    async fn copy(&self, wanted: &NewCopy) -> Result<Copied, Failure> {
        let mut wanted = wanted.clone();
        if let Some(bug) = self.bug {
            bug.twist_token(&mut wanted.token);
        }
        let later = match self.bug {
            Some(Bug::TagLater) => std::mem::take(&mut wanted.tags),
            _ => Vec::new(),
        };
        let copied = self.call("CopyImage", Site::Write, async || self.images.copy(&wanted).await).await?;
        if let (Copied::Begun(ami), false) = (&copied, later.is_empty()) {
            let snapshots = self.ec2.ami(ami).map(|ami| ami.snapshots()).unwrap_or_default();
            self.tag(ami, &snapshots, &later).await?;
        }
        Ok(copied)
    }

    async fn tag(
        &self,
        ami: &AmiId,
        snapshots: &BTreeSet<SnapshotId>,
        tags: &[(String, String)],
    ) -> Result<(), Failure> {
        let tag = async || self.images.tag(ami, snapshots, tags).await;
        self.call("CreateTags", Site::Write, tag).await
    }

    async fn deregister(&self, ami: &AmiId) -> Result<(), Failure> {
        self.call("DeregisterImage", Site::Write, async || self.images.deregister(ami).await).await
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), Failure> {
        let delete = async || self.images.delete_snapshot(snapshot).await;
        self.call("DeleteSnapshot", Site::Write, delete).await
    }
}

impl References for StruckImages {
    async fn references(&self, wanted: &BTreeSet<AmiId>) -> Result<BTreeMap<AmiId, Vec<String>>, Failure> {
        let look = async || self.images.references(wanted).await;
        let seen = self.call("DescribeImageReferences", Site::Read, look).await?;
        Ok(if self.bug == Some(Bug::UsedIsDiscarded) { BTreeMap::new() } else { seen })
    }
}

/// KMS in one account and region, struck where the case says so.
pub struct StruckKeys {
    keys: SimKeys,
    boundary: Boundary,
    bug: Option<Bug>,
}

impl StruckKeys {
    fn new(harness: &Harness, location: &Location) -> Self {
        let boundary = Boundary::new(&harness.faults, &harness.clock);
        Self { keys: harness.ec2.keys(location), boundary, bug: harness.bug }
    }

    async fn call<T>(
        &self,
        name: &str,
        site: Site,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        // KMS is read as it is: what it shows a moment late is not simulated.
        self.boundary.cross(name, site, || {}, call).await
    }
}

impl Keys for StruckKeys {
    async fn describe(&self, key: &str) -> Result<Option<Key>, Failure> {
        self.call("DescribeKey", Site::Consistent, async || self.keys.describe(key).await).await
    }

    async fn policy(&self, key: &str) -> Result<String, Failure> {
        self.call("GetKeyPolicy", Site::Consistent, async || self.keys.policy(key).await).await
    }

    async fn grants(&self, key: &str) -> Result<Vec<Grant>, Failure> {
        self.call("ListGrants", Site::Consistent, async || self.keys.grants(key).await).await
    }

    async fn grant(&self, wanted: &NewGrant) -> Result<(), Failure> {
        self.call("CreateGrant", Site::Write, async || self.keys.grant(wanted).await).await
    }

    async fn revoke(&self, key: &str, grant: &str) -> Result<(), Failure> {
        if self.bug == Some(Bug::GrantKept) {
            return Ok(());
        }
        self.call("RevokeGrant", Site::Write, async || self.keys.revoke(key, grant).await).await
    }
}

/// The accounts as the `sweep` function reaches them; what it does there is struck as a whole, when it is invoked.
pub struct Accounts<'a>(pub &'a SimEc2);

impl lockstep_sweep::accounts::Accounts for Accounts<'_> {
    type Account = SimImages;

    async fn at(&self, location: &Location) -> Result<SimImages, Failure> {
        Ok(self.0.images(location))
    }
}

/// Git hosts, which are not asked here.
pub struct NoHeads;

impl lockstep_sweep::heads::Heads for NoHeads {
    async fn head(&self, _: &Repository) -> Result<Option<CommitSha>, Failure> {
        Ok(None)
    }
}

/// The world of the `image` function.
pub struct ImageWorld<'a>(pub &'a Harness);

impl Clock for ImageWorld<'_> {
    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    async fn sleep(&self, time: Duration) {
        self.0.clock.advance(time);
    }
}

impl World for ImageWorld<'_> {
    type Records = Ledger;
    type Waits = Waits;
    type Images = StruckImages;
    type Keys = StruckKeys;

    fn records(&self) -> &Ledger {
        &self.0.struck_ledger
    }

    fn waits(&self) -> &Waits {
        &self.0.waits
    }

    fn partition(&self) -> &str {
        "aws"
    }

    fn target_role(&self, account: &AccountId) -> String {
        TargetRole::ImageTarget.arn(Path::Promotion, "aws", account)
    }

    fn patience(&self) -> impl Iterator<Item = Duration> {
        std::iter::repeat_n(Duration::from_secs(5), 5)
    }

    async fn is_running(&self, execution: &str) -> Option<bool> {
        self.0.holders.is_running(execution).await
    }

    async fn source(&self, location: &Location, _session: &str) -> Result<StruckImages, Failure> {
        Ok(StruckImages::new(self.0, location))
    }

    async fn target(&self, location: &Location, _session: &str) -> Result<StruckImages, Failure> {
        Ok(StruckImages::new(self.0, location))
    }

    async fn source_keys(&self, location: &Location, _session: &str) -> Result<StruckKeys, Failure> {
        Ok(StruckKeys::new(self.0, location))
    }

    async fn target_keys(&self, location: &Location, _session: &str) -> Result<StruckKeys, Failure> {
        Ok(StruckKeys::new(self.0, location))
    }
}
