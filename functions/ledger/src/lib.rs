//! The `ledger` function: every change of an environment's state.
//!
//! State machines invoke it directly. Operators and approvers call it over a URL that IAM authenticates. Each
//! request has three steps: *load* (strongly consistent reads), *plan* (one pure function of
//! `lockstep_domain`), and *apply* (one conditional write, or one transaction). A request that loses a race
//! reads again, a few times here and then in the state machine.

mod approve;
mod base_url;
mod begin;
mod configure;
pub mod context;
mod finish;
mod gate;
pub mod handler;
mod images;
mod load;
mod operator;
mod operator_actions;
mod release;
mod teardown;
