//! Validates, tags and records an image that was built.

use crate::build::{looked_at, under_way};
use crate::context::BakeContext;
use crate::load::{self, Building, unusable};
use crate::version;
use lockstep_aws::ec2::Images;
use lockstep_aws::ledger::Inserted;
use lockstep_domain::images::bake::BuildObservation;
use lockstep_domain::images::promotion::{Ami, AmiState, BUILD_ACCEPTED, TAG_BUILD, TAG_SOURCE};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::bake::Built;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, DeploymentId};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{Deployment, DeploymentState, Image, ImageState, ImageVersion};
use lockstep_runtime::{deployment_end, deployment_log};

/// Handles `register`: validates the image, tags it, records it, and closes the build as succeeded.
pub async fn register<C: BakeContext>(context: &C, id: &DeploymentId) -> Result<Built, Failure> {
    let mut building = Building::load(context, id).await?;
    if building.deployment.record.state.is_final()
        && building.deployment.record.state != DeploymentState::Succeeded
    {
        return Err(Failure::new(FailureKind::Superseded, format!("the build {id} is not running any more")));
    }
    let (arn, attempt) = under_way(&building).ok_or_else(|| Failure::bug("there is no build to register"))?;
    let ami = match looked_at(context, &building, &arn, attempt).await? {
        BuildObservation::Made(ami) => ami,
        // The state machine registers only after the end of the build, so this response is stale.
        BuildObservation::Wait => {
            return Err(Failure::new(FailureKind::Transient, format!("the build {arn} cannot be read yet")));
        }
        BuildObservation::Again(why) | BuildObservation::Failed(why) => return Err(unusable(why)),
    };
    let found = version_of(context, &building).await?;
    let source = found.record.source_ami.clone().unwrap_or_else(|| ami.clone());
    let images = context.images(TargetRole::ImageBuilder, building.location(), &id.session()).await?;
    let seen = images.describe(&ami).await?;
    let seen = judged(&building, seen, &ami, &arn)?;

    // All images of one recipe and commit carry the same source tag, in each account. The builder's role cannot change
    // an image that carries the tag of acceptance.
    let tags: Vec<(String, String)> = building
        .tags()
        .into_iter()
        .map(|(key, value)| {
            let value = if key == TAG_SOURCE { source.to_string() } else { value };
            (key, value)
        })
        .chain([(TAG_BUILD.to_owned(), BUILD_ACCEPTED.to_owned())])
        .collect();
    images.tag(&ami, &seen.snapshots(), &tags).await?;
    record(context, &building, &seen, &source).await?;
    if found.record.state == ImageVersionState::Building {
        let withheld = version::built(&found.record, &ami)?;
        context.ledger().replace(&found, withheld).await?;
    }
    if building.deployment.record.state == DeploymentState::Running {
        deployment_log::append(
            context.ledger(),
            id,
            &format!("{ami} is registered in account {}", building.location().account),
            context.now(),
        )
        .await?;
        let now = context.now();
        building
            .write(context, |record: &mut Deployment| {
                record.state = DeploymentState::Succeeded;
                record.finished_at = Some(now);
            })
            .await?;
        deployment_end::report(&building.deployment.record, now);
    }
    Ok(Built { image: building.body.image.clone(), version: building.version().clone(), ami })
}

async fn version_of<C: BakeContext>(
    context: &C,
    building: &Building,
) -> Result<lockstep_aws::ledger::Versioned<ImageVersion>, Failure> {
    let found = load::version(context, &building.body.image, building.version()).await?;
    match found.record.state {
        ImageVersionState::Building | ImageVersionState::Withheld | ImageVersionState::Usable => Ok(found),
        ImageVersionState::Discarding
        | ImageVersionState::Discarded
        | ImageVersionState::Retiring
        | ImageVersionState::Retired => Err(Failure::new(
            FailureKind::Superseded,
            format!(
                "{}@{} is {}, so the image that was built is not registered",
                building.body.image,
                building.version(),
                found.record.state
            ),
        )),
    }
}

/// Returns the image if it belongs to the account, is available, and carries the tags of the build `arn`. AWS lets no build
/// write the ARN of another one, so the image of another build is refused.
fn judged(building: &Building, seen: Option<Ami>, ami: &AmiId, arn: &str) -> Result<Ami, Failure> {
    let Some(seen) = seen else {
        // A new image becomes visible within moments.
        return Err(Failure::new(FailureKind::Transient, format!("{ami} was built, but cannot be seen yet")));
    };
    let account = &building.location().account;
    match &seen.state {
        AmiState::Available => {}
        AmiState::Pending => {
            return Err(Failure::new(
                FailureKind::Transient,
                format!("{ami} was built, but is still pending"),
            ));
        }
        AmiState::Broken(state) | AmiState::Other(state) => {
            return Err(unusable(format!("{ami} was built, but is {state}")));
        }
    }
    if seen.owner != *account {
        return Err(unusable(format!("{ami} belongs to account {}, not to {account}", seen.owner)));
    }
    let given = building.tags();
    // Registration replaces this tag and that of the build, and a retry may register again.
    let lost = given.iter().filter(|(key, value)| *key != TAG_SOURCE && seen.tags.get(*key) != Some(value));
    let lost: Vec<&str> = lost.map(|(key, _)| key.as_str()).collect();
    if !lost.is_empty() {
        return Err(unusable(format!("{ami} was built without the tags it was given: {}", lost.join(", "))));
    }
    match seen.tags.get(TAG_BUILD).map(String::as_str) {
        Some(made_by) if made_by == arn || made_by == BUILD_ACCEPTED => Ok(seen),
        other => Err(unusable(format!(
            "{ami} was not made by the build {arn}: its tag {TAG_BUILD} is {}",
            other.unwrap_or("missing")
        ))),
    }
}

async fn record<C: BakeContext>(
    context: &C,
    building: &Building,
    seen: &Ami,
    source: &AmiId,
) -> Result<(), Failure> {
    let image = Image {
        name: building.body.image.clone(),
        version: building.version().clone(),
        location: building.location().clone(),
        path: building.id().path(),
        state: ImageState::Available,
        ami: Some(seen.id.clone()),
        snapshots: seen.snapshots(),
        source_ami: source.clone(),
        commit: Some(building.body.commit.clone()),
        recorded_by: building.deployment.record.execution.clone(),
        recorded_at: context.now(),
    };
    match context.ledger().insert(&image).await? {
        Inserted::New(_) => Ok(()),
        Inserted::Exists(other) if other.record.ami == image.ami => Ok(()),
        // Left by a promotion that found that the image cannot be copied.
        Inserted::Exists(other) if other.record.ami.is_none() => {
            context.ledger().replace(&other, image).await.map(drop)
        }
        Inserted::Exists(other) => Err(unusable(format!(
            "{}@{} is {} there already, not {}",
            image.name,
            image.version,
            other.record.ami.map_or_else(|| "unknown".to_owned(), |ami| ami.to_string()),
            seen.id
        ))),
    }
}
