//! What becomes of a commit: versions, bytes, records, and what a retry finds.

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use lockstep_domain::delivery::archive::{Limits, unpack};
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::messages::inputs::BakeImage;
use lockstep_domain::messages::package::{Component, Outcome, Request, Response};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{CommitSha, Digest};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{
    Config, ConfigKind, Evidence, ImageOrigin, ImageVersion, Key, Record, Rejection, Release, ReleaseState,
    Repository, Revocation,
};
use lockstep_domain::stacks::permissions::{Table, excerpt_key};
use lockstep_package::context::PackageContext;
use lockstep_package::handler::handle;
use lockstep_package::recipes;
use lockstep_package::source::Fetched;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

const COMMIT: &str = "1111111111111111111111111111111111111111";
const NEXT: &str = "2222222222222222222222222222222222222222";

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
account = "333333333333"
region = "eu-central-1"
"#;

/// A ledger, a bucket and a git host in memory.
struct Fixture {
    records: RefCell<BTreeMap<Key, Value>>,
    objects: RefCell<BTreeMap<String, Vec<u8>>>,
    tarballs: RefCell<BTreeMap<CommitSha, Vec<u8>>>,
    shipped: FunctionLock,
    /// What every branch points to, or why the host does not say.
    head: RefCell<Result<Option<CommitSha>, Failure>>,
    /// How many writes are still allowed before one breaks off, once, after it had its effect.
    writes_left: Cell<Option<u32>>,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            records: RefCell::default(),
            objects: RefCell::default(),
            tarballs: RefCell::default(),
            shipped: shipped("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            head: RefCell::new(Err(Failure::new(FailureKind::Transient, "nobody should ask"))),
            writes_left: Cell::new(None),
        };
        fixture.put(&Repository {
            id: "github.acme.logs".parse().unwrap(),
            base_url: "https://api.github.com".to_owned(),
            branch: "main".to_owned(),
            components: BTreeMap::new(),
            commit: None,
            added_by: "arn".to_owned(),
            added_at: Timestamp::UNIX_EPOCH,
        });
        fixture.put(&Config {
            config: ConfigKind::Stages,
            version: 1,
            text: STAGES.to_owned(),
            applied_by: "arn".to_owned(),
            applied_at: Timestamp::UNIX_EPOCH,
        });
        fixture.put(&image("2.1.36"));
        fixture.holds(COMMIT, &component("broker", "logs-broker", ""));
        fixture
    }

    fn put<T: Record>(&self, record: &T) {
        self.records.borrow_mut().insert(record.key(), serde_json::to_value(record).unwrap());
    }

    fn all<T: Record>(&self, kind: &str) -> Vec<T> {
        let records = self.records.borrow();
        let found = records.iter().filter(|(key, _)| key.sk.starts_with(kind));
        found.map(|(_, value)| serde_json::from_value(value.clone()).unwrap()).collect()
    }

    fn releases(&self) -> Vec<Release> {
        self.all("RELEASE#")
    }

    /// Lets `commit` have these files.
    fn holds(&self, commit: &str, files: &[(String, String)]) {
        let commit: CommitSha = commit.parse().unwrap();
        self.tarballs.borrow_mut().insert(commit.clone(), tarball(&commit, files));
    }

    fn written(&self) -> Result<(), Failure> {
        match self.writes_left.get() {
            Some(0) => {
                self.writes_left.set(None);
                Err(Failure::new(FailureKind::Transient, "the reply is lost"))
            }
            left => {
                self.writes_left.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

    fn request(&self, commit: &str, reference: &str, execution: &str) -> Request {
        Request {
            repository: "github.acme.logs".parse().unwrap(),
            reference: reference.to_owned(),
            commit: commit.parse().unwrap(),
            delivery: None,
            execution: execution.to_owned(),
            baked: false,
        }
    }

    async fn package(&self, commit: &str, reference: &str, execution: &str) -> Result<Response, Failure> {
        self.package_of(None, commit, reference, execution).await
    }

    /// What a delivery told of, while the branch points to `head`.
    async fn delivered(&self, commit: &str, head: Option<&str>) -> Result<Response, Failure> {
        *self.head.borrow_mut() = Ok(head.map(|head| head.parse().unwrap()));
        self.package_of(Some("d-1"), commit, "refs/heads/main", "arn:execution").await
    }

    async fn package_of(
        &self,
        delivery: Option<&str>,
        commit: &str,
        reference: &str,
        execution: &str,
    ) -> Result<Response, Failure> {
        let delivery = delivery.map(str::to_owned);
        let request = Request { delivery, ..self.request(commit, reference, execution) };
        handle(self, &request, "2026-03-01T12:00:00Z".parse().unwrap()).await
    }

    /// The only component that packaging `commit` on the default branch answers with.
    async fn main(&self, commit: &str) -> Component {
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

impl PackageContext for Fixture {
    async fn fetch(&self, _: &Repository, commit: &CommitSha) -> Result<Fetched, Failure> {
        let tarball = self.tarballs.borrow().get(commit).cloned();
        let tarball = tarball.ok_or_else(|| Failure::rejected("no such commit"))?;
        Ok(Fetched { tarball, author: "Ada".to_owned() })
    }

    async fn head(&self, _: &Repository, _: &str) -> Result<Option<CommitSha>, Failure> {
        self.head.borrow().clone()
    }

    async fn store(&self, key: &str, artifact: Vec<u8>) -> Result<(), Failure> {
        self.objects.borrow_mut().insert(key.to_owned(), artifact);
        self.written()
    }

    fn shipped(&self) -> &FunctionLock {
        &self.shipped
    }

    async fn permissions(&self) -> Result<Arc<Table>, Failure> {
        Ok(Arc::new(permissions()))
    }

    async fn get<T: Record>(&self, key: &Key) -> Result<Option<T>, Failure> {
        Ok(self.records.borrow().get(key).map(|value| serde_json::from_value(value.clone()).unwrap()))
    }

    async fn newest<T: Record>(&self, pk: &str, sk_prefix: &str, limit: usize) -> Result<Vec<T>, Failure> {
        let records = self.records.borrow();
        let below = records.iter().rev().filter(|(key, _)| key.pk == pk && key.sk.starts_with(sk_prefix));
        Ok(below.take(limit).map(|(_, value)| serde_json::from_value(value.clone()).unwrap()).collect())
    }

    async fn change<T: Record>(
        &self,
        key: &Key,
        plan: impl FnOnce(Option<&T>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let old: Option<T> = self.get(key).await?;
        let Some(wanted) = plan(old.as_ref()) else { return Ok(old) };
        assert_eq!(wanted.key(), *key);
        self.put(&wanted);
        self.written().map(|()| Some(wanted))
    }
}

fn only(response: Response) -> Component {
    let [component] = response.components.try_into().unwrap();
    component
}

/// What the components' resource types need.
fn permissions() -> Table {
    let row = json!({"create": ["sns:CreateTopic"]});
    serde_json::from_value(json!({
        "types": {"AWS::SNS::Topic": row, "AWS::SQS::Queue": {"create": ["sqs:CreateQueue"]}},
        "actions": {"sns:CreateTopic": {}, "sqs:CreateQueue": {}},
    }))
    .unwrap()
}

/// An installation that ships one function with this code.
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
    let manifest = format!(
        "[component]\nname = \"{name}\"\nversion = \"2.1\"\ntemplate = \"template.yaml\"\nteam = \"platform\"\n\
         function = \"logging\"\n\n[images]\nImageId = \"logstash@^2.1\"\n\n[test]\noutputs_from = \"ci\"\n"
    );
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
    let component = fixture.main(COMMIT).await;
    assert_eq!(component.outcome, Outcome::Packaged, "{:?}", component.problems);
    assert_eq!((component.component.as_str(), component.version.as_str()), ("logs-broker", "2.1.0"));
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
    let artifact = fixture.objects.borrow()[&release.artifact].clone();
    assert_eq!(release.artifact, format!("releases/logs-broker/{}.zip", release.digest));
    assert_eq!(Digest::of(&artifact), release.digest);
    let files = unpack(&artifact, &Limits::DEFAULT).unwrap();
    assert!(
        files.contains_key("lockstep.toml") && files.contains_key("image-lock.json"),
        "{:?}",
        files.keys()
    );
    let excerpt = excerpt_key(&release.component, release.permissions.as_ref().unwrap());
    let table =
        Table::read(&fixture.objects.borrow()[&excerpt], release.permissions.as_ref().unwrap()).unwrap();
    assert_eq!(table.types.keys().collect::<Vec<_>>(), ["AWS::SNS::Topic"]);
    let [repository] = fixture.all::<Repository>("-").try_into().unwrap();
    assert_eq!(
        repository.components
            ["logs-broker".parse::<lockstep_domain::model::ids::ComponentName>().as_ref().unwrap()],
        "broker"
    );
}

#[tokio::test]
async fn the_same_commit_gives_the_same_bytes_in_another_installation() {
    let (one, other) = (Fixture::new(), Fixture::new());
    one.main(COMMIT).await;
    other.main(COMMIT).await;
    assert_eq!(*one.objects.borrow(), *other.objects.borrow());
}

#[tokio::test]
async fn a_run_that_broke_off_at_any_write_is_repeated_with_the_same_version() {
    let mut breaks = 0;
    loop {
        let fixture = Fixture::new();
        fixture.writes_left.set(Some(breaks));
        let broken = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await;
        if broken.is_ok() {
            break;
        }
        let before: Vec<_> = fixture.releases().into_iter().map(|r| r.version).collect();
        let first = fixture.main(COMMIT).await;
        let releases = fixture.releases();
        assert_eq!(releases.len(), 1, "after write {breaks}");
        assert!(before.iter().all(|version| *version == releases[0].version), "after write {breaks}");
        assert_eq!(fixture.main(COMMIT).await, first, "after write {breaks}");
        assert_eq!(fixture.objects.borrow().len(), 2, "after write {breaks}");
        breaks += 1;
    }
    // Counter, version, permissions, artifact, release, repository.
    assert_eq!(breaks, 6);
}

#[tokio::test]
async fn a_release_that_failed_its_test_is_packaged_again_under_its_version() {
    let fixture = Fixture::new();
    let first = fixture.main(COMMIT).await;
    let mut failed = fixture.releases().remove(0);
    (failed.state, failed.failure) = (ReleaseState::TestFailed, Some("no host".to_owned()));
    fixture.put(&failed);
    let again = only(fixture.package(COMMIT, "main", "arn:again").await.unwrap());
    assert_eq!((again.outcome, &again.version), (Outcome::Packaged, &first.version));
    assert_ne!(again.test_execution, first.test_execution);
    let [release] = fixture.releases().try_into().unwrap();
    assert_eq!(
        (release.state, release.failure, release.execution.as_str()),
        (ReleaseState::Packaged, None, "arn:again")
    );
}

#[tokio::test]
async fn what_the_newest_published_release_holds_is_unchanged() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", ""));
    let next = fixture.main(NEXT).await;
    assert_eq!((next.outcome, next.version.as_str()), (Outcome::Unchanged, "2.1.0"));
    assert!(next.deployments.is_empty());
    assert_eq!(fixture.releases().len(), 1);
}

#[tokio::test]
async fn a_changed_file_or_a_new_image_is_a_new_release() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", "Size = \"large\"\n"));
    assert_eq!(fixture.main(NEXT).await.version, "2.1.1");
    fixture.publish("2.1.1");
    fixture.put(&image("2.1.37"));
    let patched = fixture.main(NEXT).await;
    assert_eq!((patched.outcome, patched.version.as_str()), (Outcome::Packaged, "2.1.2"));
}

#[tokio::test]
async fn other_code_of_a_function_is_a_new_release_without_a_commit() {
    let mut fixture = Fixture::new();
    fixture.holds(COMMIT, &component("logs", "elb-logs", "Size = \"${functions.elb-logs}\"\n"));
    assert_eq!(fixture.main(COMMIT).await.version, "2.1.0");
    fixture.publish("2.1.0");
    fixture.prove("2.1.0");
    assert_eq!(fixture.main(COMMIT).await.outcome, Outcome::Unchanged);
    fixture.shipped = shipped("ffffc44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let again = fixture.main(COMMIT).await;
    assert_eq!((again.outcome, again.version.as_str()), (Outcome::Packaged, "2.1.1"));
}

#[tokio::test]
async fn a_published_release_of_the_same_commit_is_driven_on_until_it_has_arrived() {
    let fixture = Fixture::new();
    let first = fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    let driven = only(fixture.package(COMMIT, "main", "arn:again").await.unwrap());
    assert_eq!((driven.outcome, &driven.version), (Outcome::Packaged, &first.version));
    assert_eq!(driven.deployments.len(), 1);
    assert_eq!(fixture.releases()[0].state, ReleaseState::Published);
    fixture.prove("2.1.0");
    assert_eq!(fixture.main(COMMIT).await.outcome, Outcome::Unchanged);
}

#[tokio::test]
async fn an_older_commit_that_was_published_is_not_deployed_over_a_newer_one() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    fixture.publish("2.1.0");
    fixture.holds(NEXT, &component("broker", "logs-broker", "Size = \"large\"\n"));
    fixture.main(NEXT).await;
    fixture.publish("2.1.1");
    let late = fixture.main(COMMIT).await;
    assert_eq!((late.outcome, late.version.as_str()), (Outcome::Unchanged, "2.1.0"));
}

#[tokio::test]
async fn a_delivery_that_its_branch_has_left_behind_is_superseded_and_leaves_no_trace() {
    // FAILURES 53: pushes out of order, a force-push, a branch that is gone.
    for (head, told) in [(Some(NEXT), "is at 2222222 now"), (None, "is gone")] {
        let fixture = Fixture::new();
        let failure = fixture.delivered(COMMIT, head).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Superseded);
        assert!(failure.message.contains(told), "{}", failure.message);
        assert!(fixture.releases().is_empty() && fixture.objects.borrow().is_empty());
    }
    let fixture = Fixture::new();
    let component = only(fixture.delivered(COMMIT, Some(COMMIT)).await.unwrap());
    assert_eq!(component.outcome, Outcome::Packaged);
    assert_eq!(fixture.all::<Repository>("-")[0].commit, Some(COMMIT.parse().unwrap()));
}

#[tokio::test]
async fn a_host_that_does_not_say_where_its_branch_is_overtakes_nothing() {
    let fixture = Fixture::new();
    let failure = fixture.package_of(Some("d-1"), COMMIT, "refs/heads/main", "arn").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "the state machine asks again");
    // Nobody is asked about a commit that a person named.
    assert_eq!(fixture.main(COMMIT).await.outcome, Outcome::Packaged);
}

#[tokio::test]
async fn another_branch_gives_a_pre_release_that_goes_nowhere() {
    let fixture = Fixture::new();
    let component = only(fixture.package(COMMIT, "refs/heads/fix/x", "arn").await.unwrap());
    assert_eq!((component.version.as_str(), component.pre_release), ("2.1.0-fix-x.1", true));
    assert_eq!(component.environment, "logs-broker-2-1-0-fix-x-1");
    assert!(component.deployments.is_empty());
    assert!(fixture.all::<Repository>("-")[0].components.is_empty());
    let again = only(fixture.package(COMMIT, "refs/heads/fix/x", "arn").await.unwrap());
    assert_eq!(again, component);
}

#[tokio::test]
async fn a_commit_that_comes_to_the_default_branch_gets_a_release_of_its_own() {
    let fixture = Fixture::new();
    fixture.package(COMMIT, "refs/heads/fix", "arn").await.unwrap();
    let merged = fixture.main(COMMIT).await;
    assert_eq!((merged.version.as_str(), merged.pre_release), ("2.1.1", false));
    assert_eq!(fixture.main(COMMIT).await, merged);
}

#[tokio::test]
async fn a_component_that_is_wrong_is_told_and_recorded_and_its_siblings_go_on() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs-a", "Size = \"small\"\nSise = \"x\"\n");
    files.extend(component("b", "logs-b", ""));
    files.push(("c/lockstep.toml".to_owned(), "[component]\nname = \"Not A Name\"\n".to_owned()));
    fixture.holds(COMMIT, &files);
    let response = fixture.package(COMMIT, "main", "arn").await.unwrap();
    let outcomes: Vec<_> = response.components.iter().map(|c| (c.component.as_str(), c.outcome)).collect();
    assert_eq!(
        outcomes,
        [("logs-a", Outcome::Rejected), ("logs-b", Outcome::Packaged), ("c", Outcome::Rejected)]
    );
    let problem = &response.components[0].problems[0];
    assert!(problem.starts_with("a/parameters/default.toml:2: ") && problem.contains("Sise"), "{problem}");
    let rejections: Vec<Rejection> = fixture.all("REJECTION#");
    let told: Vec<_> = rejections.iter().map(|r| (r.component.as_str(), r.problems[0].to_string())).collect();
    assert_eq!(told[1], ("logs-a", problem.clone()), "{told:?}");
    assert_eq!(fixture.releases().len(), 1);
}

#[tokio::test]
async fn two_folders_with_one_name_are_both_refused() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs", "");
    files.extend(component("b", "logs", "Size = \"large\"\n"));
    fixture.holds(COMMIT, &files);
    let response = fixture.package(COMMIT, "main", "arn").await.unwrap();
    assert!(response.components.iter().all(|c| c.outcome == Outcome::Rejected));
    assert!(response.components[1].problems[0].contains("a and b"), "{:?}", response.components[1].problems);
    assert!(fixture.releases().is_empty());
}

#[tokio::test]
async fn a_name_of_another_repository_cannot_be_taken_over() {
    let fixture = Fixture::new();
    fixture.main(COMMIT).await;
    let mut theirs = fixture.releases().remove(0);
    theirs.repository = "github.acme.elsewhere".parse().unwrap();
    fixture.put(&theirs);
    let component = fixture.main(COMMIT).await;
    assert_eq!(component.outcome, Outcome::Rejected);
    assert!(component.problems[0].contains("belongs to acme/elsewhere"), "{:?}", component.problems);
    assert_eq!(fixture.releases()[0].repository, theirs.repository);
}

#[tokio::test]
async fn an_output_of_a_sibling_in_the_same_commit_is_known() {
    let fixture = Fixture::new();
    let mut files = component("a", "logs-a", "Size = \"${outputs.logs-b.Host}\"\n");
    files.extend(component("b", "logs-b", ""));
    fixture.holds(COMMIT, &files);
    let response = fixture.package(COMMIT, "main", "arn").await.unwrap();
    assert!(response.components.iter().all(|c| c.outcome == Outcome::Packaged), "{response:?}");
    fixture.holds(NEXT, &component("a", "logs-a", "Size = \"${outputs.logs-b.Host}\"\n"));
    let alone = fixture.main(NEXT).await;
    assert_eq!(alone.outcome, Outcome::Rejected, "b was never published");
    fixture.publish_all();
    fixture.holds(NEXT, &component("a", "logs-a", "Size = \"x-${outputs.logs-b.Host}\"\n"));
    assert_eq!(fixture.main(NEXT).await.outcome, Outcome::Packaged);
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
    let revoked = Revocation { reason: "a hole".into(), by: "arn".into(), at: Timestamp::UNIX_EPOCH };
    fixture.put(&ImageVersion { revoked: Some(revoked), ..image("2.1.42") });
    fixture.main(COMMIT).await;
    let lock = fixture.releases().remove(0).image_lock;
    assert_eq!(lock.0.values().next().unwrap().version.to_string(), "2.1.36");
}

#[tokio::test]
async fn a_commit_that_holds_no_component_is_refused_with_what_to_do() {
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
    fixture.tarballs.borrow_mut().insert(COMMIT.parse().unwrap(), wrong);
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert!(failure.message.contains(NEXT), "{}", failure.message);
    fixture.tarballs.borrow_mut().insert(COMMIT.parse().unwrap(), b"no archive".to_vec());
    assert_eq!(fixture.package(COMMIT, "main", "arn").await.unwrap_err().kind, FailureKind::Rejected);
}

#[tokio::test]
async fn without_a_subscription_or_without_stages_nothing_is_packaged() {
    let fixture = Fixture::new();
    fixture.records.borrow_mut().retain(|key, _| key.pk != "CONFIG");
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert!(failure.message.contains("lockstep stages apply"), "{}", failure.message);
    fixture.records.borrow_mut().clear();
    let failure = fixture.package(COMMIT, "main", "arn").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotFound);
}

const RECIPE: &str = r#"
variable "region" {}
variable "ami_name" {}
variable "source_ami" {}
variable "tags" {}
source "amazon-ebs" "image" {
  region          = var.region
  ami_name        = var.ami_name
  source_ami      = var.source_ami
  tags            = var.tags
  snapshot_tags   = var.tags
  run_tags        = var.tags
  run_volume_tags = var.tags
  imds_support    = "v2.0"
  metadata_options {
    http_tokens = "required"
  }
}
build {
  sources = ["source.amazon-ebs.image"]
  post-processor "manifest" {
    output = "manifest.json"
  }
}

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "= 1.8.4"
    }
  }
}
"#;

fn recipe(image: &str) -> Vec<(String, String)> {
    let manifest = format!(
        "[image]\nname = \"{image}\"\nversion = \"2.1\"\nteam = \"platform\"\nbuilder = \"packer\"\n\
         [base]\nssm = \"/aws/service/x\"\n"
    );
    let file = |name: &str, text: &str| (format!("images/{image}/{name}"), text.to_owned());
    vec![file("image.toml", &manifest), file("image.pkr.hcl", RECIPE)]
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
async fn a_changed_recipe_is_baked_before_the_components_of_its_commit_are_packaged() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &[component("broker", "logs-broker", ""), recipe("kibana")].concat());
    let answer = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap();
    assert!(answer.components.is_empty());
    assert_eq!(answer.recipes.iter().map(|recipe| recipe.image.as_str()).collect::<Vec<_>>(), ["kibana"]);
    assert!(fixture.releases().is_empty());
    let request = Request { baked: true, ..fixture.request(COMMIT, "refs/heads/main", "arn:execution") };
    let answer = handle(&fixture, &request, Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!((answer.components.len(), answer.recipes.len()), (1, 0));
}

#[tokio::test]
async fn a_recipe_that_was_baked_before_is_left_alone() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &[component("broker", "logs-broker", ""), recipe("kibana")].concat());
    let packaged = recipes::package(&fixture, &baking("kibana")).await.unwrap();
    let origin = ImageOrigin::Baked {
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: NEXT.parse().unwrap(),
        folder: packaged.folder.clone(),
        recipe: packaged.digest.clone(),
        artifact: packaged.artifact.clone(),
        base: packaged.base.clone(),
    };
    fixture.put(&ImageVersion { name: "kibana".parse().unwrap(), origin, ..image("2.1.0") });
    let answer = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap();
    assert_eq!((answer.components.len(), answer.recipes.len()), (1, 0));
}

#[tokio::test]
async fn a_recipe_is_stored_with_the_values_of_every_account_and_one_that_is_wrong_is_told() {
    let fixture = Fixture::new();
    fixture.holds(COMMIT, &recipe("kibana"));
    let packaged = recipes::package(&fixture, &baking("kibana")).await.unwrap();
    let files = unpack(&fixture.objects.borrow()[&packaged.artifact], &Limits::DEFAULT).unwrap();
    for account in ["111111111111", "333333333333"] {
        assert!(files.contains_key(&format!("lockstep/{account}.pkrvars.json")), "{:?}", files.keys());
    }
    let unknown = recipes::package(&fixture, &baking("logstash")).await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::NotFound);

    let mut wrong = recipe("kibana");
    wrong[1].1 = wrong[1].1.replace("\"required\"", "\"optional\"");
    fixture.holds(COMMIT, &[component("broker", "logs-broker", ""), wrong].concat());
    let refused = recipes::package(&fixture, &baking("kibana")).await.unwrap_err();
    assert!(refused.message.starts_with("images/kibana/image.pkr.hcl:"), "{refused:?}");
    let answer = fixture.package(COMMIT, "refs/heads/main", "arn:execution").await.unwrap();
    let outcomes: Vec<Outcome> = answer.components.iter().map(|component| component.outcome).collect();
    assert_eq!(outcomes, [Outcome::Rejected, Outcome::Packaged], "its siblings go on");
    assert_eq!(fixture.all::<Rejection>("REJECTION").len(), 1);
}
