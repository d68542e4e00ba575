//! Baking against an EC2 and a CodeBuild in memory: what becomes of a version, whatever breaks off.

use super::*;
use jiff::Timestamp;
use lockstep_domain::images::bake::{Encryption, EncryptionKey};
use lockstep_domain::images::promotion::{Ami, BUILD_ACCEPTED, TAG_BUILD, TAG_DEPLOYMENT, TAG_SOURCE};
use lockstep_domain::messages::bake::{Brought, Doomed};
use lockstep_domain::messages::{Task, inputs, package};
use lockstep_domain::model::base_image::{Base, ImageSearch, NamePattern, ParameterName};
use lockstep_domain::model::caught::Caught;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{AmiId, DeploymentId, Digest};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{
    Config, ConfigKind, Deployment, DeploymentState, Image, ImageOrigin, ImageVersion, Step,
};
use lockstep_platform::ledger::Order;
use lockstep_platform::ports::Records;
use lockstep_platform::ports::memory::{MemoryRecords, MemoryWaits};
use lockstep_platform::public_images::PublicImages;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::codebuild::{Ending, SimBuilds, SimCodeBuild};
use lockstep_sim::ec2::{SimEc2, SimImages};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

const DEVELOPMENT: &str = "222222222222";
const PRODUCTION: &str = "333333333333";
const COMMIT: &str = "1111111111111111111111111111111111111111";
const BAKE: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-bake-image:b";
const BUILD: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-build-image:x";

const STAGES: &str = r#"
[[stages]]
name = "test"
account = "222222222222"
region = "eu-west-1"
[[stages]]
name = "ci"
account = "222222222222"
region = "eu-west-1"
propagates = true
[[stages]]
name = "production"
account = "333333333333"
region = "eu-west-1"
"#;

struct FakeWorld {
    records: MemoryRecords,
    waits: MemoryWaits,
    clock: VirtualClock,
    ec2: SimEc2,
    codebuild: SimCodeBuild,
    /// The executions that have ended.
    over: RefCell<BTreeSet<String>>,
    encryption: RefCell<Encryption>,
}

struct AmazonLinux;

impl PublicImages for AmazonLinux {
    async fn newest(&self, _: &ParameterName) -> Result<AmiId, Failure> {
        Ok("ami-0aaaaaaaaaaaaaaaa".parse().unwrap())
    }

    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure> {
        match search.name.as_str() {
            "al2023-*" | "al2023-7" => {
                Ok(("al2023-7".parse().unwrap(), "ami-0bbbbbbbbbbbbbbbb".parse().unwrap()))
            }
            _ => Err(Failure::rejected(format!("no image in this region is called {search}"))),
        }
    }
}

impl World for FakeWorld {
    type Records = MemoryRecords;
    type Waits = MemoryWaits;
    type Images = SimImages;
    type Builds = SimBuilds;
    type PublicImages = AmazonLinux;

    fn records(&self) -> &MemoryRecords {
        &self.records
    }

    fn waits(&self) -> &MemoryWaits {
        &self.waits
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn is_running(&self, execution: &str) -> Option<bool> {
        Some(!self.over.borrow().contains(execution))
    }

    async fn recipe(&self, _: &str) -> Result<Vec<u8>, Failure> {
        Ok(b"zip".to_vec())
    }

    async fn images(&self, location: &Location, _: &str) -> Result<SimImages, Failure> {
        Ok(self.ec2.images(location))
    }

    async fn builds(&self, location: &Location, _: &str) -> Result<SimBuilds, Failure> {
        Ok(self.codebuild.builds(location))
    }

    async fn encryption(&self, _: &Location, _: &str) -> Result<Encryption, Failure> {
        Ok(self.encryption.borrow().clone())
    }

    async fn public_images(&self, _: &Location, _: &str) -> Result<AmazonLinux, Failure> {
        Ok(AmazonLinux)
    }
}

fn place(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

impl FakeWorld {
    async fn new() -> Self {
        let clock = VirtualClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let ec2 = SimEc2::new(&clock);
        let codebuild = SimCodeBuild::new(&clock, &ec2);
        let world = Self {
            records: MemoryRecords::default(),
            waits: MemoryWaits::default(),
            clock,
            ec2,
            codebuild,
            over: RefCell::default(),
            encryption: RefCell::default(),
        };
        let stages = Config {
            config: ConfigKind::Stages,
            version: 1,
            text: STAGES.into(),
            applied_by: "arn".into(),
            applied_at: Timestamp::UNIX_EPOCH,
        };
        world.records.insert(&stages).await.unwrap();
        world
    }

    async fn ask(&self, request: Request) -> Result<Answer, Failure> {
        handle(self, request).await
    }

    async fn claim_from(&self, execution: &str, branch: Option<&str>) -> Result<Claimed, Failure> {
        self.claim_of(execution, branch, Base::Parameter("/aws/service/x".parse().unwrap())).await
    }

    async fn claim_of(&self, execution: &str, branch: Option<&str>, base: Base) -> Result<Claimed, Failure> {
        let input = inputs::BakeImage {
            image: "logstash".parse().unwrap(),
            repository: "github.acme.logs".parse().unwrap(),
            commit: COMMIT.parse().unwrap(),
            reference: "refs/heads/main".into(),
            overrides: Default::default(),
        };
        let recipe = package::Recipe {
            folder: "images/logstash".into(),
            of: "2.1".parse().unwrap(),
            branch: branch.map(str::to_owned),
            artifact: "recipes/logstash/x.zip".into(),
            digest: Digest::of(b"r"),
            base,
            ttl_days: 14,
        };
        match self.ask(Request::Claim { execution: execution.into(), input, recipe }).await? {
            Answer::Claimed(claimed) => Ok(claimed),
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self) -> Claimed {
        self.claim_from(BAKE, None).await.unwrap()
    }

    async fn begin(&self, execution: &str, stage: &str) -> Result<Begun, Failure> {
        let version = self.version().await.version;
        let input =
            inputs::BuildImage { image: "logstash".parse().unwrap(), version, stage: stage.parse().unwrap() };
        match self.ask(Request::BeginBuild { execution: execution.into(), input }).await? {
            Answer::Begun(begun) => Ok(begun),
            other => panic!("{other:?}"),
        }
    }

    async fn start(&self, build: &DeploymentId) -> Result<(), Failure> {
        let task = Task { token: "t".into(), execution: BUILD.into(), entered_at: self.now(), retry: 0 };
        self.ask(Request::Build { build: build.clone(), task }).await.map(drop)
    }

    async fn observe(&self, build: &DeploymentId) -> Result<Go, Failure> {
        match self.ask(Request::ObserveBuild { build: build.clone() }).await? {
            Answer::Next(next) => Ok(next.next),
            other => panic!("{other:?}"),
        }
    }

    /// Begins, builds and registers at `stage`.
    async fn build_at(&self, stage: &str) -> AmiId {
        let build = self.begin(BUILD, stage).await.unwrap().build;
        self.start(&build).await.unwrap();
        self.clock.advance(Duration::from_secs(3600));
        assert_eq!(self.observe(&build).await.unwrap(), Go::Register);
        match self.ask(Request::Register { build }).await.unwrap() {
            Answer::Built(built) => built.ami,
            other => panic!("{other:?}"),
        }
    }

    async fn version(&self) -> ImageVersion {
        let (pk, prefix) = ImageVersion::all_of(&"logstash".parse().unwrap());
        let found = self.records.list::<ImageVersion>(&pk, prefix, Order::Newest, 1).await.unwrap();
        found.into_iter().next().expect("a version").record
    }

    async fn images(&self) -> Vec<Image> {
        let (pk, prefix) = Image::all_of(&"logstash".parse().unwrap());
        let found = self.records.list::<Image>(&pk, prefix, Order::Oldest, 10).await.unwrap();
        found.into_iter().map(|image| image.record).collect()
    }

    async fn deployment(&self, build: &DeploymentId) -> Deployment {
        self.records.get::<Deployment>(&Deployment::key_of(build)).await.unwrap().unwrap().record
    }

    fn owned(&self, account: &str) -> Vec<Ami> {
        let here = place(account);
        let held = self.ec2.held_images().into_iter().filter(|held| held.location == here);
        held.filter_map(|held| self.ec2.ami(&held.id.parse().unwrap())).collect()
    }

    async fn complete(&self, places: Vec<Brought>) -> Result<Completed, Failure> {
        let version = self.version().await;
        match self.ask(Request::Complete { image: version.name, version: version.version, places }).await? {
            Answer::Completed(completed) => Ok(completed),
            other => panic!("{other:?}"),
        }
    }

    async fn give_up(&self) -> Vec<Doomed> {
        let version = self.version().await;
        let request = Request::GiveUp { image: version.name, version: version.version, error: no() };
        match self.ask(request).await.unwrap() {
            Answer::GivenUp(given_up) => given_up.places,
            other => panic!("{other:?}"),
        }
    }

    async fn discard(&self, stage: &str) -> Result<(), Failure> {
        let version = self.version().await;
        let stage = stage.parse().unwrap();
        let request = Request::DiscardVersion { image: version.name, version: version.version, stage };
        self.ask(request).await.map(drop)
    }

    async fn bury(&self) -> Failed {
        let version = self.version().await;
        let request = Request::Bury { image: version.name, version: version.version, error: no() };
        match self.ask(request).await.unwrap() {
            Answer::Failed(failed) => failed,
            other => panic!("{other:?}"),
        }
    }
}

fn no() -> Caught {
    Caught { error: "ImageUnusable".into(), cause: r#"{"errorMessage":"no key"}"#.into() }
}

fn brought(stage: &str, error: &str) -> Brought {
    Brought { stage: stage.parse().unwrap(), error: error.into(), cause: error.into() }
}

#[tokio::test]
async fn a_recipe_is_built_and_withheld_until_every_account_has_it() {
    let world = FakeWorld::new().await;
    let claimed = world.claim().await;
    assert_eq!((claimed.version.to_string().as_str(), claimed.next), ("2.1.0", Go::Build));
    assert_eq!(world.version().await.required, [place(DEVELOPMENT), place(PRODUCTION)].into());
    let ami = world.build_at("test").await;
    let withheld = world.version().await;
    assert_eq!((withheld.state, withheld.source_ami.as_ref()), (ImageVersionState::Withheld, Some(&ami)));
    let tags = world.ec2.ami(&ami).unwrap().tags;
    assert_eq!(tags.get(TAG_SOURCE), Some(&ami.to_string()));
    assert_eq!(
        tags.get(TAG_BUILD).map(String::as_str),
        Some(BUILD_ACCEPTED),
        "the builder may touch it no more"
    );
    assert!(
        ["Name", "lockstep:image", "version", "commit", "repository", "built-at", TAG_DEPLOYMENT]
            .iter()
            .all(|tag| tags.contains_key(*tag)),
        "{tags:?}"
    );
    let lacking = world.complete(vec![brought("production", "no key")]).await.unwrap_err();
    assert!(lacking.message.contains("was not brought to production: no key"), "{lacking:?}");
    world.build_at("production").await;
    world.complete(vec![brought("production", "")]).await.unwrap();
    assert_eq!(world.version().await.state, ImageVersionState::Usable);
    assert!(world.images().await.iter().all(|image| image.source_ami == ami));
}

#[tokio::test]
async fn every_step_twice_is_once() {
    let world = FakeWorld::new().await;
    assert_eq!(world.claim().await, world.claim().await);
    let build = world.begin(BUILD, "test").await.unwrap().build;
    assert_eq!(world.begin(BUILD, "test").await.unwrap().build, build);
    world.start(&build).await.unwrap();
    world.start(&build).await.unwrap();
    assert_eq!(world.codebuild.started().len(), 1);
    world.clock.advance(Duration::from_secs(3600));
    for _ in 0..2 {
        world.ask(Request::Register { build: build.clone() }).await.unwrap();
    }
    assert_eq!(world.images().await.len(), 1);
    assert_eq!(world.begin("arn:other", "test").await.unwrap().next, Go::Present);
}

#[tokio::test]
async fn a_lost_answer_is_found_also_when_codebuild_has_forgotten_the_token() {
    let world = FakeWorld::new().await;
    world.claim().await;
    let build = world.begin(BUILD, "test").await.unwrap().build;
    world.codebuild.lose_next_answer();
    assert_eq!(world.start(&build).await.unwrap_err().kind, FailureKind::Transient);
    world.clock.advance(Duration::from_secs(6 * 60));
    world.start(&build).await.unwrap();
    assert_eq!(world.codebuild.started().len(), 1);
}

#[tokio::test]
async fn a_fault_of_codebuild_is_a_new_attempt_and_a_failed_recipe_is_not() {
    let world = FakeWorld::new().await;
    world.claim().await;
    world.codebuild.expect(Ending { status: Some("FAULT".into()), ..Ending::default() });
    world.codebuild.expect(Ending {
        status: Some("FAILED".into()),
        leaves_debris: true,
        ..Ending::default()
    });
    let build = world.begin(BUILD, "test").await.unwrap().build;
    world.start(&build).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    assert_eq!(world.observe(&build).await.unwrap(), Go::Wait);
    world.start(&build).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    let failed = world.observe(&build).await.unwrap_err();
    assert!(failed.kind == FailureKind::ImageUnusable && failed.message.contains("FAILED"), "{failed:?}");
    let operations = world.deployment(&build).await.operations;
    assert_eq!(operations.iter().map(|operation| operation.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(operations[0].token, operations[1].token);

    assert_eq!(world.owned(DEVELOPMENT).len(), 1, "the failed build left an image");
    world.ask(Request::FailBuild { build: build.clone(), error: no() }).await.unwrap();
    assert!(world.owned(DEVELOPMENT).is_empty(), "which is gone");
    assert_eq!(world.deployment(&build).await.state, DeploymentState::Failed);
}

#[tokio::test]
async fn a_build_that_is_read_too_early_is_read_again_and_not_given_up() {
    let world = FakeWorld::new().await;
    world.claim().await;
    let build = world.begin(BUILD, "test").await.unwrap().build;
    world.start(&build).await.unwrap();
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(world.observe(&build).await.unwrap(), Go::Register);
    world.codebuild.read_stale_once();
    let early = world.ask(Request::Register { build: build.clone() }).await.unwrap_err();
    assert_eq!(early.kind, FailureKind::Transient, "{early:?}");
    world.ask(Request::Register { build }).await.unwrap();
}

#[tokio::test]
async fn what_a_failed_build_left_is_removed_also_if_it_cannot_be_seen_at_once() {
    for names_nothing in [false, true] {
        let world = FakeWorld::new().await;
        world.ec2.set_lag(Duration::from_secs(8));
        world.codebuild.expect(Ending { names_nothing, is_broken: true, ..Ending::default() });
        world.claim().await;
        let build = world.begin(BUILD, "test").await.unwrap().build;
        world.start(&build).await.unwrap();
        world.clock.advance(Duration::from_secs(600));
        drop(world.observe(&build).await);
        let early = world.ask(Request::FailBuild { build: build.clone(), error: no() }).await.unwrap_err();
        assert_eq!(early.kind, FailureKind::Transient, "its snapshot is in use: {early:?}");
        world.clock.advance(Duration::from_secs(8));
        world.ask(Request::FailBuild { build: build.clone(), error: no() }).await.unwrap();
        assert!(world.owned(DEVELOPMENT).is_empty() && world.ec2.held_snapshots().is_empty());
        assert_eq!(world.deployment(&build).await.state, DeploymentState::Failed);
    }
}

#[tokio::test]
async fn what_another_execution_builds_or_bakes_is_waited_for_and_taken_over_once_it_is_dead() {
    let world = FakeWorld::new().await;
    world.claim().await;
    let build = world.begin(BUILD, "test").await.unwrap().build;
    assert_eq!(world.begin("arn:other", "test").await.unwrap_err().kind, FailureKind::EnvironmentBusy);
    assert_eq!(world.claim_from("arn:bake:2", None).await.unwrap_err().kind, FailureKind::EnvironmentBusy);
    world.over.borrow_mut().extend([BUILD.to_owned(), BAKE.to_owned()]);
    assert_eq!(world.begin("arn:other", "test").await.unwrap().build, build);
    assert_eq!(world.claim_from("arn:bake:2", None).await.unwrap().version.to_string(), "2.1.0");
    assert_eq!(world.deployment(&build).await.execution, "arn:other");
}

#[tokio::test]
async fn a_version_that_fails_for_good_is_removed_everywhere_and_the_record_says_why() {
    let world = FakeWorld::new().await;
    world.claim().await;
    world.build_at("test").await;
    world.build_at("production").await;
    let doomed = world.give_up().await;
    assert_eq!(
        doomed.iter().map(|place| place.stage.to_string()).collect::<Vec<_>>(),
        ["test", "production"]
    );
    for place in &doomed {
        for _ in 0..2 {
            world.discard(place.stage.as_str()).await.unwrap();
        }
    }
    assert!(world.owned(DEVELOPMENT).is_empty() && world.owned(PRODUCTION).is_empty());
    assert!(world.ec2.held_snapshots().is_empty() && world.images().await.is_empty());
    assert!(world.bury().await.cause.contains("no key"));
    let gone = world.version().await;
    assert_eq!((gone.state, gone.why.as_deref()), (ImageVersionState::Discarded, Some("no key")));
    world.bury().await;
    world.over.borrow_mut().insert(BAKE.to_owned());
    assert_eq!(world.claim_from("arn:bake:2", None).await.unwrap().version.to_string(), "2.1.1");
}

#[tokio::test]
async fn nothing_is_discarded_while_something_refers_to_it() {
    let world = FakeWorld::new().await;
    world.claim().await;
    let ami = world.build_at("test").await;
    world.ec2.refer(&ami, "arn:aws:ec2:eu-west-1:222222222222:instance/i-1");
    world.give_up().await;
    let refused = world.discard("test").await.unwrap_err();
    assert!(
        refused.kind == FailureKind::EnvironmentBusy && refused.message.contains("instance/i-1"),
        "{refused:?}"
    );
    assert_eq!(world.owned(DEVELOPMENT).len(), 1);
    assert!(world.bury().await.cause.contains("It is still in 222222222222"));
    assert_eq!(world.version().await.state, ImageVersionState::Discarding);
}

#[tokio::test]
async fn only_what_was_given_up_is_discarded() {
    let world = FakeWorld::new().await;
    world.claim().await;
    world.build_at("test").await;
    assert_eq!(world.discard("test").await.unwrap_err().kind, FailureKind::Bug);
    assert_eq!(world.owned(DEVELOPMENT).len(), 1);
}

#[tokio::test]
async fn a_branch_gives_a_pre_release_that_goes_nowhere_and_expires() {
    let world = FakeWorld::new().await;
    let claimed = world.claim_from(BAKE, Some("fix")).await.unwrap();
    assert_eq!(claimed.version.to_string(), "2.1.0-fix.1");
    world.build_at("test").await;
    let version = world.version().await;
    assert!(version.required.is_empty());
    assert_eq!(version.expires_at.unwrap().to_string(), "2026-01-15T00:00:00Z");
    let request = Request::Spread {
        execution: BAKE.into(),
        image: version.name.clone(),
        version: version.version.clone(),
    };
    assert_eq!(world.ask(request).await.unwrap(), Answer::Spread(Spread { places: Vec::new() }));
    world.complete(Vec::new()).await.unwrap();
    assert_eq!(world.version().await.state, ImageVersionState::Usable);
}

#[tokio::test]
async fn an_image_that_cannot_be_copied_is_built_there_and_any_other_failure_is_none_of_that() {
    let world = FakeWorld::new().await;
    let stays = |error: &str| Caught {
        error: "States.TaskFailed".into(),
        cause: serde_json::json!({"Error": error, "Cause": "x"}).to_string(),
    };
    for (error, expected) in [("ImageStays", Go::Build), ("ImageUnusable", Go::Fail)] {
        let answer = world.ask(Request::NotCopied { error: stays(error) }).await.unwrap();
        assert_eq!(answer, Answer::Next(Next { next: expected }), "{error}");
    }
}

#[tokio::test]
async fn an_image_that_was_built_without_its_tags_is_not_taken() {
    let world = FakeWorld::new().await;
    world.claim().await;
    let build = world.begin(BUILD, "test").await.unwrap().build;
    world.start(&build).await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    world.observe(&build).await.unwrap();
    let made = world.owned(DEVELOPMENT)[0].id.clone();
    world.ec2.change(&made, |ami| drop(ami.tags.remove("commit")));
    let refused = world.ask(Request::Register { build }).await.unwrap_err();
    assert!(refused.message.contains("without the tags it was given: commit"), "{refused:?}");
}

fn amazons(name: &str) -> Base {
    Base::Search(ImageSearch { owner: "amazon".parse().unwrap(), name: name.parse().unwrap() })
}

#[tokio::test]
async fn a_base_by_owner_and_name_is_looked_for_once_and_every_build_starts_from_what_was_found() {
    let world = FakeWorld::new().await;
    world.claim_of(BAKE, None, amazons("al2023-*")).await.unwrap();
    let ImageOrigin::Baked { base, .. } = world.version().await.origin else { panic!("it is baked") };
    assert_eq!(base, amazons("al2023-7"), "the record names one image");
    let build = world.begin(BUILD, "test").await.unwrap().build;
    assert_eq!(world.deployment(&build).await.parameters["source-ami"], "ami-0bbbbbbbbbbbbbbbb");
}

#[tokio::test]
async fn a_base_that_nobody_has_is_refused_before_anything_is_claimed_and_its_file_is_named() {
    let world = FakeWorld::new().await;
    let refused = world.claim_of(BAKE, None, amazons("al2022-*")).await.unwrap_err();
    assert!(refused.message.contains("al2022-* of amazon"), "{refused:?}");
    assert!(refused.message.contains("images/logstash/image.toml"), "{refused:?}");
    let (pk, prefix) = ImageVersion::all_of(&"logstash".parse().unwrap());
    assert_eq!(world.records.list::<ImageVersion>(&pk, prefix, Order::Newest, 1).await.unwrap().len(), 0);
}

#[tokio::test]
async fn where_volumes_are_encrypted_by_default_a_build_gets_a_key_that_can_be_shared() {
    for (has_image_key, expected) in [(true, Some("alias/lockstep-images")), (false, None)] {
        let world = FakeWorld::new().await;
        let default_key = Some(EncryptionKey::OfAws);
        *world.encryption.borrow_mut() = Encryption { default_key, has_image_key };
        world.claim().await;
        let build = world.begin(BUILD, "test").await.unwrap().build;
        world.start(&build).await.unwrap();
        let started = world.codebuild.started();
        let key = started[0].wanted.variables.iter().find(|(name, _)| name == "LOCKSTEP_IMAGE_KEY");
        assert_eq!(key.map(|(_, value)| value.as_str()), expected);
        let (pk, prefix) = Step::all_of(&build);
        let notes = world.records.list::<Step>(&pk, prefix, Order::Oldest, 10).await.unwrap();
        let told = notes.iter().any(|note| note.record.note.contains("--image-key"));
        assert_eq!(told, !has_image_key, "{notes:?}");
    }
}
