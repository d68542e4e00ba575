//! Objects to ship, and the continuation when time is over.

use serde::{Deserialize, Serialize};

/// Maximum number of times that a message is handed on. At a quarter of an hour each, this is more than a
/// day. A message that is unfinished by then makes too little progress to finish.
pub const HOPS_MAX: u32 = 100;

/// A log object, and its progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Name of its bucket.
    pub bucket: String,
    /// Key of the object, not URL-encoded.
    pub key: String,
    /// Version id, in a bucket with versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// ETag without quotes. A different ETag means a different object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Number of lines, from the first one, that the broker acknowledged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub acknowledged: u64,
    /// Number of quarantined lines before the line where the next invocation begins.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub quarantined: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Object {
    /// Returns the number of accounted lines, from the first one. The number never falls, and the next
    /// invocation resumes there.
    pub fn accounted(&self) -> u64 {
        self.acknowledged.saturating_add(self.quarantined)
    }
}

/// The message that the queue holds between two invocations. An operator who wants objects shipped again
/// sends the same form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Continuation {
    /// Unfinished objects, in order.
    pub objects: Vec<Object>,
    /// Number of times that the message was handed on.
    #[serde(default)]
    pub hops: u32,
}

/// Result of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Every line is accounted for.
    Finished,
    /// These objects are unfinished and return to the queue.
    HandOn(Continuation),
    /// The message remains in the queue for another attempt, and ends in the dead-letter queue after the last
    /// one. Holds the reason.
    Fail(&'static str),
}

/// Decides the result of a message that asked for `asked` after `hops`, given the objects that are `left`. A
/// message is handed on only after progress, and not for ever. No other rule ends a loop between a function
/// and its own queue, for which Lambda's own loop detection is off.
pub fn go_on(asked: &[Object], left: Vec<Object>, hops: u32) -> Next {
    if left.is_empty() {
        return Next::Finished;
    }
    if !came_forward(asked, &left) {
        return Next::Fail("none of its lines could be shipped");
    }
    if hops >= HOPS_MAX {
        return Next::Fail("it was handed on too often");
    }
    Next::HandOn(Continuation { objects: left, hops: hops + 1 })
}

/// Returns true if fewer objects are left, or more lines of one are accounted for. Facts learnt about an
/// object, such as its ETag, are no progress.
fn came_forward(asked: &[Object], left: &[Object]) -> bool {
    let further = left.iter().zip(asked).any(|(left, asked)| left.accounted() > asked.accounted());
    left.len() < asked.len() || further
}
