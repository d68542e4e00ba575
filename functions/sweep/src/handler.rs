//! One sweep: each part in turn, then the report. Or the parameters of one image, at once.

use crate::accounts::Accounts;
use crate::heads::{self, Heads};
use crate::{App, channels, environments, events, images, promotions, report, waits};
use jiff::Timestamp;
use lockstep_domain::messages::sweep::{Followed, Request};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::SweepReport;
use lockstep_platform::ledger::Inserted;
use serde::Serialize;
use serde_json::Value;

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// It swept.
    Swept(Box<SweepReport>),
    /// The parameters of an image follow.
    Followed(Followed),
}

/// Serves what was sent: without an action it is a sweep.
pub async fn serve(
    app: &App,
    heads: &impl Heads,
    accounts: &impl Accounts,
    sent: &Value,
    now: Timestamp,
) -> Result<Answer, Failure> {
    match Request::read(sent)? {
        None => handle(app, heads, accounts, now).await.map(|report| Answer::Swept(Box::new(report))),
        Some(Request::Channels { image, stage }) => {
            channels::follow(app, accounts, &image, stage.as_ref()).await.map(Answer::Followed)
        }
    }
}

/// Sweeps, and answers with what it did; the same is kept in the ledger for `lockstep status`.
pub async fn handle(
    app: &App,
    heads: &impl Heads,
    accounts: &impl Accounts,
    now: Timestamp,
) -> Result<SweepReport, Failure> {
    let mut report = SweepReport::new(now);
    let outcome = environments::sweep(app, &mut report, now).await;
    report::go_on(&mut report, "environments", outcome);
    let outcome = heads::sweep(app, heads, &mut report, now).await;
    report::go_on(&mut report, "branch heads", outcome);
    let outcome = events::sweep(app, &mut report, now).await;
    report::go_on(&mut report, "deliveries", outcome);
    let outcome = waits::sweep(app, &mut report, now).await;
    report::go_on(&mut report, "waits", outcome);
    let outcome = promotions::sweep(app, &mut report).await;
    report::go_on(&mut report, "promotions of images", outcome);
    let outcome = images::sweep(app, accounts, &mut report, now).await;
    report::go_on(&mut report, "images", outcome);
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
    keep(app, &report).await?;
    Ok(report)
}

async fn keep(app: &App, report: &SweepReport) -> Result<(), Failure> {
    let Inserted::Exists(before) = app.ledger.insert(report).await? else { return Ok(()) };
    match app.ledger.replace(&before, report.clone()).await {
        // Another sweep ran at the same time, and saw the same.
        Err(lost) if lost.kind == FailureKind::Conflict => Ok(()),
        written => written.map(drop),
    }
}
