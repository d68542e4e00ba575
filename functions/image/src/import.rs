//! Imports an image that was made elsewhere.

use crate::context::ImageContext;
use crate::load::{self, unusable};
use lockstep_aws::ec2::Images;
use lockstep_aws::ledger::Inserted;
use lockstep_domain::images::promotion::{
    Ami, Origin, TAG_BUILT_AT, TAG_COMMIT, TAG_REPOSITORY, tags, why_not_imported,
};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::image::Promoted;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, ImageName, StageName};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Image, ImageOrigin, ImageState, ImageVersion, OwnedName, Ownership};
use lockstep_runtime::stages;
use std::collections::BTreeSet;

/// Handles `import`: validates, tags and records the image. A repeated import changes nothing.
pub async fn import<C: ImageContext>(
    context: &C,
    id: &AmiId,
    name: &ImageName,
    version: &Version,
    stage: &StageName,
) -> Result<Promoted, Failure> {
    require_claim(context, name).await?;
    let stage = stages::stage(context.ledger(), stage).await?;
    let location = stage.location();
    let known = load::everywhere(context, name, version).await?;
    let known: Vec<Image> = known.into_iter().map(|image| image.record).collect();
    let images =
        context.images(TargetRole::ImageSource, &location, &format!("lockstep-import-{name}")).await?;
    let found = images.describe(id).await?;
    if let Some(why) = why_not_imported(found.as_ref(), id, &location.account, &known) {
        return Err(unusable(why));
    }
    let ami = found.ok_or_else(|| unusable(format!("{id} does not exist")))?;
    if let Some(code) = ami.product_codes.first() {
        tracing::warn!(image = %name, "{id} holds the product {code}: it cannot be copied to another account");
    }
    let image = image(context, &ami, (name, version), (&location, stage.path()));
    // The version comes first: nothing resolves to an image without one, and a repeated import completes the rest.
    let imported = imported(&image);
    match context.ledger().insert(&imported).await? {
        Inserted::New(_) => {}
        Inserted::Exists(other) if other.record.source_ami == imported.source_ami => {}
        Inserted::Exists(other) => {
            return Err(unusable(format!("{name}@{version} is {} already", taken(&other.record))));
        }
    }
    images.tag(id, &image.snapshots, &own_tags(&ami, &image)).await?;
    // Of two imports of one version at the same time, the first one counts.
    match context.ledger().insert(&image).await? {
        Inserted::New(_) => {}
        Inserted::Exists(other) if other.record.source_ami == *id => {}
        Inserted::Exists(other) => {
            return Err(unusable(format!("{name}@{version} is {} already", other.record.source_ami)));
        }
    }
    Ok(Promoted { image: name.clone(), version: version.clone(), ami: id.clone() })
}

/// Refuses a name without a claim: a push could claim a name whose versions an administrator imported.
async fn require_claim<C: ImageContext>(context: &C, name: &ImageName) -> Result<(), Failure> {
    let key = Ownership::key_of(&OwnedName::Image(name.clone()));
    match context.ledger().get::<Ownership>(&key).await? {
        Some(_) => Ok(()),
        None => Err(Failure::rejected(format!(
            "the image `{name}` has no claim yet; run `lockstep images import`, which claims the name first"
        ))),
    }
}

fn image<C: ImageContext>(
    context: &C,
    ami: &Ami,
    (name, version): (&ImageName, &Version),
    (location, path): (&Location, DeploymentPath),
) -> Image {
    Image {
        name: name.clone(),
        version: version.clone(),
        location: location.clone(),
        path,
        state: ImageState::Available,
        ami: Some(ami.id.clone()),
        snapshots: ami.snapshots(),
        source_ami: ami.id.clone(),
        commit: ami.tags.get(TAG_COMMIT).and_then(|commit| commit.parse().ok()),
        recorded_by: "import".into(),
        recorded_at: context.now(),
    }
}

/// Returns the record of the version. It is usable at once, and promotion copies it to the locations that need it.
fn imported(image: &Image) -> ImageVersion {
    ImageVersion {
        name: image.name.clone(),
        version: image.version.clone(),
        state: ImageVersionState::Usable,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: image.commit.clone() },
        source_ami: Some(image.source_ami.clone()),
        required: BTreeSet::new(),
        expires_at: None,
        retiring_since: None,
        recorded_by: image.recorded_by.clone(),
        recorded_at: image.recorded_at,
    }
}

/// Returns the source AMI of a version that exists already, or its state.
fn taken(version: &ImageVersion) -> String {
    version.source_ami.as_ref().map_or_else(|| format!("{}", version.state), ToString::to_string)
}

fn own_tags(ami: &Ami, image: &Image) -> Vec<(String, String)> {
    tags(&Origin {
        name: &image.name,
        version: &image.version,
        commit: image.commit.as_ref(),
        repository: ami.tags.get(TAG_REPOSITORY).map(String::as_str),
        source_ami: &image.source_ami,
        built_at: ami.tags.get(TAG_BUILT_AT).map(String::as_str),
        deployment: None,
    })
}
