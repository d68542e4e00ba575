//! A question of a deployment, and what an answer to it is.

use super::{BuiltRecipe, ChangeSet, NamedResource, Proposal};
use crate::model::ids::{AmiId, CommitSha, Digest, ImageName};
use crate::model::location::Location;
use crate::model::person::Caller;
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Content of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// The approver agrees.
    Approve,
    /// The approver refuses. One refusal ends the question.
    Refuse,
    /// The approver takes an earlier approval back.
    Withdraw,
}

/// An answer to a question, as the caller gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenAnswer {
    /// The approver.
    pub by: Caller,
    /// The answer.
    pub kind: AnswerKind,
    /// Reason that the approver gave, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Time of the answer.
    pub at: Timestamp,
}

/// Decision of the answers to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The deployment continues.
    Approve,
    /// The deployment ends as refused.
    Refuse,
}

/// Subject of a question to an approver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// Execution of this change set.
    ChangeSet(ChangeSet),
    /// An action on a stack that cannot be updated as it is, or that an operator tears down.
    Proposal(Proposal),
    /// The build of an image in an account of the promotion path.
    Build(Box<BuildSubject>),
    /// The publication of a version of an image in an account of the promotion path.
    Publish(Box<PublishSubject>),
}

/// A publication as a question names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishSubject {
    /// The image.
    pub image: ImageName,
    /// The version.
    pub version: Version,
    /// Account and region whose parameters name the version.
    pub location: Location,
    /// AMI of the version there.
    pub ami: AmiId,
}

impl PublishSubject {
    /// Returns the key that an answer names.
    fn key(&self) -> String {
        let Self { image, version, location, ami } = self;
        format!("publish#{image}@{version}#{}#{}#{ami}", location.account, location.region)
    }
}

/// A build as a question names it: everything that decides what runs in the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSubject {
    /// The image.
    pub image: ImageName,
    /// The version.
    pub version: Version,
    /// Account and region of the build.
    pub location: Location,
    /// S3 key of the recipe in the control plane's bucket. It holds the digest of the recipe with the values of each
    /// account.
    pub artifact: String,
    /// Base image of the build.
    pub base: AmiId,
    /// Full name of the recipe's repository.
    pub repository: String,
    /// Commit of the recipe.
    pub commit: CommitSha,
    /// The recipe that was last built there. The approver sees the difference from it, or the whole recipe without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BuiltRecipe>,
}

impl BuildSubject {
    /// Returns the key that an answer names.
    fn key(&self) -> String {
        let Self { image, version, location, artifact, base, .. } = self;
        format!("build#{image}@{version}#{}#{}#{artifact}#{base}", location.account, location.region)
    }
}

impl Subject {
    /// Returns the key that an answer names: the change set's ARN, or [`Proposal::key`].
    pub fn key(&self) -> String {
        match self {
            Self::ChangeSet(change_set) => change_set.arn.clone(),
            Self::Proposal(proposal) => proposal.key(),
            Self::Build(build) => build.key(),
            Self::Publish(publish) => publish.key(),
        }
    }

    /// Returns each name that an approval covers: resources that are lost, and nested stacks that the change
    /// set does not show.
    pub fn names(&self) -> Vec<String> {
        let of = |resources: &[NamedResource]| resources.iter().map(|r| r.name.clone()).collect();
        match self {
            Self::ChangeSet(change_set) => of(&change_set.unexamined),
            Self::Proposal(proposal) => of(&proposal.resources),
            Self::Build(_) | Self::Publish(_) => Vec::new(),
        }
    }
}

/// A question to an approver about exact content. Its answers are a record of their own,
/// [`ApprovalDecision`](super::ApprovalDecision).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Number of the question, counted from 1. A changed plan asks a new question.
    pub number: u32,
    /// Reasons for the question: the stage requires approval, or the change would destroy something.
    pub reasons: Vec<String>,
    /// Subject of the question.
    pub subject: Subject,
    /// Digest of the artifact in question. `None` for a teardown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Time of the question.
    pub asked_at: Timestamp,
    /// Digest of all that the question shows, with the fixed facts of its deployment. An answer names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Digest>,
}
