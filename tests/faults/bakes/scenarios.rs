//! Scenarios of bakes: the image, the state before, and the expected end.

use super::recipes::{ON_OUR_OWN, ON_PUBLISHED};
use crate::agenda::Happening;
use crate::harness::Harness;
use crate::images::scenarios::{IMAGE, claim, home, location_of};
use crate::organisation;
use crate::scenarios::{CI, Scenario, Step};
use crate::workflows::{Work, execute};
use jiff::Timestamp;
use lockstep_domain::images::promotion::{TAG_IMAGE, TAG_VERSION};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{DeploymentId, ImageName};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Decision, Image, ImageOrigin, ImageState, ImageVersion, Repository};
use lockstep_sim::codebuild::Ending;
use lockstep_sim::stages::{StageText, stage_text};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The repository of the recipes.
const REPOSITORY: &str = "github.acme.images";

/// The image that a recipe may start from.
pub const BASE: &str = "base";

/// Another execution that bakes the same image.
const RIVAL: &str = "arn:aws:states:eu-west-1:333333333333:execution:lockstep-bake-image:rival";

/// The build that the rival started.
const RIVAL_BUILD: &str =
    "arn:aws:states:eu-west-1:333333333333:execution:lockstep-delivery-build-image:rival";

/// An instance that uses the image.
const INSTANCE: &str = "arn:aws:ec2:eu-west-1:111111111111:instance/i-1";

/// Returns a further stage before production, in an account of its own.
fn staging() -> StageText {
    stage_text("staging", "444444444444").propagating()
}

/// A step that prepares the state before the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BakeStep {
    /// The repository of the recipe is subscribed.
    Subscribed,
    /// A stage exists in a third account.
    Staging,
    /// The image was baked, with any end.
    Baked,
    /// The recipe fails until it is repaired.
    Fails,
    /// The recipe fails and leaves an image behind.
    LeavesDebris,
    /// An operator stops every build.
    Stopped,
    /// CodeBuild itself fails, once.
    Faults,
    /// Builds succeed without naming the image that they made.
    NamesNothing,
    /// Builds make an image that is never usable.
    MakesBroken,
    /// Builds make an image that is billed as Windows.
    Licensed,
    /// An administrator lets builds begin in production without a person.
    Automatic,
    /// Every copy into production fails.
    CopiesFail,
    /// An instance uses the new image as soon as it exists, for half an hour.
    Used,
    /// New and newly shared images become visible a little later.
    SeenLate,
    /// The repository owns the name of the image. Without this step, the bake claims it.
    Owned,
    /// There is a base image, and a newer version of it that is withheld.
    Base,
    /// Another execution began to bake the image, and died.
    Dead,
    /// Another execution bakes the image, for half a minute.
    Rival,
}

const SUBSCRIBED: Step = Step::Bake(BakeStep::Subscribed);

const BAKED: Scenario = Scenario { work: Work::BakeImage, stage: "production", ground: &[SUBSCRIBED], ..CI };

/// A scenario that ends in this error until the cause is repaired.
const UNUSABLE: Scenario = Scenario { ends: "ImageUnusable", ..BAKED };

/// Returns every scenario about bakes.
pub fn scenarios() -> Vec<Scenario> {
    use BakeStep::{
        Automatic, Baked, Base, CopiesFail, Dead, Fails, Faults, LeavesDebris, Licensed, MakesBroken,
        NamesNothing, Owned, Rival, SeenLate, Staging, Stopped, Used,
    };
    use Step::Bake;
    vec![
        Scenario { name: "bake", ..BAKED },
        Scenario { name: "bake-for-three", ground: &[SUBSCRIBED, Bake(Staging)], ..BAKED },
        Scenario { name: "bake-is-there", ground: &[SUBSCRIBED, Bake(Baked)], ..BAKED },
        Scenario { name: "bake-from-a-branch", branch: "fix", ground: &[SUBSCRIBED, Bake(Owned)], ..BAKED },
        Scenario {
            name: "bake-on-an-image",
            ground: &[SUBSCRIBED, Bake(Base)],
            version: ON_OUR_OWN,
            ..BAKED
        },
        Scenario { name: "bake-is-seen-late", ground: &[SUBSCRIBED, Bake(SeenLate)], ..BAKED },
        Scenario {
            name: "bake-is-licensed",
            ground: &[SUBSCRIBED, Bake(Licensed)],
            answers: &[Decision::Approve],
            ..BAKED
        },
        Scenario {
            name: "bake-is-licensed-and-automatic",
            ground: &[SUBSCRIBED, Bake(Automatic), Bake(Licensed)],
            ..BAKED
        },
        Scenario {
            name: "bake-is-licensed-and-refused",
            ground: &[SUBSCRIBED, Bake(Licensed)],
            answers: &[Decision::Refuse],
            ..UNUSABLE
        },
        // No approver answers.
        Scenario {
            name: "bake-is-licensed-and-unanswered",
            ground: &[SUBSCRIBED, Bake(Licensed)],
            ..UNUSABLE
        },
        Scenario { name: "bake-faults-once", ground: &[SUBSCRIBED, Bake(Faults)], ..BAKED },
        Scenario { name: "bake-fails", ground: &[SUBSCRIBED, Bake(Fails)], ..UNUSABLE },
        Scenario { name: "bake-leaves-debris", ground: &[SUBSCRIBED, Bake(LeavesDebris)], ..UNUSABLE },
        Scenario { name: "bake-is-stopped", ground: &[SUBSCRIBED, Bake(Stopped)], ..UNUSABLE },
        Scenario { name: "bake-names-nothing", ground: &[SUBSCRIBED, Bake(NamesNothing)], ..UNUSABLE },
        Scenario { name: "bake-makes-what-is-broken", ground: &[SUBSCRIBED, Bake(MakesBroken)], ..UNUSABLE },
        Scenario {
            name: "bake-cannot-be-copied",
            ground: &[SUBSCRIBED, Bake(Staging), Bake(CopiesFail)],
            ..UNUSABLE
        },
        Scenario { name: "bake-is-used", ground: &[SUBSCRIBED, Bake(Used), Bake(CopiesFail)], ..UNUSABLE },
        Scenario { name: "bake-of-a-dead-run", ground: &[SUBSCRIBED, Bake(Dead)], ..BAKED },
        Scenario { name: "bake-rival", ground: &[SUBSCRIBED, Bake(Rival)], ..BAKED },
    ]
}

/// Returns the input that bakes the image from a commit of a branch.
pub fn input(branch: &str, commit: &str) -> Value {
    let commit = if commit == ON_OUR_OWN { ON_OUR_OWN } else { ON_PUBLISHED };
    let reference = format!("refs/heads/{branch}");
    json!({"image": IMAGE, "repository": REPOSITORY, "ref": reference, "commit": commit})
}

fn failing(status: &str) -> Ending {
    Ending { status: Some(status.to_owned()), ..Ending::default() }
}

impl BakeStep {
    /// Applies the step.
    pub async fn take(self, harness: &Harness, number: usize) {
        let always = |ending: Ending| harness.codebuild.always(ending);
        match self {
            Self::Subscribed => subscribe(harness).await,
            Self::Staging => organisation::add_stage(harness, staging()).await,
            Self::Owned => {
                let claim = claim(Some(REPOSITORY.parse().expect("a repository")));
                harness.ledger.insert(&claim).await.expect("a write");
            }
            Self::Baked => {
                drop(execute(harness, &format!("ground-{number}"), &input("main", ON_PUBLISHED)).await)
            }
            Self::Fails => always(failing("FAILED")),
            Self::LeavesDebris => always(Ending { leaves_debris: true, ..failing("FAILED") }),
            Self::Stopped => always(failing("STOPPED")),
            Self::Faults => harness.codebuild.expect(failing("FAULT")),
            Self::NamesNothing => always(Ending { names_nothing: true, ..Ending::default() }),
            Self::MakesBroken => always(Ending { is_broken: true, ..Ending::default() }),
            Self::Licensed => always(Ending { platform: Some("Windows".into()), ..Ending::default() }),
            Self::Automatic => organisation::let_builds_begin(harness).await,
            Self::CopiesFail => {
                harness.ec2.fail_copies(&location_of("production").account, u32::MAX, "an internal error");
            }
            Self::Used => {
                always(Ending { used_by: Some(INSTANCE.to_owned()), ..Ending::default() });
                // The time is between two looks a quarter of an hour apart, so no fault moves a look to the other side
                // of it.
                harness.schedule(Duration::from_secs(1700), Happening::NobodyUsesImages);
            }
            Self::SeenLate => harness.ec2.set_lag(Duration::from_secs(8)),
            Self::Base => {
                add_base(harness, "1.0.3", ImageVersionState::Usable).await;
                add_base(harness, "1.0.4", ImageVersionState::Withheld).await;
            }
            Self::Dead => {
                begin_rival(harness).await;
                end_rival(harness);
            }
            Self::Rival => {
                begin_rival(harness).await;
                harness.schedule(Duration::from_secs(25), Happening::BakeRivalEnds);
            }
        }
    }
}

async fn subscribe(harness: &Harness) {
    let repository = Repository {
        id: REPOSITORY.parse().expect("a repository"),
        base_url: "https://api.github.com".to_owned(),
        branch: "main".to_owned(),
        branches: vec!["*".parse().expect("a pattern")],
        added_by: "arn".to_owned(),
        added_at: Timestamp::UNIX_EPOCH,
    };
    harness.ledger.insert(&repository).await.expect("a write");
}

/// Adds a version of the base image in the first account.
async fn add_base(harness: &Harness, version: &str, state: ImageVersionState) {
    let (name, version): (ImageName, _) =
        (BASE.parse().expect("a name"), version.parse().expect("a version"));
    let tags = [(TAG_IMAGE, BASE.to_owned()), (TAG_VERSION, format!("{version}"))];
    let tags = tags.map(|(key, value)| (key.to_owned(), value)).into();
    let ami = harness.ec2.register_tagged(&home(), &tags);
    let image = Image {
        name: name.clone(),
        version,
        location: home(),
        path: DeploymentPath::Delivery,
        state: ImageState::Available,
        snapshots: harness.ec2.ami(&ami).map(|ami| ami.snapshots()).unwrap_or_default(),
        ami: Some(ami.clone()),
        source_ami: ami.clone(),
        commit: None,
        recorded_by: "arn".to_owned(),
        recorded_at: Timestamp::UNIX_EPOCH,
    };
    let record = ImageVersion {
        name,
        version: image.version.clone(),
        state,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: None },
        source_ami: Some(ami),
        required: BTreeSet::<Location>::new(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "arn".to_owned(),
        recorded_at: Timestamp::UNIX_EPOCH,
    };
    harness.ledger.insert(&image).await.expect("a write");
    harness.ledger.insert(&record).await.expect("a write");
}

/// Claims the version for another execution and starts its build.
async fn begin_rival(harness: &Harness) {
    for execution in [RIVAL, RIVAL_BUILD] {
        harness.set_execution(execution, "RUNNING", harness.clock.now());
    }
    let input = input("main", ON_PUBLISHED);
    let mut package = input.clone();
    package["action"] = json!("recipe");
    let packaged = harness.function("package", &package).await.expect("a recipe");
    let claim = json!({"action": "claim", "execution": RIVAL, "input": input, "recipe": packaged["recipe"]});
    let claimed = harness.function("bake", &claim).await.expect("it claims");
    let input = json!({"image": IMAGE, "version": claimed["version"], "stage": claimed["stage"]});
    let begin = json!({"action": "begin_build", "execution": RIVAL_BUILD, "input": input});
    let started = harness.function("bake", &begin).await.expect("it begins");
    let build: DeploymentId = serde_json::from_value(started["build"].clone()).expect("an id");
    let task = json!({
        "token": harness.new_token(), "execution": RIVAL_BUILD, "entered_at": harness.clock.now(), "retry": 0,
    });
    let start = json!({"action": "build", "build": build, "task": task});
    harness.function("bake", &start).await.expect("it builds");
}

/// Aborts the rival and the executions that it started.
pub fn end_rival(harness: &Harness) {
    for execution in [RIVAL, RIVAL_BUILD] {
        harness.set_execution(execution, "ABORTED", harness.clock.now());
    }
}
