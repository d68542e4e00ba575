//! A change of the configuration that weakens a stage, on its way into effect.
//!
//! With several administrators a second one confirms the change. With one, the change takes effect after a day, in which
//! the alarm is read and the change can be cancelled. A change that is neither in effect nor cancelled after a week ends.

use crate::delivery::weakening;
use crate::model::administrators::Administrators;
use crate::model::difference::Difference;
use crate::model::error::{Failure, FailureKind};
use crate::model::person::{Caller, Person};
use crate::records::{PendingChange, PendingState};
use jiff::{Timestamp, ToSpan};

/// Time until a weakening takes effect in an installation with one administrator, in hours.
pub const DELAY_HOURS: i64 = 24;

/// Time until a pending weakening ends, in hours.
pub const LIFE_HOURS: i64 = 7 * 24;

/// A proposed text with its differences from the version that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed<'a> {
    /// Text of the file.
    pub text: &'a str,
    /// Version of the configuration that applies.
    pub base: u32,
    /// The differences from that version.
    pub differences: Vec<Difference>,
}

/// An administrator, with the person as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Administrator<'a> {
    /// The caller.
    pub caller: &'a Caller,
    /// The person of the caller.
    pub person: &'a Person,
}

/// Next step of a proposed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// The change weakens no stage: store it as the next version.
    Apply,
    /// The change waits: store this record.
    Wait(Box<PendingChange>),
}

/// Decides on a proposed change. `open` is the newest pending change, if there is one.
///
/// The error `Rejected` refuses a second weakening while one waits. With several administrators a weakening needs a known
/// proposer: the second person must be another one.
pub fn propose(
    proposed: &Proposed<'_>,
    by: Administrator<'_>,
    administrators: Administrators,
    open: Option<&PendingChange>,
    now: Timestamp,
) -> Result<NextStep, Failure> {
    if !weakening::weakens(&proposed.differences) {
        return Ok(NextStep::Apply);
    }
    if open.is_some_and(|open| is_open(open, proposed.base, now)) {
        return Err(Failure::rejected(
            "another weakening of this file waits; cancel it first, with lockstep pending cancel",
        ));
    }
    if administrators == Administrators::Many && by.person.known().is_none() {
        return Err(Failure::rejected(format!(
            "{} is no known person, so no second administrator can be distinguished; map it in people.toml",
            by.caller.arn
        )));
    }
    Ok(NextStep::Wait(Box::new(PendingChange {
        text: proposed.text.to_owned(),
        base: proposed.base,
        differences: proposed.differences.clone(),
        proposed_by: by.caller.clone(),
        proposer: by.person.clone(),
        proposed_at: now,
        state: PendingState::Open,
        decided_by: None,
        ended_at: None,
    })))
}

/// Returns the state of a change at `now`, with `current` as the version of the configuration that applies.
pub fn state(change: &PendingChange, current: u32, now: Timestamp) -> PendingState {
    match change.state {
        PendingState::Open if current != change.base => PendingState::Superseded,
        PendingState::Open if !is_before(change, LIFE_HOURS, now) => PendingState::Expired,
        state => state,
    }
}

fn is_open(change: &PendingChange, current: u32, now: Timestamp) -> bool {
    state(change, current, now) == PendingState::Open
}

/// Returns true if fewer than `hours` passed since the proposal.
fn is_before(change: &PendingChange, hours: i64, now: Timestamp) -> bool {
    change.proposed_at.checked_add(hours.hours()).is_ok_and(|end| now < end)
}

/// Returns the applied change if an installation with one administrator has waited long enough; `None` before that, and
/// in any installation with several.
pub fn due(
    change: &PendingChange,
    administrators: Administrators,
    current: u32,
    now: Timestamp,
) -> Option<PendingChange> {
    let waited = !is_before(change, DELAY_HOURS, now);
    let due = administrators == Administrators::One && waited && is_open(change, current, now);
    due.then(|| ended(change, PendingState::Applied, None, now))
}

/// Returns the change after a second administrator confirmed it. The caller stores its text as the next version.
///
/// `proposer` is the person who proposed it as `people.toml` says now: identities may have been joined since.
pub fn confirm(
    change: &PendingChange,
    by: Administrator<'_>,
    proposer: &Person,
    current: u32,
    now: Timestamp,
) -> Result<PendingChange, Failure> {
    refuse_ended(change, current, now)?;
    match (change.proposer.known(), by.person.known()) {
        (Some(before), Some(second))
            if before != second && proposer.known().is_some_and(|now| now != second) =>
        {
            Ok(ended(change, PendingState::Applied, Some(by.caller), now))
        }
        (Some(_), Some(_)) => Err(Failure::rejected(
            "a second administrator must confirm the weakening: this person proposed it",
        )),
        (None, _) => Err(Failure::rejected(
            "the person who proposed the weakening is unknown, so no other person can be distinguished",
        )),
        (_, None) => Err(Failure::rejected(format!("{} is no known person", by.caller.arn))),
    }
}

/// Returns the change after an administrator cancelled it. Any administrator may, known or not.
pub fn cancel(
    change: &PendingChange,
    by: &Caller,
    current: u32,
    now: Timestamp,
) -> Result<PendingChange, Failure> {
    refuse_ended(change, current, now)?;
    Ok(ended(change, PendingState::Cancelled, Some(by), now))
}

/// Returns the change with its end on record if it ended by itself; `None` if it waits or ended before.
pub fn closed(change: &PendingChange, current: u32, now: Timestamp) -> Option<PendingChange> {
    let state = state(change, current, now);
    (state != change.state).then(|| ended(change, state, None, now))
}

fn refuse_ended(change: &PendingChange, current: u32, now: Timestamp) -> Result<(), Failure> {
    match state(change, current, now) {
        PendingState::Open => Ok(()),
        PendingState::Applied => Err(conflict("the weakening is in effect")),
        PendingState::Cancelled => Err(conflict("the weakening was cancelled")),
        PendingState::Expired => Err(conflict("the weakening ended after seven days; propose it again")),
        PendingState::Superseded => {
            Err(conflict("the configuration changed since the weakening was proposed; propose it again"))
        }
    }
}

fn ended(change: &PendingChange, state: PendingState, by: Option<&Caller>, now: Timestamp) -> PendingChange {
    PendingChange { state, decided_by: by.cloned(), ended_at: Some(now), ..change.clone() }
}

fn conflict(message: &str) -> Failure {
    Failure::new(FailureKind::Conflict, message)
}

/// Returns the sentence that says what a pending change waits for, and until when.
pub fn waits_for(change: &PendingChange, administrators: Administrators) -> String {
    let at = |hours: i64| {
        change.proposed_at.checked_add(hours.hours()).map_or_else(|_| "never".to_owned(), |at| at.to_string())
    };
    match administrators {
        Administrators::One => {
            format!("takes effect at {} unless an administrator cancels it", at(DELAY_HOURS))
        }
        Administrators::Many => {
            format!("waits for another administrator than {}, until {}", change.proposer, at(LIFE_HOURS))
        }
    }
}

#[cfg(test)]
mod tests;
