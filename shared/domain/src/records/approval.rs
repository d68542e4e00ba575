//! The answer to a question of a deployment.

use super::{ChangeSet, NamedResource, Proposal};
use crate::model::ids::Digest;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Go on.
    Approve,
    /// Stop.
    Refuse,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The execution of this change set.
    ChangeSet(ChangeSet),
    /// An action on a stack that cannot be updated as it is, or that is to go.
    Proposal(Proposal),
}

impl Subject {
    /// What an answer names: the change set's ARN, or [`Proposal::key`].
    pub fn key(&self) -> String {
        match self {
            Self::ChangeSet(change_set) => change_set.arn.clone(),
            Self::Proposal(proposal) => proposal.key(),
        }
    }

    /// What an approval names, each by itself: what is given up, or what nobody looked into.
    pub fn names(&self) -> Vec<String> {
        let of = |resources: &[NamedResource]| resources.iter().map(|r| r.name.clone()).collect();
        match self {
            Self::ChangeSet(change_set) => of(&change_set.unexamined),
            Self::Proposal(proposal) => of(&proposal.resources),
        }
    }
}

/// A question to a person, bound to bytes, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Counted from 1: a changed plan asks again.
    pub number: u32,
    /// Why a person is asked: the stage wants it, or what would be destroyed.
    pub reasons: Vec<String>,
    /// What it is about.
    pub subject: Subject,
    /// The artifact's digest it is about; a teardown has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The ARN of who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Why, if they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When they answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}

impl Approval {
    /// For how many hours an approval counts: whoever gave it looked at a world that goes on changing.
    pub const VALID_HOURS: i64 = 24;

    /// Whether it is an approval, and still counts at `now`.
    pub fn allows(&self, now: Timestamp) -> bool {
        let counts = |at: Timestamp| at.checked_add(Self::VALID_HOURS.hours()).is_ok_and(|end| now < end);
        self.decision == Some(Decision::Approve) && self.decided_at.is_some_and(counts)
    }
}
