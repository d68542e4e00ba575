//! The only clock: decisions take the time as an argument.

/// The present moment.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
