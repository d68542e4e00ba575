//! What the tests that span functions share: the language of the state machines, run within the process.

pub mod asl;

use lockstep_statemachines::StateMachines;
use std::sync::LazyLock;

/// Returns the state machines as AWS gets them.
///
/// # Panics
/// If their sources are wrong.
pub fn state_machines() -> &'static StateMachines {
    static RENDERED: LazyLock<StateMachines> =
        LazyLock::new(|| StateMachines::own().unwrap_or_else(|error| panic!("{error}")));
    &RENDERED
}
