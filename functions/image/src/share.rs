//! Shares the image, its snapshots and the use of their keys with the target account, and withdraws the shares.
//!
//! Promotions to several regions of one account need the same shares. The record of the share names each of them, and
//! the last one withdraws the shares. Each promotion has its own grants on the keys.

use crate::context::ImageContext;
use crate::load::{Promotion, unusable};
use crate::room;
use lockstep_aws::ec2::Images;
use lockstep_aws::kms::{Keys, NewGrant};
use lockstep_aws::ledger::{Inserted, Versioned};
use lockstep_domain::images::promotion::keys::{GRANT_OPERATIONS, encrypted_for_its_account_only};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{AccountId, DeploymentId, SnapshotId};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{CopyPlan, ImageShare};
use lockstep_runtime::deployment_log;
use lockstep_runtime::retry::retry_on_conflict;

/// Handles `share`. [`unshare`] undoes it after success and after failure.
pub async fn share<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load_running(context, id).await?;
    if !promotion.leaves_its_account() {
        return Ok(());
    }
    let plan = promotion.plan()?;
    let account = &promotion.target().account;
    record(context, &promotion, id).await?;
    deployment_log::append(
        context.ledger(),
        id,
        &format!("sharing {} with account {account}", plan.copied_from),
        context.now(),
    )
    .await?;
    room::pace_shares(context, id, &promotion.source, plan.snapshots.len()).await?;
    grant(context, &promotion, plan).await?;
    let images = context.images(TargetRole::ImageSource, &promotion.source, &promotion.session()).await?;
    open(&images, plan, account).await
}

/// Shares the image with its snapshots.
async fn open(images: &impl Images, plan: &CopyPlan, account: &AccountId) -> Result<(), Failure> {
    // Snapshots come first: a copy of an image without visible snapshots fails.
    for snapshot in &plan.snapshots {
        let shared = images.share_snapshot(snapshot, account).await;
        shared.map_err(|failure| explain(failure, snapshot))?;
    }
    images.share(&plan.copied_from, account).await
}

/// Adds the reason to EC2's refusal to share a snapshot. No earlier check can see this reason.
fn explain(failure: Failure, snapshot: &SnapshotId) -> Failure {
    match failure.kind {
        FailureKind::Rejected => unusable(format!(
            "the image cannot be shared: {} ({})",
            encrypted_for_its_account_only(snapshot),
            failure.message
        )),
        _ => failure,
    }
}

/// Grants the use of the snapshots' keys to the role that copies.
async fn grant<C: ImageContext>(context: &C, promotion: &Promotion, plan: &CopyPlan) -> Result<(), Failure> {
    if plan.keys.is_empty() {
        return Ok(());
    }
    let keys = context.keys(TargetRole::ImageSource, &promotion.source, &promotion.session()).await?;
    for key in &plan.keys {
        let grant = NewGrant {
            key: key.clone(),
            grantee: context.role_arn(TargetRole::ImageTarget, &promotion.target().account),
            operations: GRANT_OPERATIONS.map(str::to_owned).into(),
            name: grant_name(plan, key),
        };
        keys.grant(&grant).await?;
    }
    Ok(())
}

/// Returns the name of a grant. A promotion that takes over finds the grants by this name.
fn grant_name(plan: &CopyPlan, key: &str) -> String {
    client_token(plan.made_by.as_str(), &format!("grant {key}"), 1)
}

/// Handles `unshare`. Does nothing if nothing was shared, and also runs after the end of a promotion.
pub async fn unshare<C: ImageContext>(context: &C, id: &DeploymentId) -> Result<(), Failure> {
    let promotion = Promotion::load(context, id).await?;
    if !promotion.leaves_its_account() || promotion.plan.is_none() {
        return Ok(());
    }
    retry_on_conflict(async || withdraw(context, &promotion).await).await
}

async fn withdraw<C: ImageContext>(context: &C, promotion: &Promotion) -> Result<(), Failure> {
    let (id, account) = (promotion.id(), &promotion.target().account);
    let share = recorded(context, promotion).await?.filter(|share| share.record.promotions.contains(id));
    // The record comes before the share, so without a record nothing is shared.
    let Some(share) = share else { return Ok(()) };
    let plan = promotion.plan()?;
    revoke(context, promotion, plan).await?;
    let images = context.images(TargetRole::ImageSource, &promotion.source, &promotion.session()).await?;
    room::pace_shares(context, id, &promotion.source, plan.snapshots.len()).await?;
    let is_last = share.record.promotions.len() == 1;
    if is_last {
        close(&images, plan, account).await?;
    } else {
        // Another promotion may have started during the withdrawal of the last one, so its shares are restored.
        open(&images, plan, account).await?;
    }
    if is_last {
        context.ledger().remove(&share).await?;
    } else {
        let mut left = share.record.clone();
        left.promotions.remove(id);
        context.ledger().replace(&share, left).await?;
    }
    let text = match is_last {
        true => format!("{} is no longer shared with account {account}", plan.copied_from),
        false => {
            format!("{} remains shared with account {account}: another copy needs it", plan.copied_from)
        }
    };
    deployment_log::append(context.ledger(), id, &text, context.now()).await
}

/// Undoes [`open`].
async fn close(images: &impl Images, plan: &CopyPlan, account: &AccountId) -> Result<(), Failure> {
    images.unshare(&plan.copied_from, account).await?;
    for snapshot in &plan.snapshots {
        images.unshare_snapshot(snapshot, account).await?;
    }
    Ok(())
}

/// Undoes [`grant`].
async fn revoke<C: ImageContext>(context: &C, promotion: &Promotion, plan: &CopyPlan) -> Result<(), Failure> {
    if plan.keys.is_empty() {
        return Ok(());
    }
    let keys = context.keys(TargetRole::ImageSource, &promotion.source, &promotion.session()).await?;
    for key in &plan.keys {
        let name = grant_name(plan, key);
        for grant in keys.grants(key).await?.iter().filter(|grant| grant.name.as_ref() == Some(&name)) {
            keys.revoke(key, &grant.id).await?;
        }
    }
    Ok(())
}

/// Returns the record of the share of the promotion's source with its target, or `None` if nothing is shared.
async fn recorded<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
) -> Result<Option<Versioned<ImageShare>>, Failure> {
    let (version, account) = (&promotion.deployment.record.version, &promotion.target().account);
    let key = ImageShare::key_of(&promotion.image, version, &promotion.source, account);
    context.ledger().get(&key).await
}

/// Records that `id` needs the share of the promotion's source with its target.
async fn record<C: ImageContext>(
    context: &C,
    promotion: &Promotion,
    id: &DeploymentId,
) -> Result<(), Failure> {
    let Some(share) = recorded(context, promotion).await? else {
        let new = ImageShare {
            image: promotion.image.clone(),
            version: promotion.deployment.record.version.clone(),
            source: promotion.source.clone(),
            account: promotion.target().account.clone(),
            promotions: [id.clone()].into(),
        };
        return match context.ledger().insert(&new).await? {
            Inserted::New(_) => Ok(()),
            Inserted::Exists(_) => {
                Err(Failure::new(FailureKind::Conflict, "another promotion shared the image just now"))
            }
        };
    };
    let mut record = share.record.clone();
    if !record.promotions.insert(id.clone()) {
        return Ok(());
    }
    context.ledger().replace(&share, record).await.map(drop)
}

/// Transfers the shares of a dead promotion to the one that takes over.
pub async fn hand_on<C: ImageContext>(
    context: &C,
    dead: &Promotion,
    to: &DeploymentId,
) -> Result<(), Failure> {
    let Some(share) = recorded(context, dead).await? else { return Ok(()) };
    let mut record = share.record.clone();
    if !record.promotions.remove(dead.id()) {
        return Ok(());
    }
    record.promotions.insert(to.clone());
    context.ledger().replace(&share, record).await.map(drop)
}
