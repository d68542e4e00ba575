//! Heads of the subscribed repositories' default branches, compared with the webhook deliveries.
//!
//! A git host sends each webhook once. GitHub does not repeat a failed one. The sweep ignores other branches:
//! commits from long before the subscription would become releases without a use.

use crate::context::SweepContext;
use crate::{events, owners, report};
use jiff::Timestamp;
use lockstep_domain::delivery::sweep;
use lockstep_domain::messages::webhook::{AcceptedHead, Request};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::records::{Cursor, Record as _, Repository, SweepReport, WebhookDelivery};
use std::collections::BTreeMap;

/// The most repositories that are read. Four sweeps an hour then send fewer requests than GitHub allows with
/// a token.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
const REPOSITORIES: usize = 1000;

/// Number of failures after which the sweep skips a host. Each failure may cost a minute.
const PATIENCE: u32 = 2;

/// Examines the head of every subscribed repository.
pub async fn sweep(
    context: &impl SweepContext,
    report: &mut SweepReport,
    now: Timestamp,
) -> Result<(), Failure> {
    let latest = events::latest(context).await?;
    let mut tired = Tired::default();
    for listed in context.ledger().list_kind::<Repository>(REPOSITORIES).await? {
        let what = format!("repository {}", listed.record.id);
        if tired.of(&listed.record) {
            report::left(report, &what, "its git host does not answer; it is asked again by the next sweep");
            continue;
        }
        let outcome = sweep_head(context, report, &mut tired, &listed.record, (&latest, now)).await;
        report::go_on(report, &what, outcome);
    }
    Ok(())
}

async fn sweep_head(
    context: &impl SweepContext,
    report: &mut SweepReport,
    tired: &mut Tired,
    listed: &Repository,
    (latest, now): (&[WebhookDelivery], Timestamp),
) -> Result<(), Failure> {
    // The index lags behind the table, which may have a newer commit.
    let Some(stored) = context.ledger().get::<Repository>(&listed.key()).await? else { return Ok(()) };
    let repository = stored.record;
    // Only the git host's own failures count against it, and not those of the function that owns deliveries.
    let asked = context.head(&repository, &repository.branch).await;
    let Some(head) = asked.inspect_err(|failure| tired.after(&repository, failure))? else {
        return Err(Failure::not_found(format!(
            "it has no branch {}; subscribe it with the one that is released: lockstep repositories add github:{} --branch <branch>",
            repository.branch,
            repository.id.full_name()
        )));
    };
    let cursor =
        context.ledger().get::<Cursor>(&Cursor::key_of(&repository.id)).await?.map(|found| found.record);
    if sweep::unheard_of(&repository, cursor.as_ref(), &head, latest, now).is_none() {
        return Ok(());
    }
    let request = Request::AcceptHead { repository: repository.id.clone(), commit: head.clone() };
    let found = owners::ask::<AcceptedHead>(context, owners::INTAKE, &request).await?;
    if let Some(delivery) = found.and_then(|found| found.delivery) {
        report.found.push(format!(
            "commit {} of {} in {} as delivery {delivery}",
            head.short(),
            repository.branch,
            repository.id,
        ));
    }
    Ok(())
}

/// The hosts that do not answer. Their repositories wait for the next sweep and do not delay other hosts.
#[derive(Default)]
struct Tired(BTreeMap<String, u32>);

impl Tired {
    fn of(&self, repository: &Repository) -> bool {
        self.0.get(&repository.base_url).is_some_and(|times| *times >= PATIENCE)
    }

    fn after(&mut self, repository: &Repository, failure: &Failure) {
        let times = match failure.kind {
            FailureKind::Throttled => PATIENCE,
            FailureKind::Transient => 1,
            _ => return,
        };
        *self.0.entry(repository.base_url.clone()).or_default() += times;
    }
}
