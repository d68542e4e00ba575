//! Where what cannot be shipped is kept, and in which form.
//!
//! A key is made of what its object holds: the same lines of the same version of the same object always have the same
//! key, so that writing them again changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt::Display;

/// The content type of an object with malformed lines.
pub const LINES_TYPE: &str = "application/x-ndjson";

/// The content type of an object with bytes that could not be decompressed.
pub const UNREADABLE_TYPE: &str = "application/octet-stream";

/// The most bytes that S3 allows in a key (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const KEY_BYTES_MAX: usize = 1024;

/// Where malformed lines from `first` to `last` are kept, parts of a line that is too long included.
pub fn lines_key(bucket: &str, key: &str, version: &str, first: (u64, u32), last: (u64, u32)) -> String {
    below(bucket, key, version, &format!("lines-{}.{}-{}.{}.ndjson", first.0, first.1, last.0, last.1))
}

/// Where `length` bytes from `offset` of the stored object are kept that cannot be decompressed.
pub fn unreadable_key(bucket: &str, key: &str, version: &str, offset: u64, length: usize) -> String {
    below(bucket, key, version, &format!("bytes-{offset}-{length}"))
}

/// The folder of an object is its own bucket and key, for people, and the version's hash. A key that is too long for
/// that gives way to its hash.
fn below(bucket: &str, key: &str, version: &str, name: &str) -> String {
    let version = short_hash(version);
    let readable = format!("quarantine/{bucket}/{key}/{version}/{name}");
    if readable.len() <= KEY_BYTES_MAX {
        return readable;
    }
    format!("quarantine/{bucket}/{}/{version}/{name}", short_hash(key))
}

fn short_hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..8])
}

/// A malformed line as it is kept: one JSON document a line, its bytes in base64 so that none is changed.
pub fn line_record(number: u64, part: u32, reason: &impl Display, bytes: &[u8]) -> String {
    let record = json!({
        "line": number, "part": part, "reason": reason.to_string(), "bytes": STANDARD.encode(bytes),
    });
    format!("{record}\n")
}
