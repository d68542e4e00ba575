//! Bakes against an EC2 and a CodeBuild in memory, with an interruption at each step.

use super::*;
use lockstep_aws::codebuild::Builds as _;
use lockstep_aws::ledger::Order;
use lockstep_domain::delivery::approval;
use lockstep_domain::images::bake::{Encryption, EncryptionKey};
use lockstep_domain::images::promotion::{Ami, BUILD_ACCEPTED, TAG_BUILD, TAG_DEPLOYMENT, TAG_SOURCE};
use lockstep_domain::images::recipe::artifact_key;
use lockstep_domain::messages::bake::{DiscardTargets, DistributionResult};
use lockstep_domain::messages::{Task, inputs, package};
use lockstep_domain::model::base_image::{Base, ImageSearch};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{AmiId, DeploymentId, Digest};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::person::Caller;
use lockstep_domain::records::{
    AnswerKind, ApprovalDecision, BuiltRecipe, Decision, Deployment, DeploymentBody, DeploymentState,
    GivenAnswer, Image, ImageOrigin, ImageVersion, LogEntry,
};
use lockstep_runtime::{Clock as _, HasLedger as _};
use lockstep_sim::codebuild::Ending;
use lockstep_sim::context::{BUCKET, SimContext};
use lockstep_sim::stages::{stage_text, with_production};
use std::ops::Deref;
use std::time::Duration;

const DEVELOPMENT: &str = "222222222222";
const PRODUCTION: &str = "333333333333";
const COMMIT: &str = "1111111111111111111111111111111111111111";
const BAKE: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-bake-image:b";
const BUILD: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-build-image:x";

/// The artifact of the recipe.
const RECIPE: &[u8] = b"zip";

fn recipe_key() -> String {
    artifact_key(&"logstash".parse().unwrap(), &Digest::of(RECIPE))
}

/// The stages of an organisation that lets builds begin in production without a person.
fn stages_text() -> String {
    with_production("222222222222", stage_text("production", "333333333333").with_automatic_builds())
}

/// The stages of an organisation in which a person approves each build in production.
fn careful_stages() -> String {
    with_production("222222222222", stage_text("production", "333333333333").with_approval())
}

struct Fixture(SimContext);

impl Deref for Fixture {
    type Target = SimContext;

    fn deref(&self) -> &SimContext {
        &self.0
    }
}

fn place(account: &str) -> Location {
    Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() }
}

impl Fixture {
    async fn new() -> Self {
        Self::with(&stages_text()).await
    }

    /// Returns a version that was built in the first account and needs an approval to be built in production.
    async fn withheld() -> Self {
        let fixture = Self::with(&careful_stages()).await;
        fixture.claim().await;
        fixture.build_at("test").await;
        fixture
    }

    async fn with(stages: &str) -> Self {
        let sim = SimContext::at("2026-01-01T00:00:00Z".parse().unwrap());
        sim.account.set_other_executions(Some("RUNNING"));
        sim.apply_stages(1, stages);
        sim.published.publish(
            "al2023-*",
            "al2023-7".parse().unwrap(),
            "ami-0bbbbbbbbbbbbbbbb".parse().unwrap(),
        );
        sim.account.put_object(BUCKET, &recipe_key(), RECIPE.to_vec());
        Self(sim)
    }

    async fn ask(&self, request: Request) -> Result<Reply, Failure> {
        handle(&self.0, request).await
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
            artifact: recipe_key(),
            digest: Digest::of(b"r"),
            base,
            ttl_days: 14,
        };
        match self.ask(Request::Claim { execution: execution.into(), input, recipe }).await? {
            Reply::Claimed(claimed) => Ok(claimed),
            other => panic!("{other:?}"),
        }
    }

    async fn claim(&self) -> Claimed {
        self.claim_from(BAKE, None).await.unwrap()
    }

    async fn begin(&self, execution: &str, stage: &str) -> Result<BuildStarted, Failure> {
        let version = self.version().await.version;
        let input =
            inputs::BuildImage { image: "logstash".parse().unwrap(), version, stage: stage.parse().unwrap() };
        match self.ask(Request::BeginBuild { execution: execution.into(), input }).await? {
            Reply::BuildStarted(started) => Ok(started),
            other => panic!("{other:?}"),
        }
    }

    async fn start(&self, build: &DeploymentId) -> Result<(), Failure> {
        let task = Task { token: "t".into(), execution: BUILD.into(), entered_at: self.now(), retry: 0 };
        self.ask(Request::Build { build: build.clone(), task }).await.map(drop)
    }

    async fn observe(&self, build: &DeploymentId) -> Result<NextStep, Failure> {
        match self.ask(Request::ObserveBuild { build: build.clone() }).await? {
            Reply::Next(next) => Ok(next.next),
            other => panic!("{other:?}"),
        }
    }

    /// Creates, builds and registers the image at `stage`.
    async fn build_at(&self, stage: &str) -> AmiId {
        let build = self.begin(BUILD, stage).await.unwrap().build;
        self.start(&build).await.unwrap();
        self.clock.advance(Duration::from_secs(3600));
        assert_eq!(self.observe(&build).await.unwrap(), NextStep::Register);
        match self.ask(Request::Register { build }).await.unwrap() {
            Reply::Built(built) => built.ami,
            other => panic!("{other:?}"),
        }
    }

    async fn version(&self) -> ImageVersion {
        let partition = ImageVersion::all_of(&"logstash".parse().unwrap());
        let found = self.ledger().list::<ImageVersion>(&partition, Order::Newest, 1).await.unwrap();
        found.into_iter().next().expect("a version").record
    }

    async fn images(&self) -> Vec<Image> {
        let mut found = Vec::new();
        for path in DeploymentPath::ALL {
            let partition = Image::all_of(&"logstash".parse().unwrap(), path);
            found.extend(self.ledger().list::<Image>(&partition, Order::Oldest, 10).await.unwrap());
        }
        found.into_iter().map(|image| image.record).collect()
    }

    async fn deployment(&self, build: &DeploymentId) -> Deployment {
        self.ledger().get::<Deployment>(&Deployment::key_of(build)).await.unwrap().unwrap().record
    }

    /// Stores the question about the build, as the authority does.
    async fn ask_person(&self, build: &DeploymentId) {
        self.change(build, |build| approval::ask(build, true, self.now()).unwrap()).await;
    }

    /// Stores an answer to the question, and continues the build after it, as the authority does.
    async fn answer(&self, build: &DeploymentId, kind: AnswerKind) {
        let decision = match kind {
            AnswerKind::Approve => Decision::Approve,
            AnswerKind::Refuse | AnswerKind::Withdraw => Decision::Refuse,
        };
        let by = Caller {
            arn: "arn:aws:iam::111111111111:user/ada".into(),
            user_id: "AIDAEXAMPLE0000ADA".into(),
            account: "111111111111".into(),
        };
        let decision = ApprovalDecision {
            deployment: build.clone(),
            question: self.deployment(build).await.approvals.pop().unwrap(),
            answers: vec![GivenAnswer { by, kind, reason: Some("because".into()), at: self.now() }],
            decision: Some(decision),
            valid_until: None,
        };
        self.ledger().insert(&decision).await.unwrap();
        self.change(build, |build| Deployment { state: DeploymentState::Running, ..build.clone() }).await;
    }

    async fn change(&self, build: &DeploymentId, change: impl FnOnce(&Deployment) -> Deployment) {
        let stored = self.ledger().get::<Deployment>(&Deployment::key_of(build)).await.unwrap().unwrap();
        let changed = change(&stored.record);
        self.ledger().replace(&stored, changed).await.unwrap();
    }

    fn builds_in(&self, account: &str) -> usize {
        self.codebuild.started().iter().filter(|build| build.location == place(account)).count()
    }

    fn owned(&self, account: &str) -> Vec<Ami> {
        let here = place(account);
        let held = self.ec2.held_images().into_iter().filter(|held| held.location == here);
        held.filter_map(|held| self.ec2.ami(&held.id.parse().unwrap())).collect()
    }

    async fn complete(&self, places: Vec<DistributionResult>) -> Result<Completed, Failure> {
        let version = self.version().await;
        match self.ask(Request::Complete { image: version.name, version: version.version, places }).await? {
            Reply::Completed(completed) => Ok(completed),
            other => panic!("{other:?}"),
        }
    }

    async fn fail_version(&self) -> Vec<DiscardTargets> {
        let version = self.version().await;
        let request = Request::FailVersion { image: version.name, version: version.version, error: no() };
        match self.ask(request).await.unwrap() {
            Reply::VersionFailed(given_up) => given_up.places,
            other => panic!("{other:?}"),
        }
    }

    async fn discard(&self, stage: &str) -> Result<(), Failure> {
        let version = self.version().await;
        let stage = stage.parse().unwrap();
        let request = Request::DiscardVersion { image: version.name, version: version.version, stage };
        self.ask(request).await.map(drop)
    }

    async fn record_discarded(&self) -> Failed {
        let version = self.version().await;
        let request = Request::RecordDiscarded { image: version.name, version: version.version, error: no() };
        match self.ask(request).await.unwrap() {
            Reply::Failed(failed) => failed,
            other => panic!("{other:?}"),
        }
    }
}

fn no() -> CaughtError {
    CaughtError { error: "ImageUnusable".into(), cause: r#"{"errorMessage":"no key"}"#.into() }
}

fn distributed(stage: &str, error: &str) -> DistributionResult {
    DistributionResult { stage: stage.parse().unwrap(), error: error.into(), cause: error.into() }
}

#[tokio::test]
async fn version_is_withheld_until_every_account_has_it() {
    let fixture = Fixture::new().await;
    let claimed = fixture.claim().await;
    assert_eq!((claimed.version.to_string().as_str(), claimed.next), ("2.1.0", NextStep::Build));
    assert_eq!(fixture.version().await.required, [place(DEVELOPMENT), place(PRODUCTION)].into());
    let ami = fixture.build_at("test").await;
    let withheld = fixture.version().await;
    assert_eq!((withheld.state, withheld.source_ami.as_ref()), (ImageVersionState::Withheld, Some(&ami)));
    let tags = fixture.ec2.ami(&ami).unwrap().tags;
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
    let lacking = fixture.complete(vec![distributed("production", "no key")]).await.unwrap_err();
    assert!(lacking.message.contains("was not copied to production: no key"), "{lacking:?}");
    fixture.build_at("production").await;
    fixture.complete(vec![distributed("production", "")]).await.unwrap();
    assert_eq!(fixture.version().await.state, ImageVersionState::Usable);
    assert!(fixture.images().await.iter().all(|image| image.source_ami == ami));
}

#[tokio::test]
async fn repeating_each_step_changes_nothing() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.claim().await, fixture.claim().await);
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    assert_eq!(fixture.begin(BUILD, "test").await.unwrap().build, build);
    fixture.start(&build).await.unwrap();
    fixture.start(&build).await.unwrap();
    assert_eq!(fixture.codebuild.started().len(), 1);
    fixture.clock.advance(Duration::from_secs(3600));
    for _ in 0..2 {
        fixture.ask(Request::Register { build: build.clone() }).await.unwrap();
    }
    assert_eq!(fixture.images().await.len(), 1);
    assert_eq!(fixture.begin("arn:other", "test").await.unwrap().next, NextStep::Present);
}

#[tokio::test]
async fn build_is_found_after_a_lost_response_and_an_expired_token() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.codebuild.lose_next_answer();
    assert_eq!(fixture.start(&build).await.unwrap_err().kind, FailureKind::Transient);
    fixture.clock.advance(Duration::from_secs(6 * 60));
    fixture.start(&build).await.unwrap();
    assert_eq!(fixture.codebuild.started().len(), 1);
}

#[tokio::test]
async fn recipe_with_another_digest_than_its_key_is_not_built() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.account.put_object(BUCKET, &recipe_key(), b"planted".to_vec());
    let refused = fixture.start(&build).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::ImageUnusable);
    assert!(refused.message.contains("its content has another digest"), "{refused:?}");
    assert!(fixture.codebuild.started().is_empty());
    assert!(!fixture.codebuild.has_recipe(&place(DEVELOPMENT), &recipe_key()));
}

#[tokio::test]
async fn every_attempt_reads_the_recipe_that_was_compared() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    fixture.codebuild.expect(Ending { status: Some("FAULT".into()), ..Ending::default() });
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.start(&build).await.unwrap();
    let there = fixture.codebuild.builds(&place(DEVELOPMENT));
    let planted = there.store(&recipe_key(), b"planted".to_vec()).await.unwrap();
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(fixture.observe(&build).await.unwrap(), NextStep::Wait);
    fixture.start(&build).await.unwrap();
    let started = fixture.codebuild.started();
    assert_eq!(started.len(), 2);
    assert!(started.iter().all(|build| build.wanted.version == "1" && planted == "2"), "{started:?}");
}

#[tokio::test]
async fn image_of_another_build_is_not_registered() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.start(&build).await.unwrap();
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(fixture.observe(&build).await.unwrap(), NextStep::Register);
    let ami = fixture.codebuild.made(&fixture.codebuild.started()[0].arn).unwrap();
    for tag in [Some("arn:aws:codebuild:eu-west-1:222222222222:build/lockstep-image-build:9"), None] {
        fixture.ec2.change(&ami, |ami| {
            ami.tags.remove(TAG_BUILD);
            ami.tags.extend(tag.map(|tag| (TAG_BUILD.to_owned(), tag.to_owned())));
        });
        let refused = fixture.ask(Request::Register { build: build.clone() }).await.unwrap_err();
        assert!(refused.message.contains("was not made by the build"), "{refused:?}");
    }
    assert!(fixture.images().await.is_empty());
}

#[tokio::test]
async fn codebuild_fault_starts_a_new_attempt_and_a_failed_recipe_does_not() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    fixture.codebuild.expect(Ending { status: Some("FAULT".into()), ..Ending::default() });
    fixture.codebuild.expect(Ending {
        status: Some("FAILED".into()),
        leaves_debris: true,
        ..Ending::default()
    });
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.start(&build).await.unwrap();
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(fixture.observe(&build).await.unwrap(), NextStep::Wait);
    fixture.start(&build).await.unwrap();
    fixture.clock.advance(Duration::from_secs(3600));
    let failed = fixture.observe(&build).await.unwrap_err();
    assert!(failed.kind == FailureKind::ImageUnusable && failed.message.contains("FAILED"), "{failed:?}");
    let operations = fixture.deployment(&build).await.operations;
    assert_eq!(operations.iter().map(|operation| operation.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_ne!(operations[0].token, operations[1].token);

    assert_eq!(fixture.owned(DEVELOPMENT).len(), 1, "the failed build left an image");
    fixture.ask(Request::FailBuild { build: build.clone(), error: no() }).await.unwrap();
    assert!(fixture.owned(DEVELOPMENT).is_empty(), "which is gone");
    assert_eq!(fixture.deployment(&build).await.state, DeploymentState::Failed);
}

#[tokio::test]
async fn build_that_is_read_too_early_is_read_again() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.start(&build).await.unwrap();
    fixture.clock.advance(Duration::from_secs(600));
    assert_eq!(fixture.observe(&build).await.unwrap(), NextStep::Register);
    fixture.codebuild.read_stale_once();
    let early = fixture.ask(Request::Register { build: build.clone() }).await.unwrap_err();
    assert_eq!(early.kind, FailureKind::Transient, "{early:?}");
    fixture.ask(Request::Register { build }).await.unwrap();
}

#[tokio::test]
async fn image_of_a_failed_build_is_removed_even_if_it_is_visible_later() {
    for names_nothing in [false, true] {
        let fixture = Fixture::new().await;
        fixture.ec2.set_lag(Duration::from_secs(8));
        fixture.codebuild.expect(Ending { names_nothing, is_broken: true, ..Ending::default() });
        fixture.claim().await;
        let build = fixture.begin(BUILD, "test").await.unwrap().build;
        fixture.start(&build).await.unwrap();
        fixture.clock.advance(Duration::from_secs(600));
        drop(fixture.observe(&build).await);
        let early = fixture.ask(Request::FailBuild { build: build.clone(), error: no() }).await.unwrap_err();
        assert_eq!(early.kind, FailureKind::Transient, "its snapshot is in use: {early:?}");
        fixture.clock.advance(Duration::from_secs(8));
        fixture.ask(Request::FailBuild { build: build.clone(), error: no() }).await.unwrap();
        assert!(fixture.owned(DEVELOPMENT).is_empty() && fixture.ec2.held_snapshots().is_empty());
        assert_eq!(fixture.deployment(&build).await.state, DeploymentState::Failed);
    }
}

#[tokio::test]
async fn build_or_version_of_an_ended_execution_is_taken_over() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    assert_eq!(fixture.begin("arn:other", "test").await.unwrap_err().kind, FailureKind::EnvironmentBusy);
    assert_eq!(fixture.claim_from("arn:bake:2", None).await.unwrap_err().kind, FailureKind::EnvironmentBusy);
    for over in [BUILD, BAKE] {
        fixture.account.set_execution(over, "ABORTED");
    }
    assert_eq!(fixture.begin("arn:other", "test").await.unwrap().build, build);
    assert_eq!(fixture.claim_from("arn:bake:2", None).await.unwrap().version.to_string(), "2.1.0");
    assert_eq!(fixture.deployment(&build).await.execution, "arn:other");
}

#[tokio::test]
async fn failed_version_is_removed_everywhere_and_its_record_holds_the_reason() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    fixture.build_at("test").await;
    fixture.build_at("production").await;
    let doomed = fixture.fail_version().await;
    assert_eq!(
        doomed.iter().map(|place| place.stage.to_string()).collect::<Vec<_>>(),
        ["test", "production"]
    );
    for place in &doomed {
        for _ in 0..2 {
            fixture.discard(place.stage.as_str()).await.unwrap();
        }
    }
    assert!(fixture.owned(DEVELOPMENT).is_empty() && fixture.owned(PRODUCTION).is_empty());
    assert!(fixture.ec2.held_snapshots().is_empty() && fixture.images().await.is_empty());
    assert!(fixture.record_discarded().await.cause.contains("no key"));
    let gone = fixture.version().await;
    assert_eq!((gone.state, gone.why.as_deref()), (ImageVersionState::Discarded, Some("no key")));
    fixture.record_discarded().await;
    fixture.account.set_execution(BAKE, "ABORTED");
    assert_eq!(fixture.claim_from("arn:bake:2", None).await.unwrap().version.to_string(), "2.1.1");
}

#[tokio::test]
async fn image_that_a_resource_refers_to_is_not_discarded() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let ami = fixture.build_at("test").await;
    fixture.ec2.refer(&ami, "arn:aws:ec2:eu-west-1:222222222222:instance/i-1");
    fixture.fail_version().await;
    let refused = fixture.discard("test").await.unwrap_err();
    assert!(
        refused.kind == FailureKind::EnvironmentBusy && refused.message.contains("instance/i-1"),
        "{refused:?}"
    );
    assert_eq!(fixture.owned(DEVELOPMENT).len(), 1);
    assert!(fixture.record_discarded().await.cause.contains("It is still in 222222222222"));
    assert_eq!(fixture.version().await.state, ImageVersionState::Discarding);
}

#[tokio::test]
async fn only_a_failed_version_is_discarded() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    fixture.build_at("test").await;
    assert_eq!(fixture.discard("test").await.unwrap_err().kind, FailureKind::Bug);
    assert_eq!(fixture.owned(DEVELOPMENT).len(), 1);
}

#[tokio::test]
async fn branch_gives_a_pre_release_that_is_not_distributed_and_expires() {
    let fixture = Fixture::new().await;
    let claimed = fixture.claim_from(BAKE, Some("fix")).await.unwrap();
    assert_eq!(claimed.version.to_string(), "2.1.0-fix.1");
    fixture.build_at("test").await;
    let version = fixture.version().await;
    assert!(version.required.is_empty());
    assert_eq!(version.expires_at.unwrap().to_string(), "2026-01-15T00:00:00Z");
    let request = Request::Distribute {
        execution: BAKE.into(),
        image: version.name.clone(),
        version: version.version.clone(),
    };
    assert_eq!(fixture.ask(request).await.unwrap(), Reply::Distribution(Distribution { places: Vec::new() }));
    fixture.complete(Vec::new()).await.unwrap();
    assert_eq!(fixture.version().await.state, ImageVersionState::Usable);
}

#[tokio::test]
async fn image_that_cannot_be_copied_is_built_and_other_failures_end_the_bake() {
    let fixture = Fixture::new().await;
    let stays = |error: &str| CaughtError {
        error: "States.TaskFailed".into(),
        cause: serde_json::json!({"Error": error, "Cause": "x"}).to_string(),
    };
    for (error, expected) in [("ImageStays", NextStep::Build), ("ImageUnusable", NextStep::Fail)] {
        let answer = fixture.ask(Request::CopyFailed { error: stays(error) }).await.unwrap();
        assert_eq!(answer, Reply::Next(Next { next: expected }), "{error}");
    }
}

#[tokio::test]
async fn image_without_its_tags_is_refused() {
    let fixture = Fixture::new().await;
    fixture.claim().await;
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    fixture.start(&build).await.unwrap();
    fixture.clock.advance(Duration::from_secs(3600));
    fixture.observe(&build).await.unwrap();
    let made = fixture.owned(DEVELOPMENT)[0].id.clone();
    fixture.ec2.change(&made, |ami| drop(ami.tags.remove("commit")));
    let refused = fixture.ask(Request::Register { build }).await.unwrap_err();
    assert!(refused.message.contains("without the tags it was given: commit"), "{refused:?}");
}

fn amazons(name: &str) -> Base {
    Base::Search(ImageSearch { owner: "amazon".parse().unwrap(), name: name.parse().unwrap() })
}

#[tokio::test]
async fn base_by_owner_and_name_is_resolved_once_for_all_builds() {
    let fixture = Fixture::new().await;
    fixture.claim_of(BAKE, None, amazons("al2023-*")).await.unwrap();
    let ImageOrigin::Baked { base, .. } = fixture.version().await.origin else { panic!("it is baked") };
    assert_eq!(base, amazons("al2023-7"), "the record names one image");
    let build = fixture.begin(BUILD, "test").await.unwrap().build;
    let body = fixture.deployment(&build).await.build().unwrap().clone();
    assert_eq!(body.base.as_str(), "ami-0bbbbbbbbbbbbbbbb");
}

#[tokio::test]
async fn missing_base_is_refused_with_its_file_before_the_claim() {
    let fixture = Fixture::new().await;
    let refused = fixture.claim_of(BAKE, None, amazons("al2022-*")).await.unwrap_err();
    assert!(refused.message.contains("al2022-* of amazon"), "{refused:?}");
    assert!(refused.message.contains("images/logstash/image.toml"), "{refused:?}");
    let partition = ImageVersion::all_of(&"logstash".parse().unwrap());
    assert_eq!(fixture.ledger().list::<ImageVersion>(&partition, Order::Newest, 1).await.unwrap().len(), 0);
}

#[tokio::test]
async fn build_gets_a_shareable_key_if_volumes_are_encrypted_by_default() {
    for (has_image_key, expected) in [(true, Some("alias/lockstep-images")), (false, None)] {
        let fixture = Fixture::new().await;
        let default_key = Some(EncryptionKey::OfAws);
        *fixture.accounts.encryption.borrow_mut() = Encryption { default_key, has_image_key };
        fixture.claim().await;
        let build = fixture.begin(BUILD, "test").await.unwrap().build;
        fixture.start(&build).await.unwrap();
        let started = fixture.codebuild.started();
        let key = started[0].wanted.variables.iter().find(|(name, _)| name == "LOCKSTEP_IMAGE_KEY");
        assert_eq!(key.map(|(_, value)| value.as_str()), expected);
        let partition = LogEntry::all_of(&build);
        let notes = fixture.ledger().list::<LogEntry>(&partition, Order::Oldest, 10).await.unwrap();
        let warned = notes.iter().any(|note| note.record.note.contains("--image-key"));
        assert_eq!(warned, !has_image_key, "{notes:?}");
    }
}

/// The ARN of the execution that builds in production.
const THERE: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-promotion-build-image:y";

#[tokio::test]
async fn a_build_in_production_begins_only_once_a_person_approved_it() {
    let fixture = Fixture::withheld().await;
    let started = fixture.begin(THERE, "production").await.unwrap();
    assert_eq!(started.next, NextStep::Approve);
    let refused = fixture.start(&started.build).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::ApprovalRefused, "{refused:?}");
    fixture.ask_person(&started.build).await;
    assert!(fixture.start(&started.build).await.is_err());
    assert_eq!(fixture.builds_in(PRODUCTION), 0);
    fixture.answer(&started.build, AnswerKind::Approve).await;
    fixture.start(&started.build).await.unwrap();
    assert_eq!(fixture.builds_in(PRODUCTION), 1);
}

#[tokio::test]
async fn what_was_approved_is_built_and_nothing_else() {
    let fixture = Fixture::withheld().await;
    let build = fixture.begin(THERE, "production").await.unwrap().build;
    fixture.ask_person(&build).await;
    fixture.answer(&build, AnswerKind::Approve).await;
    let approved = fixture.deployment(&build).await;
    fixture.account.put_object(BUCKET, "recipes/logstash/other.zip", b"other".to_vec());
    for change in ["artifact", "base"] {
        fixture
            .change(&build, |build| {
                let mut build = build.clone();
                let DeploymentBody::BuildImage(body) = &mut build.body else { panic!() };
                match change {
                    "artifact" => body.artifact = "recipes/logstash/other.zip".into(),
                    _ => body.base = "ami-0fffffffffffffff0".parse().unwrap(),
                }
                build
            })
            .await;
        assert_eq!(fixture.start(&build).await.unwrap_err().kind, FailureKind::ApprovalRefused, "{change}");
        fixture.change(&build, |_| approved.clone()).await;
    }
    assert_eq!(fixture.builds_in(PRODUCTION), 0);
    // The version's record may name another recipe by now: the build has its own.
    let key = ImageVersion::key_of(&"logstash".parse().unwrap(), &approved.version);
    let version = fixture.ledger().get::<ImageVersion>(&key).await.unwrap().unwrap();
    let mut planted = version.record.clone();
    let ImageOrigin::Baked { artifact, .. } = &mut planted.origin else { panic!() };
    *artifact = "recipes/logstash/other.zip".into();
    fixture.ledger().replace(&version, planted).await.unwrap();
    fixture.start(&build).await.unwrap();
    assert_eq!(fixture.codebuild.started().last().unwrap().wanted.recipe, recipe_key());
}

#[tokio::test]
async fn a_refused_build_is_closed_with_its_reason_and_never_starts() {
    let fixture = Fixture::withheld().await;
    let build = fixture.begin(THERE, "production").await.unwrap().build;
    fixture.ask_person(&build).await;
    fixture.answer(&build, AnswerKind::Refuse).await;
    // An execution that takes over meets the same refusal, where the build would start.
    assert_eq!(fixture.begin(THERE, "production").await.unwrap().next, NextStep::Build);
    let refused = fixture.start(&build).await.unwrap_err();
    assert!(refused.message.contains("user/ada refused the build: because"), "{refused:?}");
    let error =
        CaughtError { error: "ApprovalRefused".into(), cause: r#"{"errorMessage":"refused"}"#.into() };
    fixture.ask(Request::FailBuild { build: build.clone(), error }).await.unwrap();
    let closed = fixture.deployment(&build).await;
    assert_eq!(closed.state, DeploymentState::Refused);
    assert_eq!(fixture.begin(THERE, "production").await.unwrap().next, NextStep::Build);
    assert!(fixture.start(&build).await.is_err());
    assert_eq!(fixture.builds_in(PRODUCTION), 0);
}

#[tokio::test]
async fn a_question_of_a_dead_execution_remains_open() {
    let fixture = Fixture::withheld().await;
    let build = fixture.begin(THERE, "production").await.unwrap().build;
    fixture.ask_person(&build).await;
    fixture.account.set_execution(THERE, "ABORTED");
    assert_eq!(fixture.begin("arn:other", "production").await.unwrap().next, NextStep::Approve);
    let waiting = fixture.deployment(&build).await;
    assert_eq!((waiting.state, waiting.approvals.len()), (DeploymentState::AwaitingApproval, 1));
    fixture.clock.advance(Duration::from_secs(15 * 24 * 3600));
    fixture.account.set_execution("arn:other", "ABORTED");
    assert_eq!(fixture.begin("arn:third", "production").await.unwrap().next, NextStep::Build);
    let refused = fixture.start(&build).await.unwrap_err();
    assert!(refused.message.contains("no approver answered within 14 days"), "{refused:?}");
}

#[tokio::test]
async fn a_question_names_the_recipe_that_was_last_built_there() {
    let fixture = Fixture::withheld().await;
    let build = fixture.begin(BUILD, "production").await.unwrap().build;
    assert_eq!(fixture.deployment(&build).await.build().unwrap().before, None);
    fixture.ask_person(&build).await;
    fixture.answer(&build, AnswerKind::Approve).await;
    fixture.build_at("production").await;
    fixture.fail_version().await;
    fixture.account.set_execution(BAKE, "ABORTED");
    fixture.claim_from("arn:bake:2", None).await.unwrap();
    fixture.build_at("test").await;
    let second = fixture.begin("arn:other", "production").await.unwrap();
    assert_eq!(second.next, NextStep::Approve, "each version is approved by itself");
    let before = fixture.deployment(&second.build).await.build().unwrap().before.clone();
    let expected = BuiltRecipe { version: "2.1.0".parse().unwrap(), artifact: recipe_key() };
    assert_eq!(before, Some(expected));
}
