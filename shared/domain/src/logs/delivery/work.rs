//! Objects that are to be shipped, and what is handed on when time is over.

use serde::{Deserialize, Serialize};

/// How often a message may be handed on. At a quarter of an hour each, this is more than a day: whoever is not through
/// by then will never be.
pub const HOPS_MAX: u32 = 100;

/// An object of logs, and how much of it is accounted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The name of its bucket.
    pub bucket: String,
    /// Its key, not URL-encoded.
    pub key: String,
    /// Its version id, in a bucket with versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its ETag without quotes: an object with another one is another object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// How many of its lines, from the first one, the broker acknowledged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub acknowledged: u64,
    /// How many of the lines before the one where the next invocation begins are in quarantine.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Object {
    /// How many lines, from the first one, are accounted for. Never less than once was: who resumes, resumes here.
    pub fn accounted(&self) -> u64 {
        self.acknowledged.saturating_add(self.quarantined)
    }
}

/// What the queue holds between two invocations; a person who wants objects shipped again sends the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continuation {
    /// What is left, in order.
    pub objects: Vec<Object>,
    /// How often it was handed on.
    #[serde(default)]
    pub hops: u32,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Everything is accounted for.
    Finished,
    /// This is left, and goes back to the queue.
    HandOn(Continuation),
    /// It stays in the queue as it is, for another try, and ends in the dead-letter queue if none helps; why.
    Fail(&'static str),
}

/// Decides what becomes of a message that asked for `asked` after `hops`, given what is `left` of it. Only a message
/// that came forward is handed on, and not for ever: nothing else ends a loop between a function and its own queue,
/// for which Lambda's own loop detection is off.
pub fn go_on(asked: &[Object], left: Vec<Object>, hops: u32) -> Next {
    if left.is_empty() {
        return Next::Finished;
    }
    if !came_forward(asked, &left) {
        return Next::Fail("nothing of it could be shipped");
    }
    if hops >= HOPS_MAX {
        return Next::Fail("it was handed on too often");
    }
    Next::HandOn(Continuation { objects: left, hops: hops + 1 })
}

/// Whether an object less is left, or more of one is accounted for. What is learnt of an object on the way, such as its
/// ETag, is no progress.
fn came_forward(asked: &[Object], left: &[Object]) -> bool {
    let further = left.iter().zip(asked).any(|(left, asked)| left.accounted() > asked.accounted());
    left.len() < asked.len() || further
}
