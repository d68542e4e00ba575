//! `lockstep-log-intake`: the authenticated front door for logs of desktop applications.
//!
//! A request of an application that is let in goes to the broker before it is answered: 202 says that the broker has
//! acknowledged every event of it, and anything else that not one of them counts. Nothing is kept here in between, so
//! that nothing can be lost here. What a client and an operator see is told in `docs/log-intake.md`.

mod applications;
mod context;
pub mod handler;

pub use context::{AwsContext, OPTIONAL, PACE, SETTINGS};
