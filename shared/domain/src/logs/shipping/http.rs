//! HTTP: one request for each batch. A status between 200 and 299 acknowledges the whole batch.

use super::{Batch, BodyShape, Lost};

/// Maximum of a peer's `Retry-After`, in seconds. A function that runs for minutes does not wait for hours.
pub const RETRY_AFTER_MAX: u64 = 30;

/// Meaning of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The peer accepted the batch.
    Taken,
    /// The same request may succeed later.
    Later(Lost),
    /// The peer will refuse the same request again, with this status.
    Refused(u16),
}

/// Judges the response to a batch by its status and its `Retry-After`, if any.
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

/// Returns the body of the request for `batch` without its first `skip` events.
pub fn body(batch: &Batch, skip: u32, shape: BodyShape) -> Vec<u8> {
    let lines = batch.rest(skip);
    match shape {
        BodyShape::Ndjson => lines.to_vec(),
        // No newline occurs within an event, so each one separates two events.
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
