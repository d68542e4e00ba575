//! The counter of build numbers.

use super::{Key, Record, Table};
use crate::model::ids::ComponentName;
use crate::model::version::MajorMinor;
use serde::{Deserialize, Serialize};

/// The last build number assigned for a component's `major.minor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildCounter {
    /// The component.
    pub component: ComponentName,
    /// The author's part of the version.
    pub of: MajorMinor,
    /// The last number assigned; the first is 0.
    pub last: u32,
}

impl BuildCounter {
    /// Returns the key of the counter of `of`.
    pub fn key_of(component: &ComponentName, of: MajorMinor) -> Key {
        Key::new(Table::Authority, format!("COMPONENT#{component}"), format!("COUNTER#{of}"))
    }
}

impl Record for BuildCounter {
    const KIND: &'static str = "COUNTER";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.component, self.of)
    }
}
