//! Copies an image as the target account, reads the copy, compares it with its source, and discards a failed copy.

use crate::context::ImageContext;
use crate::load::{Promotion, unusable};
use crate::room;
use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use lockstep_aws::ec2::{Copied, Images, NewCopy};
use lockstep_aws::kms::Keys;
use lockstep_aws::ledger::Versioned;
use lockstep_domain::images::promotion::{self, Ami, AmiState, TAG_DEPLOYMENT, places};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::Task;
use lockstep_domain::messages::image::NextStep;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AmiId, DeploymentId, SnapshotId};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{CopyPlan, Image, ImageState, Operation, OperationKind};
use lockstep_runtime::deployment_log;
use std::collections::BTreeSet;
use std::time::Duration;

/// Seconds for which a new copy may be invisible. After that it counts as deleted.
const GRACE_SECONDS: i64 = 900;

/// Returns the pauses between tries to copy an image that was shared a moment ago: one to sixteen seconds, half a
/// minute in all. A share becomes visible everywhere within seconds.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new().with_min_delay(Duration::from_secs(1)).with_max_times(5).build()
}

/// Handles `copy`: starts the copy, or finds the one that an earlier call started. [`discard`] undoes it.
pub async fn copy<C: ImageContext>(context: &C, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let mut promotion = Promotion::load_running(context, id).await?;
    let record = promotion.copy(context).await?;
    let images = context.images(TargetRole::ImageTarget, promotion.target(), &promotion.session()).await?;
    let ami = match &record.record.ami {
        Some(ami) => ami.clone(),
        None => match begin(context, &images, &mut promotion).await? {
            CopyStart::Copy(ami) => {
                let mut image = record.record.clone();
                image.ami = Some(ami.clone());
                context.ledger().replace(&record, image).await?;
                deployment_log::append(context.ledger(), id, &format!("the copy is {ami}"), context.now())
                    .await?;
                ami
            }
            CopyStart::NoSlot(why) => return wait_for_slot(context, &promotion, task, &why).await,
        },
    };
    let key = Image::arn(context.partition(), &promotion.target().region, &ami);
    context.callbacks().register(&key, task).await?;
    match images.describe(&ami).await? {
        // An invisible copy is not finished. The event of the image, or the timeout of the state, leads to the next look.
        None | Some(Ami { state: AmiState::Pending, .. }) => Ok(()),
        Some(_) => context.callbacks().wake(&key).await,
    }
}

/// Result of a copy request.
enum CopyStart {
    Copy(AmiId),
    /// AWS accepts no further copy now; the text is its reason.
    NoSlot(String),
}

/// Queues the promotion until a copy of Lockstep ends in the account, or the callback times out. Others copy into the
/// account too, so AWS may refuse a copy within our limit.
async fn wait_for_slot<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    task: &Task,
    why: &str,
) -> Result<(), Failure> {
    let (id, target) = (promotion.id(), promotion.target());
    deployment_log::append(
        context.ledger(),
        id,
        &format!("AWS copies no further image into account {} now: {why}", target.account),
        context.now(),
    )
    .await?;
    room::enter(context, id, promotion.execution(), target).await?;
    match room::ask(context, id, target).await? {
        Some((key, _)) => context.callbacks().register(&key, task).await,
        None => Ok(()),
    }
}

/// Requests the copy. Each attempt has one token and the same parameters.
async fn begin<C: ImageContext>(
    context: &C,
    images: &C::Images,
    promotion: &mut Promotion,
) -> Result<CopyStart, Failure> {
    let plan = promotion.plan()?.clone();
    let operation = intend(context, promotion, &plan).await?;
    let request = NewCopy {
        source: plan.copied_from.clone(),
        source_region: promotion.source.region.clone(),
        name: copy_name(promotion, &plan, operation.attempt),
        token: operation.token,
        tags: promotion.tags()?,
        key: plan.key.clone(),
    };
    wait_for_keys(context, promotion, &plan).await?;
    room::pace_copy(context, promotion.id(), promotion.target()).await?;
    let mut pauses_left = pauses();
    loop {
        match images.copy(&request).await? {
            Copied::Begun(ami) => return Ok(CopyStart::Copy(ami)),
            Copied::Full(why) => return Ok(CopyStart::NoSlot(why)),
            Copied::Refused(why) => {
                let why = format!("AWS will not copy the image: {why}");
                return Err(Failure::new(FailureKind::ImageStays, why));
            }
            Copied::NotVisible(why) => match pauses_left.next() {
                Some(pause) => context.sleep(pause).await,
                None => return Err(not_seen(images, promotion, &why).await?),
            },
        }
    }
}

/// Returns the failure for a shared image that the target cannot see, with the reason if EC2 reports one.
async fn not_seen<I: Images>(images: &I, promotion: &Promotion, why: &str) -> Result<Failure, Failure> {
    let message = format!("the image was shared, yet cannot be seen: {why}");
    if !images.sees_allowed_images_only().await? {
        return Ok(unusable(message));
    }
    let (target, source) = (promotion.target(), &promotion.source.account);
    Ok(unusable(format!(
        "{message}. Account {} allows the images of some providers only (Allowed AMIs is enabled in {}): add account {source} to \
         them with aws ec2 replace-image-criteria-in-allowed-images-settings",
        target.account, target.region
    )))
}

/// Returns the name of the copy, unique in its account and region. The name of a failed copy can remain taken for a while.
fn copy_name(promotion: &Promotion, plan: &CopyPlan, attempt: u32) -> String {
    let (image, version) = (&promotion.image, &promotion.deployment.record.version);
    let name = format!("{image}-{version}-{}", plan.made_by.short());
    if attempt == 1 { name } else { format!("{name}-{attempt}") }
}

/// Waits until the target may use the keys of the snapshots. A copy before that fails with an error that names no reason.
async fn wait_for_keys<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    plan: &CopyPlan,
) -> Result<(), Failure> {
    if plan.keys.is_empty() {
        return Ok(());
    }
    let keys = context.keys(TargetRole::ImageTarget, promotion.target(), &promotion.session()).await?;
    let mut pauses_left = pauses();
    for key in &plan.keys {
        loop {
            match keys.describe(key).await {
                Ok(Some(_)) => break,
                Err(failure) if failure.kind != FailureKind::AccessDenied => return Err(failure),
                Ok(None) | Err(_) => match pauses_left.next() {
                    Some(pause) => context.sleep(pause).await,
                    None => return Err(unusable(forbidden(promotion, key))),
                },
            }
        }
    }
    Ok(())
}

fn forbidden(promotion: &Promotion, key: &str) -> String {
    format!(
        "account {} was granted the use of the key {key}, yet may not use it: look for a policy of the organisation, or of \
         the key, that forbids it",
        promotion.target().account
    )
}

async fn intend<C: ImageContext>(
    context: &C,
    promotion: &mut Promotion,
    plan: &CopyPlan,
) -> Result<Operation, Failure> {
    if let Some(earlier) = promotion.deployment.record.operation() {
        return Ok(earlier.clone());
    }
    let operation = attempt(plan, 1, context.now());
    let mut record = promotion.deployment.record.clone();
    record.operations.push(operation.clone());
    promotion.deployment = context.ledger().replace(&promotion.deployment, record).await?;
    let (account, version) = (&promotion.target().account, &promotion.deployment.record.version);
    let text = format!("copying {}@{version} ({}) into account {account}", promotion.image, plan.copied_from);
    deployment_log::append(context.ledger(), promotion.id(), &text, context.now()).await?;
    Ok(operation)
}

fn attempt(plan: &CopyPlan, attempt: u32, now: Timestamp) -> Operation {
    Operation {
        operation: OperationKind::Copy,
        token: client_token(plan.made_by.as_str(), "copy", attempt),
        target: plan.copied_from.to_string(),
        attempt,
        without: Vec::new(),
        at: now,
    }
}

/// Handles `observe`: reads the copy and returns the next step. Releases the copy slot of an available copy.
pub async fn observe<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<NextStep, Failure> {
    let promotion = Promotion::load_running(context, id).await?;
    let record = promotion.copy(context).await?;
    let Some(ami) = record.record.ami.clone() else { return Ok(NextStep::Wait) };
    let images = context.images(TargetRole::ImageTarget, promotion.target(), &promotion.session()).await?;
    match images.describe(&ami).await? {
        None if is_young(context, &promotion) => Ok(NextStep::Wait),
        None => Err(unusable(format!("the copy {ami} is gone"))),
        Some(Ami { state: AmiState::Pending, .. }) => Ok(NextStep::Wait),
        Some(Ami { state: AmiState::Broken(why), .. }) => failed(context, &promotion, &ami, &why).await,
        Some(Ami { state: AmiState::Other(why), .. }) => Err(unusable(format!("the copy {ami} is {why}"))),
        Some(found) => {
            keep_snapshots(context, &record, found.snapshots()).await?;
            room::leave(context, id, promotion.target()).await?;
            Ok(NextStep::Compare)
        }
    }
}

/// Logs the failure of a copy with EC2's reason. Returns the next attempt, or fails after the last one.
async fn failed<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    ami: &AmiId,
    why: &str,
) -> Result<NextStep, Failure> {
    let attempt = promotion.deployment.record.operation().map_or(1, |operation| operation.attempt);
    let account = &promotion.target().account;
    let key = promotion.plan()?.key.as_ref().map(|key| {
        format!(
            "; its key is {key}: check that {} may use it",
            context.role_arn(TargetRole::ImageTarget, account)
        )
    });
    let failed = format!("the copy {ami} in account {account} is {why}{}", key.unwrap_or_default());
    deployment_log::append(
        context.ledger(),
        promotion.id(),
        &format!("attempt {attempt}: {failed}"),
        context.now(),
    )
    .await?;
    match places::next_attempt(attempt) {
        Some(_) => Ok(NextStep::Again),
        None => Err(unusable(format!("{failed} (after {attempt} attempts)"))),
    }
}

/// Handles `retry`: removes the failed copy, then clears its id and records the next attempt in one transaction.
pub async fn retry<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(context, id).await?;
    let record = promotion.copy(context).await?;
    // Without an id this call is a retry: the next attempt is on record.
    if record.record.ami.is_none() {
        return Ok(());
    }
    let plan = promotion.plan()?;
    let images = context.images(TargetRole::ImageTarget, promotion.target(), &promotion.session()).await?;
    remove(context, &images, &promotion, &record.record).await?;
    let mut deployment = promotion.deployment.record.clone();
    let last = deployment.operation().map_or(1, |operation| operation.attempt);
    deployment.operations.push(attempt(plan, last + 1, context.now()));
    let forgotten = Image { ami: None, snapshots: BTreeSet::new(), ..record.record.clone() };
    context.ledger().replace_both((&promotion.deployment, &deployment), (&record, &forgotten)).await?;
    deployment_log::append(
        context.ledger(),
        id,
        &format!("copying again: attempt {}", last + 1),
        context.now(),
    )
    .await
}

fn is_young<C: ImageContext>(context: &C, promotion: &Promotion) -> bool {
    let since = promotion.deployment.record.operation().map(|operation| operation.at);
    since.is_some_and(|since| context.now().as_second() - since.as_second() < GRACE_SECONDS)
}

async fn keep_snapshots<C: ImageContext>(
    context: &C,
    record: &Versioned<Image>,
    found: BTreeSet<SnapshotId>,
) -> Result<BTreeSet<SnapshotId>, Failure> {
    let mut image = record.record.clone();
    image.snapshots.extend(found);
    let all = image.snapshots.clone();
    if image != record.record {
        context.ledger().replace(record, image).await?;
    }
    Ok(all)
}

/// Returns a copy that was available before. A stale response that shows it pending or missing is `Transient`.
pub async fn look_again(images: &impl Images, ami: &AmiId) -> Result<Ami, Failure> {
    match images.describe(ami).await? {
        None | Some(Ami { state: AmiState::Pending, .. }) => Err(Failure::new(
            FailureKind::Transient,
            format!("{ami} was available and does not appear so at this moment"),
        )),
        Some(found) => Ok(found),
    }
}

/// Handles `compare`: fails unless the copy equals its source.
pub async fn compare<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(context, id).await?;
    let record = promotion.copy(context).await?;
    let ami = record.record.ami.clone().ok_or_else(|| Failure::bug("there is no copy to compare"))?;
    let session = promotion.session();
    let copied_from = &promotion.plan()?.copied_from;
    let source = context
        .images(TargetRole::ImageSource, &promotion.source, &session)
        .await?
        .describe(copied_from)
        .await?;
    let copy =
        look_again(&context.images(TargetRole::ImageTarget, promotion.target(), &session).await?, &ami)
            .await?;
    let source = source.ok_or_else(|| {
        unusable(format!("the copy {ami} cannot be compared with {copied_from}, which is gone"))
    })?;
    // A copy that an earlier promotion started carries the id of that promotion.
    let mut tags = promotion.tags()?;
    tags.retain(|(key, _)| key != TAG_DEPLOYMENT);
    let differences = promotion::compare(&source, &copy, &promotion.target().account, &tags);
    if differences.is_empty() {
        return deployment_log::append(context.ledger(), id, "the copy equals its source", context.now())
            .await;
    }
    Err(unusable(format!("the copy {ami} is not what {copied_from} is: {}", differences.join("; "))))
}

/// Handles `discard`: removes a copy that is not recorded as usable, with its snapshots. Does nothing without a copy.
pub async fn discard<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load(context, id).await?;
    let record = promotion.at_target(context).await?;
    let ours = |record: &Image| {
        record.state == ImageState::Promoting && record.recorded_by == promotion.deployment.record.execution
    };
    let Some(record) = record.filter(|record| ours(&record.record)) else { return Ok(()) };
    let images = context.images(TargetRole::ImageTarget, promotion.target(), &promotion.session()).await?;
    remove(context, &images, &promotion, &record.record).await?;
    context.ledger().remove(&record).await
}

/// Removes the copies and their snapshots, found by record and by tags.
async fn remove<C: ImageContext>(
    context: &C,
    images: &C::Images,
    promotion: &Promotion,
    record: &Image,
) -> Result<(), Failure> {
    let Some(plan) = &promotion.plan else { return Ok(()) };
    let copies = copies(images, record, &plan.made_by).await?;
    // A snapshot that does not exist has no tag, without which the role may delete nothing.
    let recorded = images.snapshots(&record.snapshots).await?;
    let mut snapshots: BTreeSet<SnapshotId> = recorded.into_iter().map(|snapshot| snapshot.id).collect();
    snapshots.extend(copies.iter().flat_map(Ami::snapshots));
    snapshots.extend(images.snapshots_of(&plan.made_by).await?);
    for copy in &copies {
        deployment_log::append(
            context.ledger(),
            promotion.id(),
            &format!("discarding the copy {}", copy.id),
            context.now(),
        )
        .await?;
        images.deregister(&copy.id).await?;
    }
    for snapshot in &snapshots {
        images.delete_snapshot(snapshot).await?;
    }
    Ok(())
}

/// Returns the copies that the record names or that carry our tags. The tags find a copy whose response was lost.
async fn copies(images: &impl Images, record: &Image, made_by: &DeploymentId) -> Result<Vec<Ami>, Failure> {
    let made_by = made_by.to_string();
    let mut copies = images.owned(&record.name, &record.version).await?;
    copies
        .retain(|ami| record.ami.as_ref() == Some(&ami.id) || ami.tags.get(TAG_DEPLOYMENT) == Some(&made_by));
    if let Some(ami) = &record.ami
        && !copies.iter().any(|copy| copy.id == *ami)
    {
        copies.extend(images.describe(ami).await?);
    }
    Ok(copies)
}
