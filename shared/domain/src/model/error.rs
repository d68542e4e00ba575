//! Errors as policy, and problems as people read them.
//!
//! [`Failure`] is what a function ends with. Each kind answers, by an exhaustive match, what the state machines may
//! do about it ([`Policy`]) and under which stable name they see it ([`FailureKind::error_type`]).

use serde::{Deserialize, Serialize};
use std::fmt;

/// What may be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// The same call may succeed later; the state machine retries it.
    Retryable,
    /// The same call will fail again; the run ends and says why.
    Terminal,
    /// Only a person can decide; the run ends and says what to decide.
    NeedsHuman,
}

/// The kinds of failure the state machines can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FailureKind {
    /// AWS or the git host throttled us.
    Throttled,
    /// A network fault or a 5xx of a service; whether the call had an effect is unknown.
    Transient,
    /// A conditional write lost against another; read again.
    Conflict,
    /// This deployment was closed, its environment taken by another, or this push overtaken by a later one: whoever
    /// still works for it must stop.
    Superseded,
    /// Another deployment holds the environment and still runs.
    EnvironmentBusy,
    /// The input, the component or the configuration is wrong.
    Rejected,
    /// Something named does not exist.
    NotFound,
    /// AWS refused the call for lack of permission.
    AccessDenied,
    /// A gate is closed: evidence is missing, or the stage is frozen.
    GateClosed,
    /// CloudFormation reported a failed operation.
    StackFailed,
    /// A check of the component failed.
    CheckFailed,
    /// An approval was refused.
    ApprovalRefused,
    /// A machine image cannot be used or copied.
    ImageUnusable,
    /// A machine image cannot leave its account (a licence): it is built where it is needed instead.
    ImageStays,
    /// A person stopped the run.
    Cancelled,
    /// The stack is in a state that no rule may repair by itself.
    StackNeedsHuman,
    /// A bug in Lockstep.
    Bug,
}

impl FailureKind {
    /// Every kind, for tests that tie state machines to this enum.
    pub const ALL: [FailureKind; 17] = [
        Self::Throttled,
        Self::Transient,
        Self::Conflict,
        Self::Superseded,
        Self::EnvironmentBusy,
        Self::Rejected,
        Self::NotFound,
        Self::AccessDenied,
        Self::GateClosed,
        Self::StackFailed,
        Self::CheckFailed,
        Self::ApprovalRefused,
        Self::ImageUnusable,
        Self::ImageStays,
        Self::Cancelled,
        Self::StackNeedsHuman,
        Self::Bug,
    ];

    /// What may be done about it.
    pub fn policy(self) -> Policy {
        match self {
            Self::Throttled | Self::Transient | Self::Conflict | Self::EnvironmentBusy => Policy::Retryable,
            Self::Superseded
            | Self::Rejected
            | Self::NotFound
            | Self::AccessDenied
            | Self::GateClosed
            | Self::StackFailed
            | Self::CheckFailed
            | Self::ApprovalRefused
            | Self::ImageUnusable
            | Self::ImageStays
            | Self::Cancelled
            | Self::Bug => Policy::Terminal,
            Self::StackNeedsHuman => Policy::NeedsHuman,
        }
    }

    /// The `errorType` the Lambda shell answers with; state machines match these names in `ErrorEquals`.
    pub fn error_type(self) -> &'static str {
        match self {
            Self::Throttled => "Throttled",
            Self::Transient => "Transient",
            Self::Conflict => "Conflict",
            Self::Superseded => "Superseded",
            Self::EnvironmentBusy => "EnvironmentBusy",
            Self::Rejected => "Rejected",
            Self::NotFound => "NotFound",
            Self::AccessDenied => "AccessDenied",
            Self::GateClosed => "GateClosed",
            Self::StackFailed => "StackFailed",
            Self::CheckFailed => "CheckFailed",
            Self::ApprovalRefused => "ApprovalRefused",
            Self::ImageUnusable => "ImageUnusable",
            Self::ImageStays => "ImageStays",
            Self::Cancelled => "Cancelled",
            Self::StackNeedsHuman => "StackNeedsHuman",
            Self::Bug => "Bug",
        }
    }
}

/// How a function ends when it does not succeed: a kind for machines, a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// What may be done about it.
    pub kind: FailureKind,
    /// What happened, where, and what to do next. Never contains a secret.
    pub message: String,
}

impl Failure {
    /// A failure of `kind`, explained by `message`.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The input is wrong.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, message)
    }

    /// Something named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// Lockstep itself is wrong.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Bug, message)
    }
}

/// One thing wrong with what an author wrote: where, what, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The file, relative to the repository or component folder; empty if it is about the whole.
    pub file: String,
    /// The line, counted from 1, if one is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What is wrong, and what to do next.
    pub message: String,
}

impl Problem {
    /// A problem in `file` at `line`.
    pub fn at(file: impl Into<String>, line: impl Into<Option<u32>>, message: impl Into<String>) -> Self {
        Self { file: file.into(), line: line.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => write!(f, "{}", self.message),
            (file, None) => write!(f, "{file}: {}", self.message),
            (file, Some(line)) => write!(f, "{file}:{line}: {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = FailureKind::ALL.iter().map(|k| k.error_type()).collect();
        assert_eq!(names.len(), FailureKind::ALL.len());
    }

    #[test]
    fn a_problem_reads_as_file_line_and_message() {
        assert_eq!(
            Problem::at("template.yaml", 12, "no such type").to_string(),
            "template.yaml:12: no such type"
        );
        assert_eq!(Problem::at("a.toml", None, "empty").to_string(), "a.toml: empty");
        assert_eq!(Problem::at("", None, "too large").to_string(), "too large");
    }
}
