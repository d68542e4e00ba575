//! The `stack` function: everything Lockstep does with CloudFormation.
//!
//! Each request loads the records of the ledger and the stack. `lockstep_domain::stacks::plan` or
//! `lockstep_domain::stacks::change_set_review` decides, and the function carries the decision out. Before
//! any call that changes something, the deployment records the operation and its token. After a crash the
//! next try observes the stack and finds its own operation.

mod change_set;
pub mod context;
mod destroy;
mod execute;
pub mod handler;
mod late;
mod load;
mod nested;
mod observe;
mod permissions;
mod plan;
mod recover;
mod review;
mod teardown;
mod template;
