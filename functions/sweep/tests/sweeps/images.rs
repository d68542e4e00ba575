//! Unreferenced images, images without a record, and the channel parameters.

use super::fixture::{Fixture, at};
use lockstep_aws::ec2::Images as _;
use lockstep_domain::images::retention::GRACE_DAYS;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::AmiId;
use lockstep_domain::model::image_lock::{ImageLock, LockedImage};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    Config, ConfigKind, Deployed, Deployment, DeploymentState, Environment, Image, ImageOrigin, ImageState,
    ImageVersion, ProvenImage, ProvenImages, Release, SweepReport,
};
use lockstep_sim::stages::{stage_text, with_production};

const DEVELOPMENT: &str = "111111111111";
const PRODUCTION: &str = "222222222222";

/// A day, in minutes.
const DAY: i64 = 24 * 60;

fn stages_text() -> String {
    let stages = with_production("111111111111", stage_text("production", "222222222222"));
    format!("[images]\nkeep = 1\n{stages}")
}

fn place(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

impl Fixture {
    /// Returns an organisation with production that keeps one version of each image.
    async fn with_images() -> Self {
        let fixture = Self::new().await;
        let stages = Config {
            config: ConfigKind::Stages,
            version: 2,
            text: stages_text(),
            applied_by: "ada".into(),
            applied_at: at(0),
        };
        fixture.put(&stages).await;
        fixture.add_functions_of_images();
        fixture
    }

    /// Stores a usable version in both accounts and returns its ids there.
    async fn image(&self, version: &str) -> [AmiId; 2] {
        let ids = [DEVELOPMENT, PRODUCTION].map(|account| self.sim.ec2.register(&place(account)));
        let record = ImageVersion {
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            state: ImageVersionState::Usable,
            why: None,
            revoked: None,
            origin: ImageOrigin::Imported { commit: None },
            source_ami: Some(ids[0].clone()),
            required: Default::default(),
            expires_at: None,
            retiring_since: None,
            recorded_by: "import".into(),
            recorded_at: at(0),
        };
        self.put(&record).await;
        for (account, id) in [DEVELOPMENT, PRODUCTION].into_iter().zip(&ids) {
            let snapshots = self.sim.ec2.ami(id).unwrap().snapshots();
            let tags = [("lockstep:image", "logstash"), ("version", version)];
            let tags: Vec<_> = tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            self.sim.ec2.images(&place(account)).tag(id, &snapshots, &tags).await.unwrap();
            let image = Image {
                name: record.name.clone(),
                version: record.version.clone(),
                location: place(account),
                path: if account == PRODUCTION {
                    DeploymentPath::Promotion
                } else {
                    DeploymentPath::Delivery
                },
                state: ImageState::Available,
                ami: Some(id.clone()),
                snapshots,
                source_ami: ids[0].clone(),
                commit: None,
                recorded_by: "import".into(),
                recorded_at: at(0),
            };
            self.put(&image).await;
        }
        ids
    }

    /// Registers an image in production that a failed promotion left behind.
    async fn left_by_a_promotion(&self, name: &str) -> AmiId {
        let promotion = super::fixture::id(name);
        let made = super::fixture::promotion(name);
        self.put(&Deployment { state: DeploymentState::Failed, ..made }).await;
        let tags = [
            ("lockstep:image".to_owned(), "logstash".to_owned()),
            ("version".to_owned(), "2.1.0".to_owned()),
            ("deployment".to_owned(), promotion.to_string()),
        ];
        self.sim.ec2.register_tagged(&place(PRODUCTION), &tags.into())
    }

    /// Sets the state of the version.
    async fn becomes(&self, version: &str, state: ImageVersionState) {
        let key = ImageVersion::key_of(&"logstash".parse().unwrap(), &version.parse().unwrap());
        let stored = self.versioned::<ImageVersion>(&key).await;
        let changed = ImageVersion { state, ..stored.record.clone() };
        self.ledger.replace(&stored, changed).await.unwrap();
    }

    async fn state(&self, version: &str) -> ImageVersionState {
        let key = ImageVersion::key_of(&"logstash".parse().unwrap(), &version.parse().unwrap());
        self.versioned::<ImageVersion>(&key).await.record.state
    }

    /// Stores a release that pins this version, and production as running it.
    async fn runs(&self, version: &str) {
        let key = Release::key_of(&"logs".parse().unwrap(), &"1.0.0".parse().unwrap());
        let stored = self.versioned::<Release>(&key).await;
        let locked = LockedImage {
            parameter: "ImageId".parse().unwrap(),
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            commit: None,
            source_ami: "ami-00000001".parse().unwrap(),
        };
        let image_lock = ImageLock([(locked.parameter.clone(), locked)].into());
        let release = Release { image_lock, ..stored.record.clone() };
        self.ledger.replace(&stored, release.clone()).await.unwrap();
        let deployed = Deployed {
            version: release.version.clone(),
            digest: release.digest.clone(),
            template_digest: release.template_digest.clone(),
            parameters_digest: release.digest.clone(),
            late_digest: None,
            stack_version: release.version,
            deployment: super::fixture::id("brought"),
            checked: true,
            overridden: Default::default(),
            since: at(0),
        };
        self.put(&Environment {
            epoch: 1,
            deployed: Some(deployed),
            ever_stable: true,
            ..Environment::new("production".parse().unwrap(), "logs", "logs".parse().unwrap())
        })
        .await;
    }

    /// Records that the newest deployment in production succeeded with this image.
    async fn proves(&self, version: &str, ami: &AmiId) {
        let key = Environment::key_of(&"production".parse().unwrap(), "logs");
        let stored = self.versioned::<Environment>(&key).await;
        let image = ProvenImage {
            name: "logstash".parse().unwrap(),
            version: version.parse().unwrap(),
            ami: ami.clone(),
        };
        let proven = ProvenImages {
            deployment: super::fixture::id("brought"),
            version: "1.0.0".parse().unwrap(),
            at: at(0),
            images: vec![image],
        };
        let proven = Environment { proven_images: Some(proven), ..stored.record.clone() };
        self.ledger.replace(&stored, proven).await.unwrap();
    }

    fn parameter(&self, account: &str, channel: &str) -> Option<String> {
        let name = format!("/lockstep/images/logstash/{channel}");
        self.sim.ec2.parameters(&place(account)).get(&name).cloned()
    }

    /// Overwrites a parameter with another value.
    fn spoil(&self, account: &str, channel: &str) {
        let name = format!("/lockstep/images/logstash/{channel}");
        self.sim.ec2.write_parameter(&place(account), &name, "ami-99999999");
    }

    fn calls(&self, call: &str) -> usize {
        self.sim.ec2.effects().iter().filter(|effect| effect.call == call).count()
    }
}

fn why(report: &SweepReport) -> String {
    report.left.iter().map(|left| format!("{}: {}", left.what, left.why)).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_unreferenced_version_is_deprecated_and_then_removed_everywhere() {
    let fixture = Fixture::with_images().await;
    let old = fixture.image("2.1.0").await;
    let new = fixture.image("2.1.1").await;
    let report = fixture.sweep(1).await;
    assert_eq!(report.retired.len(), 1, "{report:?}");
    assert_eq!(
        (fixture.state("2.1.0").await, fixture.calls("EnableImageDeprecation")),
        (ImageVersionState::Retiring, 2)
    );
    assert_eq!(fixture.state("2.1.1").await, ImageVersionState::Usable);

    assert_eq!(fixture.sweep((GRACE_DAYS - 1) * DAY).await.retired, Vec::<String>::new(), "not yet");
    let report = fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert!(report.left.is_empty() && report.retired.len() == 1, "{report:?}");
    assert_eq!(fixture.state("2.1.0").await, ImageVersionState::Retired);
    assert!(old.iter().all(|id| fixture.sim.ec2.ami(id).is_none()));
    assert!(new.iter().all(|id| fixture.sim.ec2.ami(id).is_some()));
    assert_eq!(fixture.sim.ec2.held_snapshots().len(), 2, "those of the version that is kept");
    assert_eq!(
        fixture.sweep(2 + GRACE_DAYS * DAY).await.retired,
        Vec::<String>::new(),
        "nothing is done twice"
    );
}

#[tokio::test]
async fn a_deprecated_version_is_restored_once_a_deployment_needs_it() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.sweep(1).await;
    fixture.runs("2.1.0").await;
    let report = fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert_eq!(fixture.state("2.1.0").await, ImageVersionState::Usable, "{report:?}");
    assert_eq!((fixture.calls("DisableImageDeprecation"), fixture.calls("DeregisterImage")), (2, 0));
}

/// Between the sweep's look and its proposal, a deployment may need the version again: its owner restores it then.
#[tokio::test]
async fn no_image_is_removed_whose_owner_restored_it_meanwhile() {
    let fixture = Fixture::with_images().await;
    let old = fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.sweep(1).await;
    fixture.owner_of_versions_answers(ImageVersionState::Usable);
    let report = fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert!(report.retired.is_empty() && fixture.calls("DeregisterImage") == 0, "{report:?}");
    assert!(old.iter().all(|id| fixture.sim.ec2.ami(id).is_some()));
}

/// Row 46.
#[tokio::test]
async fn a_referenced_image_is_kept_and_the_reference_is_reported() {
    let fixture = Fixture::with_images().await;
    let old = fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.sweep(1).await;
    fixture.sim.ec2.refer(&old[1], "arn:aws:ec2:eu-west-1:222222222222:instance/i-1");
    let report = fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert!(why(&report).contains("instance/i-1"), "{report:?}");
    assert_eq!(
        (fixture.state("2.1.0").await, fixture.calls("DeregisterImage")),
        (ImageVersionState::Retiring, 0)
    );
}

#[tokio::test]
async fn an_account_that_cannot_be_asked_keeps_the_image_everywhere() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.sweep(1).await;
    fixture.sim.accounts.closed.borrow_mut().insert(PRODUCTION.to_owned());
    let report = fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert!(why(&report).contains("did not say what refers to it"), "{report:?}");
    assert_eq!(
        (fixture.state("2.1.0").await, fixture.calls("DeregisterImage")),
        (ImageVersionState::Retiring, 0)
    );
    fixture.sim.accounts.closed.borrow_mut().clear();
    fixture.sweep(2 + GRACE_DAYS * DAY).await;
    assert_eq!(fixture.state("2.1.0").await, ImageVersionState::Retired);
}

#[tokio::test]
async fn a_version_given_up_is_removed_once_its_last_reference_is_gone() {
    let fixture = Fixture::with_images().await;
    let ids = fixture.image("2.1.0").await;
    fixture.becomes("2.1.0", ImageVersionState::Discarding).await;
    fixture.sim.ec2.refer(&ids[1], "arn:aws:ec2:eu-west-1:222222222222:instance/i-1");
    assert_eq!(why(&fixture.sweep(DAY - 1).await), "");
    let report = fixture.sweep(DAY).await;
    assert!(why(&report).contains("given up and stays") && why(&report).contains("i-1"), "{report:?}");
    assert_eq!(
        (fixture.state("2.1.0").await, fixture.calls("DeregisterImage")),
        (ImageVersionState::Discarding, 0)
    );
    fixture.sim.ec2.refer_no_more();
    assert_eq!(fixture.sweep(DAY + 1).await.retired, ["logstash@2.1.0 is gone, in 2 places"]);
    assert_eq!(
        (fixture.state("2.1.0").await, fixture.calls("DeregisterImage")),
        (ImageVersionState::Discarded, 2)
    );
    assert!(fixture.sweep(DAY + 2).await.retired.is_empty());
}

/// Row 47.
#[tokio::test]
async fn a_snapshot_that_another_image_needs_is_kept() {
    let fixture = Fixture::with_images().await;
    let old = fixture.image("2.1.0").await;
    let new = fixture.image("2.1.1").await;
    let shared = fixture.sim.ec2.ami(&old[0]).unwrap().snapshots().into_iter().next();
    fixture.sim.ec2.change(&new[0], |ami| ami.devices[0].snapshot = shared.clone());
    fixture.sweep(1).await;
    fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert_eq!(fixture.state("2.1.0").await, ImageVersionState::Retired);
    let held: Vec<String> = fixture.sim.ec2.held_snapshots().into_iter().map(|held| held.id).collect();
    assert!(held.contains(&shared.unwrap().to_string()), "{held:?}");
}

/// Row 48.
#[tokio::test]
async fn a_protected_image_is_removed_only_after_its_protection_ends() {
    let fixture = Fixture::with_images().await;
    let old = fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.sweep(1).await;
    fixture.sim.ec2.protect(&old[1], true);
    let report = fixture.sweep(1 + GRACE_DAYS * DAY).await;
    assert!(why(&report).contains("is protected"), "{report:?}");
    assert!(fixture.sim.ec2.ami(&old[0]).is_none() && fixture.sim.ec2.ami(&old[1]).is_some());
    fixture.sim.ec2.protect(&old[1], false);
    let report = fixture.sweep(2 + GRACE_DAYS * DAY).await;
    assert!(report.left.is_empty(), "{report:?}");
    assert!(fixture.sim.ec2.ami(&old[1]).is_none());
}

/// A failed import or a person may have made the image, so the sweep does not remove it.
#[tokio::test]
async fn a_tagged_image_without_a_deployment_is_reported_and_kept() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    let tags = [("lockstep:image".to_owned(), "logstash".to_owned())].into();
    let stray = fixture.sim.ec2.register_tagged(&place(PRODUCTION), &tags);
    for minute in [1, 30 * DAY] {
        let report = fixture.sweep(minute).await;
        assert!(why(&report).contains(stray.as_str()), "{report:?}");
        assert!(report.orphans[0].stays.contains("may be a person's"), "{report:?}");
    }
    assert!(fixture.sim.ec2.ami(&stray).is_some());
}

/// Row 47.
#[tokio::test]
async fn an_unreferenced_orphan_of_an_ended_deployment_is_removed_after_a_day() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    let stray = fixture.left_by_a_promotion("died").await;
    let snapshots = fixture.sim.ec2.ami(&stray).unwrap().snapshots();
    assert!(why(&fixture.sweep(10 * DAY).await).contains("it was first seen at"));
    // A location that cannot be examined keeps its orphans, with the time of the first sighting.
    fixture.sim.accounts.closed.borrow_mut().insert(PRODUCTION.to_owned());
    assert_eq!(fixture.sweep(10 * DAY + 15).await.orphans.len(), 1);
    fixture.sim.accounts.closed.borrow_mut().clear();
    fixture.sim.ec2.refer(&stray, "arn:aws:ec2:eu-west-1:222222222222:instance/i-1");
    assert!(why(&fixture.sweep(11 * DAY).await).contains("instance/i-1 refers to it"));
    assert!(fixture.sim.ec2.ami(&stray).is_some());
    fixture.sim.ec2.refer_no_more();
    let report = fixture.sweep(12 * DAY).await;
    assert!(report.retired.iter().any(|line| line.contains(stray.as_str())), "{report:?}");
    assert!(fixture.sim.ec2.ami(&stray).is_none());
    let held: Vec<String> = fixture.sim.ec2.held_snapshots().into_iter().map(|held| held.id).collect();
    assert!(snapshots.iter().all(|id| !held.contains(&id.to_string())), "{held:?}");
    assert_eq!(fixture.sweep(12 * DAY + 15).await.orphans, [], "nothing is left");
}

/// Row 47: DeregisterImage did not delete the snapshot.
#[tokio::test]
async fn a_snapshot_that_its_image_left_behind_is_removed_like_an_orphan() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    let stray = fixture.left_by_a_promotion("died").await;
    let snapshot = fixture.sim.ec2.ami(&stray).unwrap().snapshots().into_iter().next().unwrap();
    fixture.sim.ec2.images(&place(PRODUCTION)).deregister(&stray).await.unwrap();
    fixture.sweep(10 * DAY).await;
    let report = fixture.sweep(11 * DAY).await;
    assert!(report.retired.iter().any(|line| line.contains(snapshot.as_str())), "{report:?}");
    assert_eq!(report.orphans, []);
}

#[tokio::test]
async fn a_failed_deprecation_in_one_account_is_repeated_by_the_next_sweep() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.sim.accounts.closed.borrow_mut().insert(DEVELOPMENT.to_owned());
    fixture.sweep(1).await;
    assert_eq!(
        (fixture.state("2.1.0").await, fixture.calls("EnableImageDeprecation")),
        (ImageVersionState::Retiring, 1),
        "the other account is deprecated nevertheless"
    );
    fixture.sim.accounts.closed.borrow_mut().clear();
    let report = fixture.sweep(16).await;
    assert!(report.retired[0].contains("is deprecated after all"), "{report:?}");
    assert_eq!(fixture.calls("EnableImageDeprecation"), 2);
    assert_eq!(fixture.sweep(31).await.retired, Vec::<String>::new(), "once");
}

#[tokio::test]
async fn a_version_that_is_unfinished_for_a_day_is_reported() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.1.0").await;
    fixture.becomes("2.1.0", ImageVersionState::Withheld).await;
    assert_eq!(why(&fixture.sweep(DAY - 1).await), "");
    assert!(why(&fixture.sweep(DAY).await).contains("withheld for more than a day"));
}

#[tokio::test]
async fn parameters_of_the_delivery_path_name_the_newest_image_and_are_repaired() {
    let fixture = Fixture::with_images().await;
    fixture.image("2.0.0").await;
    let [new, _] = fixture.image("2.1.0").await;
    let report = fixture.sweep(1).await;
    assert_eq!(report.parameters.len(), 2, "2.1 and latest, 2.0.0 is on its way out: {report:?}");
    assert_eq!(fixture.parameter(DEVELOPMENT, "latest").as_deref(), Some(new.as_str()));
    assert_eq!(fixture.parameter(DEVELOPMENT, "2.1").as_deref(), Some(new.as_str()));
    fixture.spoil(DEVELOPMENT, "latest");
    assert_eq!(fixture.sweep(2).await.parameters.len(), 1);
    assert_eq!(fixture.parameter(DEVELOPMENT, "latest").as_deref(), Some(new.as_str()));
    assert_eq!(fixture.sweep(3).await.parameters, Vec::<String>::new());
}

#[tokio::test]
async fn parameters_of_production_follow_its_deployments_alone() {
    let fixture = Fixture::with_images().await;
    let [_, old] = fixture.image("2.1.0").await;
    fixture.image("2.1.1").await;
    fixture.spoil(PRODUCTION, "latest");
    fixture.sweep(1).await;
    assert_eq!(fixture.parameter(PRODUCTION, "latest"), None, "no deployment succeeded there");
    fixture.runs("2.1.0").await;
    fixture.proves("2.1.0", &old).await;
    assert_eq!(fixture.sweep(2).await.parameters.len(), 2);
    fixture.spoil(PRODUCTION, "2.1");
    assert_eq!(fixture.sweep(3).await.parameters.len(), 1);
    for channel in ["latest", "2.1"] {
        assert_eq!(fixture.parameter(PRODUCTION, channel).as_deref(), Some(old.as_str()));
    }
}

#[tokio::test]
async fn an_unreachable_account_is_reported_and_does_not_stop_the_others() {
    let fixture = Fixture::with_images().await;
    let [_, ami] = fixture.image("2.1.0").await;
    fixture.runs("2.1.0").await;
    fixture.proves("2.1.0", &ami).await;
    fixture.sim.accounts.closed.borrow_mut().insert(DEVELOPMENT.to_owned());
    assert!(why(&fixture.sweep(1).await).contains(DEVELOPMENT));
    assert_eq!(fixture.parameter(PRODUCTION, "latest").as_deref(), Some(ami.as_str()));
}
