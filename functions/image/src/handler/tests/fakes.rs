//! A world around the simulated EC2.

use super::EXECUTION;
use crate::world::World;
use jiff::Timestamp;
use lockstep_domain::images::traffic;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, AmiId, DeploymentId, Digest, RepositoryId};
use lockstep_domain::model::image_lock::{ImageLock, LockedImage};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::path::Path;
use lockstep_domain::records::{
    Config, ConfigKind, Deployment, DeploymentKind, Image, ImageVersion, Record, Release, ReleaseState, Step,
    Traffic,
};
use lockstep_platform::ports::memory::{MemoryRecords, MemoryWaits};
use lockstep_runtime::Clock;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::ec2::{Held, SimEc2, SimImages, SimKeys};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub const SOURCE: &str = "ami-00000000000000001";
pub const SOURCE_ACCOUNT: &str = "111111111111";
pub const COPY_ACCOUNT: &str = "222222222222";

pub const STAGES: &str = r#"
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

/// A world with one image in the development account.
pub struct FakeWorld {
    pub records: MemoryRecords,
    pub waits: MemoryWaits,
    pub clock: VirtualClock,
    pub ec2: SimEc2,
    pub running: Cell<Option<bool>>,
}

impl FakeWorld {
    pub fn new() -> Self {
        let clock = VirtualClock::at(Timestamp::UNIX_EPOCH);
        let world = Self {
            records: MemoryRecords::default(),
            waits: MemoryWaits::default(),
            ec2: SimEc2::new(&clock),
            clock,
            running: Cell::new(Some(true)),
        };
        world.apply(1, STAGES);
        assert_eq!(world.ec2.register(&location(SOURCE_ACCOUNT)).as_str(), SOURCE);
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

    /// The tags of an image's snapshots.
    pub fn snapshot_tags_of(&self, ami: &AmiId) -> BTreeMap<String, String> {
        let snapshots = self.ec2.ami(ami).unwrap().snapshots();
        let mut all = self.ec2.held_snapshots().into_iter();
        all.find(|held| snapshots.iter().any(|snapshot| snapshot.as_str() == held.id)).unwrap().tags
    }

    pub fn owned_by(&self, account: &str) -> usize {
        self.ec2.held_images().iter().filter(|held| held.location.account.as_str() == account).count()
    }

    pub fn snapshots_of_account(&self, account: &str) -> usize {
        self.ec2.held_snapshots().iter().filter(|held| held.location.account.as_str() == account).count()
    }

    pub fn nothing_is_shared(&self) -> bool {
        let mut all = self.ec2.held_images().into_iter().chain(self.ec2.held_snapshots());
        self.ec2.held_grants().is_empty() && all.all(|Held { shared_with, .. }| shared_with.is_empty())
    }

    /// The place that the image is brought to.
    pub fn target(&self) -> Location {
        location(COPY_ACCOUNT)
    }

    /// Lets the organisation allow one copy at once.
    pub fn only_one_at_once(&self) {
        self.apply(2, &format!("{STAGES}[images]\ncopies_at_once = 1\n"));
    }

    /// Lets another execution have the only slot there is.
    pub fn fill_the_place(&self, execution: &str) {
        let promotion = DeploymentId::of_execution(execution);
        let nothing = Traffic::none_at(&self.target());
        self.records.put(&traffic::enter(&nothing, &promotion, execution, 1, self.clock.now()).0);
    }

    /// The journal of a promotion.
    pub fn notes(&self, promotion: &DeploymentId) -> Vec<String> {
        let step = |number| {
            let (deployment, at) = (promotion.clone(), Timestamp::UNIX_EPOCH);
            self.records.find::<Step>(&Step { deployment, number, note: String::new(), at }.key())
        };
        (1..).map_while(step).map(|step| step.note).collect()
    }

    pub fn apply(&self, version: u32, text: &str) {
        self.records.put(&Config {
            config: ConfigKind::Stages,
            version,
            text: text.into(),
            applied_by: "arn:person".into(),
            applied_at: Timestamp::UNIX_EPOCH,
        });
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

pub fn location(of: &str) -> Location {
    Location { account: of.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
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
        permissions: None,
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

impl Clock for FakeWorld {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.advance(time);
    }
}

impl World for FakeWorld {
    type Records = MemoryRecords;
    type Waits = MemoryWaits;
    type Images = SimImages;
    type Keys = SimKeys;

    fn records(&self) -> &MemoryRecords {
        &self.records
    }

    fn waits(&self) -> &MemoryWaits {
        &self.waits
    }

    fn partition(&self) -> &str {
        "aws"
    }

    fn target_role(&self, account: &AccountId) -> String {
        TargetRole::ImageTarget.arn(Path::Promotion, "aws", account)
    }

    fn patience(&self) -> impl Iterator<Item = Duration> {
        std::iter::repeat_n(Duration::ZERO, 2)
    }

    async fn is_running(&self, _execution: &str) -> Option<bool> {
        self.running.get()
    }

    async fn source(&self, location: &Location, _session: &str) -> Result<SimImages, Failure> {
        Ok(self.ec2.images(location))
    }

    async fn target(&self, location: &Location, _session: &str) -> Result<SimImages, Failure> {
        Ok(self.ec2.images(location))
    }

    async fn source_keys(&self, location: &Location, _session: &str) -> Result<SimKeys, Failure> {
        Ok(self.ec2.keys(location))
    }

    async fn target_keys(&self, location: &Location, _session: &str) -> Result<SimKeys, Failure> {
        Ok(self.ec2.keys(location))
    }
}
