//! `lockstep-verify`: what a component says must hold, asked of its stack.
//!
//! The checks come from the release's artifact and the outputs from the deployment's record. Every check runs, so that
//! a person learns of everything that is wrong at once, and is asked again until its deadline; it passes only on proof.

pub mod context;
pub mod handler;
pub mod judge;
mod together;
