//! Publications of images, for which operators ask.

use crate::context::LedgerContext;
use crate::load;
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_domain::delivery::gate;
use lockstep_domain::images::publishing::{self, Step};
use lockstep_domain::messages::operator::Published;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AmiId, ImageName, StageName};
use lockstep_domain::model::person::Caller;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Image, Publication, PublicationState};
use lockstep_runtime::stages::stages;
use lockstep_runtime::{answers, deployment_end, images};

/// Publishes `version` of `image` in a stage, or asks its approvers. If the question is on record, carries its answer out.
pub async fn publish(
    context: &impl LedgerContext,
    (image, version): (&ImageName, &Version),
    stage: &StageName,
    by: &Caller,
    now: Timestamp,
) -> Result<Published, Failure> {
    let ledger = context.ledger();
    let stages = stages(ledger).await?;
    let stage = gate::stage(&stages, stage)?;
    let found = images::version(ledger, image, version).await?;
    let found = found.ok_or_else(|| Failure::not_found(format!("there is no image {image}@{version}")))?;
    let location = stage.location();
    let place = ledger.get::<Image>(&Image::key_of(image, version, &location, stage.path())).await?;
    let ami = publishing::admit(&stages, stage, &found.record, place.as_ref().map(|place| &place.record))?;

    let partition = Publication::of_image(&stage.name, image);
    let mut known = ledger.every::<Publication>(&partition).await?;
    known.retain(|known| known.record.version == *version);
    if let Some(waiting) = known.iter().find(|known| known.record.state == PublicationState::Waiting) {
        return settle(context, waiting, &ami, now).await;
    }
    let publication = Publication {
        deployment: Publication::id_of(&stage.name, image, version, known.len()),
        stage: stage.name.clone(),
        location,
        image: image.clone(),
        version: version.clone(),
        ami,
        by: by.clone(),
        asked_at: now,
        state: PublicationState::Waiting,
    };
    let Step { publication, deployment } = publishing::begin(publication, stage.approval.is_some(), now)?;
    ledger.transact(vec![Write::insert(&publication)?, Write::insert(&deployment)?]).await?;
    Ok(Published { publication, changed: true })
}

/// Carries out the answer to the question of a publication, if it is on record.
async fn settle(
    context: &impl LedgerContext,
    waiting: &Versioned<Publication>,
    ami: &AmiId,
    now: Timestamp,
) -> Result<Published, Failure> {
    let asking = load::deployment(context, &waiting.record.deployment).await?;
    let answers = answers::to_last_question(context.ledger(), &asking.record).await?;
    let answers = answers.as_ref().map(|answers| &answers.record);
    let Some(step) = publishing::settle((&waiting.record, &asking.record), answers, ami, now) else {
        return Ok(Published { publication: waiting.record.clone(), changed: false });
    };
    let mut writes = vec![Write::replace(waiting, &step.publication)?];
    if step.deployment != asking.record {
        writes.push(Write::replace(&asking, &step.deployment)?);
    }
    context.ledger().transact(writes).await?;
    if step.deployment != asking.record {
        deployment_end::report(&step.deployment, now);
    }
    Ok(Published { publication: step.publication, changed: true })
}
