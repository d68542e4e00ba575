use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, ComponentName, Digest, RepositoryId};
use crate::model::image_lock::ImageLock;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far a release has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Built and stored; its test is not finished.
    Packaged,
    /// Passed its throw-away stack; stages may have it.
    Published,
    /// Its throw-away stack failed; nothing may have it.
    TestFailed,
}

/// An immutable, versioned package of a component at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The component.
    pub component: ComponentName,
    /// Its version.
    pub version: Version,
    /// How far it has come.
    pub state: ReleaseState,
    /// The repository it came from.
    pub repository: RepositoryId,
    /// The commit it was built from.
    pub commit: CommitSha,
    /// Who wrote that commit, for display.
    pub author: String,
    /// The folder of the component in the repository.
    pub folder: String,
    /// The template's path below that folder; empty for a release of a time when it was not written down.
    #[serde(default)]
    pub template: String,
    /// The S3 key of the artifact in the control plane's bucket.
    pub artifact: String,
    /// SHA-256 of the artifact: the digest that evidence names.
    pub digest: Digest,
    /// SHA-256 of the folder's files alone: equal means nothing was changed.
    pub source_digest: Digest,
    /// SHA-256 of the template.
    pub template_digest: Digest,
    /// SHA-256 of the derived template that the throw-away stack runs.
    pub test_template_digest: Digest,
    /// SHA-256 of what its resource types need of the execution role, which lies beside the artifact; `None` for a
    /// release of a time when nobody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Digest>,
    /// Every image the template needs.
    pub image_lock: ImageLock,
    /// The outputs the template declares; other components may refer to them.
    pub outputs: BTreeSet<String>,
    /// The team that owns the component.
    pub team: String,
    /// What the component is for.
    pub function: String,
    /// When it was packaged.
    pub packaged_at: Timestamp,
    /// The execution that packaged it last.
    pub execution: String,
    /// Why the test failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Release {
    /// The key of `version` of `component`.
    pub fn key_of(component: &ComponentName, version: &Version) -> Key {
        Key::new(format!("COMPONENT#{component}"), format!("RELEASE#{}", version.sortable()))
    }

    /// Partition and sort-key prefix of all releases of `component`, oldest version first.
    pub fn all_of(component: &ComponentName) -> (String, &'static str) {
        (format!("COMPONENT#{component}"), "RELEASE#")
    }
}

impl Record for Release {
    const KIND: &'static str = "RELEASE";
    const TABLE: Table = Table::Authority;

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.version)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.packaged_at.to_string())
    }
}
