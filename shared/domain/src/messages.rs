//! What travels between state machines, functions and the command: the control plane's internal contract.
//!
//! The state machines in `statemachines/` name these fields; `tests/contract` holds both sides together. The inputs
//! of the state machines ([`inputs`]) are a public interface: what a person would type.

pub mod bake;
pub mod image;
pub mod inputs;
pub mod ledger;
pub mod operator;
pub mod package;
pub mod ping;
pub mod resume;
pub mod stack;
pub mod sweep;
pub mod verify;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a waiting state tells the function it invokes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The task token to answer.
    pub token: String,
    /// The execution's ARN.
    pub execution: String,
    /// When the state was entered.
    pub entered_at: Timestamp,
    /// How often it was retried.
    pub retry: u32,
}
