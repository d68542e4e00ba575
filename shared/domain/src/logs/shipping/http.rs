//! HTTP: one request for each batch; a status between 200 and 299 acknowledges all of it.

use super::{Batch, BodyShape, Lost};

/// The longest that a peer's `Retry-After` is followed, in seconds: a function that runs for minutes does not wait for
/// hours.
pub const RETRY_AFTER_MAX: u64 = 30;

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The batch was taken.
    Taken,
    /// Not now; the same request may succeed later.
    Later(Lost),
    /// The same request will be refused again, with this status.
    Refused(u16),
}

/// Judges the answer to a batch: its status, and its `Retry-After` if it had one.
/// <https://www.rfc-editor.org/rfc/rfc9110#name-status-codes>
pub fn judge(status: u16, retry_after: Option<&str>) -> Answered {
    match status {
        200..=299 => Answered::Taken,
        408 | 425 | 429 | 500..=599 => {
            let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
            Answered::Later(Lost::Busy {
                status,
                after_seconds: seconds.map(|seconds| seconds.min(RETRY_AFTER_MAX)),
            })
        }
        _ => Answered::Refused(status),
    }
}

/// The body of the request for `batch` without its first `skip` events.
pub fn body(batch: &Batch, skip: u32, shape: BodyShape) -> Vec<u8> {
    let lines = batch.rest(skip);
    match shape {
        BodyShape::Ndjson => lines.to_vec(),
        // No newline stands within an event, so each one separates two.
        BodyShape::Array => {
            let mut array = Vec::with_capacity(lines.len() + 1);
            array.push(b'[');
            array.extend_from_slice(lines);
            array.iter_mut().filter(|byte| **byte == b'\n').for_each(|byte| *byte = b',');
            array.pop();
            array.push(b']');
            array
        }
    }
}
