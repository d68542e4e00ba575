//! The table of the permissions that CloudFormation's resource types need, made from AWS's resource schemas.

use crate::model::ids::{ComponentName, Digest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// The most bytes of the compressed table that are read.
pub const TABLE_BYTES_MAX: usize = 4 << 20;

/// The most bytes of the table once it is decompressed.
const TABLE_UNPACKED_MAX: u64 = 64 << 20;

/// Returns the key of the table in the artifact bucket: its content is its name.
pub fn table_key(digest: &Digest) -> String {
    format!("permissions/{digest}.json.gz")
}

/// Returns the digest that a key of [`table_key`] holds.
pub fn table_digest(key: &str) -> Option<Digest> {
    key.strip_prefix("permissions/")?.strip_suffix(".json.gz")?.parse().ok()
}

/// Returns the key of a release's excerpt of the table, beside the artifact: its content is its name.
pub fn excerpt_key(component: &ComponentName, digest: &Digest) -> String {
    format!("releases/{component}/permissions/{digest}.json.gz")
}

/// The permissions of every resource type, and the resources that each action applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The versions of what the table is made from.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// The resource types.
    pub types: BTreeMap<String, ResourceType>,
    /// The actions that occur in `types`.
    pub actions: BTreeMap<String, Action>,
    /// The actions that dynamic references need, by their service.
    #[serde(default)]
    pub references: BTreeMap<String, Vec<String>>,
}

/// What one resource type needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceType {
    /// The actions that every creation calls.
    #[serde(default)]
    pub create: Vec<String>,
    /// The actions that every read calls.
    #[serde(default)]
    pub read: Vec<String>,
    /// The actions that every update calls.
    #[serde(default)]
    pub update: Vec<String>,
    /// The actions that every deletion calls.
    #[serde(default)]
    pub delete: Vec<String>,
    /// The actions that belong to a property.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<When>,
    /// The optional actions that belong to a property nobody has named yet, by handler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unmapped: BTreeMap<String, Vec<String>>,
    /// The actions that tags need, those of the stack too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagging: Option<Tagging>,
    /// The service whose service-linked role the type creates in an account that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_linked_role: Option<String>,
    /// The properties that name a role which is passed to a service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_role: Vec<String>,
    /// The services that those roles are passed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_to: Vec<String>,
    /// The property that names the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The ARN of the resource; `${/Property}` stands for a property of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Other resources that the same actions are authorized on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<Touch>,
}

/// Another resource that an action is authorized on, if a property names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// The actions.
    pub actions: Vec<String>,
    /// The JSON pointer of the property.
    pub property: String,
    /// The ARN, in the form of [`ResourceType::arn`].
    pub arn: String,
}

/// The actions that a resource needs if its template sets a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// The JSON pointer of the property; `*` stands for every item of a list. `@Snapshot` and `@UpdatePolicy` stand for
    /// attributes of the resource.
    pub property: String,
    /// The actions.
    pub actions: Vec<String>,
    /// The service whose service-linked role the actions create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// The actions that the tags of a resource need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagging {
    /// The property that holds the tags.
    #[serde(default)]
    pub property: Option<String>,
    /// The actions.
    pub actions: Vec<String>,
}

/// What an action applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// The patterns of the ARNs; empty if the action applies to no resource of its own.
    #[serde(default)]
    pub resources: Vec<String>,
}

/// The reason why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableTable {
    /// The bytes are not the ones that the digest names.
    #[error("the permissions table has the digest {found}, and {wanted} is wanted")]
    OtherBytes {
        /// The digest that was asked for.
        wanted: Digest,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The table exceeds its bound.
    #[error("the permissions table has more than {0} bytes")]
    TooLarge(u64),
    /// The bytes are not a table.
    #[error("the permissions table cannot be read: {0}")]
    Corrupt(String),
}

impl Table {
    /// Reads the compressed table, which must have this digest.
    ///
    /// # Errors
    /// Refuses other bytes, a table beyond its bounds, and what is not a table.
    pub fn read(compressed: &[u8], digest: &Digest) -> Result<Self, UnreadableTable> {
        let found = Digest::of(compressed);
        if found != *digest {
            return Err(UnreadableTable::OtherBytes { wanted: digest.clone(), found });
        }
        Self::unpack(compressed)
    }

    /// Reads a compressed table whose origin was checked.
    ///
    /// # Errors
    /// Refuses a table beyond its bounds, and what is not a table.
    pub fn unpack(compressed: &[u8]) -> Result<Self, UnreadableTable> {
        if compressed.len() > TABLE_BYTES_MAX {
            return Err(UnreadableTable::TooLarge(TABLE_BYTES_MAX as u64));
        }
        let mut json = Vec::new();
        let mut unpacked = flate2::read::GzDecoder::new(compressed).take(TABLE_UNPACKED_MAX + 1);
        unpacked.read_to_end(&mut json).map_err(|error| UnreadableTable::Corrupt(error.to_string()))?;
        if json.len() as u64 > TABLE_UNPACKED_MAX {
            return Err(UnreadableTable::TooLarge(TABLE_UNPACKED_MAX));
        }
        serde_json::from_slice(&json).map_err(|error| UnreadableTable::Corrupt(error.to_string()))
    }

    /// Returns the table compressed: equal tables give equal bytes.
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut encoder = flate2::bufread::GzEncoder::new(
            std::io::Cursor::new(self.to_json()),
            flate2::Compression::best(),
        );
        // Memory takes every byte.
        drop(encoder.read_to_end(&mut packed));
        packed
    }

    /// Returns the rows for these types and for the actions that occur in them.
    ///
    /// A release carries such an excerpt: with the parameters of a stage it says what a deployment needs.
    pub fn excerpt<'k>(&self, kinds: impl IntoIterator<Item = &'k str>) -> Self {
        let kinds: BTreeSet<&str> = kinds.into_iter().collect();
        let types: BTreeMap<_, _> = self
            .types
            .iter()
            .filter(|(kind, _)| kinds.contains(kind.as_str()))
            .map(|(kind, row)| (kind.clone(), row.clone()))
            .collect();
        let used: BTreeSet<&str> =
            types.values().flat_map(ResourceType::actions).chain(OF_TEMPLATES).collect();
        let actions = self.actions.iter().filter(|(action, _)| used.contains(action.as_str()));
        let actions = actions.map(|(name, action)| (name.clone(), action.clone())).collect();
        Self { sources: self.sources.clone(), types, actions, references: self.references.clone() }
    }

    /// Returns the table as JSON whose bytes depend on its content alone.
    pub fn to_json(&self) -> String {
        crate::model::canonical::canonical_json(serde_json::to_value(self).unwrap_or_default())
    }
}

/// The actions that a template may need beside those of its types.
const OF_TEMPLATES: [&str; 2] = ["iam:PassRole", "iam:CreateServiceLinkedRole"];

impl ResourceType {
    /// Returns the actions that every resource of the type needs from its creation to its deletion.
    ///
    /// CloudFormation calls the list handler of no resource that a stack holds.
    pub fn always(&self) -> impl Iterator<Item = &str> {
        let handlers = [&self.create, &self.read, &self.update, &self.delete];
        handlers.into_iter().flatten().map(String::as_str)
    }

    /// Returns every action that a resource of the type may need.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        let when = self.when.iter().flat_map(|when| &when.actions);
        let tagging = self.tagging.iter().flat_map(|tagging| &tagging.actions);
        let further = when.chain(self.optional()).chain(tagging);
        self.always().chain(further.map(String::as_str))
    }

    /// Returns whether the table knows what the type needs.
    pub fn is_known(&self) -> bool {
        let handlers = [&self.create, &self.update, &self.delete];
        handlers.into_iter().any(|actions| !actions.is_empty())
            || !self.when.is_empty()
            || !self.unmapped.is_empty()
    }

    /// Returns the optional actions that no property is known for, except for the list handler's.
    pub fn optional(&self) -> impl Iterator<Item = &String> {
        self.unmapped
            .iter()
            .filter(|(handler, _)| handler.as_str() != "list")
            .flat_map(|(_, actions)| actions)
    }
}
