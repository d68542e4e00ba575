//! The deletion policies of a template.

use std::collections::BTreeMap;

/// Deletion policies that retain data: `Retain`, `RetainExceptOnCreate` or `Snapshot`. The key is the logical
/// id, with those of the enclosing nested stacks before it.
pub type Policies = BTreeMap<String, String>;
