//! Facts of AWS's resource schemas, from the table that `tests/referee/make drift-facts` generates.

use super::rules::RuleKind;
use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Maximum size of the decompressed table, in bytes.
const TABLE_UNPACKED_MAX: u64 = 64 << 20;

/// Facts of every resource type.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Schemas {
    /// Versions of the sources of the table.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// Facts by resource type.
    pub types: BTreeMap<String, Facts>,
}

impl Schemas {
    /// Reads the compressed table.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes are no such table.
    pub fn read(compressed: &[u8]) -> std::io::Result<Self> {
        let mut text = Vec::new();
        GzDecoder::new(compressed).take(TABLE_UNPACKED_MAX).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// Facts of one resource type. Each path is one of the schema, with `*` for a member of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// Properties that only AWS sets.
    pub read_only: BTreeSet<String>,
    /// Properties that no read returns.
    pub write_only: BTreeSet<String>,
    /// Properties that never change after the creation.
    pub create_only: BTreeSet<String>,
    /// Properties that identify the resource.
    pub identifier: BTreeSet<String>,
    /// Properties that the object around them must have.
    pub required: BTreeSet<String>,
    /// Lists without an order: `insertionOrder: false`.
    pub sets: BTreeSet<String>,
    /// Lists with an order: `insertionOrder: true`.
    pub ordered: BTreeSet<String>,
    /// Values of enumerations of which no two members differ in letter case alone.
    pub enumerations: BTreeSet<String>,
    /// Objects with free keys.
    pub maps: BTreeSet<String>,
    /// Default values.
    pub defaults: BTreeMap<String, Value>,
    /// Paths below which the schema repeats an earlier path.
    pub repeats: BTreeMap<String, String>,
    /// Rules out of the schema's property transforms.
    pub rules: BTreeMap<String, RuleKind>,
    /// Is set if CloudFormation has no handler that reads resources of the type. What else reads them may not return all.
    pub unread: bool,
    /// Property that holds the tags.
    pub tags: Option<String>,
}

impl Facts {
    /// Returns the path under which the facts of `path` are listed.
    pub fn listed(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for _ in 0..32 {
            let Some(shorter) = self.repeats.iter().find_map(|(long, short)| replace(&path, long, short))
            else {
                break;
            };
            path = shorter;
        }
        path
    }

    /// Returns true if one of `paths` is `path` or is above it.
    pub fn covers(paths: &BTreeSet<String>, path: &str) -> bool {
        paths.contains(path) || path.match_indices('.').any(|(end, _)| paths.contains(&path[..end]))
    }
}

fn replace(path: &str, long: &str, short: &str) -> Option<String> {
    let rest = path.strip_prefix(long)?;
    (rest.is_empty() || rest.starts_with('.')).then(|| format!("{short}{rest}"))
}
