//! The two deployment paths.

use serde::{Deserialize, Serialize};

/// Who brings a release to a stage, and so which principal its account's roles trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentPath {
    /// A push: the `release` state machine, which also fetches and builds what authors wrote.
    Delivery,
    /// A person: the `promote` state machine, which never builds anything.
    Promotion,
}

impl DeploymentPath {
    /// Returns its name, as templates, roles and state machines carry it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivery => "delivery",
            Self::Promotion => "promotion",
        }
    }

    /// Returns the path of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Delivery, Self::Promotion].into_iter().find(|path| path.as_str() == name)
    }
}
