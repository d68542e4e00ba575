//! Table of the permissions that CloudFormation's resource types need, and of their properties and attributes,
//! generated from AWS's resource schemas.

use crate::model::error::ErrorCause;
use crate::model::ids::{ComponentName, Digest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// Maximum size of the compressed table, in bytes.
pub const TABLE_BYTES_MAX: usize = 4 << 20;

/// Maximum size of the decompressed table, in bytes.
const TABLE_UNPACKED_MAX: u64 = 64 << 20;

/// Returns the key of the table in the artifact bucket, which contains the digest of its content.
pub fn table_key(digest: &Digest) -> String {
    format!("permissions/{digest}.json.gz")
}

/// Returns the digest in a key of [`table_key`].
pub fn table_digest(key: &str) -> Option<Digest> {
    key.strip_prefix("permissions/")?.strip_suffix(".json.gz")?.parse().ok()
}

/// Returns the key of a release's excerpt of the table, beside the artifact. The key contains the digest of its
/// content.
pub fn excerpt_key(component: &ComponentName, digest: &Digest) -> String {
    format!("releases/{component}/permissions/{digest}.json.gz")
}

/// Permissions of every resource type, and the resources that each action applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Versions of the sources of the table.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// Resource types by name.
    pub types: BTreeMap<String, ResourceType>,
    /// Actions that occur in `types`.
    pub actions: BTreeMap<String, Action>,
    /// Actions that dynamic references need, by service.
    #[serde(default)]
    pub references: BTreeMap<String, Vec<String>>,
}

/// Permissions that one resource type needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceType {
    /// Actions that every creation calls.
    #[serde(default)]
    pub create: Vec<String>,
    /// Actions that every read calls.
    #[serde(default)]
    pub read: Vec<String>,
    /// Actions that every update calls.
    #[serde(default)]
    pub update: Vec<String>,
    /// Actions that every deletion calls.
    #[serde(default)]
    pub delete: Vec<String>,
    /// Actions that belong to a property.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub when: Vec<When>,
    /// Optional actions whose property is not known, by handler.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unmapped: BTreeMap<String, Vec<String>>,
    /// Actions that tags need, the stack's tags included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagging: Option<Tagging>,
    /// Service whose service-linked role the type creates in an account that has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_linked_role: Option<String>,
    /// Properties that name a role which is passed to a service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_role: Vec<String>,
    /// Services that those roles are passed to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_to: Vec<String>,
    /// Property that names the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ARN of the resource; `${/Property}` stands for one of its properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Other resources on which the same actions are authorized.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<Touch>,
    /// Properties of the type, with those below each.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub properties: Properties,
    /// Attributes that `Fn::GetAtt` returns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
}

/// Properties by name, each with those below it. Where the schema allows any name, or none, there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, Properties>);

impl Properties {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Another resource on which an action is authorized, if a property names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// Actions that need the authorization.
    pub actions: Vec<String>,
    /// JSON pointer of the property.
    pub property: String,
    /// ARN in the form of [`ResourceType::arn`].
    pub arn: String,
}

/// Actions that a resource needs if its template sets a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// JSON pointer of the property; `*` stands for every item of a list. `@Snapshot` and `@UpdatePolicy` stand for
    /// attributes of the resource.
    pub property: String,
    /// Actions that the property needs.
    pub actions: Vec<String>,
    /// Service whose service-linked role the actions create.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// Actions that the tags of a resource need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagging {
    /// Property that holds the tags.
    #[serde(default)]
    pub property: Option<String>,
    /// Actions that the tags need.
    pub actions: Vec<String>,
}

/// Resources that an action applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Patterns of the ARNs; empty if the action applies to no resource of its own.
    #[serde(default)]
    pub resources: Vec<String>,
}

/// Reason why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableTable {
    /// The bytes do not have the wanted digest.
    #[error("the permissions table has the digest {found}, and {wanted} is wanted")]
    OtherBytes {
        /// Wanted digest.
        wanted: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// The table exceeds its size limit.
    #[error("the permissions table has more than {0} bytes")]
    TooLarge(u64),
    /// The bytes are not a table.
    #[error("the permissions table cannot be read")]
    Corrupt(#[source] ErrorCause),
}

impl Table {
    /// Reads the compressed table, which must have this digest.
    ///
    /// # Errors
    /// Returns an error for bytes with another digest, a table beyond its size limit, and bytes that are not a table.
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
    /// Returns an error for a table beyond its size limit, and for bytes that are not a table.
    pub fn unpack(compressed: &[u8]) -> Result<Self, UnreadableTable> {
        if compressed.len() > TABLE_BYTES_MAX {
            return Err(UnreadableTable::TooLarge(TABLE_BYTES_MAX as u64));
        }
        let mut json = Vec::new();
        let mut unpacked = flate2::read::GzDecoder::new(compressed).take(TABLE_UNPACKED_MAX + 1);
        unpacked.read_to_end(&mut json).map_err(|error| UnreadableTable::Corrupt(ErrorCause::of(&error)))?;
        if json.len() as u64 > TABLE_UNPACKED_MAX {
            return Err(UnreadableTable::TooLarge(TABLE_UNPACKED_MAX));
        }
        serde_json::from_slice(&json).map_err(|error| UnreadableTable::Corrupt(ErrorCause::of(&error)))
    }

    /// Returns the compressed table. Equal tables give equal bytes.
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut encoder = flate2::bufread::GzEncoder::new(
            std::io::Cursor::new(self.to_json()),
            flate2::Compression::best(),
        );
        // Reading into memory cannot fail.
        drop(encoder.read_to_end(&mut packed));
        packed
    }

    /// Returns the rows for these types and for the actions that occur in them.
    ///
    /// A release carries such an excerpt, without the names that only packaging judges. With the parameters of a stage, it
    /// determines the needs of a deployment.
    pub fn excerpt<'k>(&self, kinds: impl IntoIterator<Item = &'k str>) -> Self {
        let kinds: BTreeSet<&str> = kinds.into_iter().collect();
        let types: BTreeMap<_, _> = self
            .types
            .iter()
            .filter(|(kind, _)| kinds.contains(kind.as_str()))
            .map(|(kind, row)| (kind.clone(), row.without_names()))
            .collect();
        let used: BTreeSet<&str> =
            types.values().flat_map(ResourceType::actions).chain(OF_TEMPLATES).collect();
        let actions = self.actions.iter().filter(|(action, _)| used.contains(action.as_str()));
        let actions = actions.map(|(name, action)| (name.clone(), action.clone())).collect();
        Self { sources: self.sources.clone(), types, actions, references: self.references.clone() }
    }

    /// Returns the table as JSON whose bytes depend only on its content.
    pub fn to_json(&self) -> String {
        crate::model::canonical::canonical_json(serde_json::to_value(self).unwrap_or_default())
    }
}

/// Actions that a template may need beside those of its types.
const OF_TEMPLATES: [&str; 2] = ["iam:PassRole", "iam:CreateServiceLinkedRole"];

impl ResourceType {
    fn without_names(&self) -> Self {
        let (properties, attributes) = (Properties::default(), Vec::new());
        Self { properties, attributes, ..self.clone() }
    }

    /// Returns the actions that every resource of the type needs from its creation to its deletion.
    ///
    /// CloudFormation does not call the list handler for a resource of a stack.
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

    /// Returns true if the table knows the needs of the type.
    pub fn is_known(&self) -> bool {
        let handlers = [&self.create, &self.update, &self.delete];
        handlers.into_iter().any(|actions| !actions.is_empty())
            || !self.when.is_empty()
            || !self.unmapped.is_empty()
    }

    /// Returns the optional actions without a known property, except the list handler's.
    pub fn optional(&self) -> impl Iterator<Item = &String> {
        self.unmapped
            .iter()
            .filter(|(handler, _)| handler.as_str() != "list")
            .flat_map(|(_, actions)| actions)
    }
}
