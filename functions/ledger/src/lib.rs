//! The `ledger` function: every change of an environment's state.
//!
//! State machines invoke it directly; people reach it over an IAM-authenticated URL. Each request is *load* (read
//! strongly consistently), *plan* (one pure function of `lockstep_domain`), *apply* (one conditional write, or one
//! transaction). Whoever loses a race reads again, a few times here and then in the state machine.

mod approve;
mod base_url;
mod begin;
mod configure;
pub mod context;
mod finish;
mod gate;
pub mod handler;
mod images;
mod intervene;
mod load;
mod operator;
mod release;
mod teardown;
