//! One build in one account: created once, started once for each attempt, read when it ends.

use crate::context::BakeContext;
use crate::load::{self, Building, baked, unusable};
use crate::version::{build_id, versions};
use lockstep_aws::codebuild::{Builds, NewBuild};
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_aws::public_images::PublicImages;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::bake::{self, BuildKey, BuildObservation, BuildStatus};
use lockstep_domain::images::build_permission::{self, Permission};
use lockstep_domain::images::promotion::KEY_ALIAS;
use lockstep_domain::images::recipe::{is_at_key, layered_file};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::bake::{BuildStarted, NextStep};
use lockstep_domain::messages::inputs::BuildImage;
use lockstep_domain::model::base_image::Base;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, DeploymentId, ImageName};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::partitions;
use lockstep_domain::model::token::client_token;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{
    BuildImageBody, BuiltRecipe, Deployment, DeploymentStart, DeploymentState, Image, ImageVersion,
    Operation, OperationKind,
};
use lockstep_runtime::{answers, deployment_log, lease, stages};

/// Maximum number of earlier versions among which the last build in the account is looked for.
const EARLIER_MAX: usize = 200;

/// Handles `begin_build`: creates the record of the build, unless the image exists in the account. Returns `Approve` if
/// a person must approve the build first.
pub async fn begin<C: BakeContext>(
    context: &C,
    execution: &str,
    input: &BuildImage,
) -> Result<BuildStarted, Failure> {
    let stages = stages::stages(context.ledger()).await?;
    let stage = stages.named(&input.stage)?;
    let location = stage.location();
    let version = load::version(context, &input.image, &input.version).await?.record;
    let id = build_id(&input.image, &input.version, &location, stage.path());
    let started = |next| Ok(BuildStarted { build: id.clone(), next });
    let key = Image::key_of(&input.image, &input.version, &location, stage.path());
    let there = context.ledger().get::<Image>(&key).await?;
    if there.is_some_and(|image| image.record.is_usable()) {
        return started(NextStep::Present);
    }
    if !may_build(&version, stage.path()) {
        return Err(unusable(format!(
            "{}@{} is {} and is not built",
            input.image, input.version, version.state
        )));
    }
    if let Some(why) = partitions::why_no_builds(&location.region) {
        return Err(unusable(why));
    }
    let base = base_at(context, &version, &location, &id).await?;
    let recipe = baked(&version)?;
    let now = context.now();
    let body = BuildImageBody {
        image: input.image.clone(),
        base: base.clone(),
        commit: recipe.commit.clone(),
        repository: recipe.repository,
        artifact: recipe.artifact.to_owned(),
        before: built_before(context, &input.image, &input.version, &location, stage.path()).await?,
        built_at: now,
        recipe_version: None,
    };
    let start = DeploymentStart {
        id: id.clone(),
        execution: execution.to_owned(),
        version: input.version.clone(),
        stage: stage.name.clone(),
        location,
        path: stage.path(),
        at: now,
    };
    let build = match context.ledger().insert(&Deployment::new(start, body)).await? {
        Inserted::New(new) => {
            let text = format!("building {}@{} from {base}", input.image, input.version);
            deployment_log::append(context.ledger(), &id, &text, context.now()).await?;
            new
        }
        Inserted::Exists(other) => resume(context, other, execution).await?,
    };
    if permission(context, &stages, &build.record).await? == Permission::NeedsApproval {
        return started(NextStep::Approve);
    }
    // A build that is refused ends where it would start, so that its record is closed with the reason.
    if build.record.state == DeploymentState::AwaitingApproval {
        let answered = Deployment { state: DeploymentState::Running, ..build.record.clone() };
        context.ledger().replace(&build, answered).await?;
    }
    started(NextStep::Build)
}

/// Returns true if the state of the version permits a build. The first build is in the test stage, whose path owns the
/// version.
fn may_build(version: &ImageVersion, path: DeploymentPath) -> bool {
    match path {
        DeploymentPath::Delivery => {
            matches!(version.state, ImageVersionState::Building | ImageVersionState::Withheld)
        }
        DeploymentPath::Promotion => version.state == ImageVersionState::Withheld,
    }
}

/// Returns the permission of the build, by the answers to its last question.
async fn permission<C: BakeContext>(
    context: &C,
    stages: &Stages,
    build: &Deployment,
) -> Result<Permission, Failure> {
    let answers = answers::to_last_question(context.ledger(), build).await?.map(|found| found.record);
    Ok(build_permission::permission(stages, build, answers.as_ref(), context.now()))
}

/// Fails with `ApprovalRefused` if the build may not begin. The last look before CodeBuild starts.
async fn ensure_permitted<C: BakeContext>(context: &C, build: &Deployment) -> Result<(), Failure> {
    let stages = stages::stages(context.ledger()).await?;
    build_permission::ensure_granted(permission(context, &stages, build).await?)
}

/// Returns the recipe of the newest earlier version that was built at `location`. The builds are records of the path, so no
/// function of the other path can change what a difference is shown against.
async fn built_before<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
    location: &Location,
    path: DeploymentPath,
) -> Result<Option<BuiltRecipe>, Failure> {
    let versions = versions(context, image).await?;
    let earlier = versions.iter().rev().filter(|known| known.version != *version).take(EARLIER_MAX);
    for known in earlier {
        let key = Deployment::key_of(&build_id(image, &known.version, location, path));
        let Some(build) = context.ledger().get::<Deployment>(&key).await? else { continue };
        if let (DeploymentState::Succeeded, Some(body)) = (build.record.state, build.record.build()) {
            let (version, artifact) = (known.version.clone(), body.artifact.clone());
            return Ok(Some(BuiltRecipe { version, artifact }));
        }
    }
    Ok(None)
}

/// Takes over a build that another execution created. A question that is open remains open. Returns `EnvironmentBusy` while
/// that execution may run.
async fn resume<C: BakeContext>(
    context: &C,
    other: Versioned<Deployment>,
    execution: &str,
) -> Result<Versioned<Deployment>, Failure> {
    let record = &other.record;
    if record.execution == execution && !record.state.is_final() {
        return Ok(other);
    }
    if !record.state.is_final() && record.execution != execution {
        lease::ensure_ended(context.executions(), &record.execution, || {
            format!("{} builds it there already; try again when it is done", record.execution)
        })
        .await?;
    }
    let again = Deployment {
        execution: execution.to_owned(),
        state: match record.state {
            DeploymentState::AwaitingApproval => DeploymentState::AwaitingApproval,
            _ => DeploymentState::Running,
        },
        failure: None,
        finished_at: None,
        started_at: context.now(),
        ..record.clone()
    };
    context.ledger().replace(&other, again).await
}

/// Returns the AMI that a build at `location` starts from.
async fn base_at<C: BakeContext>(
    context: &C,
    version: &ImageVersion,
    location: &Location,
    id: &DeploymentId,
) -> Result<AmiId, Failure> {
    match baked(version)?.base {
        Base::Parameter(parameter) => {
            context.public_images(location, &id.session()).await?.newest(parameter).await
        }
        // The claim resolved the pattern to a name without `*`, which is one image in each region.
        Base::Search(search) => {
            context.public_images(location, &id.session()).await?.find(search).await.map(|(_, ami)| ami)
        }
        Base::Image(constraint) => {
            let known = versions(context, constraint.name()).await?;
            let base = known.iter().rev().find(|known| constraint.admits(&known.version));
            let base =
                base.ok_or_else(|| unusable(format!("the base {constraint} does not exist any more")))?;
            let key = Image::key_of(&base.name, &base.version, location, id.path());
            let found = context.ledger().get::<Image>(&key).await?.filter(|image| image.record.is_usable());
            found.and_then(|image| image.record.ami).ok_or_else(|| {
                unusable(format!(
                    "the base {constraint} is not in account {}, {}; run promote-image for it first",
                    location.account, location.region
                ))
            })
        }
    }
}

/// Handles `build`: starts the build, or finds the one that an earlier call started. [`crate::discard::fail_build`]
/// undoes it.
pub async fn start<C: BakeContext>(context: &C, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let mut building = Building::load_running(context, id).await?;
    let builds = context.builds(building.location(), &id.session()).await?;
    let operation = intend(context, &mut building).await?;
    let arn = match operation.target.as_str() {
        "" => {
            let arn = started(context, &builds, &mut building, &operation).await?;
            let known = arn.clone();
            building
                .write(context, |record| {
                    if let Some(last) = record.operations.last_mut() {
                        last.target = known;
                    }
                })
                .await?;
            deployment_log::append(context.ledger(), id, &format!("the build is {arn}"), context.now())
                .await?;
            arn
        }
        known => known.to_owned(),
    };
    context.callbacks().register(&arn, task).await?;
    match builds.describe(&arn).await?.map(|build| build.status) {
        // The event of the build, or the timeout of the state, leads to the next look.
        None | Some(BuildStatus::Running) => Ok(()),
        Some(BuildStatus::Succeeded { .. } | BuildStatus::Ended { .. }) => {
            context.callbacks().wake(&arn).await
        }
    }
}

/// Records the attempt before the call to CodeBuild, whose client tokens are valid for five minutes only.
async fn intend<C: BakeContext>(context: &C, building: &mut Building) -> Result<Operation, Failure> {
    if let Some(earlier) = building.deployment.record.operation().filter(|last| last.target != OVER) {
        return Ok(earlier.clone());
    }
    let attempt = building.deployment.record.operation().map_or(1, |last| last.attempt + 1);
    let operation = Operation {
        operation: OperationKind::Build,
        token: client_token(building.id().as_str(), "build", attempt),
        target: String::new(),
        attempt,
        without: Vec::new(),
        at: context.now(),
    };
    let next = operation.clone();
    building.write(context, |record| record.operations.push(next)).await?;
    Ok(operation)
}

/// Target of an attempt whose failure was observed.
const OVER: &str = "over";

async fn started<C: BakeContext>(
    context: &C,
    builds: &C::Builds,
    building: &mut Building,
    operation: &Operation,
) -> Result<String, Failure> {
    // The response to an earlier call may be lost, and CodeBuild may have forgotten the token since.
    if let Some(found) = builds.find(&operation.token).await? {
        return Ok(found);
    }
    ensure_permitted(context, &building.deployment.record).await?;
    let artifact = building.body.artifact.clone();
    let key = key_of(context, building).await?;
    let recipe = stored(context, builds, building, &artifact).await?;
    builds.start(&wanted(building, operation, recipe, key)?).await
}

/// A recipe in the bucket of the account: its key and its S3 version.
struct StoredRecipe {
    key: String,
    version: String,
}

/// Stores the recipe in the account once, after the comparison with the digest in its key, and records the version. Each
/// attempt reads that version, so no later write to the bucket changes what is built.
async fn stored<C: BakeContext>(
    context: &C,
    builds: &C::Builds,
    building: &mut Building,
    key: &str,
) -> Result<StoredRecipe, Failure> {
    if let Some(version) = building.body.recipe_version.clone() {
        return Ok(StoredRecipe { key: key.to_owned(), version });
    }
    let recipe = context.artifact(key).await?;
    if !is_at_key(&recipe, key) {
        return Err(unusable(format!(
            "the recipe {key} is not the one that was packaged: its content has another digest; push a change of the recipe"
        )));
    }
    let version = builds.store(key, recipe).await?;
    building.body.recipe_version = Some(version.clone());
    let body = building.body.clone();
    building.write(context, |record| record.body = body.into()).await?;
    Ok(StoredRecipe { key: key.to_owned(), version })
}

/// Returns the key for the build; empty if the recipe decides. Logs a warning before the build if the image cannot be
/// shared.
async fn key_of<C: BakeContext>(context: &C, building: &Building) -> Result<&'static str, Failure> {
    let location = building.location();
    let encryption = context.encryption(location, &building.id().session()).await?;
    match bake::build_key(&encryption, location) {
        BuildKey::AsTheRecipeSays => Ok(""),
        BuildKey::OfImages => Ok(KEY_ALIAS),
        BuildKey::Missing(why) => {
            deployment_log::append(context.ledger(), building.id(), &why, context.now()).await?;
            Ok("")
        }
    }
}

fn wanted(
    building: &Building,
    operation: &Operation,
    recipe: StoredRecipe,
    key: &str,
) -> Result<NewBuild, Failure> {
    let location = building.location();
    let tags = serde_json::to_string(&building.tags());
    let tags = tags.map_err(|error| Failure::bug("the tags of an image").caused_by(&error))?;
    let name = format!("{}-{}-{}", building.body.image, building.version(), building.id().short());
    // An interrupted attempt may have left an image with its name.
    let name = if operation.attempt == 1 { name } else { format!("{name}-{}", operation.attempt) };
    let variables = [
        ("LOCKSTEP_REGION", location.region.to_string()),
        ("LOCKSTEP_AMI_NAME", name),
        ("LOCKSTEP_SOURCE_AMI", building.body.base.to_string()),
        ("LOCKSTEP_TAGS", tags),
        ("LOCKSTEP_VARIABLES", layered_file(&location.account)),
        ("LOCKSTEP_IMAGE_KEY", key.to_owned()),
    ];
    let variables = variables
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    Ok(NewBuild { token: operation.token.clone(), recipe: recipe.key, version: recipe.version, variables })
}

/// Handles `observe_build`: reads the build and returns the next step.
pub async fn observe<C: BakeContext>(context: &C, id: &DeploymentId) -> Result<NextStep, Failure> {
    let mut building = Building::load_running(context, id).await?;
    let Some((arn, attempt)) = under_way(&building) else { return Ok(NextStep::Wait) };
    match looked_at(context, &building, &arn, attempt).await? {
        BuildObservation::Wait => Ok(NextStep::Wait),
        BuildObservation::Made(_) => Ok(NextStep::Register),
        BuildObservation::Again(why) => {
            deployment_log::append(context.ledger(), id, &format!("{why}; trying again"), context.now())
                .await?;
            building
                .write(context, |record| {
                    if let Some(last) = record.operations.last_mut() {
                        last.target = OVER.to_owned();
                    }
                })
                .await?;
            Ok(NextStep::Wait)
        }
        BuildObservation::Failed(why) => {
            deployment_log::append(context.ledger(), id, &why, context.now()).await?;
            Err(unusable(why))
        }
    }
}

/// Returns the ARN and the attempt of the build that was started last.
pub fn under_way(building: &Building) -> Option<(String, u32)> {
    let operation = building.deployment.record.operation()?;
    let known = !operation.target.is_empty() && operation.target != OVER;
    known.then(|| (operation.target.clone(), operation.attempt))
}

/// Reads the build `arn` and returns its result.
pub async fn looked_at<C: BakeContext>(
    context: &C,
    building: &Building,
    arn: &str,
    attempt: u32,
) -> Result<BuildObservation, Failure> {
    let builds = context.builds(building.location(), &building.id().session()).await?;
    let Some(found) = builds.describe(arn).await? else { return Ok(BuildObservation::Wait) };
    Ok(bake::observe(&found, attempt, &building.location().region))
}
