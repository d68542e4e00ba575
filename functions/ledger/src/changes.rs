//! Changes of the organisation's configuration: applied at once, or pending if they weaken a protection.
//!
//! Versions are only added. A weakening waits in a record of its own, and takes effect in one transaction with its version.

use crate::context::LedgerContext;
use crate::load;
use jiff::Timestamp;
use lockstep_aws::ledger::{Order, Versioned, Write};
use lockstep_domain::delivery::configuration::{self, Texts};
use lockstep_domain::delivery::pending_change::{self, Administrator, NextStep, Proposed};
use lockstep_domain::delivery::people::People;
use lockstep_domain::delivery::weakening;
use lockstep_domain::messages::ledger::Settled;
use lockstep_domain::messages::operator::{Applied, Configured, Pending};
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::person::Caller;
use lockstep_domain::records::{Config, ConfigKind, PendingChange, PendingConfig, PendingState};

/// The value in the log that triggers an alarm of the control plane: see `Weakening` in
/// `infra/control-plane/template.yaml`.
const WEAKENING: &str = "weakening";

/// The name in the first version of the number of administrators, which the installation chose.
const INSTALLATION: &str = "the installation";

/// The configuration as it applies, with the newest proposal for one part.
struct Current {
    kind: ConfigKind,
    texts: Texts,
    newest: Option<Config>,
    administrators: Administrators,
    proposal: Option<Versioned<PendingConfig>>,
}

impl Current {
    async fn load(context: &impl LedgerContext, kind: ConfigKind) -> Result<Self, Failure> {
        let mut texts = Texts::default();
        let mut newest = None;
        for part in ConfigKind::ALL {
            let found = context.ledger().config(*part).await?;
            if let Some(found) = &found {
                texts = texts.with(*part, &found.text);
            }
            if *part == kind {
                newest = found;
            }
        }
        let administrators = texts.administrators(context.administrators()).map_err(load::refused)?;
        let mut proposals = context.ledger().list(&PendingConfig::all_of(kind), Order::Newest, 1).await?;
        Ok(Self { kind, texts, newest, administrators, proposal: proposals.pop() })
    }

    /// Returns the version that applies; 0 before the first one.
    fn version(&self) -> u32 {
        self.newest.as_ref().map_or(0, |newest| newest.version)
    }

    fn people(&self) -> Result<People, Failure> {
        self.texts.people().map_err(load::refused)
    }

    /// Returns the proposal if it waits at `now`.
    fn open(&self, now: Timestamp) -> Option<&Versioned<PendingConfig>> {
        let waits =
            |change: &PendingChange| pending_change::state(change, self.version(), now) == PendingState::Open;
        self.proposal.as_ref().filter(|proposal| waits(&proposal.record.change))
    }

    /// Returns the proposal with this number, or fails with `NotFound` or `Rejected`.
    fn numbered(&self, number: u32) -> Result<&Versioned<PendingConfig>, Failure> {
        let word = self.kind.as_str();
        let proposal = self.proposal.as_ref();
        let newest =
            proposal.ok_or_else(|| Failure::not_found(format!("no change of {word} was ever pending")))?;
        if newest.record.number != number {
            let known = newest.record.number;
            return Err(Failure::rejected(format!(
                "change {number} of {word} is not the newest one, which is {known}; look at it with lockstep pending show"
            )));
        }
        Ok(newest)
    }

    /// Returns the next version with `text`.
    fn next(&self, text: &str, by: &str, now: Timestamp) -> Config {
        Config {
            config: self.kind,
            version: self.version() + 1,
            text: text.to_owned(),
            applied_by: by.to_owned(),
            applied_at: now,
        }
    }
}

/// Stores `text` as the next version, unless the newest version has the same text. A change that weakens a protection
/// becomes pending instead, with everything else in it.
pub async fn apply(
    context: &impl LedgerContext,
    kind: ConfigKind,
    text: &str,
    by: &Caller,
    now: Timestamp,
) -> Result<Configured, Failure> {
    keep_initial(context, now).await?;
    let mut current = Current::load(context, kind).await?;
    if settle_part(context, &current, now).await? {
        current = Current::load(context, kind).await?;
    }
    let unchanged =
        Configured { version: current.version(), changed: false, differences: Vec::new(), pending: None };
    if current.newest.as_ref().is_some_and(|newest| newest.text == text) {
        return Ok(unchanged);
    }
    if let Some(same) = current.open(now).filter(|open| open.record.change.text == text) {
        return Ok(waiting(&current, &same.record));
    }
    configuration::check(&current.texts.with(kind, text)).map_err(load::refused)?;
    let differences = configuration::differences(&current.texts, kind, text, context.administrators());
    let differences = differences.map_err(load::refused)?;
    let (person, base) = (current.people()?.person(by), current.version());
    let proposed = Proposed { text, base, differences: differences.clone() };
    let open = current.open(now).map(|open| &open.record.change);
    let administrator = Administrator { caller: by, person: &person };
    match pending_change::propose(&proposed, administrator, current.administrators, open, now)? {
        NextStep::Apply => {
            let next = current.next(text, &by.arn, now);
            context.ledger().transact(vec![Write::insert(&next)?]).await?;
            Ok(Configured { version: next.version, changed: true, differences, pending: None })
        }
        NextStep::Wait(change) => propose(context, &current, *change).await,
    }
}

/// Stores a pending change, and raises the alarm.
async fn propose(
    context: &impl LedgerContext,
    current: &Current,
    change: PendingChange,
) -> Result<Configured, Failure> {
    let number = current.proposal.as_ref().map_or(1, |newest| newest.record.number + 1);
    let pending = PendingConfig { config: current.kind, number, change };
    context.ledger().transact(vec![Write::insert(&pending)?]).await?;
    let change = &pending.change;
    tracing::warn!(
        alarm = WEAKENING,
        by = change.proposed_by.arn,
        config = current.kind.as_str(),
        number,
        differences = weakening::lines(&change.differences).join("; "),
        "a change of the configuration weakens a protection, and is pending"
    );
    Ok(waiting(current, &pending))
}

fn waiting(current: &Current, pending: &PendingConfig) -> Configured {
    Configured {
        version: current.version(),
        changed: false,
        differences: pending.change.differences.clone(),
        pending: Some(Pending {
            number: pending.number,
            waits_for: pending_change::waits_for(&pending.change, current.administrators),
        }),
    }
}

/// Stores the number of administrators that the installation chose as the first version. A later choice of an installer
/// is then a change like any other, and weakens nothing by itself.
async fn keep_initial(context: &impl LedgerContext, now: Timestamp) -> Result<(), Failure> {
    let kind = ConfigKind::Administrators;
    if context.ledger().config(kind).await?.is_some() {
        return Ok(());
    }
    let first = Config {
        config: kind,
        version: 1,
        text: context.administrators().as_str().to_owned(),
        applied_by: INSTALLATION.to_owned(),
        applied_at: now,
    };
    context.ledger().insert(&first).await.map(drop)
}

/// Puts a pending change into effect for a second administrator.
pub async fn confirm(
    context: &impl LedgerContext,
    kind: ConfigKind,
    number: u32,
    by: &Caller,
    now: Timestamp,
) -> Result<Applied, Failure> {
    let current = Current::load(context, kind).await?;
    let pending = current.numbered(number)?;
    let people = current.people()?;
    let (person, proposer) = (people.person(by), people.person(&pending.record.change.proposed_by));
    let administrator = Administrator { caller: by, person: &person };
    let confirmed =
        pending_change::confirm(&pending.record.change, administrator, &proposer, current.version(), now)?;
    configuration::check(&current.texts.with(kind, &confirmed.text)).map_err(load::refused)?;
    let version = put_into_effect(context, &current, pending, confirmed, now).await?;
    Ok(Applied { version, changed: true })
}

/// Cancels a pending change.
pub async fn cancel(
    context: &impl LedgerContext,
    kind: ConfigKind,
    number: u32,
    by: &Caller,
    now: Timestamp,
) -> Result<Applied, Failure> {
    let current = Current::load(context, kind).await?;
    let pending = current.numbered(number)?;
    let change = pending_change::cancel(&pending.record.change, by, current.version(), now)?;
    close(context, pending, change).await?;
    Ok(Applied { version: current.version(), changed: true })
}

/// Carries out what time decides, for every part of the configuration.
pub async fn settle(context: &impl LedgerContext, now: Timestamp) -> Result<Settled, Failure> {
    let mut applied = Vec::new();
    for kind in ConfigKind::ALL {
        if settle_part(context, &Current::load(context, *kind).await?, now).await? {
            applied.push(*kind);
        }
    }
    Ok(Settled { applied })
}

/// Puts the pending change into effect if its time has come, or closes it if it ended. Returns true if it took effect.
async fn settle_part(
    context: &impl LedgerContext,
    current: &Current,
    now: Timestamp,
) -> Result<bool, Failure> {
    let Some(pending) = &current.proposal else { return Ok(false) };
    let (change, version) = (&pending.record.change, current.version());
    if let Some(due) = pending_change::due(change, current.administrators, version, now) {
        // A later version of another part may not fit. The change then waits until an administrator cancels it, or it ends.
        if let Err(problems) = configuration::check(&current.texts.with(current.kind, &due.text)) {
            tracing::warn!(
                config = current.kind.as_str(),
                "a pending change no longer fits: {}",
                load::refused(problems)
            );
            return Ok(false);
        }
        put_into_effect(context, current, pending, due, now).await?;
        return Ok(true);
    }
    if let Some(closed) = pending_change::closed(change, version, now) {
        close(context, pending, closed).await?;
    }
    Ok(false)
}

async fn put_into_effect(
    context: &impl LedgerContext,
    current: &Current,
    pending: &Versioned<PendingConfig>,
    change: PendingChange,
    now: Timestamp,
) -> Result<u32, Failure> {
    let next = current.next(&change.text, &change.proposed_by.arn, now);
    let ended = PendingConfig { change, ..pending.record.clone() };
    context.ledger().transact(vec![Write::replace(pending, &ended)?, Write::insert(&next)?]).await?;
    tracing::warn!(
        config = current.kind.as_str(),
        number = ended.number,
        version = next.version,
        "a change of the configuration that weakens a protection takes effect"
    );
    Ok(next.version)
}

async fn close(
    context: &impl LedgerContext,
    pending: &Versioned<PendingConfig>,
    change: PendingChange,
) -> Result<(), Failure> {
    let ended = PendingConfig { change, ..pending.record.clone() };
    context.ledger().replace(pending, ended).await.map(drop)
}
