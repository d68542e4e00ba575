//! A sweep with its report.

use crate::context::SweepContext;
use crate::{environments, events, heads, images, promotions, report, waits};
use jiff::Timestamp;
use lockstep_aws::ledger::Inserted;
use lockstep_aws::metrics;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::metric::{Dimension, Metric};
use lockstep_domain::records::SweepReport;

/// Sweeps and returns the report. The ledger stores the same report for `lockstep status`.
pub async fn handle(context: &impl SweepContext, now: Timestamp) -> Result<SweepReport, Failure> {
    let mut report = SweepReport::new(now);
    let outcome = environments::sweep(context, &mut report, now).await;
    report::go_on(&mut report, "environments", outcome);
    let outcome = heads::sweep(context, &mut report, now).await;
    report::go_on(&mut report, "branch heads", outcome);
    let outcome = events::sweep(context, &mut report, now).await;
    report::go_on(&mut report, "deliveries", outcome);
    let outcome = waits::sweep(context, &mut report, now).await;
    report::go_on(&mut report, "waits", outcome);
    let outcome = promotions::sweep(context, &mut report).await;
    report::go_on(&mut report, "promotions of images", outcome);
    let outcome = images::sweep(context, &mut report, now).await;
    report::go_on(&mut report, "images", outcome);
    let findings = report.findings();
    let report = report.bounded();
    tracing::info!(
        freed = report.freed.len(),
        found = report.found.len(),
        released = report.released.len(),
        finished = report.finished.len(),
        removing = report.removing.len(),
        waits_removed = report.waits_removed,
        waits_woken = report.waits_woken,
        abandoned = report.abandoned.len(),
        retired = report.retired.len(),
        parameters = report.parameters.len(),
        left = report.left.len(),
        "swept"
    );
    keep(context, &report).await?;
    for (finding, number) in findings {
        let number = u64::try_from(number).unwrap_or(u64::MAX);
        metrics::emit(&[(Dimension::Finding, finding)], &[(Metric::SweepFindings, number)], now);
    }
    metrics::emit(&[], &[(Metric::SweepsFinished, 1)], now);
    Ok(report)
}

async fn keep(context: &impl SweepContext, report: &SweepReport) -> Result<(), Failure> {
    let Inserted::Exists(before) = context.ledger().insert(report).await? else { return Ok(()) };
    match context.ledger().replace(&before, report.clone()).await {
        // Another sweep ran at the same time and found the same.
        Err(lost) if lost.kind == FailureKind::Conflict => Ok(()),
        written => written.map(drop),
    }
}
