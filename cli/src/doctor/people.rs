//! Reads the people that the ledger has on record: who started deployments, and who answered their questions.

use super::{Doctor, known};
use crate::control_plane::newest_config;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::delivery::people::People;
use lockstep_domain::installation::doctor::{Reading, Unknown};
use lockstep_domain::model::person::{Caller, Starter};
use lockstep_domain::records::{ApprovalDecision, ConfigKind, Deployment};
use std::collections::BTreeSet;

/// Maximum number of deployments, and of answered questions, that are read: the newest ones.
const READ_MAX: usize = 500;

impl Doctor {
    /// Reads the roles whose sessions acted and are unknown people.
    pub(super) async fn unknown_roles(&self) -> Reading<BTreeSet<String>> {
        let (_, ledger) = self.ledger()?;
        let applied = known(newest_config(&ledger, ConfigKind::People).await)?;
        let text = applied.map(|applied| applied.text).unwrap_or_default();
        let people = People::parse("people.toml", &text).map_err(|problems| {
            Unknown::because(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        Ok(people.unknown_roles(&callers(&ledger).await?))
    }
}

async fn callers(ledger: &Ledger) -> Reading<Vec<Caller>> {
    let deployments = known(ledger.list_kind::<Deployment>(READ_MAX).await)?;
    let decisions = known(ledger.list_kind::<ApprovalDecision>(READ_MAX).await)?;
    let starters = deployments.into_iter().filter_map(|found| match found.record.starter {
        Starter::Caller(caller) => Some(caller),
        Starter::Pusher(_) | Starter::Deployment(_) | Starter::Unknown => None,
    });
    let answers = decisions.into_iter().flat_map(|found| found.record.answers).map(|answer| answer.by);
    Ok(starters.chain(answers).collect())
}
