//! What people are shown of the ledger's records: pure functions from records to rows and lines.

pub mod change_set;
pub mod images;
pub mod permissions;
pub mod plan;
pub mod question;
pub mod status;
#[cfg(test)]
pub mod testing;
pub mod why;

use jiff::Timestamp;

/// A time as people read it: to the second, in UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// The time of day alone, to the millisecond, where many follow each other.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

/// Seconds from one time to another.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
