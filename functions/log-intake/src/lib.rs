//! `lockstep-log-intake`: the authenticated log intake for desktop applications.
//!
//! The function ships the events of an admitted request to the broker before it responds. The status 202 means that the
//! broker acknowledged every event. Any other status means that no event counts. The function stores nothing, so it can
//! lose nothing. `docs/log-intake.md` describes it for clients and operators.

mod applications;
mod context;
pub mod handler;

pub use context::{AwsContext, OPTIONAL, PACE, SETTINGS};
