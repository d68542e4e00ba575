//! Services that functions share at their edge.
//!
//! Each service is written once, over the ledger and the adapters of `lockstep_platform`: [`retry`] for lost writes,
//! [`deployment_log`] for the lines that people read, [`stages`] for the applied configuration, and [`lease`] for taking over
//! from an execution that has ended. Nothing here decides: decisions are functions of `lockstep_domain`.

pub mod clock;
pub mod deployment_log;
#[cfg(feature = "sfn")]
pub mod lease;
pub mod retry;
pub mod stages;

pub use clock::Clock;
