//! The shared part of the tests that span functions: an interpreter of state machines that runs within the process, and the
//! installed templates with an evaluator of their policies.

pub mod asl;
pub mod installed;
pub mod policy;
pub mod stack;

use lockstep_statemachines::StateMachines;
use std::sync::LazyLock;

/// Returns the rendered state machines, as AWS receives them.
///
/// # Panics
/// If their sources are invalid.
pub fn state_machines() -> &'static StateMachines {
    static RENDERED: LazyLock<StateMachines> =
        LazyLock::new(|| StateMachines::own().unwrap_or_else(|error| panic!("{}", error.chain())));
    &RENDERED
}
