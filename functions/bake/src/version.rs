//! The way of a version: a bake claims it, distributes it to each required location, and makes it usable.

use crate::context::BakeContext;
use crate::load::{self, unusable};
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::ledger::Inserted;
use lockstep_aws::public_images::PublicImages;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::bake::{self, BakeRequest, Claim};
use lockstep_domain::images::constraint::resolve;
use lockstep_domain::images::lifecycle::{Transition, apply, completed};
use lockstep_domain::images::recipe::FILE;
use lockstep_domain::messages::bake::{
    Claimed, Completed, Distribution, DistributionResult, DistributionTarget, NextStep,
};
use lockstep_domain::messages::{inputs::BakeImage, package::Recipe};
use lockstep_domain::model::base_image::{Base, ImageSearch};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, ImageName, InvalidId};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::token::client_token;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{ImageOrigin, ImageVersion};
use lockstep_runtime::stages::stages;
use lockstep_runtime::{images, lease};
use std::collections::BTreeSet;

/// Maximum number of versions of an image that are read.
const VERSIONS_MAX: usize = 2000;

/// Handles `claim`: assigns a version to the recipe, or resumes the version that another bake left.
pub async fn claim<C: BakeContext>(
    context: &C,
    execution: &str,
    input: &BakeImage,
    recipe: &Recipe,
) -> Result<Claimed, Failure> {
    let stages = stages(context.ledger()).await?;
    let versions = versions(context, &input.image).await?;
    let request = BakeRequest {
        image: &input.image,
        of: recipe.of,
        branch: recipe.branch.as_deref(),
        commit: &input.commit,
        recipe: &recipe.digest,
        overridden: !input.overrides.is_empty(),
    };
    // A retry of a claim finds what it claimed before.
    let own = versions.iter().find(|version| version.recorded_by == execution);
    let decision = match own {
        Some(own) => Claim::Resume(own.version.clone()),
        None => bake::claim(&request, &versions),
    };
    let (version, next) = match decision {
        Claim::Present(version) => (version, NextStep::Present),
        Claim::Resume(version) => {
            take_over(context, execution, &input.image, &version).await?;
            (version, NextStep::Build)
        }
        Claim::New(version) => {
            let made = new(context, execution, input, recipe, &stages, &version).await?;
            if let Inserted::Exists(_) = context.ledger().insert(&made).await? {
                let message = format!("{}@{version} was claimed just now", input.image);
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            (version, NextStep::Build)
        }
    };
    let execution = client_token(execution, "build", 1);
    Ok(Claimed { version, next, stage: stages.test().name.clone(), execution })
}

/// Takes over the version from an execution that has ended. Two executions that bake one version would each undo the other's
/// failure, so this returns `EnvironmentBusy` while the holder may run.
async fn take_over<C: BakeContext>(
    context: &C,
    execution: &str,
    image: &ImageName,
    version: &Version,
) -> Result<(), Failure> {
    let found = load::version(context, image, version).await?;
    let holder = found.record.recorded_by.clone();
    if holder == execution {
        return Ok(());
    }
    lease::ensure_ended(context.executions(), &holder, || {
        format!("{holder} bakes {image}@{version} already; try again when it is done")
    })
    .await?;
    let taken = ImageVersion { recorded_by: execution.to_owned(), ..found.record.clone() };
    context.ledger().replace(&found, taken).await.map(drop)
}

async fn new<C: BakeContext>(
    context: &C,
    execution: &str,
    input: &BakeImage,
    recipe: &Recipe,
    stages: &Stages,
    version: &Version,
) -> Result<ImageVersion, Failure> {
    let everywhere = bake::places(stages).into_iter().map(|(location, _)| location).collect();
    let is_pre_release = version.is_pre_release();
    Ok(ImageVersion {
        name: input.image.clone(),
        version: version.clone(),
        state: ImageVersionState::Building,
        why: None,
        revoked: None,
        origin: ImageOrigin::Baked {
            repository: input.repository.clone(),
            reference: input.reference.clone(),
            commit: input.commit.clone(),
            folder: recipe.folder.clone(),
            recipe: recipe.digest.clone(),
            artifact: recipe.artifact.clone(),
            base: pinned(context, recipe, stages, execution).await?,
        },
        source_ami: None,
        required: if is_pre_release { BTreeSet::new() } else { everywhere },
        expires_at: if is_pre_release { Some(days_after(context.now(), recipe.ttl_days)?) } else { None },
        retiring_since: None,
        recorded_by: execution.to_owned(),
        recorded_at: context.now(),
    })
}

fn days_after(now: Timestamp, days: u32) -> Result<Timestamp, Failure> {
    let end = now.checked_add(SignedDuration::from_hours(i64::from(days) * 24));
    end.map_err(|error| Failure::bug(format!("{now} and {days} days")).caused_by(&error))
}

/// Returns the base of each build of the version, pinned: one version of an image of this installation, or one name of
/// a public image.
async fn pinned<C: BakeContext>(
    context: &C,
    recipe: &Recipe,
    stages: &Stages,
    execution: &str,
) -> Result<Base, Failure> {
    let constraint = match &recipe.base {
        Base::Image(constraint) => constraint,
        Base::Parameter(_) => return Ok(recipe.base.clone()),
        Base::Search(search) => {
            let session = DeploymentId::of_execution(execution).session();
            let published = context.public_images(&stages.test().location(), &session).await?;
            let (name, _) = published.find(search).await.map_err(|failure| {
                let file = format!("{}/{FILE}", recipe.folder);
                Failure { message: format!("{}: the base of {file}", failure.message), ..failure }
            })?;
            return Ok(Base::Search(ImageSearch { owner: search.owner.clone(), name }));
        }
    };
    let known = versions(context, constraint.name()).await?;
    let parameter =
        "Base".parse().map_err(|error: InvalidId| Failure::bug("a parameter").caused_by(&error))?;
    let locked = resolve(&parameter, constraint, &known)
        .map_err(|why| Failure::rejected(format!("the base of the recipe: {why}")))?;
    let exactly = format!("{}@={}", locked.name, locked.version).parse();
    exactly.map(Base::Image).map_err(|error| Failure::bug("a pinned image").caused_by(&error))
}

/// Returns the versions of an image, oldest first.
pub async fn versions<C: BakeContext>(context: &C, image: &ImageName) -> Result<Vec<ImageVersion>, Failure> {
    let mut found = images::versions(context.ledger(), image, VERSIONS_MAX).await?;
    found.reverse();
    Ok(found)
}

/// Handles `distribute`: returns the locations that lack the version. Each execution name is derived from the execution
/// and the location, so a retry joins the executions that run.
pub async fn distribute<C: BakeContext>(
    context: &C,
    execution: &str,
    image: &ImageName,
    version: &Version,
) -> Result<Distribution, Failure> {
    let stages = stages(context.ledger()).await?;
    let record = load::version(context, image, version).await?.record;
    if !record.version.is_pre_release() {
        for gone in bake::abandoned(&record, &stages) {
            tracing::warn!(image = %image, "no stage is in {} {} any more", gone.account, gone.region);
        }
    }
    let records: Vec<_> =
        load::everywhere(context, image, version).await?.into_iter().map(|i| i.record).collect();
    let places = bake::lacking(&record, &records, &stages).into_iter().map(|(location, stage)| {
        let step = |what: &str| format!("{what}/{}/{}", location.account, location.region);
        DistributionTarget {
            stage: stage.name.clone(),
            path: stage.path(),
            promotion: client_token(execution, &step("promote"), 1),
            build: client_token(execution, &step("build"), 1),
        }
    });
    Ok(Distribution { places: places.collect() })
}

/// Handles `copy_failed`: returns the next step after a failed copy.
pub fn copy_failed(error: &CaughtError) -> Result<NextStep, Failure> {
    Ok(if bake::must_build_there(error) { NextStep::Build } else { NextStep::Fail })
}

/// Handles `complete`: makes the version usable if each required location has it. Otherwise returns the reasons.
pub async fn complete<C: BakeContext>(
    context: &C,
    image: &ImageName,
    version: &Version,
    places: &[DistributionResult],
) -> Result<Completed, Failure> {
    let found = load::version(context, image, version).await?;
    let done = Completed { image: image.clone(), version: version.clone() };
    if found.record.state == ImageVersionState::Usable {
        return Ok(done);
    }
    let stages = stages(context.ledger()).await?;
    let records: Vec<_> =
        load::everywhere(context, image, version).await?.into_iter().map(|i| i.record).collect();
    // A stage that was removed meanwhile does not need the version.
    let gone = bake::abandoned(&found.record, &stages);
    let required = found.record.required.difference(&gone).cloned().collect();
    let judged = ImageVersion { required, ..found.record.clone() };
    if let Some(usable) = completed(&judged, &records) {
        context.ledger().replace(&found, usable).await?;
        return Ok(done);
    }
    let caught: Vec<(String, CaughtError)> = places
        .iter()
        .map(|place| {
            (place.stage.to_string(), CaughtError { error: place.error.clone(), cause: place.cause.clone() })
        })
        .collect();
    let reason = bake::not_distributed(caught.iter().map(|(stage, caught)| (stage.as_str(), caught)));
    let lacking =
        judged.missing(&records).into_iter().map(|place| format!("{} {}", place.account, place.region));
    let reason =
        reason.unwrap_or_else(|| format!("it is missing in {}", lacking.collect::<Vec<_>>().join(", ")));
    Err(unusable(format!("{image}@{version} cannot be used: {reason}")))
}

/// Returns the version after `Built`: withheld, with the reason.
pub fn built(
    version: &ImageVersion,
    ami: &lockstep_domain::model::ids::AmiId,
) -> Result<ImageVersion, Failure> {
    let why = "an account that needs it lacks it yet".to_owned();
    apply(version, &Transition::Built { source_ami: ami.clone(), why })
}

/// Returns the id of the build of a version at one location. The record with this id is the lock.
pub fn build_id(
    image: &ImageName,
    version: &Version,
    location: &lockstep_domain::model::location::Location,
    path: DeploymentPath,
) -> DeploymentId {
    let name = format!("build-image/{image}/{version}/{}/{}", location.account, location.region);
    DeploymentId::on_path(path, &name)
}
