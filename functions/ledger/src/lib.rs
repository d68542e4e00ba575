//! The `ledger` functions: every change of an environment's state.
//!
//! One function for each kind of callers runs this code, and takes the actions of that kind only. State machines
//! invoke theirs directly. People call theirs over a URL that IAM authenticates. Each request has three steps: *load*
//! (strongly consistent reads), *plan* (one pure function of `lockstep_domain`), and *apply* (one conditional write, or
//! one transaction). A request that loses a race reads again, a few times here and then in the state machine.

mod approve;
mod base_url;
mod begin;
mod changes;
mod configure;
pub mod context;
mod finish;
mod follow;
mod gate;
pub mod handler;
mod images;
mod load;
mod operator;
mod operator_actions;
mod ownership;
mod publish;
mod readback;
mod release;
mod start;
mod teardown;
mod turn;
