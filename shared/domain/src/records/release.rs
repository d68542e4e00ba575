use super::{Key, Record};
use crate::model::error::Problem;
use crate::model::ids::{CommitSha, ComponentName, DeploymentId, Digest, RepositoryId, StageName};
use crate::model::image_lock::ImageLock;
use crate::model::version::{MajorMinor, Version};
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

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.version)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.packaged_at.to_string())
    }
}

/// The last build number given out for a component's `major.minor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildCounter {
    /// The component.
    pub component: ComponentName,
    /// The author's part of the version.
    pub of: MajorMinor,
    /// The last number given out; the first is 0.
    pub last: u32,
}

impl BuildCounter {
    /// The key of the counter of `of`.
    pub fn key_of(component: &ComponentName, of: MajorMinor) -> Key {
        Key::new(format!("COMPONENT#{component}"), format!("COUNTER#{of}"))
    }
}

impl Record for BuildCounter {
    const KIND: &'static str = "COUNTER";

    fn key(&self) -> Key {
        Self::key_of(&self.component, self.of)
    }
}

/// The version that a commit got with what it was pinned to: the same pair gives the same version for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitVersion {
    /// The component.
    pub component: ComponentName,
    /// The commit.
    pub commit: CommitSha,
    /// The digest of the image lock, and of the function lock if there is one (`function_code::lock_digest`).
    pub image_lock_digest: Digest,
    /// The version.
    pub version: Version,
}

impl CommitVersion {
    /// The key of the version of `commit` with the image lock of this digest.
    pub fn key_of(component: &ComponentName, commit: &CommitSha, image_lock_digest: &Digest) -> Key {
        Key::new(format!("COMPONENT#{component}"), format!("COMMIT#{commit}#{image_lock_digest}"))
    }
}

impl Record for CommitVersion {
    const KIND: &'static str = "COMMIT";

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.commit, &self.image_lock_digest)
    }
}

/// A commit that could not be packaged, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The component, or the folder if its manifest has no readable name.
    pub component: String,
    /// The repository.
    pub repository: RepositoryId,
    /// The commit.
    pub commit: CommitSha,
    /// Who wrote it, for display.
    pub author: String,
    /// Everything that is wrong with it.
    pub problems: Vec<Problem>,
    /// When it was refused.
    pub rejected_at: Timestamp,
}

impl Record for Rejection {
    const KIND: &'static str = "REJECTION";

    fn key(&self) -> Key {
        Key::new(format!("COMPONENT#{}", self.component), format!("REJECTION#{}", self.commit))
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.rejected_at.to_string())
    }
}

/// A digest was deployed to a stage and passed its checks there: the key that opens the next stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The component.
    pub component: ComponentName,
    /// The artifact's digest.
    pub digest: Digest,
    /// The stage it passed.
    pub stage: StageName,
    /// The version, for display.
    pub version: Version,
    /// The deployment that proved it.
    pub deployment: DeploymentId,
    /// When.
    pub passed_at: Timestamp,
}

impl Evidence {
    /// The key of the evidence for `digest` in `stage`. A partition of its own, apart from the releases: what builds a
    /// release may write those, and must not be able to forge what opens production.
    pub fn key_of(component: &ComponentName, digest: &Digest, stage: &StageName) -> Key {
        Key::new(format!("EVIDENCE#{component}"), format!("{digest}#{stage}"))
    }
}

impl Record for Evidence {
    const KIND: &'static str = "EVIDENCE";

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.digest, &self.stage)
    }
}

/// A person let a release into a stage without the evidence of the stage before: once, and for an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The component.
    pub component: ComponentName,
    /// The artifact's digest.
    pub digest: Digest,
    /// The stage it may enter.
    pub stage: StageName,
    /// The version, for display.
    pub version: Version,
    /// The ARN of who did it, as IAM says.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The deployment that made use of it; no other may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<DeploymentId>,
}

impl BreakGlass {
    /// How long it may be used.
    pub const VALID_HOURS: i64 = 1;

    /// Its key: beside the evidence it stands in for, out of reach of what builds.
    pub fn key_of(component: &ComponentName, digest: &Digest, stage: &StageName) -> Key {
        Key::new(format!("EVIDENCE#{component}"), format!("BREAKGLASS#{digest}#{stage}"))
    }
}

impl Record for BreakGlass {
    const KIND: &'static str = "BREAKGLASS";

    fn key(&self) -> Key {
        Self::key_of(&self.component, &self.digest, &self.stage)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.at.to_string())
    }
}
