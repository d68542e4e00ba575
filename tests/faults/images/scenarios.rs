//! Scenarios of promotions of images: the image, the state before, and the expected end.

use crate::agenda::Happening;
use crate::harness::Harness;
use crate::organisation;
use crate::scenarios::{CI, Scenario, Step};
use crate::workflows::{Work, execute};
use jiff::Timestamp;
use lockstep_domain::images::promotion::KEY_ALIAS;
use lockstep_domain::model::ids::{AccountId, AmiId, DeploymentId, RepositoryId};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{ClaimOrigin, ImageOrigin, ImageVersion, OwnedName, Ownership};
use lockstep_sim::stages::{StageText, stage_text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

pub const IMAGE: &str = "logstash";
pub const VERSION: &str = "2.1.37";

/// The first AMI that is registered.
const SOURCE: &str = "ami-00000000000000001";

/// Another execution that promotes the same image to the same location.
pub const RIVAL: &str = "arn:aws:states:eu-west-1:333333333333:execution:lockstep-promote-image:rival";

/// Returns a further stage before production, in another region of the account that has the image.
fn further() -> StageText {
    stage_text("frankfurt", "111111111111").in_region("eu-central-1").propagating()
}

/// A step that prepares the state before the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageStep {
    /// The image is registered and imported in the account of `ci`.
    Imported,
    /// The image is promoted to `production`, with any end.
    Brought,
    /// The version of the image is withheld.
    Withheld,
    /// Every copy into production fails from now on.
    CopiesFail,
    /// Every copy into staging fails from now on.
    CopiesToStagingFail,
    /// The next copy fails.
    CopyFails,
    /// The image is billed as Windows.
    Licensed,
    /// The image is encrypted under a key of its account, and production has a key of its own.
    Encrypted,
    /// The image is encrypted under a key of its account, and production has none.
    WithoutKey,
    /// The image is encrypted under the key that AWS manages.
    EncryptedByAws,
    /// AWS accepts no further copy for half a minute.
    Full,
    /// New and newly shared images become visible a little later.
    SeenLate,
    /// A stage exists in another region.
    Further,
    /// Another execution began the promotion, shared and copied the image, and died.
    Dead,
    /// Another execution promotes the image, for half a minute.
    Rival,
}

const BROUGHT: Scenario = Scenario {
    work: Work::PromoteImage,
    stage: "production",
    ground: &[Step::Image(ImageStep::Imported)],
    ..CI
};

/// Returns every scenario about promotions of images.
pub fn scenarios() -> Vec<Scenario> {
    use ImageStep::{
        Brought, CopiesFail, CopyFails, Dead, Encrypted, EncryptedByAws, Full, Further, Imported, Licensed,
        Rival, SeenLate, WithoutKey,
    };
    use Step::Image;
    let refused = Scenario { ends: "ImageUnusable", again: "ImageUnusable", ..BROUGHT };
    vec![
        Scenario { name: "image", ..BROUGHT },
        Scenario { name: "image-is-there", ground: &[Image(Imported), Image(Brought)], ..BROUGHT },
        Scenario { name: "image-is-seen-late", ground: &[Image(Imported), Image(SeenLate)], ..BROUGHT },
        Scenario {
            name: "image-to-a-region",
            stage: "frankfurt",
            ground: &[Image(Imported), Image(Further)],
            ..BROUGHT
        },
        Scenario { name: "image-copy-fails-once", ground: &[Image(Imported), Image(CopyFails)], ..BROUGHT },
        Scenario {
            name: "image-copies-fail",
            ground: &[Image(Imported), Image(CopiesFail)],
            ends: "ImageUnusable",
            ..BROUGHT
        },
        Scenario { name: "image-finds-no-room", ground: &[Image(Imported), Image(Full)], ..BROUGHT },
        Scenario { name: "image-is-encrypted", ground: &[Image(Imported), Image(Encrypted)], ..BROUGHT },
        Scenario {
            name: "image-without-a-key",
            ground: &[Image(Imported), Image(WithoutKey)],
            ..refused.clone()
        },
        Scenario {
            name: "image-under-aws-key",
            ground: &[Image(Imported), Image(EncryptedByAws)],
            ..refused.clone()
        },
        Scenario {
            name: "image-is-licensed",
            ground: &[Image(Imported), Image(Licensed)],
            ends: "ImageStays",
            again: "ImageStays",
            ..BROUGHT
        },
        Scenario { name: "image-of-a-dead-run", ground: &[Image(Imported), Image(Dead)], ..BROUGHT },
        Scenario { name: "image-rival", ground: &[Image(Imported), Image(Rival)], ..BROUGHT },
    ]
}

/// Returns the input that promotes the image to `stage`.
pub fn input(stage: &str) -> Value {
    json!({"image": IMAGE, "version": VERSION, "to": stage})
}

/// Returns the location that the image comes from.
pub fn home() -> Location {
    place("111111111111", "eu-west-1")
}

/// Returns the location of `stage`.
pub fn location_of(stage: &str) -> Location {
    match stage {
        "production" => place("222222222222", "eu-west-1"),
        "frankfurt" => place("111111111111", "eu-central-1"),
        "staging" => place("444444444444", "eu-west-1"),
        _ => home(),
    }
}

/// Returns the version of the image as an import records it.
pub fn version() -> ImageVersion {
    ImageVersion {
        name: IMAGE.parse().expect("a name"),
        version: VERSION.parse().expect("a version"),
        state: ImageVersionState::Usable,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: None },
        source_ami: Some(source()),
        required: BTreeSet::new(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "import".to_owned(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

/// Returns the claim to the name of the image.
pub fn claim(owner: Option<RepositoryId>) -> Ownership {
    Ownership {
        of: OwnedName::Image(IMAGE.parse().expect("a name")),
        owner,
        origin: ClaimOrigin::Import,
        by: "arn:aws:iam::333333333333:user/ada".to_owned(),
        at: Timestamp::UNIX_EPOCH,
    }
}

fn place(account: &str, region: &str) -> Location {
    Location { account: account.parse().expect("an account"), region: region.parse().expect("a region") }
}

fn production() -> AccountId {
    location_of("production").account
}

fn source() -> AmiId {
    SOURCE.parse().expect("an id")
}

impl ImageStep {
    /// Applies the step.
    pub async fn take(self, harness: &Harness, number: usize) {
        let ec2 = &harness.ec2;
        match self {
            Self::Imported => {
                assert_eq!(ec2.register(&home()), source());
                harness.ledger.insert(&claim(None)).await.expect("the claim of the import");
                let import = json!({
                    "action": "import", "ami": SOURCE, "name": IMAGE, "version": VERSION, "stage": "ci",
                });
                harness.function("image", &import).await.expect("it is imported");
            }
            Self::Brought => {
                drop(execute(harness, &format!("ground-{number}"), &input("production")).await);
            }
            Self::CopiesFail => ec2.fail_copies(&production(), u32::MAX, "an internal error"),
            Self::CopiesToStagingFail => {
                ec2.fail_copies(&location_of("staging").account, u32::MAX, "an internal error");
            }
            Self::Withheld => {
                let key = ImageVersion::key_of(&version().name, &version().version);
                let known = harness.ledger.get::<ImageVersion>(&key).await.expect("a read").expect("there");
                let withheld = ImageVersion { state: ImageVersionState::Withheld, ..known.record.clone() };
                harness.ledger.replace(&known, withheld).await.expect("a write");
            }
            Self::CopyFails => ec2.fail_copies(&production(), 1, "an internal error"),
            Self::Licensed => ec2.change(&source(), |ami| ami.platform_details = "Windows".into()),
            Self::Encrypted | Self::WithoutKey => {
                let key = ec2.add_key(&home(), "alias/ours");
                ec2.encrypt(&source(), Some(&key));
                if self == Self::Encrypted {
                    ec2.add_key(&location_of("production"), KEY_ALIAS);
                }
            }
            Self::Full => {
                ec2.set_copies_at_once(0);
                harness.schedule(Duration::from_secs(25), Happening::RoomAgain);
            }
            Self::EncryptedByAws => ec2.encrypt(&source(), None),
            Self::SeenLate => ec2.set_lag(Duration::from_secs(8)),
            Self::Further => {
                organisation::add_stage(harness, further()).await;
            }
            Self::Dead => {
                begin_rival(harness, &["share", "copy"]).await;
                harness.set_execution(RIVAL, "ABORTED", harness.clock.now());
            }
            Self::Rival => {
                begin_rival(harness, &["share"]).await;
                harness.schedule(Duration::from_secs(25), Happening::ImageRivalEnds);
            }
        }
    }
}

async fn begin_rival(harness: &Harness, steps: &[&str]) {
    harness.set_execution(RIVAL, "RUNNING", harness.clock.now());
    let inspect = json!({"action": "inspect", "execution": RIVAL, "input": input("production")});
    harness.function("image", &inspect).await.expect("it begins");
    let task = json!({
        "token": harness.new_token(), "execution": RIVAL, "entered_at": harness.clock.now(), "retry": 0,
    });
    for step in steps {
        let request = json!({"action": step, "promotion": DeploymentId::of_execution(RIVAL), "task": task});
        harness.function("image", &request).await.expect("a step");
    }
}

/// The rival fails and undoes its effects.
pub async fn end_rival(harness: &Harness) {
    let error = json!({"Error": "ImageUnusable", "Cause": "no key"});
    let suspended = harness.faults.suspend(true);
    for step in ["discard", "unshare", "fail"] {
        let request = json!({
            "action": step, "promotion": DeploymentId::of_execution(RIVAL), "error": error,
        });
        drop(harness.function("image", &request).await);
    }
    harness.faults.suspend(suspended);
    harness.set_execution(RIVAL, "FAILED", harness.clock.now());
}
