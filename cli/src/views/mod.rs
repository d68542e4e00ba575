//! Pure functions from the ledger's records to the rows and lines that people read.

pub mod approvers;
pub mod background;
pub mod change_set;
pub mod diff;
pub mod drift;
pub mod images;
pub mod owners;
pub mod permissions;
pub mod plan;
pub mod question;
pub mod reach;
pub mod review;
pub mod status;
#[cfg(test)]
pub mod testing;
pub mod why;

use jiff::Timestamp;

/// Formats a time to the second, in UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// Formats the time of day to the millisecond, for lists of many lines.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S%.3f").to_string()
}

/// Returns the seconds from one time to another.
pub fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
