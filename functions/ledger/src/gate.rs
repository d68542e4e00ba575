//! The gate of a promotion.

use crate::{App, load};
use jiff::Timestamp;
use lockstep_domain::error::Failure;
use lockstep_domain::gate::{
    check_evidence, check_path, check_release, check_taint, missing_images, stage as find_stage,
};
use lockstep_domain::payloads::inputs;
use lockstep_domain::payloads::ledger::{Gated, GatedImage};
use lockstep_domain::records::{Environment, Image, Location, Release};
use lockstep_domain::stages::Path;
use lockstep_domain::token::client_token;
use lockstep_platform::ledger::Order;

/// The most accounts and regions that one version of an image is in.
const COPIES: usize = 1000;

/// Whether the release may go where the input says, and the images that must be brought there first.
///
/// A broken glass opens the gate here and is used up by the deployment, which must begin before it counts no more.
pub async fn gate(
    app: &App,
    execution: &str,
    input: &inputs::Promote,
    now: Timestamp,
) -> Result<Gated, Failure> {
    let stages = load::stages(app).await?;
    let stage = find_stage(&stages, &input.to)?;
    let release = load::release(app, &input.component, &input.version).await?.record;
    check_path(&release, stage, Path::Promotion)?;
    check_release(&release, stage)?;
    let proof = load::proof(app, &release, &stages, stage).await?;
    check_evidence(&release, &stages, stage, proof.evidence.as_ref(), proof.broken(), now)?;
    let key = Environment::key_of(&stage.name, input.component.as_str());
    let environment = app.ledger.get::<Environment>(&key).await?;
    check_taint(environment.as_ref().map(|environment| &environment.record))?;
    let target = Location { account: stage.account.clone(), region: stage.region.clone() };
    let known = images(app, &release).await?;
    let images = missing_images(&release, &known, &target)
        .into_iter()
        .map(|image| GatedImage {
            image: image.name.clone(),
            version: image.version.clone(),
            execution: client_token(execution, &format!("image/{}@{}", image.name, image.version), 1),
        })
        .collect();
    Ok(Gated { images, deploy_execution: client_token(execution, "deploy", 1) })
}

/// Where the images of a release are.
async fn images(app: &App, release: &Release) -> Result<Vec<Image>, Failure> {
    let mut known = Vec::new();
    for locked in release.image_lock.0.values() {
        let (pk, prefix) = Image::version_of(&locked.name, &locked.version);
        let found = app.ledger.list::<Image>(&pk, &prefix, Order::Oldest, COPIES).await?;
        known.extend(found.into_iter().map(|image| image.record));
    }
    Ok(known)
}
