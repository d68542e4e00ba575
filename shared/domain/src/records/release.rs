use super::{Key, Partition, Record, Table};
use crate::model::ids::{CommitSha, ComponentName, Digest, RepositoryId};
use crate::model::image_lock::ImageLock;
use crate::model::person::GithubLogin;
use crate::model::test_difference::TestDifference;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// State of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseState {
    /// Built and stored; its test has not finished.
    Packaged,
    /// Its test stack passed; stages may deploy it.
    Published,
    /// Its test stack failed; no stage may deploy it.
    TestFailed,
}

/// A commit, as the git host describes it. Its texts are cut, and hold no hidden characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedCommit {
    /// The commit.
    pub commit: CommitSha,
    /// First line of its message.
    pub subject: String,
    /// Name of its author, which the author chose.
    pub author: String,
}

/// Commits of a release since the release that was published before it, as the git host lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseCommits {
    /// Commit of the release before it.
    pub base: CommitSha,
    /// The newest commits, newest first.
    pub listed: Vec<ListedCommit>,
    /// Number of further commits, which are not listed.
    #[serde(default)]
    pub more: u32,
}

/// An immutable, versioned package of a component at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The component.
    pub component: ComponentName,
    /// Version of the release.
    pub version: Version,
    /// State of the release.
    pub state: ReleaseState,
    /// Repository of the source.
    pub repository: RepositoryId,
    /// Commit that it was built from.
    pub commit: CommitSha,
    /// Author of that commit, for display.
    pub author: String,
    /// Account that the git host authenticated as the pusher of that commit. The author of an approval rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<GithubLogin>,
    /// Folder of the component in the repository.
    pub folder: String,
    /// Path of the template below that folder; empty for a release that predates the field.
    #[serde(default)]
    pub template: String,
    /// The S3 key of the artifact in the control plane's bucket.
    pub artifact: String,
    /// SHA-256 of the artifact: the digest that evidence names.
    pub digest: Digest,
    /// SHA-256 of the folder's files alone. An equal digest means no change.
    pub source_digest: Digest,
    /// SHA-256 of the template.
    pub template_digest: Digest,
    /// SHA-256 of the derived template that the test stack runs.
    pub test_template_digest: Digest,
    /// Differences between that template and the released one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_differences: Vec<TestDifference>,
    /// True if two test stacks of the component cannot exist at once, because they have a name in common.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serial_tests: bool,
    /// Commits since the release before it, for display. `None` for a first release, or if the git host did not list them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commits: Option<ReleaseCommits>,
    /// SHA-256 of the permissions that its resource types need of the execution role. The list lies beside
    /// the artifact. `None` for a release that predates the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Digest>,
    /// Every image that the template needs.
    pub image_lock: ImageLock,
    /// Outputs that the template declares. Other components may refer to them.
    pub outputs: BTreeSet<String>,
    /// Components whose outputs the parameters read, in any stage.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub producers: BTreeSet<ComponentName>,
    /// Team that owns the component.
    pub team: String,
    /// Purpose of the component.
    pub function: String,
    /// Time of packaging.
    pub packaged_at: Timestamp,
    /// Execution that packaged it last.
    pub execution: String,
    /// Reason of the failed test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Release {
    /// Returns the key of `version` of `component` once it is published. A published release never changes.
    pub fn key_of(component: &ComponentName, version: &Version) -> Key {
        Self::key_in(Table::Authority, component, version)
    }

    /// Returns the key of `version` of `component` before it is published.
    pub fn draft_key_of(component: &ComponentName, version: &Version) -> Key {
        Self::key_in(Table::Intake, component, version)
    }

    /// Returns the keys of `version` of `component`: of the published release, which counts, and of its draft.
    pub fn keys_of(component: &ComponentName, version: &Version) -> [Key; 2] {
        [Self::key_of(component, version), Self::draft_key_of(component, version)]
    }

    fn key_in(table: Table, component: &ComponentName, version: &Version) -> Key {
        Key::new(table, format!("COMPONENT#{component}"), format!("RELEASE#{}", version.sortable()))
    }

    /// Returns the partition of the published releases of `component`, oldest version first.
    pub fn all_of(component: &ComponentName) -> Partition {
        Partition::new(Table::Authority, format!("COMPONENT#{component}"), "RELEASE#")
    }

    /// Returns the partition of the releases of `component` that are not published, oldest version first.
    pub fn drafts_of(component: &ComponentName) -> Partition {
        Partition { table: Table::Intake, ..Self::all_of(component) }
    }
}

impl Record for Release {
    const KIND: &'static str = "RELEASE";
    const TABLES: &'static [Table] = &[Table::Authority, Table::Intake];

    fn key(&self) -> Key {
        match self.state {
            ReleaseState::Published => Self::key_of(&self.component, &self.version),
            ReleaseState::Packaged | ReleaseState::TestFailed => {
                Self::draft_key_of(&self.component, &self.version)
            }
        }
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.packaged_at.to_string())
    }
}
