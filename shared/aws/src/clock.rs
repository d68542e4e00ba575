//! The only clock: decisions receive the time as an argument.

/// Returns the present moment.
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
