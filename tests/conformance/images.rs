//! Images of EC2: one set of promises, checked on the simulation and on the adapter over the emulator.

use crate::cloud::{Emulator, REGION};
use lockstep_aws::ec2::{Copied, Ec2, Images, NewCopy};
use lockstep_aws::operator::base_images::BaseImages;
use lockstep_domain::images::promotion::{AmiState, TAG_DEPLOYMENT, TAG_IMAGE, TAG_VERSION};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, DeploymentId};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::token::client_token;
use lockstep_local::{Controls, ImageAttributes};
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::ec2::{SimEc2, SimImages};
use std::time::Duration;

/// The account that owns the image, and the account that copies it.
const HOME: &str = "111111111111";
const OTHER: &str = "222222222222";

/// The time that a copy is pending unless a test ends it.
const PENDING: Duration = Duration::from_secs(3600);

/// An implementation of EC2 under test.
trait ImagesUnderTest {
    type Images: Images;

    /// Returns EC2 as an account sees it.
    fn images(&self, account: &str) -> Self::Images;

    /// Registers an image in the home account, with one snapshot.
    async fn register(&self, name: &str) -> AmiId;

    /// Ends the pending time of a copy in the other account.
    async fn finish(&self, copy: &AmiId);

    /// Makes the next copy into the other account fail.
    async fn fail_next_copy(&self);

    /// Marks the image as billed as Windows.
    async fn license(&self, ami: &AmiId);
}

struct Simulated {
    clock: VirtualClock,
    ec2: SimEc2,
}

fn location(account: &str) -> Location {
    Location { account: account.parse().expect("an account"), region: REGION.parse().expect("a region") }
}

impl ImagesUnderTest for Simulated {
    type Images = SimImages;

    fn images(&self, account: &str) -> SimImages {
        self.ec2.images(&location(account))
    }

    async fn register(&self, _name: &str) -> AmiId {
        self.ec2.register(&location(HOME))
    }

    async fn finish(&self, _copy: &AmiId) {
        self.clock.advance(PENDING);
    }

    async fn fail_next_copy(&self) {
        self.ec2.fail_copies(&location(OTHER).account, 1, "no disk");
    }

    async fn license(&self, ami: &AmiId) {
        self.ec2.change(ami, |ami| ami.platform_details = "Windows".to_owned());
    }
}

struct Emulated {
    emulator: Emulator,
    controls: Controls,
}

impl ImagesUnderTest for Emulated {
    type Images = Ec2;

    fn images(&self, account: &str) -> Ec2 {
        Ec2::new(&self.emulator.account(account))
    }

    async fn register(&self, name: &str) -> AmiId {
        BaseImages::new(&self.emulator.account(HOME)).register(name).await.expect("an image")
    }

    async fn finish(&self, copy: &AmiId) {
        self.controls.finish_image(OTHER, REGION, copy.as_str()).await.expect("it is pending");
    }

    async fn fail_next_copy(&self) {
        self.controls.fail_next_image("no disk", None).await.expect("it is heard");
    }

    async fn license(&self, ami: &AmiId) {
        let windows =
            ImageAttributes { platform_details: Some("Windows".to_owned()), ..ImageAttributes::default() };
        self.controls.license_image(HOME, REGION, ami.as_str(), &windows).await.expect("it is heard");
    }
}

/// Returns the promotion that the copies are tagged with.
fn promotion() -> DeploymentId {
    DeploymentId::of_execution("conformance")
}

fn new_copy(source: &AmiId, name: &str, attempt: u32) -> NewCopy {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    NewCopy {
        source: source.clone(),
        source_region: REGION.parse().expect("a region"),
        name: name.to_owned(),
        token: client_token("conformance", name, attempt),
        tags: vec![
            tag(TAG_IMAGE, "logstash"),
            tag(TAG_VERSION, "2.1.37"),
            tag(TAG_DEPLOYMENT, promotion().as_str()),
        ],
        key: None,
    }
}

async fn copied(images: &impl Images, wanted: &NewCopy) -> AmiId {
    match images.copy(wanted).await.expect("a call") {
        Copied::Begun(ami) => ami,
        other => panic!("{}: {other:?}", wanted.name),
    }
}

/// Checks the behaviour that Lockstep relies on.
async fn check_promises(place: &impl ImagesUnderTest) {
    let (home, other) = (place.images(HOME), place.images(OTHER));
    let account = location(OTHER).account;
    let (image, version) = ("logstash".parse().expect("a name"), "2.1.37".parse().expect("a version"));
    let nobodys: AmiId = "ami-0fffffffffffffff0".parse().expect("an id");
    assert_eq!(home.describe(&nobodys).await.expect("a look"), None);

    // Other accounts cannot see an image that is not shared.
    let source = place.register("source").await;
    let seen = home.describe(&source).await.expect("a look").expect("it is there");
    assert_eq!((&seen.state, seen.owner.as_str()), (&AmiState::Available, HOME));
    let snapshots = seen.snapshots();
    assert_eq!(snapshots.len(), 1);
    let own_tags =
        [(TAG_IMAGE.to_owned(), "logstash".to_owned()), (TAG_VERSION.to_owned(), "2.1.37".to_owned())];
    home.tag(&source, &snapshots, &own_tags).await.expect("it is tagged");
    assert_eq!(home.owned(&image, &version).await.expect("a list").len(), 1);
    assert_eq!(other.describe(&source).await.expect("a look"), None);
    assert!(other.snapshots(&snapshots).await.expect("a look").is_empty());
    let not_visible = |copied: Copied| assert!(matches!(copied, Copied::NotVisible(_)), "{copied:?}");
    not_visible(other.copy(&new_copy(&source, "copy", 1)).await.expect("a call"));
    let refused = other.share(&source, &account).await.expect_err("it is not theirs");
    assert_eq!(refused.kind, FailureKind::NotFound);

    // An image that is shared without its snapshots is visible, without its owner's tags, and cannot be copied.
    home.share(&source, &account).await.expect("it is shared");
    home.share(&source, &account).await.expect("it is shared already");
    let shared = other.describe(&source).await.expect("a look").expect("it is shared");
    assert_eq!((shared.owner.as_str(), shared.tags.len()), (HOME, 0));
    assert!(other.owned(&image, &version).await.expect("a list").is_empty());
    not_visible(other.copy(&new_copy(&source, "copy", 1)).await.expect("a call"));
    let refused = other.share(&source, &account).await.expect_err("it is not theirs");
    assert_eq!(refused.kind, FailureKind::AccessDenied);

    // An image that is shared with its snapshots can be copied, once for each token.
    for snapshot in &snapshots {
        home.share_snapshot(snapshot, &account).await.expect("it is shared");
    }
    assert_eq!(other.snapshots(&snapshots).await.expect("a look").len(), 1);
    let wanted = new_copy(&source, "copy", 1);
    let copy = copied(&other, &wanted).await;
    assert_eq!(copied(&other, &wanted).await, copy);
    let is_rejected = |failure: Failure| assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
    let renamed = NewCopy { name: "renamed".to_owned(), ..wanted.clone() };
    is_rejected(other.copy(&renamed).await.expect_err("the same token for something else"));
    is_rejected(other.copy(&new_copy(&source, "copy", 2)).await.expect_err("the same name for another"));

    // The copy has its tags from the first moment, and is pending first.
    let pending = other.describe(&copy).await.expect("a look").expect("it is there");
    assert_eq!((&pending.state, pending.owner.as_str()), (&AmiState::Pending, OTHER));
    let listed = other.owned(&image, &version).await.expect("a list");
    assert_eq!(listed.iter().collect::<Vec<_>>(), [&pending]);
    assert_eq!(other.snapshots_of(&promotion()).await.expect("a list"), pending.snapshots());
    assert!(other.snapshots(&pending.snapshots()).await.expect("a look").iter().all(|it| !it.completed));
    place.finish(&copy).await;
    let available = other.describe(&copy).await.expect("a look").expect("it is there");
    assert_eq!(available.state, AmiState::Available);
    assert!(available.snapshots().is_disjoint(&snapshots));
    assert_eq!(available.architecture, seen.architecture);
    let sizes = |ami: &lockstep_domain::images::promotion::Ami| -> Vec<_> {
        ami.devices.iter().map(|device| (device.name.clone(), device.size_gib)).collect()
    };
    assert_eq!(sizes(&available), sizes(&seen));
    assert!(other.snapshots(&available.snapshots()).await.expect("a look").iter().all(|it| it.completed));

    // A failed copy reports the reason and leaves its snapshots.
    place.fail_next_copy().await;
    let failing = copied(&other, &new_copy(&source, "failing", 1)).await;
    place.finish(&failing).await;
    let failed = other.describe(&failing).await.expect("a look").expect("it is there");
    assert_eq!(failed.state, AmiState::Broken("failed: no disk".to_owned()));
    assert_eq!(other.snapshots(&failed.snapshots()).await.expect("a look").len(), 1);

    // A snapshot that an image uses remains. Deleting what is already deleted is no error.
    for gone in [&available, &failed] {
        let snapshot = gone.snapshots().pop_first().expect("a snapshot");
        let in_use = other.delete_snapshot(&snapshot).await.expect_err("it is in use");
        assert_eq!(in_use.kind, FailureKind::Transient);
        for _ in 0..2 {
            other.deregister(&gone.id).await.expect("it goes");
            other.delete_snapshot(&snapshot).await.expect("it goes");
        }
        assert_eq!(other.describe(&gone.id).await.expect("a look"), None);
    }
    assert!(other.snapshots_of(&promotion()).await.expect("a list").is_empty());

    // Other accounts cannot see an image that is no longer shared. An image that does not exist is not shared.
    for _ in 0..2 {
        home.unshare(&source, &account).await.expect("it is not shared any more");
        for snapshot in &snapshots {
            home.unshare_snapshot(snapshot, &account).await.expect("it is not shared any more");
        }
    }
    assert_eq!(other.describe(&source).await.expect("a look"), None);
    home.unshare(&nobodys, &account).await.expect("it never was");
    let missing = home.share(&nobodys, &account).await.expect_err("there is no such image");
    assert_eq!(missing.kind, FailureKind::NotFound);

    // A licence prevents a copy into another account, even if the image is shared.
    let licensed = place.register("licensed").await;
    place.license(&licensed).await;
    let described = home.describe(&licensed).await.expect("a look").expect("it is there");
    assert_eq!(described.platform_details, "Windows");
    home.share(&licensed, &account).await.expect("it is shared");
    for snapshot in &described.snapshots() {
        home.share_snapshot(snapshot, &account).await.expect("it is shared");
    }
    let copied = other.copy(&new_copy(&licensed, "licensed-copy", 1)).await.expect("a call");
    assert!(matches!(copied, Copied::Refused(_)), "{copied:?}");
}

#[tokio::test]
async fn the_simulated_ec2_keeps_its_promises() {
    let clock = VirtualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let ec2 = SimEc2::new(&clock);
    ec2.set_pace(PENDING);
    check_promises(&Simulated { clock, ec2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ec2_on_the_emulator_keeps_the_same_promises() {
    let emulator = Emulator::start().await;
    let controls = emulator.controls();
    controls.image_delay(PENDING).await.expect("it is heard");
    check_promises(&Emulated { emulator, controls }).await;
}
