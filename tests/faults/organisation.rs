//! An organisation with three stages, and the releases of one component.

use crate::harness::Harness;
use lockstep_domain::delivery::packaging::{self, Package};
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::{Config, ConfigKind, Evidence, Release, ReleaseState};
use lockstep_sim::manifest::manifest_text;
use lockstep_sim::stages::{StageText, stage_text, with_production};
use std::sync::OnceLock;

fn stages_text() -> String {
    with_production("111111111111", stage_text("production", "222222222222").with_approval())
}

/// The version that runs at first.
pub const FIRST: &str = "1.0.0";
/// Changes a topic in place and adds another.
pub const SAFE: &str = "1.0.1";
/// Replaces the topic, and so perhaps the bucket that is named after it.
pub const CONDITIONAL: &str = "1.0.2";
/// Removes the bucket.
pub const REMOVAL: &str = "1.0.3";
/// Has the same deployed content as the first version.
pub const EQUAL: &str = "1.0.4";

/// Changes a topic in place once more.
pub const NEXT: &str = "1.0.6";
/// Fails its check.
pub const FAILING: &str = "1.0.7";

/// Changes a topic in place and adds a function from a folder.
pub const LOCAL: &str = "1.0.8";

/// Starts from an image.
pub const IMAGED: &str = "1.0.5";

const BUCKET: &str = "  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties:
      BucketName: !GetAtt Topic.TopicName
";

const FUNCTION: &str = "  Greeter:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.12
      Handler: app.handler
      Role: arn:aws:iam::111111111111:role/greeter
      Code: src/
";

fn template(topic: &str, more: &str) -> String {
    format!(
        "Parameters:\n  Size:\n    Type: String\n    Default: '7'\nResources:\n  Topic:\n    Type: AWS::SNS::Topic\n    \
         Properties:\n{topic}{more}Outputs:\n  Host:\n    Value: !Ref Topic\n"
    )
}

/// Returns the template of a version.
fn template_of(version: &str) -> String {
    let (one, two) = ("      DisplayName: one\n", "      DisplayName: two\n");
    let alarm = format!("{BUCKET}  Alarm:\n    Type: AWS::SNS::Topic\n");
    match version {
        SAFE => template(two, &alarm),
        LOCAL => template(two, &format!("{BUCKET}{FUNCTION}")),
        NEXT => template("      DisplayName: three\n", BUCKET),
        FAILING => template("      DisplayName: four\n", BUCKET),
        CONDITIONAL => template("      TopicName: renamed\n", BUCKET),
        REMOVAL => template(one, ""),
        IMAGED => {
            template(one, BUCKET).replace("Resources:", "  Image:\n    Type: AWS::EC2::Image::Id\nResources:")
        }
        // Each numbered release changes the topic.
        version if version.starts_with("1.1.") => {
            template(&format!("      DisplayName: push {}\n", patch(version)), BUCKET)
        }
        _ => template(one, BUCKET),
    }
}

/// A release with its artifact.
#[derive(Debug)]
pub struct Made {
    version: String,
    pub release: Release,
    pub artifact: Vec<u8>,
    /// The template that lasting stages deploy.
    pub template: String,
}

impl Made {
    /// Returns the version.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// Returns every release.
pub fn releases() -> &'static [Made] {
    static MADE: OnceLock<Vec<Made>> = OnceLock::new();
    MADE.get_or_init(|| {
        let all = [FIRST, SAFE, CONDITIONAL, REMOVAL, EQUAL, IMAGED, NEXT, FAILING, LOCAL];
        all.into_iter().map(make).collect()
    })
}

/// Returns the releases of a day with three pushes an hour. The organisation does not have them by itself.
pub fn numbered() -> &'static [Made] {
    static MADE: OnceLock<Vec<Made>> = OnceLock::new();
    MADE.get_or_init(|| (100..172).map(|patch| make(&format!("1.1.{patch}"))).collect())
}

/// Returns the release of this version.
pub fn release(version: &str) -> &'static Made {
    let numbered = if version.starts_with("1.1.") { numbered() } else { &[] };
    let found = releases().iter().chain(numbered).find(|made| made.release.version.to_string() == version);
    found.unwrap_or_else(|| panic!("no release {version}"))
}

fn make(version: &str) -> Made {
    let template = template_of(version);
    let mut manifest = manifest_text("logs").with_output_check("Host");
    if version == FAILING {
        let check = "[[checks]]\nkind = \"output\"\nname = \"Host\"\nmatches = \"^never$\"\n";
        manifest = manifest_text("logs").with(check);
    }
    if version == IMAGED {
        manifest = manifest.with("[images]\nImage = \"logstash@^2.1\"\n");
    }
    let mut files = vec![
        ("lockstep.toml".to_owned(), manifest.to_string().into_bytes()),
        ("template.yaml".to_owned(), template.as_bytes().to_vec()),
    ];
    if version == EQUAL {
        files.push(("README.md".to_owned(), b"read me".to_vec()));
    }
    if version == LOCAL {
        files.push(("src/app.py".to_owned(), b"def handler(event, context):\n    return 'hello'\n".to_vec()));
    }
    let images = [crate::images::scenarios::version()];
    let input = packaging::PackagingInput { images: Some(&images), ..packaging::PackagingInput::default() };
    let package = packaging::plan("", &files.into_iter().collect(), &input);
    let package = package.unwrap_or_else(|problems| panic!("{version}: {problems:?}"));
    Made {
        version: version.to_owned(),
        release: record(version, &package),
        template: package.template.deployed_text(),
        artifact: package.artifact,
    }
}

fn record(version: &str, package: &Package) -> Release {
    Release {
        component: "logs".parse().expect("a name"),
        version: version.parse().expect("a version"),
        state: ReleaseState::Published,
        repository: RepositoryId::github("acme", "logs").expect("a repository"),
        commit: "a".repeat(40).parse().expect("a commit"),
        author: "Ada".into(),
        pusher: None,
        template: "template.yaml".into(),
        folder: String::new(),
        artifact: format!("releases/logs/{version}.zip"),
        digest: package.digest.clone(),
        source_digest: package.source_digest.clone(),
        template_digest: package.template_digest.clone(),
        test_template_digest: package.test_template_digest.clone(),
        test_differences: package.test_differences.clone(),
        serial_tests: package.serial_tests,
        commits: None,
        permissions: None,
        image_lock: package.image_lock.clone(),
        outputs: package.outputs.clone(),
        producers: Default::default(),
        team: "platform".into(),
        function: "logging".into(),
        // The order of commits is that of the last number.
        packaged_at: jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(patch(version)),
        execution: "arn:release".into(),
        failure: None,
    }
}

/// Returns the last number of a version.
pub fn patch(version: &str) -> i64 {
    version.rsplit('.').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// Returns the applied stages.
pub fn stages() -> Config {
    Config {
        config: ConfigKind::Stages,
        version: 1,
        text: stages_text(),
        applied_by: "arn:aws:iam::111111111111:user/ada".into(),
        applied_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// Adds a stage before production.
pub async fn add_stage(harness: &Harness, stage: StageText) {
    let stages = stages();
    let last = "\n[[stages]]\nname = \"production\"";
    let text = stages.text.replace(last, &format!("\n{stage}{}", &last[1..]));
    let further = Config { version: stages.version + 1, text, ..stages };
    harness.ledger.insert(&further).await.expect("stages");
}

/// Lets builds of images begin in production without a person.
pub async fn let_builds_begin(harness: &Harness) {
    let stages = stages();
    let text = stages.text.replace("builds = \"approved\"", "builds = \"automatic\"");
    let further = Config { version: stages.version + 1, text, ..stages };
    harness.ledger.insert(&further).await.expect("stages");
}

/// Returns the evidence that a release passed `stage`.
pub fn evidence(release: &Release, stage: &str) -> Evidence {
    Evidence {
        component: release.component.clone(),
        digest: release.digest.clone(),
        stage: stage.parse().expect("a stage"),
        version: release.version.clone(),
        deployment: lockstep_domain::model::ids::DeploymentId::of_execution("earlier"),
        passed_at: jiff::Timestamp::UNIX_EPOCH,
    }
}
