//! The deletion policies of a template.

use std::collections::BTreeMap;

/// The deletion policies that keep something, by logical id (those of nested stacks before it): `Retain`,
/// `RetainExceptOnCreate` or `Snapshot`.
pub type Policies = BTreeMap<String, String>;
