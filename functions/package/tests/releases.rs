//! Releases of a commit: versions, bytes, records, and retries.

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use lockstep_domain::delivery::archive::{Limits, unpack};
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::messages::inputs::BakeImage;
use lockstep_domain::messages::package::{
    ChangedRecipe, CommitRequest, PackagedComponent, PackagedRelease, Recipe, Request, Response,
};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{CommitSha, Digest, RepositoryId};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    ClaimOrigin, Cursor, Evidence, ImageOrigin, ImageVersion, OwnedName, Ownership, Record, Rejection,
    Release, ReleaseState, Repository, Revocation,
};
use lockstep_domain::stacks::permissions::{Table, excerpt_key};
use lockstep_package::handler::handle;
use lockstep_sim::context::{BUCKET, SimContext};
use lockstep_sim::faults::{Fault, Faults, Kind, Site};
use lockstep_sim::faulty::{FaultyAccount, FaultyContext, NoMistake};
use lockstep_sim::manifest::manifest_text;
use lockstep_sim::recipe::recipe_text;
use lockstep_sim::stages::{stage_text, with_production};
use serde_json::json;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

const COMMIT: &str = "1111111111111111111111111111111111111111";
const NEXT: &str = "2222222222222222222222222222222222222222";

fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "333333333333").in_region("eu-central-1"))
}

/// The code of the function that the installation ships.
const SHIPPED: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A registered repository whose commits the git host holds.
struct Fixture {
    sim: SimContext,
    faults: Arc<Faults>,
    context: FaultyContext,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&[])
    }

    /// A fixture whose calls are struck by these faults.
    fn with(faults: &[Fault]) -> Self {
        let fixture = Self::bare(faults);
        fixture.put(&repository());
        fixture.put(&claim(OwnedName::Component("logs-broker".parse().unwrap()), Some("logs")));
        fixture.sim.apply_stages(1, &stages_text());
        fixture
    }

    /// A fixture without stages, in which no repository is registered.
    fn bare(faults: &[Fault]) -> Self {
        let mut sim = SimContext::new();
        sim.shipped = shipped(SHIPPED);
        sim.permissions = Arc::new(permissions());
        let fixture = Self::over(sim, faults);
        fixture.put(&image("2.1.36"));
        fixture.holds(COMMIT, &component("broker", "logs-broker", ""));
        fixture
    }

    fn over(sim: SimContext, faults: &[Fault]) -> Self {
        let faults = Faults::of(faults);
        let account = Arc::new(FaultyAccount::new(&faults));
        let context = FaultyContext::new(&sim, &faults, account, Rc::new(NoMistake));
        Self { sim, faults, context }
    }

    fn put<T: Record>(&self, record: &T) {
        self.sim.account.put(record);
    }

    /// Returns the releases, and the drafts that are not published: the ledger deletes the draft of what it publishes.
    fn releases(&self) -> Vec<Release> {
        let all: Vec<Release> = self.sim.account.records();
        let published: Vec<_> =
            all.iter().filter(|r| r.state == ReleaseState::Published).map(|r| r.version.clone()).collect();
        let is_left = |r: &Release| r.state == ReleaseState::Published || !published.contains(&r.version);
        all.into_iter().filter(is_left).collect()
    }

    /// Returns the commit of the default branch that was packaged last.
    fn packaged_last(&self) -> Option<CommitSha> {
        self.sim.account.find::<Cursor>(&Cursor::key_of(&repository().id)).map(|cursor| cursor.commit)
    }

    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.sim.account.objects()
    }

    fn object(&self, key: &str) -> Vec<u8> {
        self.sim.account.object(BUCKET, key).unwrap()
    }

    /// Lets `commit` have these files.
    fn holds(&self, commit: &str, files: &[(String, String)]) {
        let commit: CommitSha = commit.parse().unwrap();
        self.sim.hosts.hold(&commit, tarball(&commit, files));
    }

    fn request(&self, commit: &str, reference: &str, execution: &str) -> CommitRequest {
        CommitRequest {
            repository: "github.acme.logs".parse().unwrap(),
            reference: reference.to_owned(),
            commit: commit.parse().unwrap(),
            delivery: None,
            execution: execution.to_owned(),
            baked: false,
        }
    }

    async fn package(
        &self,
        commit: &str,
        reference: &str,
        execution: &str,
    ) -> Result<Vec<PackagedComponent>, Failure> {
        self.package_of(None, commit, reference, execution).await
    }

    /// Packages a commit that a delivery reported, while the branch points to `head`.
    async fn delivered(&self, commit: &str, head: Option<&str>) -> Result<Vec<PackagedComponent>, Failure> {
        self.sim.hosts.answer("logs", Ok(head.map(|head| head.parse().unwrap())));
        self.package_of(Some("d-1"), commit, "refs/heads/main", "arn:execution").await
    }

    async fn package_of(
        &self,
        delivery: Option<&str>,
        commit: &str,
        reference: &str,
        execution: &str,
    ) -> Result<Vec<PackagedComponent>, Failure> {
        let delivery = delivery.map(str::to_owned);
        let request = CommitRequest { delivery, ..self.request(commit, reference, execution) };
        match self.handle(Request::Commit(request)).await? {
            Response::Packaged { components } => Ok(components),
            other => panic!("{other:?}"),
        }
    }

    /// Packages a commit whose recipes are not baked yet. Returns the rejected and the changed recipes.
    async fn bake_first(&self, commit: &str) -> (Vec<PackagedComponent>, Vec<ChangedRecipe>) {
        let request = self.request(commit, "refs/heads/main", "arn:execution");
        match self.handle(Request::Commit(request)).await.unwrap() {
            Response::BakeFirst { components, recipes } => (components, recipes),
            other => panic!("{other:?}"),
        }
    }

    /// Packages the recipe of `image` at [`COMMIT`].
    async fn recipe(&self, image: &str) -> Result<Recipe, Failure> {
        match self.handle(Request::Recipe(baking(image))).await? {
            Response::Recipe { recipe } => Ok(recipe),
            other => panic!("{other:?}"),
        }
    }

    async fn handle(&self, request: Request) -> Result<Response, Failure> {
        handle(&self.context, request, "2026-03-01T12:00:00Z".parse().unwrap()).await
    }

    /// Returns the result for the only component of `commit` on the default branch.
    async fn main(&self, commit: &str) -> PackagedComponent {
        only(self.package(commit, "refs/heads/main", "arn:execution").await.unwrap())
    }

    fn publish(&self, version: &str) {
        let mut release = self.releases().into_iter().find(|r| r.version.to_string() == version).unwrap();
        release.state = ReleaseState::Published;
        self.put(&release);
    }

    fn prove(&self, version: &str) {
        let release = self.releases().into_iter().find(|r| r.version.to_string() == version).unwrap();
        self.put(&Evidence {
            component: release.component,
            digest: release.digest,
            stage: "ci".parse().unwrap(),
            version: release.version,
            deployment: lockstep_domain::model::ids::DeploymentId::of_execution("arn"),
            passed_at: Timestamp::UNIX_EPOCH,
        });
    }
}

fn repository() -> Repository {
    Repository {
        id: "github.acme.logs".parse().unwrap(),
        base_url: "https://api.github.com".to_owned(),
        branch: "main".to_owned(),
        branches: vec!["*".parse().unwrap()],
        added_by: "arn".to_owned(),
        added_at: Timestamp::UNIX_EPOCH,
    }
}

fn only(components: Vec<PackagedComponent>) -> PackagedComponent {
    let [component] = components.try_into().unwrap();
    component
}

/// Returns the release of a packaged component.
fn packaged(component: PackagedComponent) -> PackagedRelease {
    match component {
        PackagedComponent::Packaged(release) => release,
        other => panic!("{other:?}"),
    }
}

/// Returns the problems of a rejected component.
fn problems(component: PackagedComponent) -> Vec<String> {
    match component {
        PackagedComponent::Rejected { problems, .. } => problems,
        other => panic!("{other:?}"),
    }
}

/// Returns the version of the published release that a component equals.
fn unchanged(component: PackagedComponent) -> String {
    match component {
        PackagedComponent::Unchanged { version, .. } => version.to_string(),
        other => panic!("{other:?}"),
    }
}

/// Permissions that the resource types of the components need.
fn permissions() -> Table {
    let row = json!({"create": ["sns:CreateTopic"]});
    serde_json::from_value(json!({
        "types": {"AWS::SNS::Topic": row, "AWS::SQS::Queue": {"create": ["sqs:CreateQueue"]}},
        "actions": {"sns:CreateTopic": {}, "sqs:CreateQueue": {}},
    }))
    .unwrap()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// Functions of an installation that ships one with this code.
fn shipped(digest: &str) -> FunctionLock {
    FunctionLock::of_keys(&format!("functions/elb-logs/{digest}.zip")).unwrap()
}

fn image(version: &str) -> ImageVersion {
    ImageVersion {
        name: "logstash".parse().unwrap(),
        version: version.parse().unwrap(),
        state: ImageVersionState::Usable,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: None },
        source_ami: Some("ami-00000001".parse().unwrap()),
        required: Default::default(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "arn".to_owned(),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

/// A component in `folder`; `extra` is added to its default parameters.
fn component(folder: &str, name: &str, extra: &str) -> Vec<(String, String)> {
    let sections = "[images]\nImageId = \"logstash@^2.1\"\n\n[test]\noutputs_from = \"ci\"\n";
    let manifest = manifest_text(name).with_version("2.1").with(sections).to_string();
    let template = "Parameters:\n  ImageId: {Type: \"AWS::EC2::Image::Id\"}\n  Size: {Type: String}\n\
         Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n\
         \x20   Properties: {DisplayName: !Sub \"${ImageId} ${Size}\"}\nOutputs:\n  Host: {Value: !Ref Topic}\n";
    [
        ("lockstep.toml", manifest),
        ("template.yaml", template.to_owned()),
        (
            "parameters/default.toml",
            if extra.is_empty() { "Size = \"small\"\n".to_owned() } else { extra.to_owned() },
        ),
    ]
    .into_iter()
    .map(|(path, text)| (format!("{folder}/{path}").trim_start_matches('/').to_owned(), text))
    .collect()
}

/// A tarball as `git archive` writes it: the commit in a global header, everything below one folder.
fn tarball(commit: &CommitSha, files: &[(String, String)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let record = format!("52 comment={commit}\n");
    assert_eq!(record.len(), 52);
    append(&mut archive, tar::EntryType::XGlobalHeader, "pax_global_header", record.as_bytes());
    for (path, text) in files {
        append(&mut archive, tar::EntryType::Regular, &format!("acme-logs/{path}"), text.as_bytes());
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn append(archive: &mut tar::Builder<GzEncoder<Vec<u8>>>, kind: tar::EntryType, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes).unwrap();
}

#[tokio::test]
async fn a_commit_becomes_a_release_with_all_it_needs() {
    let fixture = Fixture::new();
    let component = packaged(fixture.main(COMMIT).await);
    assert_eq!((component.component.as_str(), component.version), ("logs-broker", version("2.1.0")));
    assert_eq!(component.environment, "logs-broker-2-1-0");
    assert!(!component.pre_release);
    let stages: Vec<_> = component.deployments.iter().map(|next| next.stage.as_str()).collect();
    assert_eq!(stages, ["ci"]);
    assert_ne!(component.test_execution, component.deployments[0].execution);
    let [release] = fixture.releases().try_into().unwrap();
    assert_eq!(
        (release.state, release.author.as_str(), release.folder.as_str(), release.template.as_str()),
        (ReleaseState::Packaged, "Ada", "broker", "template.yaml")
    );
    let artifact = fixture.object(&release.artifact);
    assert_eq!(release.artifact, format!("releases/logs-broker/{}.zip", release.digest));
    assert_eq!(Digest::of(&artifact), release.digest);
    let files = unpack(&artifact, &Limits::DEFAULT).unwrap();
    assert!(
        files.contains_key("lockstep.toml") && files.contains_key("image-lock.json"),
        "{:?}",
        files.keys()
    );
    let excerpt = excerpt_key(&release.component, release.permissions.as_ref().unwrap());
    let table = Table::read(&fixture.object(&excerpt), release.permissions.as_ref().unwrap()).unwrap();
    assert_eq!(table.types.keys().collect::<Vec<_>>(), ["AWS::SNS::Topic"]);
    assert_eq!((release.folder.as_str(), fixture.packaged_last()), ("broker", Some(COMMIT.parse().unwrap())));
}

#[tokio::test]
async fn the_same_commit_gives_the_same_bytes_in_another_installation() {
    let (one, other) = (Fixture::new(), Fixture::new());
    one.main(COMMIT).await;
    other.main(COMMIT).await;
    assert_eq!(one.objects(), other.objects());
}

#[tokio::test]
async fn a_run_that_fails_at_any_write_is_repeated_with_the_same_version() {
    let fault_free = Fixture::new();
    fault_free.main(COMMIT).await;
    let crossed = fault_free.faults.crossed();
    let writes: Vec<(usize, &str)> = crossed
        .iter()
        .enumerate()
        .filter(|(_, call)| call.site == Site::Write)
        .map(|(at, call)| (at, call.name.trim_start_matches(": ")))
        .collect();
    let names: Vec<&str> = writes.iter().map(|(_, name)| *name).collect();
    // Permissions, then artifact.
    let objects = ["PutObject", "PutObject"];
    let records = ["PutItem RELEASE", "PutItem CURSOR"];
    assert_eq!(names, [&["PutItem COUNTER", "PutItem COMMIT"], &objects[..], &records[..]].concat());
    for ((at, name), kind) in
        writes.into_iter().flat_map(|write| [(write, Kind::Before), (write, Kind::Lost)])
    {
        let case = format!("{name} {kind}");
        let fixture = Fixture::with(&[Fault { at, kind }]);
        let broken = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap_err();
        assert_eq!(broken.kind, FailureKind::Transient, "{case}");
        let before: Vec<_> = fixture.releases().into_iter().map(|r| r.version).collect();
        let first = fixture.main(COMMIT).await;
        let releases = fixture.releases();
        assert_eq!(releases.len(), 1, "{case}");
        assert!(before.iter().all(|version| *version == releases[0].version), "{case}");
        assert_eq!(fixture.main(COMMIT).await, first, "{case}");
        assert_eq!(fixture.objects().len(), 2, "{case}");
    }
}

#[tokio::test]
async fn a_release_that_failed_its_test_is_packaged_again_under_its_version() {
    let fixture = Fixture::new();
    let first = packaged(fixture.main(COMMIT).await);
    let mut failed = fixture.releases().remove(0);
    (failed.state, failed.failure) = (ReleaseState::TestFailed, Some("no host".to_owned()));
    fixture.put(&failed);
    let again = packaged(only(fixture.package(COMMIT, "main", "arn:again").await.unwrap()));
    assert_eq!(again.version, first.version);
    assert_ne!(again.test_execution, first.test_execution);
    let [release] = fixture.releases().try_into().unwrap();
    assert_eq!(
        (release.state, release.failure, release.execution.as_str()),
        (ReleaseState::Packaged, None, "arn:again")
    );
}

#[tokio::test]
async fn a_component_equal_to_its_newest_published_release_is_unchanged() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", ""));
    assert_eq!(unchanged(fixture.main(NEXT).await), "2.1.0");
    assert_eq!(fixture.releases().len(), 1);
}

#[tokio::test]
async fn a_changed_file_or_a_new_image_is_a_new_release() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", "Size = \"large\"\n"));
    assert_eq!(packaged(fixture.main(NEXT).await).version, version("2.1.1"));
    fixture.publish("2.1.1");
    fixture.put(&image("2.1.37"));
    assert_eq!(packaged(fixture.main(NEXT).await).version, version("2.1.2"));
    let listed = |release: &Release| release.commits.as_ref().map(|commits| commits.listed.len());
    let counts: Vec<Option<usize>> = fixture.releases().iter().map(listed).collect();
    assert_eq!(counts, [None, Some(1), Some(0)], "commits since the release before");
}

#[tokio::test]
async fn a_host_that_lists_no_commits_prevents_no_release() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", "Size = \"large\"\n"));
    fixture.sim.hosts.keep_lists(true);
    assert_eq!(packaged(fixture.main(NEXT).await).version, version("2.1.1"));
    assert!(fixture.releases().iter().all(|release| release.commits.is_none()));
}

#[tokio::test]
async fn other_code_of_a_function_is_a_new_release_without_a_commit() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &component("logs", "elb-logs", "Size = \"${functions.elb-logs}\"\n"));
    assert_eq!(packaged(fixture.main(COMMIT).await).version, version("2.1.0"));
    fixture.publish("2.1.0");
    fixture.prove("2.1.0");
    assert_eq!(unchanged(fixture.main(COMMIT).await), "2.1.0");
    let mut sim = fixture.sim;
    sim.shipped = shipped("ffffc44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let again = packaged(Fixture::over(sim, &[]).main(COMMIT).await);
    assert_eq!(again.version, version("2.1.1"));
}

#[tokio::test]
async fn a_published_release_of_the_same_commit_continues_to_its_last_stage() {
    let fixture = Fixture::new();
    let first = packaged(fixture.main(COMMIT).await);
    fixture.publish("2.1.0");
    let driven = packaged(only(fixture.package(COMMIT, "main", "arn:again").await.unwrap()));
    assert_eq!(driven.version, first.version);
    assert_eq!(driven.deployments.len(), 1);
    assert_eq!(fixture.releases()[0].state, ReleaseState::Published);
    fixture.prove("2.1.0");
    assert_eq!(unchanged(fixture.main(COMMIT).await), "2.1.0");
}

#[tokio::test]
async fn an_older_published_commit_is_not_deployed_over_a_newer_one() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", "Size = \"large\"\n"));
    fixture.main(NEXT).await;
    fixture.publish("2.1.1");
    assert_eq!(unchanged(fixture.main(COMMIT).await), "2.1.0");
}

#[tokio::test]
async fn a_branch_that_the_registration_does_not_list_is_not_built() {
    let fixture = Fixture::new();
    fixture.put(&Repository { branches: vec!["feature/*".parse().unwrap()], ..repository() });
    let failure = fixture.package(COMMIT, "refs/heads/fix", "arn:execution").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("pushes to fix are not released"), "{failure}");
    assert!(fixture.releases().is_empty());
    fixture.package(COMMIT, "refs/heads/feature/x", "arn:execution").await.unwrap();
    assert_eq!(fixture.releases().len(), 1);
}

#[tokio::test]
async fn a_commit_that_is_not_on_the_branch_is_not_released() {
    let fixture = Fixture::new();
    fixture.sim.hosts.stray(&COMMIT.parse().unwrap(), Ok(()));
    for reference in ["refs/heads/main", "main", "refs/heads/fix"] {
        let failure = fixture.package(COMMIT, reference, "arn:execution").await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected, "{reference}");
        assert!(failure.message.contains("is not on the branch"), "{failure}");
    }
    let baked = CommitRequest { baked: true, ..fixture.request(COMMIT, "refs/heads/main", "arn:execution") };
    assert_eq!(fixture.handle(Request::Commit(baked)).await.unwrap_err().kind, FailureKind::Rejected);
    assert_eq!(fixture.recipe("logstash").await.unwrap_err().kind, FailureKind::Rejected);
    assert!(fixture.releases().is_empty() && fixture.objects().is_empty());
}

#[tokio::test]
async fn a_host_that_cannot_compare_releases_nothing() {
    for kind in [FailureKind::Transient, FailureKind::Throttled, FailureKind::AccessDenied] {
        let fixture = Fixture::new();
        fixture.sim.hosts.stray(&COMMIT.parse().unwrap(), Err(Failure::new(kind, "no answer")));
        let failure = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap_err();
        assert_eq!(failure.kind, kind);
        assert_eq!(fixture.recipe("logstash").await.unwrap_err().kind, kind);
        assert!(fixture.releases().is_empty());
    }
}

#[tokio::test]
async fn a_delivery_behind_its_branch_is_superseded_and_writes_nothing() {
    // FAILURES 53: pushes out of order, a force-push, a branch that is gone.
    for (head, reason) in [(Some(NEXT), "is at 2222222 now"), (None, "is gone")] {
        let fixture = Fixture::new();
        let failure = fixture.delivered(COMMIT, head).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Superseded);
        assert!(failure.message.contains(reason), "{}", failure.message);
        assert!(fixture.releases().is_empty() && fixture.objects().is_empty());
    }
    let fixture = Fixture::new();
    packaged(only(fixture.delivered(COMMIT, Some(COMMIT)).await.unwrap()));
    assert_eq!(fixture.packaged_last(), Some(COMMIT.parse().unwrap()));
}

#[tokio::test]
async fn a_host_that_fails_supersedes_no_delivery() {
    let fixture = Fixture::new();
    fixture.sim.hosts.answer("logs", Err(Failure::new(FailureKind::Transient, "the host is down")));
    let failure = fixture.package_of(Some("d-1"), COMMIT, "refs/heads/main", "arn").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "the state machine asks again");
    // The host is not asked about a commit that an operator named.
    packaged(fixture.main(COMMIT).await);
    assert_eq!(fixture.sim.hosts.asked(), 1);
}

#[tokio::test]
async fn another_branch_gives_a_pre_release_without_deployments() {
    let fixture = Fixture::new();
    let component = packaged(only(fixture.package(COMMIT, "refs/heads/fix/x", "arn").await.unwrap()));
    assert_eq!((&component.version, component.pre_release), (&version("2.1.0-fix-x.1"), true));
    assert_eq!(component.environment, "logs-broker-2-1-0-fix-x-1");
    assert!(component.deployments.is_empty());
    assert_eq!(fixture.packaged_last(), None);
    let again = packaged(only(fixture.package(COMMIT, "refs/heads/fix/x", "arn").await.unwrap()));
    assert_eq!(again, component);
}

#[tokio::test]
async fn a_commit_that_reaches_the_default_branch_gets_its_own_release() {
    let fixture = Fixture::new();
    fixture.package(COMMIT, "refs/heads/fix", "arn").await.unwrap();
    let merged = packaged(fixture.main(COMMIT).await);
    assert_eq!((&merged.version, merged.pre_release), (&version("2.1.1"), false));
    assert_eq!(packaged(fixture.main(COMMIT).await), merged);
}

#[tokio::test]
async fn an_invalid_component_is_recorded_and_its_siblings_are_packaged() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs-a", "Size = \"small\"\nSise = \"x\"\n");
    files.extend(component("b", "logs-b", ""));
    files.push(("c/lockstep.toml".to_owned(), "[component]\nname = \"Not A Name\"\n".to_owned()));
    fixture.holds(COMMIT, &files);
    let [first, second, third] = fixture.package(COMMIT, "main", "arn").await.unwrap().try_into().unwrap();
    assert_eq!(packaged(second).component.as_str(), "logs-b");
    assert!(matches!(third, PackagedComponent::Rejected { component, .. } if component == "c"));
    let problem = &problems(first)[0];
    assert!(problem.starts_with("a/parameters/default.toml:2: ") && problem.contains("Sise"), "{problem}");
    let rejections: Vec<Rejection> = fixture.sim.account.records();
    let recorded: Vec<_> =
        rejections.iter().map(|r| (r.component.as_str(), r.problems[0].to_string())).collect();
    assert_eq!(recorded[1], ("logs-a", problem.clone()), "{recorded:?}");
    assert_eq!(fixture.releases().len(), 1);
}

#[tokio::test]
async fn two_folders_with_one_name_are_both_refused() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs", "");
    files.extend(component("b", "logs", "Size = \"large\"\n"));
    fixture.holds(COMMIT, &files);
    let both = fixture.package(COMMIT, "main", "arn").await.unwrap();
    assert_eq!(both.len(), 2);
    for problems in both.into_iter().map(problems) {
        assert!(problems[0].contains("a and b"), "{problems:?}");
    }
    assert!(fixture.releases().is_empty());
}

/// Returns the claim of a repository of the organisation to a name; that of an import without an owner.
fn claim(of: OwnedName, owner: Option<&str>) -> Ownership {
    Ownership {
        of,
        owner: owner.map(|name| RepositoryId::github("acme", name).unwrap()),
        origin: ClaimOrigin::Push,
        by: "arn:earlier".into(),
        at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn a_name_of_another_repository_cannot_be_taken_over() {
    let fixture = Fixture::new();
    fixture.put(&claim(OwnedName::Component("logs-broker".parse().unwrap()), Some("elsewhere")));
    for reference in ["refs/heads/main", "refs/heads/feature/x"] {
        let refused = fixture.package(COMMIT, reference, "arn:execution").await.unwrap().remove(0);
        let problems = problems(refused);
        assert!(problems[0].contains("belongs to acme/elsewhere"), "{problems:?}");
        assert!(problems[0].contains("lockstep components assign logs-broker"), "{problems:?}");
    }
    assert!(fixture.releases().is_empty() && fixture.objects().is_empty());
}

#[tokio::test]
async fn a_new_name_is_released_from_the_default_branch_alone() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &component("new", "payments", ""));
    let refused = fixture.package(COMMIT, "refs/heads/feature/x", "arn:execution").await.unwrap().remove(0);
    assert!(problems(refused)[0].contains("has no owner yet"));
    assert!(fixture.releases().is_empty());
    packaged(fixture.main(COMMIT).await);
    assert_eq!(fixture.sim.account.records::<Ownership>().len(), 1, "only the ledger writes the claim");
}

#[tokio::test]
async fn an_image_of_another_owner_is_not_packaged() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &recipe("kibana"));
    for (owner, reason) in
        [(Some("elsewhere"), "belongs to acme/elsewhere"), (None, "belongs to no repository")]
    {
        fixture.put(&claim(OwnedName::Image("kibana".parse().unwrap()), owner));
        let refused = fixture.recipe("kibana").await.unwrap_err();
        assert!(refused.message.contains(reason), "{refused}");
        assert!(refused.message.contains("lockstep images assign kibana --to github:acme/logs"), "{refused}");
        let pushed = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap().remove(0);
        assert!(problems(pushed)[0].contains(reason));
    }
    assert!(fixture.objects().is_empty());
}

#[tokio::test]
async fn an_output_of_a_sibling_in_the_same_commit_is_known() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs-a", "Size = \"${outputs.logs-b.Host}\"\n");
    files.extend(component("b", "logs-b", ""));
    fixture.holds(COMMIT, &files);
    let both = fixture.package(COMMIT, "main", "arn").await.unwrap();
    assert_eq!(both.into_iter().map(packaged).count(), 2);
    fixture.holds(NEXT, &component("a", "logs-a", "Size = \"${outputs.logs-b.Host}\"\n"));
    let unknown = problems(fixture.main(NEXT).await);
    assert!(unknown[0].contains("logs-b"), "b was never published: {unknown:?}");
    fixture.publish_all();
    fixture.holds(NEXT, &component("a", "logs-a", "Size = \"x-${outputs.logs-b.Host}\"\n"));
    packaged(fixture.main(NEXT).await);
}

impl Fixture {
    fn publish_all(&self) {
        for mut release in self.releases() {
            release.state = ReleaseState::Published;
            self.put(&release);
        }
    }
}

#[tokio::test]
async fn a_version_that_is_withheld_or_revoked_is_not_pinned() {
    let fixture = Fixture::new();
    fixture.put(&ImageVersion { state: ImageVersionState::Withheld, ..image("2.1.40") });
    fixture.put(&image("2.1.42"));
    let action = OperatorAction::new("arn", "a hole", Timestamp::UNIX_EPOCH).unwrap();
    fixture.put(&Revocation::new(&image("2.1.42").name, &image("2.1.42").version, &action));
    fixture.main(COMMIT).await;
    let lock = fixture.releases().remove(0).image_lock;
    assert_eq!(lock.0.values().next().unwrap().version.to_string(), "2.1.36");
}

#[tokio::test]
async fn a_commit_without_components_is_refused_with_the_next_command() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &[("README.md".to_owned(), "hello".to_owned())]);
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("lockstep init"), "{}", failure.message);
}

#[tokio::test]
async fn an_archive_of_another_commit_or_of_none_is_refused() {
    let fixture = Fixture::new();
    let wrong = tarball(&NEXT.parse().unwrap(), &component("", "logs", ""));
    fixture.sim.hosts.hold(&COMMIT.parse().unwrap(), wrong);
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert!(failure.message.contains(NEXT), "{}", failure.message);
    fixture.sim.hosts.hold(&COMMIT.parse().unwrap(), b"no archive".to_vec());
    assert_eq!(fixture.package(COMMIT, "main", "arn").await.unwrap_err().kind, FailureKind::Rejected);
}

#[tokio::test]
async fn nothing_is_packaged_without_a_registration_or_stages() {
    let fixture = Fixture::bare(&[]);
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
    fixture.put(&repository());
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert!(failure.message.contains("lockstep stages apply"), "{}", failure.message);
    assert!(fixture.releases().is_empty() && fixture.objects().is_empty());
}

fn recipe(image: &str) -> Vec<(String, String)> {
    let files = recipe_text(image).files().into_iter();
    files.map(|(path, text)| (format!("images/{image}/{path}"), text)).collect()
}

fn baking(image: &str) -> BakeImage {
    BakeImage {
        image: image.parse().unwrap(),
        repository: "github.acme.logs".parse().unwrap(),
        commit: COMMIT.parse().unwrap(),
        reference: "refs/heads/main".to_owned(),
        overrides: BTreeMap::new(),
    }
}

#[tokio::test]
async fn changed_recipes_are_baked_before_components_are_packaged() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &[component("broker", "logs-broker", ""), recipe("kibana")].concat());
    let (rejected, recipes) = fixture.bake_first(COMMIT).await;
    assert!(rejected.is_empty() && fixture.releases().is_empty());
    assert_eq!(recipes.iter().map(|recipe| recipe.image.as_str()).collect::<Vec<_>>(), ["kibana"]);
    let request = fixture.request(COMMIT, "refs/heads/main", "arn:execution");
    let response = fixture.handle(Request::Commit(CommitRequest { baked: true, ..request })).await.unwrap();
    assert!(matches!(response, Response::Packaged { components } if components.len() == 1));
}

#[tokio::test]
async fn a_recipe_that_was_baked_before_is_not_baked_again() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &[component("broker", "logs-broker", ""), recipe("kibana")].concat());
    let recipe = fixture.recipe("kibana").await.unwrap();
    let origin = ImageOrigin::Baked {
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: NEXT.parse().unwrap(),
        folder: recipe.folder.clone(),
        recipe: recipe.digest.clone(),
        artifact: recipe.artifact.clone(),
        base: recipe.base.clone(),
    };
    fixture.put(&ImageVersion { name: "kibana".parse().unwrap(), origin, ..image("2.1.0") });
    packaged(fixture.main(COMMIT).await);
}

#[tokio::test]
async fn a_recipe_is_stored_with_the_values_of_every_account() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &recipe("kibana"));
    let stored = fixture.recipe("kibana").await.unwrap();
    let files = unpack(&fixture.object(&stored.artifact), &Limits::DEFAULT).unwrap();
    for account in ["111111111111", "333333333333"] {
        assert!(files.contains_key(&format!("lockstep/{account}.pkrvars.json")), "{:?}", files.keys());
    }
    let unknown = fixture.recipe("logstash").await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::NotFound);
}

#[tokio::test]
async fn an_invalid_recipe_is_recorded_and_its_siblings_are_packaged() {
    let fixture = Fixture::new();
    let mut wrong = recipe("kibana");
    wrong[1].1 = wrong[1].1.replace("\"required\"", "\"optional\"");
    fixture.holds(COMMIT, &[component("broker", "logs-broker", ""), wrong].concat());
    let refused = fixture.recipe("kibana").await.unwrap_err();
    assert!(refused.message.starts_with("images/kibana/image.pkr.hcl:"), "{refused:?}");
    let [image, sibling] =
        fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap().try_into().unwrap();
    assert_eq!(problems(image), refused.message.lines().collect::<Vec<_>>());
    packaged(sibling);
    assert_eq!(fixture.sim.account.records::<Rejection>().len(), 1);
}

#[tokio::test]
async fn components_that_need_each_other_are_refused_with_the_path() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs-a", "Size = \"${outputs.logs-b.Host}\"\n");
    files.extend(component("b", "logs-b", "Size = \"${outputs.logs-a.Host}\"\n"));
    files.extend(component("c", "logs-c", "Size = \"${outputs.logs-a.Host}\"\n"));
    fixture.holds(NEXT, &files);
    let packaged = fixture.package(NEXT, "refs/heads/main", "arn:execution").await.unwrap();
    let reasons: Vec<String> = packaged
        .iter()
        .filter_map(|component| match component {
            PackagedComponent::Rejected { problems, .. } => Some(problems.join(" ")),
            _ => None,
        })
        .collect();
    assert_eq!(reasons.len(), 2, "{packaged:?}");
    assert!(reasons[0].starts_with("a/parameters/default.toml:1: `Size`"), "{reasons:?}");
    assert!(reasons[0].contains("logs-a -> logs-b -> logs-a"), "{reasons:?}");
    assert!(reasons[1].contains("logs-b -> logs-a -> logs-b"), "{reasons:?}");
    // The consumer is on no circle, and its release names what it needs.
    let released: Vec<Release> = fixture.releases();
    let release = released.iter().find(|release| release.component.as_str() == "logs-c").unwrap();
    assert_eq!(release.producers, ["logs-a".parse().unwrap()].into());
}

/// Returns a component whose template names a public parameter.
fn with_public_image() -> Vec<(String, String)> {
    let base = format!(
        "Parameters:\n  Base: {{Type: \"AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>\", Default: {PUBLIC_IMAGE}}}\n"
    );
    let mut files = component("broker", "logs-broker", "");
    files[1].1 = files[1].1.replacen("Parameters:\n", &base, 1);
    files
}

const PUBLIC_IMAGE: &str = "/aws/service/ami-amazon-linux-latest/al2023";

#[tokio::test]
async fn a_release_pins_public_parameters_in_each_region_of_its_stages() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &with_public_image());
    fixture.sim.stored.put_parameter(PUBLIC_IMAGE, Some("ami-1"));
    packaged(fixture.main(COMMIT).await);
    let [release] = fixture.releases().try_into().unwrap();
    let files = unpack(&fixture.object(&release.artifact), &Limits::DEFAULT).unwrap();
    let lock: serde_json::Value = serde_json::from_slice(&files["public-parameter-lock.json"]).unwrap();
    let pins = json!({PUBLIC_IMAGE: {"version": 1, "value": "ami-1"}});
    assert_eq!(lock, json!({"parameters": ["Base"], "regions": {"eu-west-1": pins, "eu-central-1": pins}}));
}

#[tokio::test]
async fn a_public_parameter_that_does_not_exist_rejects_the_component() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &with_public_image());
    let found = problems(fixture.main(COMMIT).await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("broker/template.yaml:2: the public parameter /aws/service/"), "{found:?}");
}
