//! The `image` function: copies machine images to other accounts and regions.
//!
//! A promotion is a saga: [`share`] and its undo, [`copy`] and its undo. Each step is idempotent and is undone after any
//! failure. The promotion is a deployment of the ledger. Its record holds the source, parameters and tags of the copy from
//! the start, so each retry sends the same request to AWS.

mod channels;
pub mod context;
pub mod copy;
pub mod finish;
pub mod handler;
pub mod import;
pub mod inspect;
mod load;
pub mod retain;
mod room;
pub mod share;
mod takeover;
pub mod verify;
pub mod wait;
