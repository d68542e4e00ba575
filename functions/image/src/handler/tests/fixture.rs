//! An organisation with the simulated EC2.

use super::EXECUTION;
use jiff::Timestamp;
use lockstep_domain::images::copy_slots;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{AmiId, DeploymentId, Digest, RepositoryId};
use lockstep_domain::model::image_lock::{ImageLock, LockedImage};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    ClaimOrigin, CopySlots, DeployBody, Deployment, DeploymentStart, Image, ImageShare, ImageVersion, Key,
    LogEntry, OwnedName, Ownership, Record, Release, ReleaseState, StackRun,
};
use lockstep_sim::context::SimContext;
use lockstep_sim::ec2::Held;
use lockstep_sim::stages::{stage_text, with_production};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

pub const SOURCE: &str = "ami-00000000000000001";
pub const SOURCE_ACCOUNT: &str = "111111111111";
pub const COPY_ACCOUNT: &str = "222222222222";

pub fn stages_text() -> String {
    with_production(SOURCE_ACCOUNT, stage_text("production", COPY_ACCOUNT))
}

/// An organisation with one image in the development account.
pub struct Fixture(SimContext);

impl Deref for Fixture {
    type Target = SimContext;

    fn deref(&self) -> &SimContext {
        &self.0
    }
}

impl Fixture {
    pub fn new() -> Self {
        let sim = SimContext::at(Timestamp::UNIX_EPOCH).on_path(DeploymentPath::Promotion);
        sim.apply_stages(1, &stages_text());
        assert_eq!(sim.ec2.register(&location(SOURCE_ACCOUNT)).as_str(), SOURCE);
        sim.account.set_other_executions(Some("RUNNING"));
        let fixture = Self(sim);
        fixture.claim("logstash");
        fixture
    }

    /// Claims the name of an image, as an import by the command does first.
    pub fn claim(&self, image: &str) {
        self.account.put(&Ownership {
            of: OwnedName::Image(image.parse().unwrap()),
            owner: None,
            origin: ClaimOrigin::Import,
            by: "arn:ada".into(),
            at: Timestamp::UNIX_EPOCH,
        });
    }

    /// Sets the state of all executions: running, ended, or unreadable.
    pub fn executions_run(&self, run: Option<bool>) {
        self.account.set_other_executions(run.map(|run| if run { "RUNNING" } else { "ABORTED" }));
    }

    fn image(&self, account: &str) -> Option<Image> {
        let (name, version) = ("logstash".parse().unwrap(), "2.1.37".parse().unwrap());
        let path =
            if account == SOURCE_ACCOUNT { DeploymentPath::Delivery } else { DeploymentPath::Promotion };
        self.account.find(&Image::key_of(&name, &version, &location(account), path))
    }

    /// Returns the promotions that the source is shared for, by the record of the share.
    pub fn sharing(&self) -> BTreeSet<DeploymentId> {
        let share: Option<ImageShare> = self.account.find(&self.share_key());
        share.map(|share| share.promotions).unwrap_or_default()
    }

    /// Records that `promotion` needs the share, too.
    pub fn shares_for(&self, promotion: &DeploymentId) {
        let mut share: ImageShare = self.account.find(&self.share_key()).unwrap();
        share.promotions.insert(promotion.clone());
        self.account.put(&share);
    }

    fn share_key(&self) -> Key {
        let (name, version) = ("logstash".parse().unwrap(), "2.1.37".parse().unwrap());
        ImageShare::key_of(&name, &version, &location(SOURCE_ACCOUNT), &COPY_ACCOUNT.parse().unwrap())
    }

    pub fn version(&self) -> ImageVersion {
        let (name, version) = ("logstash".parse().unwrap(), "2.1.37".parse().unwrap());
        self.account.find(&ImageVersion::key_of(&name, &version)).unwrap()
    }

    pub fn source_record(&self) -> Image {
        self.image(SOURCE_ACCOUNT).unwrap()
    }

    pub fn copy_record(&self) -> Option<Image> {
        self.image(COPY_ACCOUNT)
    }

    /// Returns the tags of an image's snapshots.
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

    /// Returns the location that the image is copied to.
    pub fn target(&self) -> Location {
        location(COPY_ACCOUNT)
    }

    /// Limits the organisation to one copy at a time.
    pub fn only_one_at_once(&self) {
        self.apply_stages(2, &format!("{}[images]\ncopies_at_once = 1\n", stages_text()));
    }

    /// Gives the only copy slot to another execution.
    pub fn fill_the_place(&self, execution: &str) {
        let promotion = DeploymentId::of_execution(execution);
        let nothing = CopySlots::none_at(&self.target());
        self.account.put(&copy_slots::acquire(&nothing, &promotion, execution, 1, self.clock.now()).0);
    }

    /// Returns the deployment log of a promotion.
    pub fn notes(&self, promotion: &DeploymentId) -> Vec<String> {
        let step = |number| {
            let (deployment, at) = (promotion.clone(), Timestamp::UNIX_EPOCH);
            self.account.find::<LogEntry>(&LogEntry { deployment, number, note: String::new(), at }.key())
        };
        (1..).map_while(step).map(|step| step.note).collect()
    }

    pub fn promotion(&self) -> Deployment {
        self.account.find(&Deployment::key_of(&DeploymentId::of_execution(EXECUTION))).unwrap()
    }

    /// Adds a deployment of a release that needs the image.
    pub fn deployment_to_ci(&self) -> DeploymentId {
        let release = release();
        self.account.put(&release);
        let deployment = deployment(&release);
        self.account.put(&deployment);
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
        pusher: None,
        folder: String::new(),
        template: String::new(),
        artifact: "artifact".into(),
        digest: digest.clone(),
        source_digest: digest.clone(),
        template_digest: digest.clone(),
        test_template_digest: digest,
        test_differences: Vec::new(),
        serial_tests: false,
        commits: None,
        permissions: None,
        image_lock: ImageLock([(locked.parameter.clone(), locked)].into()),
        outputs: BTreeSet::new(),
        producers: Default::default(),
        team: "platform".into(),
        function: "logging".into(),
        packaged_at: Timestamp::UNIX_EPOCH,
        execution: "arn:release".into(),
        failure: None,
    }
}

fn deployment(release: &Release) -> Deployment {
    let start = DeploymentStart {
        id: DeploymentId::of_execution("arn:deploy"),
        execution: "arn:deploy".into(),
        version: release.version.clone(),
        stage: "ci".parse().unwrap(),
        location: location(SOURCE_ACCOUNT),
        path: DeploymentPath::Delivery,
        at: Timestamp::UNIX_EPOCH,
    };
    let stack = StackRun::new(release.component.clone(), "logs".into(), "ci-logs".parse().unwrap());
    let template = release.template_digest.clone();
    let body = DeployBody::new(stack, release.digest.clone(), template, release.repository.clone());
    Deployment { epoch: 1, ..Deployment::new(start, body) }
}
