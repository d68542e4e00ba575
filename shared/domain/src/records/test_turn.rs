//! The right of one test stack of a component to exist.

use super::{Key, Record, Table};
use crate::model::ids::ComponentName;
use serde::{Deserialize, Serialize};

/// The test environment of a component with fixed names that may have a stack now. Two such stacks would claim the same
/// names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestTurn {
    /// The component.
    pub component: ComponentName,
    /// The environment in the stage `test`.
    pub environment: String,
}

impl TestTurn {
    /// Returns the key of the turn of `component`.
    pub fn key_of(component: &ComponentName) -> Key {
        Key::new(Table::Authority, format!("COMPONENT#{component}"), "TEST")
    }
}

impl Record for TestTurn {
    const KIND: &'static str = "TEST_TURN";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.component)
    }
}
