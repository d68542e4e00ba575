//! Inspects a promotion: acquires a copy slot, reads the image and the target, and records the plan of the copy.

use crate::context::ImageContext;
use crate::load::{self, Promotion, unusable};
use crate::room;
use crate::takeover;
use lockstep_aws::ec2::Images;
use lockstep_aws::kms::Keys;
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::images::lifecycle::{Purpose, obstacle};
use lockstep_domain::images::promotion::keys::{ImageKey, Key};
use lockstep_domain::images::promotion::{
    self, Ami, Inspect, Inventory, KEY_ALIAS, Snapshot, TAG_BUILT_AT, TAG_DEPLOYMENT, TAG_REPOSITORY,
    is_encrypted, places,
};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::image::{Inspected, NextStep};
use lockstep_domain::messages::inputs::PromoteImage;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, DeploymentId};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{CopyPlan, Deployment, DeploymentStart, Image, ImageState, PromoteImageBody};
use lockstep_runtime::{deployment_log, stages};
use std::collections::{BTreeMap, BTreeSet};

/// Handles `inspect`: creates the promotion, plans the copy, and returns the next step.
pub async fn inspect<C: ImageContext>(
    context: &C,
    execution: &str,
    input: &PromoteImage,
) -> Result<Inspected, Failure> {
    let id = DeploymentId::of_execution(execution);
    let version = load::version(context, &input.image, &input.version).await?;
    if let Some(why) = obstacle(&version, Purpose::Promote) {
        let label = format!("{}@{}", input.image, input.version);
        return Err(unusable(format!("The image {label} cannot be promoted: it is {why}.")));
    }
    let stage = stages::stage(context.ledger(), &input.to).await?;
    let target = stage.location();
    let known = load::everywhere(context, &input.image, &input.version).await?;
    let target_record = known.iter().find(|image| image.record.location == target);
    let candidates = candidates(&known, &target, input)?;
    let promotion = begin(context, &id, execution, input, &stage, candidates[0]).await?;
    let go = match takeover::predecessor(context, target_record, execution).await? {
        Some(dead) => adopt(context, &promotion, &dead, target_record).await?,
        None => plan(context, &promotion, &candidates, target_record).await?,
    };
    Ok(Inspected { promotion: id, next: go })
}

/// Returns the images to copy from, the best one first. Returns the target's own image if there is no other.
fn candidates<'a>(
    known: &'a [Versioned<Image>],
    target: &Location,
    input: &PromoteImage,
) -> Result<Vec<&'a Image>, Failure> {
    let all: Vec<&Image> = known.iter().map(|image| &image.record).collect();
    let mut found = places::sources(&all, target);
    found.extend(all.iter().filter(|image| image.is_usable() && image.is_at(target)).copied());
    if found.is_empty() { Err(load::unknown(&input.image, &input.version)) } else { Ok(found) }
}

/// Records the promotion. A retry keeps the record of the first try.
async fn begin<C: ImageContext>(
    context: &C,
    id: &DeploymentId,
    execution: &str,
    input: &PromoteImage,
    stage: &Stage,
    source: &Image,
) -> Result<Promotion, Failure> {
    let start = DeploymentStart {
        id: id.clone(),
        execution: execution.to_owned(),
        version: input.version.clone(),
        stage: stage.name.clone(),
        location: stage.location(),
        path: stage.path(),
        at: context.now(),
    };
    let body = PromoteImageBody { image: input.image.clone(), source: source.location.clone(), plan: None };
    context.ledger().insert(&Deployment::new(start, body)).await?;
    Promotion::load_running(context, id).await
}

/// Continues the work of a promotion that died or failed to clean up, with the same source, token and tags.
async fn adopt<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    dead: &Promotion,
    target_record: Option<&Versioned<Image>>,
) -> Result<NextStep, Failure> {
    if !room::enter(context, promotion.id(), promotion.execution(), promotion.target()).await? {
        return Ok(NextStep::Wait);
    }
    let old = &dead.deployment.record;
    let adopted = Deployment {
        body: old.body.clone(),
        operations: old.operations.clone(),
        ..promotion.deployment.record.clone()
    };
    context.ledger().replace(&promotion.deployment, adopted).await?;
    crate::share::hand_on(context, dead, promotion.id()).await?;
    if let Some(record) = target_record {
        let claimed = Image { recorded_by: promotion.execution().to_owned(), ..record.record.clone() };
        context.ledger().replace(record, claimed).await?;
    }
    deployment_log::append(
        context.ledger(),
        promotion.id(),
        &format!("continuing the copy that promotion {} began", dead.id().short()),
        context.now(),
    )
    .await?;
    Ok(NextStep::Copy)
}

/// Reads source and target, decides the next step, and records the plan.
async fn plan<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    candidates: &[&Image],
    target_record: Option<&Versioned<Image>>,
) -> Result<NextStep, Failure> {
    let (id, target) = (promotion.id(), promotion.target());
    let target_record_of = target_record.map(|image| &image.record);
    // The slot comes before the reads: a thousand promotions that only read make too many calls, too. An image that is
    // present needs no slot.
    let may_copy = !target_record_of.is_some_and(Image::is_usable);
    if may_copy && !room::enter(context, id, promotion.execution(), target).await? {
        return Ok(NextStep::Wait);
    }
    let seen = look(context, promotion, candidates, target_record_of).await?;
    let decision = promotion::inspect(&Inventory {
        record: seen.record,
        source: seen.source.as_ref(),
        snapshots: &seen.snapshots,
        keys: &seen.keys,
        image_key: seen.image_key.as_ref(),
        target,
        partition: context.partition(),
        target_record: target_record_of,
        owned: &seen.owned,
    });
    let (go, ami, key) = match decision {
        Inspect::Stays(why) => return Err(Failure::new(FailureKind::ImageStays, why)),
        Inspect::Refuse(why) => return Err(unusable(why)),
        Inspect::Present { .. } => (NextStep::Present, None, None),
        Inspect::Wait => (NextStep::Wait, None, None),
        Inspect::Resume { ami } => (NextStep::Copy, Some(ami), None),
        Inspect::Copy { key } => (NextStep::Copy, None, key),
    };
    if go == NextStep::Copy {
        let plan = copy_plan(promotion, &seen, ami.as_ref(), key);
        write_down(context, promotion, seen.record, Some(plan)).await?;
        claim(context, promotion, seen.record, target_record, ami).await?;
        let from = &seen.record.location;
        let text = format!(
            "copying {}@{} to account {} ({}), from account {} ({})",
            seen.record.name, seen.record.version, target.account, target.region, from.account, from.region
        );
        deployment_log::append(context.ledger(), id, &text, context.now()).await?;
    } else {
        write_down(context, promotion, seen.record, None).await?;
        room::leave(context, id, target).await?;
    }
    Ok(go)
}

struct Observation<'a> {
    record: &'a Image,
    source: Option<Ami>,
    snapshots: Vec<Snapshot>,
    keys: BTreeMap<String, Key>,
    image_key: Option<ImageKey>,
    owned: Vec<Ami>,
}

async fn look<'a, C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    candidates: &[&'a Image],
    target_record: Option<&Image>,
) -> Result<Observation<'a>, Failure> {
    let session = promotion.session();
    let there = context.images(TargetRole::ImageTarget, promotion.target(), &session).await?;
    let (record, source) = first_present(context, candidates, &session).await?;
    let mut owned = there.owned(&record.name, &record.version).await?;
    // The image of the record is read by its id too: the index may lack it, or its tags may be deleted.
    if let Some(ami) = target_record.and_then(|image| image.ami.as_ref())
        && !owned.iter().any(|found| found.id == *ami)
    {
        owned.extend(there.describe(ami).await?);
    }
    let ids = source.as_ref().map(Ami::snapshots).unwrap_or_default();
    let snapshots =
        context.images(TargetRole::ImageSource, &record.location, &session).await?.snapshots(&ids).await?;
    let mut seen = Observation { record, source, snapshots, keys: BTreeMap::new(), image_key: None, owned };
    if seen.source.as_ref().is_some_and(|source| is_encrypted(source, &seen.snapshots)) {
        seen.keys = source_keys(context, record, &seen.snapshots, &session).await?;
        seen.image_key = image_key(context, promotion.target(), &session).await?;
    }
    Ok(seen)
}

/// Returns the first candidate that is available or pending in its account. Without one, returns the first candidate,
/// for the message.
async fn first_present<'a, C: ImageContext>(
    context: &C,
    candidates: &[&'a Image],
    session: &str,
) -> Result<(&'a Image, Option<Ami>), Failure> {
    let mut first = None;
    for candidate in candidates {
        let Some(ami) = &candidate.ami else { continue };
        let found = context
            .images(TargetRole::ImageSource, &candidate.location, session)
            .await?
            .describe(ami)
            .await?;
        if found.as_ref().is_some_and(|ami| ami.state.may_become_available()) {
            return Ok((candidate, found));
        }
        first.get_or_insert((*candidate, found));
    }
    first.ok_or_else(|| Failure::bug("there is nothing to look at"))
}

/// Returns the keys of the snapshots, by the names that the snapshots use.
async fn source_keys<C: ImageContext>(
    context: &C,
    record: &Image,
    snapshots: &[Snapshot],
    session: &str,
) -> Result<BTreeMap<String, Key>, Failure> {
    let keys = context.keys(TargetRole::ImageSource, &record.location, session).await?;
    let named: BTreeSet<&String> = snapshots.iter().filter_map(|snapshot| snapshot.key.as_ref()).collect();
    let mut found = BTreeMap::new();
    for name in named {
        if let Some(key) = keys.describe(name).await? {
            found.insert(name.clone(), key);
        }
    }
    Ok(found)
}

/// Returns the key that encrypts copies in the target.
async fn image_key<C: ImageContext>(
    context: &C,
    target: &Location,
    session: &str,
) -> Result<Option<ImageKey>, Failure> {
    let keys = context.keys(TargetRole::ImageTarget, target, session).await?;
    let Some(key) = keys.describe(KEY_ALIAS).await? else { return Ok(None) };
    let (policy, grants) = (keys.policy(&key.arn).await?, keys.grants(&key.arn).await?);
    Ok(Some(ImageKey { key, policy, grants }))
}

fn copy_plan(
    promotion: &Promotion,
    seen: &Observation<'_>,
    ami: Option<&AmiId>,
    key: Option<String>,
) -> CopyPlan {
    let tag = |key: &str| seen.source.as_ref().and_then(|ami| ami.tags.get(key).cloned());
    let copy = ami.and_then(|id| seen.owned.iter().find(|owned| owned.id == *id));
    let made_by = copy.and_then(|copy| copy.tags.get(TAG_DEPLOYMENT)?.parse().ok());
    let record = seen.record;
    CopyPlan {
        copied_from: record.ami.clone().unwrap_or_else(|| record.source_ami.clone()),
        source_ami: record.source_ami.clone(),
        snapshots: seen.source.as_ref().map(Ami::snapshots).unwrap_or_default(),
        commit: record.commit.clone(),
        repository: tag(TAG_REPOSITORY),
        built_at: tag(TAG_BUILT_AT),
        keys: match record.location.account == promotion.target().account {
            true => BTreeSet::new(),
            false => seen.keys.values().map(|key| key.arn.clone()).collect(),
        },
        key,
        made_by: made_by.unwrap_or_else(|| promotion.id().clone()),
    }
}

/// Records the source and the plan of the copy. A plan that is recorded already remains.
async fn write_down<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    source: &Image,
    plan: Option<CopyPlan>,
) -> Result<(), Failure> {
    if promotion.plan.is_some() {
        return Ok(());
    }
    let body = PromoteImageBody { image: promotion.image.clone(), source: source.location.clone(), plan };
    let planned = Deployment { body: body.into(), ..promotion.deployment.record.clone() };
    if planned == promotion.deployment.record {
        return Ok(());
    }
    context.ledger().replace(&promotion.deployment, planned).await.map(drop)
}

/// Records that this execution makes the copy. The record prevents a second copy.
async fn claim<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    source: &Image,
    target_record: Option<&Versioned<Image>>,
    ami: Option<AmiId>,
) -> Result<(), Failure> {
    let execution = promotion.execution();
    let copy = Image {
        location: promotion.target().clone(),
        path: promotion.deployment.record.path,
        state: ImageState::Promoting,
        ami,
        snapshots: BTreeSet::new(),
        recorded_by: execution.to_owned(),
        recorded_at: context.now(),
        ..source.clone()
    };
    match target_record {
        Some(old) if old.record.recorded_by == execution => Ok(()),
        Some(old) => context.ledger().replace(old, copy).await.map(drop),
        None => match context.ledger().insert(&copy).await? {
            Inserted::New(_) => Ok(()),
            Inserted::Exists(other) if other.record.recorded_by == execution => Ok(()),
            Inserted::Exists(_) => {
                Err(Failure::new(FailureKind::Conflict, "another promotion of this image began just now"))
            }
        },
    }
}
