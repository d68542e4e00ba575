//! The shared part of the tests that span functions: an interpreter of state machines that runs within the process.

pub mod asl;

use lockstep_statemachines::StateMachines;
use std::sync::LazyLock;

/// Returns the rendered state machines, as AWS receives them.
///
/// # Panics
/// If their sources are invalid.
pub fn state_machines() -> &'static StateMachines {
    static RENDERED: LazyLock<StateMachines> =
        LazyLock::new(|| StateMachines::own().unwrap_or_else(|error| panic!("{error}")));
    &RENDERED
}
