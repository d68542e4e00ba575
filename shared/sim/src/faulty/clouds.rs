//! The clouds of target accounts, with the faults of the case.

use super::Mistake;
use crate::boundary::Boundary;
use crate::cloudformation::{SimCloudFormation, SimStacks};
use crate::codebuild::{SimBuilds, SimCodeBuild};
use crate::context::{SimPublished, SimStored};
use crate::ec2::{SimEc2, SimImages, SimKeys};
use crate::faults::Site;
use lockstep_aws::cloudformation::{
    ChangeSetView, Creation, Execution, NewChangeSet, Replay, Stack, Stacks, TemplateForm,
};
use lockstep_aws::codebuild::{Builds, NewBuild};
use lockstep_aws::ec2::references::References;
use lockstep_aws::ec2::{Copied, Images, NewCopy};
use lockstep_aws::kms::{Keys, NewGrant};
use lockstep_aws::public_images::PublicImages;
use lockstep_aws::stored_values::StoredValues;
use lockstep_domain::images::bake::Build;
use lockstep_domain::images::promotion::keys::{Grant, Key};
use lockstep_domain::images::promotion::{Ami, Snapshot};
use lockstep_domain::model::base_image::{ImageSearch, NamePattern, ParameterName};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, AmiId, DeploymentId, ImageName, SnapshotId};
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use lockstep_domain::model::version::Version;
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::plan::LiveResource;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A port of a simulated cloud, with the faults and the mistake of the case.
pub struct FaultyPort<C, P> {
    cloud: C,
    port: P,
    boundary: Boundary,
    mistake: Rc<dyn Mistake>,
}

/// CloudFormation with the faults of the case.
pub type FaultyStacks = FaultyPort<SimCloudFormation, SimStacks>;

/// EC2 in one account and region, with the faults of the case.
pub type FaultyImages = FaultyPort<SimEc2, SimImages>;

/// KMS in one account and region, with the faults of the case.
pub type FaultyKeys = FaultyPort<NeverStale, SimKeys>;

/// CodeBuild in one account and region, with the faults of the case.
pub type FaultyBuilds = FaultyPort<SimCodeBuild, SimBuilds>;

/// The published images, with the faults of the case.
pub type FaultyPublished = FaultyPort<NeverStale, SimPublished>;

/// The stored values of an account, with the faults of the case.
pub type FaultyStored = FaultyPort<NeverStale, SimStored>;

/// A cloud that can show a past state.
pub trait ReadsStale {
    /// Makes the next read a stale one.
    fn read_stale_once(&self);
}

/// A cloud whose reads are always up to date: stale reads of KMS, of published images and of stored values are not
/// simulated.
pub struct NeverStale;

impl ReadsStale for NeverStale {
    fn read_stale_once(&self) {}
}

impl ReadsStale for SimCloudFormation {
    fn read_stale_once(&self) {
        Self::read_stale_once(self);
    }
}

impl ReadsStale for SimEc2 {
    fn read_stale_once(&self) {
        Self::read_stale_once(self);
    }
}

impl ReadsStale for SimCodeBuild {
    fn read_stale_once(&self) {
        Self::read_stale_once(self);
    }
}

impl<C: ReadsStale, P> FaultyPort<C, P> {
    /// Returns `port` of `cloud` behind a boundary and a mistake.
    pub(super) fn new(cloud: C, port: P, boundary: Boundary, mistake: &Rc<dyn Mistake>) -> Self {
        Self { cloud, port, boundary, mistake: Rc::clone(mistake) }
    }

    /// Makes a call, with its fault if the case has one.
    pub async fn call<T>(
        &self,
        name: &str,
        site: Site,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.boundary.cross(name, site, || self.cloud.read_stale_once(), call).await
    }
}

impl FaultyStacks {
    /// Returns the change set that is used instead of `asked`; the mistake may replace it by the one that was made
    /// last.
    fn change_set_id(&self, asked: &str) -> String {
        let made = self.cloud.effects().into_iter().rev().find(|effect| effect.call == "CreateChangeSet");
        self.mistake.change_set_id(asked, made.and_then(|made| made.change_set))
    }

    fn token(&self, token: &str) -> String {
        let mut token = token.to_owned();
        self.mistake.token(&mut token);
        token
    }
}

impl Stacks for FaultyStacks {
    async fn describe(&self, stack: &str) -> Result<Option<Stack>, Failure> {
        let seen = self.call("DescribeStacks", Site::Read, async || self.port.describe(stack).await).await;
        self.mistake.stack(seen)
    }

    async fn events(
        &self,
        stack: &str,
        enough: &dyn Fn(&[StackEvent]) -> bool,
    ) -> Result<Vec<StackEvent>, Failure> {
        let events = async || self.port.events(stack, enough).await;
        let seen = self.call("DescribeStackEvents", Site::Read, events).await;
        self.mistake.events(seen)
    }

    async fn resources(&self, stack: &str) -> Result<Vec<LiveResource>, Failure> {
        let seen =
            self.call("ListStackResources", Site::Read, async || self.port.resources(stack).await).await;
        self.mistake.resources(seen)
    }

    async fn template(&self, stack: &str, form: TemplateForm) -> Result<String, Failure> {
        self.call("GetTemplate", Site::Read, async || self.port.template(stack, form).await).await
    }

    async fn change_sets(&self, stack: &str) -> Result<Vec<String>, Failure> {
        self.call("ListChangeSets", Site::Read, async || self.port.change_sets(stack).await).await
    }

    async fn importers(&self, export: &str) -> Result<Vec<String>, Failure> {
        self.call("ListImports", Site::Read, async || self.port.importers(export).await).await
    }

    async fn validation_failures(&self, change_set: &str) -> Result<Vec<String>, Failure> {
        let look = async || self.port.validation_failures(change_set).await;
        self.call("DescribeEvents", Site::Read, look).await
    }

    async fn validation_warnings(&self, change_set: &str) -> Result<Vec<String>, Failure> {
        let look = async || self.port.validation_warnings(change_set).await;
        self.call("DescribeEvents", Site::Read, look).await
    }

    async fn failed_validations(&self, stack: &str, token: &str) -> Result<Vec<String>, Failure> {
        let look = async || self.port.failed_validations(stack, token).await;
        self.call("DescribeEvents", Site::Read, look).await
    }

    async fn create_change_set(&self, wanted: &NewChangeSet) -> Result<Creation, Failure> {
        let wanted = NewChangeSet { token: self.token(&wanted.token), ..wanted.clone() };
        let create = async || self.port.create_change_set(&wanted).await;
        self.call("CreateChangeSet", Site::Write, create).await
    }

    async fn describe_change_set(
        &self,
        stack: &str,
        change_set: &str,
    ) -> Result<Option<ChangeSetView>, Failure> {
        let change_set = self.change_set_id(change_set);
        let seen = self
            .call("DescribeChangeSet", Site::Read, async || {
                self.port.describe_change_set(stack, &change_set).await
            })
            .await?;
        Ok(seen.map(|view| self.mistake.change_set(view)))
    }

    async fn delete_change_set(&self, stack: &str, change_set: &str) -> Result<(), Failure> {
        let delete = async || self.port.delete_change_set(stack, change_set).await;
        self.call("DeleteChangeSet", Site::Write, delete).await
    }

    async fn execute_change_set(&self, change_set: &str, token: &str) -> Result<Execution, Failure> {
        let token = self.token(token);
        let change_set = self.change_set_id(change_set);
        let execute = async || self.port.execute_change_set(&change_set, &token).await;
        self.call("ExecuteChangeSet", Site::Write, execute).await
    }

    async fn delete_stack(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        retain: &[String],
    ) -> Result<(), Failure> {
        let token = self.token(token);
        let delete = async || self.port.delete_stack(arn, &token, role, retain).await;
        self.call("DeleteStack", Site::Write, delete).await
    }

    async fn rollback_stack(&self, arn: &str, token: &str, role: &str) -> Result<(), Failure> {
        let token = self.token(token);
        let rollback = async || self.port.rollback_stack(arn, &token, role).await;
        self.call("RollbackStack", Site::Write, rollback).await
    }

    async fn replay(&self, replay: &Replay) -> Result<(), Failure> {
        let replay = Replay { token: self.token(&replay.token), ..replay.clone() };
        let update = async || self.port.replay(&replay).await;
        self.call("UpdateStack", Site::Write, update).await
    }

    async fn continue_update_rollback(
        &self,
        arn: &str,
        token: &str,
        role: &str,
        skip: &[String],
    ) -> Result<(), Failure> {
        let token = self.token(token);
        let go_on = async || self.port.continue_update_rollback(arn, &token, role, skip).await;
        self.call("ContinueUpdateRollback", Site::Write, go_on).await
    }

    async fn cancel_update_stack(&self, arn: &str, token: &str) -> Result<(), Failure> {
        let token = self.token(token);
        let cancel = async || self.port.cancel_update_stack(arn, &token).await;
        self.call("CancelUpdateStack", Site::Write, cancel).await
    }
}

impl Images for FaultyImages {
    async fn sees_allowed_images_only(&self) -> Result<bool, Failure> {
        let look = async || self.port.sees_allowed_images_only().await;
        self.call("GetAllowedImagesSettings", Site::Read, look).await
    }

    async fn describe(&self, ami: &AmiId) -> Result<Option<Ami>, Failure> {
        let seen = self.call("DescribeImages", Site::Read, async || self.port.describe(ami).await).await?;
        Ok(seen.map(|ami| self.mistake.ami(ami)))
    }

    async fn owned(&self, image: &ImageName, version: &Version) -> Result<Vec<Ami>, Failure> {
        if !self.mistake.looks_for_debris() {
            return Ok(Vec::new());
        }
        self.call("DescribeImages", Site::Read, async || self.port.owned(image, version).await).await
    }

    async fn snapshots(&self, ids: &BTreeSet<SnapshotId>) -> Result<Vec<Snapshot>, Failure> {
        self.call("DescribeSnapshots", Site::Read, async || self.port.snapshots(ids).await).await
    }

    async fn snapshots_of(&self, promotion: &DeploymentId) -> Result<BTreeSet<SnapshotId>, Failure> {
        let look = async || self.port.snapshots_of(promotion).await;
        self.call("DescribeSnapshots", Site::Read, look).await
    }

    async fn share(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        let share = async || self.port.share(ami, account).await;
        self.call("ModifyImageAttribute", Site::Write, share).await
    }

    async fn unshare(&self, ami: &AmiId, account: &AccountId) -> Result<(), Failure> {
        let unshare = async || self.port.unshare(ami, account).await;
        self.call("ModifyImageAttribute", Site::Write, unshare).await
    }

    async fn share_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        if !self.mistake.shares_snapshots() {
            return Ok(());
        }
        let share = async || self.port.share_snapshot(snapshot, account).await;
        self.call("ModifySnapshotAttribute", Site::Write, share).await
    }

    async fn unshare_snapshot(&self, snapshot: &SnapshotId, account: &AccountId) -> Result<(), Failure> {
        let unshare = async || self.port.unshare_snapshot(snapshot, account).await;
        self.call("ModifySnapshotAttribute", Site::Write, unshare).await
    }

    async fn copy(&self, wanted: &NewCopy) -> Result<Copied, Failure> {
        let mut wanted = wanted.clone();
        self.mistake.token(&mut wanted.token);
        let later = match self.mistake.tags_at_once() {
            true => Vec::new(),
            false => std::mem::take(&mut wanted.tags),
        };
        let copied = self.call("CopyImage", Site::Write, async || self.port.copy(&wanted).await).await?;
        if let (Copied::Begun(ami), false) = (&copied, later.is_empty()) {
            let snapshots = self.cloud.ami(ami).map(|ami| ami.snapshots()).unwrap_or_default();
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
        let tag = async || self.port.tag(ami, snapshots, tags).await;
        self.call("CreateTags", Site::Write, tag).await
    }

    async fn deregister(&self, ami: &AmiId) -> Result<(), Failure> {
        self.call("DeregisterImage", Site::Write, async || self.port.deregister(ami).await).await
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), Failure> {
        let delete = async || self.port.delete_snapshot(snapshot).await;
        self.call("DeleteSnapshot", Site::Write, delete).await
    }
}

impl References for FaultyImages {
    async fn references(&self, wanted: &BTreeSet<AmiId>) -> Result<BTreeMap<AmiId, Vec<String>>, Failure> {
        let look = async || self.port.references(wanted).await;
        let seen = self.call("DescribeImageReferences", Site::Read, look).await?;
        Ok(if self.mistake.looks_for_references() { seen } else { BTreeMap::new() })
    }
}

impl Keys for FaultyKeys {
    async fn describe(&self, key: &str) -> Result<Option<Key>, Failure> {
        self.call("DescribeKey", Site::Consistent, async || self.port.describe(key).await).await
    }

    async fn policy(&self, key: &str) -> Result<String, Failure> {
        self.call("GetKeyPolicy", Site::Consistent, async || self.port.policy(key).await).await
    }

    async fn grants(&self, key: &str) -> Result<Vec<Grant>, Failure> {
        self.call("ListGrants", Site::Consistent, async || self.port.grants(key).await).await
    }

    async fn grant(&self, wanted: &NewGrant) -> Result<(), Failure> {
        self.call("CreateGrant", Site::Write, async || self.port.grant(wanted).await).await
    }

    async fn revoke(&self, key: &str, grant: &str) -> Result<(), Failure> {
        if !self.mistake.revokes_grants() {
            return Ok(());
        }
        self.call("RevokeGrant", Site::Write, async || self.port.revoke(key, grant).await).await
    }
}

impl Builds for FaultyBuilds {
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<String, Failure> {
        self.call("PutObject", Site::Write, async || self.port.store(key, recipe.clone()).await).await
    }

    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure> {
        let mut wanted = wanted.clone();
        self.mistake.build_token(&mut wanted.token);
        self.call("StartBuild", Site::Write, async || self.port.start(&wanted).await).await
    }

    async fn find(&self, token: &str) -> Result<Option<String>, Failure> {
        self.call("ListBuildsForProject", Site::Read, async || self.port.find(token).await).await
    }

    async fn describe(&self, arn: &str) -> Result<Option<Build>, Failure> {
        self.call("BatchGetBuilds", Site::Read, async || self.port.describe(arn).await).await
    }
}

impl PublicImages for FaultyPublished {
    async fn newest(&self, parameter: &ParameterName) -> Result<AmiId, Failure> {
        let newest = async || self.port.newest(parameter).await;
        self.call("GetParameter", Site::Consistent, newest).await
    }

    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure> {
        let found = async || self.port.find(search).await;
        self.call("DescribeImages", Site::Consistent, found).await
    }
}

impl StoredValues for FaultyStored {
    async fn parameters(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure> {
        let read = async || self.port.parameters(names).await;
        self.call("GetParameters", Site::Consistent, read).await
    }

    async fn secret_versions(&self, id: &str) -> Result<Answer<BTreeMap<String, String>>, Failure> {
        let read = async || self.port.secret_versions(id).await;
        self.call("DescribeSecret", Site::Consistent, read).await
    }
}
