//! Messages between state machines, functions and the command: the control plane's internal contract.
//!
//! The state machines in `statemachines/` name these fields, and `tests/contract` compares both sides. The inputs of
//! the state machines ([`inputs`]) are a public interface: an operator types them.

pub mod bake;
pub mod callers;
pub mod drift;
pub mod image;
pub mod inputs;
pub mod ledger;
pub mod operator;
pub mod package;
pub mod ping;
pub mod resume;
pub mod run;
pub mod stack;
pub mod verify;
pub mod webhook;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Input that a waiting state gives to the function it invokes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The task token that ends the waiting state.
    pub token: String,
    /// ARN of the execution.
    pub execution: String,
    /// Time at which the state was entered.
    pub entered_at: Timestamp,
    /// Number of retries so far.
    pub retry: u32,
}
