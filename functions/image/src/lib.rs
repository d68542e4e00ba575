//! The `image` function: machine images, and how they come to other accounts.
//!
//! Bringing an image is a saga: [`share`] and its undo, [`copy`] and its undo, each idempotent, each undone whatever
//! happened. The promotion is a deployment of the ledger; what is to be copied, with which tags, is written into it
//! when it begins, so that every retry asks AWS for the same.

pub mod context;
pub mod copy;
pub mod finish;
pub mod handler;
pub mod import;
pub mod inspect;
mod load;
pub mod room;
pub mod share;
mod takeover;
pub mod verify;
pub mod wait;
