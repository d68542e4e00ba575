//! Keys and format of quarantined data.
//!
//! A key depends on the content of its object. The same lines of the same version of the same object always
//! have the same key, so a second write changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fmt::Display;

/// Content type of an object with malformed lines.
pub const LINES_TYPE: &str = "application/x-ndjson";

/// Content type of an object with bytes that could not be decompressed.
pub const UNREADABLE_TYPE: &str = "application/octet-stream";

/// Maximum number of bytes that S3 allows in a key
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>).
const KEY_BYTES_MAX: usize = 1024;

/// Returns the key for malformed lines from `first` to `last`, parts of a line that is too long included.
pub fn lines_key(bucket: &str, key: &str, version: &str, first: (u64, u32), last: (u64, u32)) -> String {
    below(bucket, key, version, &format!("lines-{}.{}-{}.{}.ndjson", first.0, first.1, last.0, last.1))
}

/// Returns the key for `length` bytes from `offset` of the stored object that cannot be decompressed.
pub fn unreadable_key(bucket: &str, key: &str, version: &str, offset: u64, length: usize) -> String {
    below(bucket, key, version, &format!("bytes-{offset}-{length}"))
}

/// Returns a key below the folder of an object: its bucket and key, for readers, and the version's hash. A
/// folder that is too long for a key is replaced by its hash.
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

/// Returns the record of a malformed line: one JSON document a line, with the bytes in base64 so that none is
/// changed.
pub fn line_record(number: u64, part: u32, reason: &impl Display, bytes: &[u8]) -> String {
    let record = json!({
        "line": number, "part": part, "reason": reason.to_string(), "bytes": STANDARD.encode(bytes),
    });
    format!("{record}\n")
}
