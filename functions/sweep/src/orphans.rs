//! Resources with our tags that no record names. The sweep remembers them, and removes them once they are
//! proven orphans.

use crate::context::SweepContext;
use crate::report;
use jiff::Timestamp;
use lockstep_aws::ec2::references::References;
use lockstep_aws::ec2::retention::ImageRetention;
use lockstep_domain::images::orphans::{Tagged, orphans, seen, why_kept, why_not};
use lockstep_domain::images::retention::Removed;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::orphan::{OrphanResource, SeenOrphan};
use lockstep_domain::records::{Deployment, SweepReport};
use lockstep_runtime::retention::Inventory;

/// Returns the orphans that the previous sweep reported.
pub async fn before(context: &impl SweepContext) -> Result<Vec<SeenOrphan>, Failure> {
    let last = context.ledger().get::<SweepReport>(&SweepReport::last()).await?;
    Ok(last.map(|last| last.record.orphans).unwrap_or_default())
}

/// Keeps the orphans of a location that cannot be examined now. Unknown does not mean removed.
pub fn carry_over(report: &mut SweepReport, before: &[SeenOrphan], location: &Location) {
    report.orphans.extend(before.iter().filter(|seen| seen.orphan.location == *location).cloned());
}

/// Examines the orphans of one location.
pub async fn sweep(
    context: &impl SweepContext,
    images: &(impl ImageRetention + References),
    report: &mut SweepReport,
    found: &Inventory,
    (location, tagged): (&Location, &Tagged),
    (before, now): (&[SeenOrphan], Timestamp),
) {
    for orphan in orphans(location, tagged, &found.places, &found.versions) {
        let seen = seen(orphan, before, now);
        let what = format!("{} in account {}, {}", seen.orphan.thing, location.account, location.region);
        let stays = match sweep_orphan(context, images, found, &seen, now).await {
            Ok(None) => {
                report.retired.push(format!(
                    "{what} is gone: it was tagged as {}, and nothing knew it",
                    seen.orphan.label
                ));
                continue;
            }
            Ok(Some(why)) => why,
            Err(failure) => failure.chain(),
        };
        let label = &seen.orphan.label;
        report::left(
            report,
            &what,
            &format!("it is tagged as {label}, and the ledger does not know it; {stays}"),
        );
        report.orphans.push(SeenOrphan { stays, ..seen });
    }
}

/// Removes an orphan, or returns the reason to keep it.
async fn sweep_orphan(
    context: &impl SweepContext,
    images: &(impl ImageRetention + References),
    found: &Inventory,
    seen: &SeenOrphan,
    now: Timestamp,
) -> Result<Option<String>, Failure> {
    let maker = match &seen.orphan.deployment {
        Some(id) => {
            context.ledger().get::<Deployment>(&Deployment::key_of(id)).await?.map(|found| found.record)
        }
        None => None,
    };
    if let Some(why) = why_not(seen, maker.as_ref(), &found.versions, now) {
        return Ok(Some(why));
    }
    match &seen.orphan.thing {
        OrphanResource::Image(ami) => {
            let mut answers = images.references(&[ami.clone()].into()).await?;
            let references = answers.remove(ami).unwrap_or_default();
            if let Some(why) = why_kept(Some(&references)) {
                return Ok(Some(why));
            }
            match images.remove(ami).await? {
                Removed::Gone { .. } => Ok(None),
                Removed::Protected { why } => Ok(Some(format!("it is protected: {why}"))),
            }
        }
        OrphanResource::Snapshot(snapshot) => images.remove_snapshot(snapshot).await,
    }
}
