//! The `stack` function: everything Lockstep does with CloudFormation.
//!
//! Each request loads what the ledger and the stack say, lets `lockstep_domain::stacks::plan` or
//! `lockstep_domain::stacks::change_set_review` decide, and carries that out. Before any call that changes something, the deployment says
//! what is about to be done and with which token; after a crash the next try observes and finds itself.

mod change_set;
pub mod context;
mod destroy;
mod execute;
pub mod handler;
mod load;
mod observe;
mod permissions;
mod plan;
mod recover;
mod teardown;
mod template;
