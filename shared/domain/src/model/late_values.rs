//! Names of the values that CloudFormation resolves when it deploys.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The values of a template that CloudFormation resolves when it deploys, and that may change without a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateValues {
    /// Parameters from Parameter Store.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub parameters: BTreeSet<String>,
    /// Dynamic references that name no version, as they stand in the template or in a value.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub references: BTreeSet<String>,
}

impl LateValues {
    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.references.is_empty()
    }

    /// Returns the end of the sentence that nothing changes: what it does not cover.
    pub fn reservation(&self) -> String {
        if self.references.is_empty() {
            return String::new();
        }
        let listed: Vec<&str> = self.references.iter().map(String::as_str).collect();
        format!(
            "; this does not cover {}: CloudFormation reads such a value again only with another change of its resource",
            listed.join(", ")
        )
    }
}
