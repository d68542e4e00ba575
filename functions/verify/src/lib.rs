//! `lockstep-verify`: runs the checks of a component against its deployed stack.
//!
//! The checks come from the release's artifact, and the outputs from the deployment's record. Every check runs, so one
//! report names every failure. A check repeats until its deadline and passes only on proof.

pub mod context;
pub mod handler;
pub mod judge;
