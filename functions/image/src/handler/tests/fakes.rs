//! An EC2 in memory with AWS's rules for sharing and copying, and a world around it.

use super::EXECUTION;
use crate::world::World;
use jiff::Timestamp;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{AccountId, AmiId, DeploymentId, Digest, ImageName, RepositoryId, SnapshotId};
use lockstep_domain::images::{ImageLock, LockedImage};
use lockstep_domain::promotion::{Ami, AmiState, Device, Snapshot};
use lockstep_domain::records::{
    Config, ConfigKind, Deployment, DeploymentKind, Image, ImageVersion, Location, Release, ReleaseState,
};
use lockstep_domain::stages::Path;
use lockstep_domain::version::Version;
use lockstep_platform::ec2::{Copied, Images, NewCopy};
use lockstep_platform::ports::memory::{MemoryRecords, MemoryWaits};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

pub const SOURCE: &str = "ami-00000000000000001";
pub const SOURCE_ACCOUNT: &str = "111111111111";
pub const COPY_ACCOUNT: &str = "222222222222";

const STAGES: &str = r#"
[[stages]]
name = "test"
account = "111111111111"
region = "eu-west-1"
[[stages]]
name = "ci"
account = "111111111111"
region = "eu-west-1"
propagates = true
[[stages]]
name = "production"
account = "222222222222"
region = "eu-west-1"
"#;

struct FakeAmi {
    ami: Ami,
    shared_with: BTreeSet<AccountId>,
}

struct FakeSnapshot {
    owner: AccountId,
    shared_with: BTreeSet<AccountId>,
    tags: BTreeMap<String, String>,
}

#[derive(Default)]
pub struct FakeEc2 {
    images: RefCell<BTreeMap<AmiId, FakeAmi>>,
    snapshots: RefCell<BTreeMap<SnapshotId, FakeSnapshot>>,
    tokens: RefCell<BTreeMap<String, (NewCopy, AmiId)>>,
    next: Cell<u32>,
    /// Whether the next snapshot is shared, but the answer says otherwise.
    pub fail_next_share: Cell<bool>,
    /// Whether sharing snapshots is refused.
    pub refuse_shares: Cell<bool>,
    /// Whether the next copy is begun, but its answer lost.
    pub lose_next_answer: Cell<bool>,
    pub copies_tried: Cell<u32>,
    pub deregistered: Cell<u32>,
}

fn account(id: &str) -> AccountId {
    id.parse().unwrap()
}

impl FakeEc2 {
    /// A new available image with one snapshot.
    pub fn register(&self, owner: &str) -> AmiId {
        let n = self.next.get() + 1;
        self.next.set(n);
        let id: AmiId = format!("ami-{n:017x}").parse().unwrap();
        let snapshot: SnapshotId = format!("snap-{n:017x}").parse().unwrap();
        let device = Device {
            name: "/dev/xvda".into(),
            snapshot: Some(snapshot.clone()),
            size_gib: Some(8),
            volume_type: "gp3".into(),
            encrypted: false,
        };
        let ami = Ami {
            id: id.clone(),
            owner: account(owner),
            state: AmiState::Available,
            architecture: "arm64".into(),
            root_device: "/dev/xvda".into(),
            virtualization: "hvm".into(),
            devices: vec![device],
            platform_details: "Linux/UNIX".into(),
            usage_operation: "RunInstances".into(),
            product_codes: vec![],
            tags: BTreeMap::new(),
        };
        self.images.borrow_mut().insert(id.clone(), FakeAmi { ami, shared_with: BTreeSet::new() });
        let made =
            FakeSnapshot { owner: account(owner), shared_with: BTreeSet::new(), tags: BTreeMap::new() };
        self.snapshots.borrow_mut().insert(snapshot, made);
        id
    }

    pub fn change(&self, id: &AmiId, change: impl FnOnce(&mut Ami)) {
        change(&mut self.images.borrow_mut().get_mut(id).unwrap().ami);
    }

    pub fn set_state(&self, id: &AmiId, state: AmiState) {
        self.change(id, |ami| ami.state = state);
    }

    pub fn tags(&self, id: &AmiId) -> BTreeMap<String, String> {
        self.images.borrow()[id].ami.tags.clone()
    }

    pub fn snapshot_tags_of(&self, id: &AmiId) -> BTreeMap<String, String> {
        let snapshot = self.images.borrow()[id].ami.snapshots().into_iter().next().unwrap();
        self.snapshots.borrow()[&snapshot].tags.clone()
    }

    pub fn owned_by(&self, owner: &str) -> usize {
        self.images.borrow().values().filter(|image| image.ami.owner == account(owner)).count()
    }

    pub fn snapshots_of_account(&self, owner: &str) -> usize {
        self.snapshots.borrow().values().filter(|snapshot| snapshot.owner == account(owner)).count()
    }

    pub fn nothing_is_shared(&self) -> bool {
        self.images.borrow().values().all(|image| image.shared_with.is_empty())
            && self.snapshots.borrow().values().all(|snapshot| snapshot.shared_with.is_empty())
    }
}

/// EC2 as one account sees it.
pub struct Account {
    ec2: Rc<FakeEc2>,
    account: AccountId,
}

impl Account {
    fn sees(&self, image: &FakeAmi) -> bool {
        image.ami.owner == self.account || image.shared_with.contains(&self.account)
    }

    fn may_read(&self, snapshot: &SnapshotId) -> bool {
        let snapshots = self.ec2.snapshots.borrow();
        let found = snapshots.get(snapshot);
        found.is_some_and(|found| found.owner == self.account || found.shared_with.contains(&self.account))
    }
}

impl Images for Account {
    async fn describe(&self, ami: &AmiId) -> Result<Option<Ami>, Failure> {
        let images = self.ec2.images.borrow();
        Ok(images.get(ami).filter(|image| self.sees(image)).map(|image| image.ami.clone()))
    }

    async fn owned(&self, image: &ImageName, version: &Version) -> Result<Vec<Ami>, Failure> {
        let images = self.ec2.images.borrow();
        let own = images.values().map(|found| &found.ami).filter(|ami| ami.owner == self.account);
        Ok(own.filter(|ami| ami.is_tagged(image, version)).cloned().collect())
    }

    async fn snapshots(&self, ids: &BTreeSet<SnapshotId>) -> Result<Vec<Snapshot>, Failure> {
        let seen = ids.iter().filter(|id| self.may_read(id));
        Ok(seen.map(|id| Snapshot { id: id.clone(), completed: true, key: None }).collect())
    }

    async fn snapshots_of(&self, promotion: &DeploymentId) -> Result<BTreeSet<SnapshotId>, Failure> {
        let snapshots = self.ec2.snapshots.borrow();
        let own = snapshots.iter().filter(|(_, snapshot)| {
            snapshot.owner == self.account && snapshot.tags.get("deployment") == Some(&promotion.to_string())
        });
        Ok(own.map(|(id, _)| id.clone()).collect())
    }

    async fn share(&self, ami: &AmiId, with: &AccountId) -> Result<(), Failure> {
        self.ec2.images.borrow_mut().get_mut(ami).unwrap().shared_with.insert(with.clone());
        Ok(())
    }

    async fn unshare(&self, ami: &AmiId, with: &AccountId) -> Result<(), Failure> {
        if let Some(image) = self.ec2.images.borrow_mut().get_mut(ami) {
            image.shared_with.remove(with);
        }
        Ok(())
    }

    async fn share_snapshot(&self, snapshot: &SnapshotId, with: &AccountId) -> Result<(), Failure> {
        if self.ec2.refuse_shares.get() {
            return Err(Failure::rejected("OperationNotPermitted"));
        }
        self.ec2.snapshots.borrow_mut().get_mut(snapshot).unwrap().shared_with.insert(with.clone());
        if self.ec2.fail_next_share.replace(false) {
            return Err(Failure::new(FailureKind::Transient, "the answer was lost"));
        }
        Ok(())
    }

    async fn unshare_snapshot(&self, snapshot: &SnapshotId, with: &AccountId) -> Result<(), Failure> {
        if let Some(snapshot) = self.ec2.snapshots.borrow_mut().get_mut(snapshot) {
            snapshot.shared_with.remove(with);
        }
        Ok(())
    }

    async fn copy(&self, wanted: &NewCopy) -> Result<Copied, Failure> {
        self.ec2.copies_tried.set(self.ec2.copies_tried.get() + 1);
        if let Some((before, ami)) = self.ec2.tokens.borrow().get(&wanted.token) {
            assert_eq!(before, wanted, "the same token with other parameters is refused by AWS");
            return Ok(Copied::Begun(ami.clone()));
        }
        let source = self.describe(&wanted.source).await?;
        let source = source.filter(|ami| ami.snapshots().iter().all(|snapshot| self.may_read(snapshot)));
        let Some(source) = source else { return Ok(Copied::NotVisible("not shared".into())) };
        let ami = self.ec2.register(self.account.as_str());
        self.ec2.change(&ami, |copy| {
            copy.state = AmiState::Pending;
            copy.architecture = source.architecture;
        });
        let snapshots = self.ec2.images.borrow()[&ami].ami.snapshots();
        self.tag(&ami, &snapshots, &wanted.tags).await?;
        self.ec2.tokens.borrow_mut().insert(wanted.token.clone(), (wanted.clone(), ami.clone()));
        if self.ec2.lose_next_answer.replace(false) {
            return Err(Failure::new(FailureKind::Transient, "the answer was lost"));
        }
        Ok(Copied::Begun(ami))
    }

    async fn tag(
        &self,
        ami: &AmiId,
        snapshots: &BTreeSet<SnapshotId>,
        tags: &[(String, String)],
    ) -> Result<(), Failure> {
        self.ec2.change(ami, |ami| ami.tags.extend(tags.iter().cloned()));
        let mut all = self.ec2.snapshots.borrow_mut();
        for snapshot in snapshots {
            all.get_mut(snapshot).unwrap().tags.extend(tags.iter().cloned());
        }
        Ok(())
    }

    async fn deregister(&self, ami: &AmiId) -> Result<(), Failure> {
        self.ec2.images.borrow_mut().remove(ami);
        self.ec2.deregistered.set(self.ec2.deregistered.get() + 1);
        Ok(())
    }

    async fn delete_snapshot(&self, snapshot: &SnapshotId) -> Result<(), Failure> {
        let images = self.ec2.images.borrow();
        assert!(
            !images.values().any(|image| image.ami.snapshots().contains(snapshot)),
            "the snapshot is in use"
        );
        self.ec2.snapshots.borrow_mut().remove(snapshot);
        Ok(())
    }
}

/// A world with one image in the development account.
pub struct FakeWorld {
    pub records: MemoryRecords,
    pub waits: MemoryWaits,
    pub ec2: Rc<FakeEc2>,
    pub running: Cell<Option<bool>>,
}

impl FakeWorld {
    pub fn new() -> Self {
        let world = Self {
            records: MemoryRecords::default(),
            waits: MemoryWaits::default(),
            ec2: Rc::default(),
            running: Cell::new(Some(true)),
        };
        world.records.put(&Config {
            config: ConfigKind::Stages,
            version: 1,
            text: STAGES.into(),
            applied_by: "arn:person".into(),
            applied_at: Timestamp::UNIX_EPOCH,
        });
        assert_eq!(world.ec2.register(SOURCE_ACCOUNT).as_str(), SOURCE);
        world
    }

    fn image(&self, account: &str) -> Option<Image> {
        let (name, version) = ("logstash".parse().unwrap(), "2.1.37".parse().unwrap());
        self.records.find(&Image::key_of(&name, &version, &location(account)))
    }

    pub fn version(&self) -> ImageVersion {
        let (name, version) = ("logstash".parse().unwrap(), "2.1.37".parse().unwrap());
        self.records.find(&ImageVersion::key_of(&name, &version)).unwrap()
    }

    pub fn source_record(&self) -> Image {
        self.image(SOURCE_ACCOUNT).unwrap()
    }

    pub fn copy_record(&self) -> Option<Image> {
        self.image(COPY_ACCOUNT)
    }

    pub fn promotion(&self) -> Deployment {
        self.records.find(&Deployment::key_of(&DeploymentId::of_execution(EXECUTION))).unwrap()
    }

    /// A deployment of a release that needs the image.
    pub fn deployment_to_ci(&self) -> DeploymentId {
        let release = release();
        self.records.put(&release);
        let deployment = deployment(&release);
        self.records.put(&deployment);
        deployment.id
    }
}

fn location(of: &str) -> Location {
    Location { account: account(of), region: "eu-west-1".parse().unwrap() }
}

fn release() -> Release {
    let digest = Digest::of(b"x");
    let locked = LockedImage {
        parameter: "ImageId".parse().unwrap(),
        name: "logstash".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        commit: None,
        source_ami: SOURCE.parse().unwrap(),
    };
    Release {
        component: "logs".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        state: ReleaseState::Published,
        repository: RepositoryId::github("acme", "logs").unwrap(),
        commit: "a".repeat(40).parse().unwrap(),
        author: "Ada".into(),
        folder: String::new(),
        template: String::new(),
        artifact: "artifact".into(),
        digest: digest.clone(),
        source_digest: digest.clone(),
        template_digest: digest.clone(),
        test_template_digest: digest,
        image_lock: ImageLock([(locked.parameter.clone(), locked)].into()),
        outputs: BTreeSet::new(),
        team: "platform".into(),
        function: "logging".into(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn:release".into(),
        failure: None,
    }
}

fn deployment(release: &Release) -> Deployment {
    Deployment {
        component: Some(release.component.clone()),
        epoch: 1,
        digest: Some(release.digest.clone()),
        ..Deployment::new(
            DeploymentId::of_execution("arn:deploy"),
            DeploymentKind::Deploy { environment: "logs".into(), stack: "ci-logs".parse().unwrap() },
            "arn:deploy",
            release.version.clone(),
            "ci".parse().unwrap(),
            location(SOURCE_ACCOUNT),
            Path::Delivery,
            Timestamp::UNIX_EPOCH,
        )
    }
}

impl World for FakeWorld {
    type Records = MemoryRecords;
    type Waits = MemoryWaits;
    type Images = Account;

    fn records(&self) -> &MemoryRecords {
        &self.records
    }

    fn waits(&self) -> &MemoryWaits {
        &self.waits
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn partition(&self) -> &str {
        "aws"
    }

    fn patience(&self) -> impl Iterator<Item = Duration> {
        std::iter::repeat_n(Duration::ZERO, 2)
    }

    async fn is_running(&self, _execution: &str) -> Option<bool> {
        self.running.get()
    }

    async fn source(&self, location: &Location, _session: &str) -> Result<Account, Failure> {
        Ok(Account { ec2: Rc::clone(&self.ec2), account: location.account.clone() })
    }

    async fn target(&self, location: &Location, _session: &str) -> Result<Account, Failure> {
        Ok(Account { ec2: Rc::clone(&self.ec2), account: location.account.clone() })
    }
}
