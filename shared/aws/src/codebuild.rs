//! Builds of images in one account and region.
//!
//! [`Builds`] is the port, [`CodeBuild`] its adapter. The template (`infra/target-account`) defines the project and the
//! build's commands: a recipe cannot change them.

use crate::artifacts::Artifacts;
use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_codebuild::Client;
use aws_sdk_codebuild::types::{EnvironmentVariable, SourceType, StatusType};
use lockstep_domain::delivery::local_files::artifact_bucket;
use lockstep_domain::images::bake::{Build, BuildStatus};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use std::sync::OnceLock;

/// Name of the project in every account that builds images.
pub const PROJECT: &str = "lockstep-image-build";

/// Environment variable of a build that holds its token. CodeBuild forgets tokens after five minutes; Lockstep does
/// not.
pub const TOKEN_VARIABLE: &str = "LOCKSTEP_TOKEN";

/// Exported variable of a build: Packer's artifact id.
const MADE_VARIABLE: &str = "LOCKSTEP_MADE";

/// Request for a build. Equal requests with the same token make one build, for five minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBuild {
    /// The client token.
    pub token: String,
    /// The key of the recipe in the account's bucket.
    pub recipe: String,
    /// The S3 version of the recipe, as [`Builds::store`] returned it.
    pub version: String,
    /// The variables of the build, in a fixed order.
    pub variables: Vec<(String, String)>,
}

/// The operations of CodeBuild that Lockstep needs.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Builds {
    /// Stores a recipe in the account's bucket and returns its S3 version. A repeated call stores another, equal version.
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<String, Failure>;

    /// Starts a build and returns its ARN. This cannot be undone: the build ends on its own, and its tags identify its
    /// results.
    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure>;

    /// Returns the ARN of the build that was started with this token, among the latest hundred.
    async fn find(&self, token: &str) -> Result<Option<String>, Failure>;

    /// Returns the build with this ARN; `None` if CodeBuild does not know it.
    async fn describe(&self, arn: &str) -> Result<Option<Build>, Failure>;
}

/// CodeBuild in the account and region of an [`Aws`].
pub struct CodeBuild {
    aws: Aws,
    client: OnceLock<Client>,
    bucket: Artifacts,
}

impl CodeBuild {
    /// Creates the client at `location` with the credentials of `aws`.
    pub fn new(aws: &Aws, location: &Location) -> Self {
        let bucket = artifact_bucket(&location.account, &location.region);
        Self { aws: aws.clone(), client: OnceLock::new(), bucket: Artifacts::new(aws, &bucket) }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }

    async fn builds(&self, ids: Vec<String>) -> Result<Vec<aws_sdk_codebuild::types::Build>, Failure> {
        let request = self.client().batch_get_builds().set_ids(Some(ids));
        let answer = request.send().await;
        Ok(answer.map_err(|error| failure("BatchGetBuilds", PROJECT, &error))?.builds.unwrap_or_default())
    }
}

impl Builds for CodeBuild {
    async fn store(&self, key: &str, recipe: Vec<u8>) -> Result<String, Failure> {
        self.bucket.put_version(key, "application/zip", recipe).await
    }

    async fn start(&self, wanted: &NewBuild) -> Result<String, Failure> {
        let token = [(TOKEN_VARIABLE.to_owned(), wanted.token.clone())];
        let variables = token.iter().chain(&wanted.variables).map(|(name, value)| variable(name, value));
        let request = self
            .client()
            .start_build()
            .project_name(PROJECT)
            .idempotency_token(&wanted.token)
            .source_type_override(SourceType::S3)
            .source_location_override(format!("{}/{}", self.bucket.bucket(), wanted.recipe))
            .source_version(&wanted.version)
            .set_environment_variables_override(Some(variables.collect::<Result<_, _>>()?));
        let answer = request.send().await.map_err(|error| failure("StartBuild", PROJECT, &error))?;
        let arn = answer.build_value().and_then(|build| build.arn()).map(str::to_owned);
        arn.ok_or_else(|| Failure::bug("StartBuild answered no ARN"))
    }

    async fn find(&self, token: &str) -> Result<Option<String>, Failure> {
        // Newest first, a hundred at a time
        // (https://docs.aws.amazon.com/codebuild/latest/APIReference/API_ListBuildsForProject.html), which is the limit
        // of BatchGetBuilds.
        let answer = self.client().list_builds_for_project().project_name(PROJECT).send().await;
        let answer = answer.map_err(|error| failure("ListBuildsForProject", PROJECT, &error))?;
        let ids = answer.ids.unwrap_or_default();
        if ids.is_empty() {
            return Ok(None);
        }
        let ours = |build: &aws_sdk_codebuild::types::Build| {
            let variables = build.environment().map(|environment| environment.environment_variables());
            variables.unwrap_or_default().iter().any(|v| v.name() == TOKEN_VARIABLE && v.value() == token)
        };
        Ok(self.builds(ids).await?.into_iter().find(ours).and_then(|build| build.arn))
    }

    async fn describe(&self, arn: &str) -> Result<Option<Build>, Failure> {
        let id = arn.rsplit_once(":build/").map_or(arn, |(_, id)| id);
        let found = self.builds(vec![id.to_owned()]).await?.into_iter().next();
        Ok(found.map(|build| read(arn, &build)))
    }
}

fn variable(name: &str, value: &str) -> Result<EnvironmentVariable, Failure> {
    let built = EnvironmentVariable::builder().name(name).value(value).build();
    built.map_err(|error| Failure::bug("a variable of a build").caused_by(&error))
}

fn read(arn: &str, build: &aws_sdk_codebuild::types::Build) -> Build {
    let status = match build.build_status() {
        Some(StatusType::InProgress) | None => BuildStatus::Running,
        Some(StatusType::Succeeded) => {
            let exported = build.exported_environment_variables();
            let made = exported.iter().find(|variable| variable.name() == Some(MADE_VARIABLE));
            let made = made.and_then(|variable| variable.value()).unwrap_or_default();
            BuildStatus::Succeeded { made: made.to_owned() }
        }
        Some(ended) => BuildStatus::Ended { status: ended.as_str().to_owned(), why: failed_phase(build) },
    };
    let log = build.logs().and_then(|logs| logs.deep_link()).map(str::to_owned);
    Build { arn: arn.to_owned(), status, log }
}

/// Returns the first phase that did not succeed, and CodeBuild's message about it.
fn failed_phase(build: &aws_sdk_codebuild::types::Build) -> String {
    let failed = build
        .phases()
        .iter()
        .find(|phase| phase.phase_status().is_some_and(|status| *status != StatusType::Succeeded));
    let Some(phase) = failed else { return build.current_phase().unwrap_or("no phase is known").to_owned() };
    let name = phase.phase_type().map(|phase| phase.as_str()).unwrap_or("a phase");
    let said = phase.contexts().iter().filter_map(|context| context.message());
    let said = said.collect::<Vec<_>>().join("; ");
    if said.is_empty() { name.to_owned() } else { format!("{name}: {said}") }
}
