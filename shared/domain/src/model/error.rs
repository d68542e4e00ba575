//! Failures with their retry policies, and problems as authors read them.
//!
//! A function ends with a [`Failure`]. An exhaustive match gives each kind its [`Policy`] for the state
//! machines and its stable error name ([`FailureKind::error_type`]).

use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{IntoStaticStr, VariantArray};

/// Policy for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    /// The same call may succeed later. The state machine retries it.
    Retryable,
    /// The same call will fail again. The run ends with the reason.
    Terminal,
    /// Only an operator can decide. The run ends with the decision to make.
    NeedsHuman,
}

/// Kind of a failure that the state machines distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray)]
pub enum FailureKind {
    /// AWS or the git host throttled us.
    Throttled,
    /// A network fault or a 5xx of a service. The effect of the call is unknown.
    Transient,
    /// A conditional write lost to another writer. The caller must read again.
    Conflict,
    /// This deployment was closed, another deployment took its environment, or a later push superseded this
    /// one. Every function that still works for it must stop.
    Superseded,
    /// Another deployment holds the environment and still runs.
    EnvironmentBusy,
    /// The input, the component or the configuration is wrong.
    Rejected,
    /// A named object does not exist.
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
    /// A licence forbids copies of a machine image to other accounts. It is built where it is needed instead.
    ImageStays,
    /// An operator stopped the run.
    Cancelled,
    /// The stack is in a state that no rule may repair without an operator.
    StackNeedsHuman,
    /// A bug in Lockstep.
    Bug,
}

impl FailureKind {
    /// Every kind, for tests that compare the state machines with this enum.
    pub const ALL: &[FailureKind] = FailureKind::VARIANTS;

    /// Returns the policy for the failure.
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

    /// Returns the `errorType` of the Lambda function's response, which is the name of the variant. State machines match
    /// these names in `ErrorEquals`.
    pub fn error_type(self) -> &'static str {
        self.into()
    }
}

/// Failure of a function: a kind for state machines, and a sentence for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// Kind of the failure, which decides its policy.
    pub kind: FailureKind,
    /// Event, place and next step. Never contains a secret.
    pub message: String,
}

impl Failure {
    /// Returns a failure of `kind` with `message`.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Returns a failure for wrong input.
    pub fn rejected(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Rejected, message)
    }

    /// Returns a failure for an object that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(FailureKind::NotFound, message)
    }

    /// Returns a failure for a bug in Lockstep.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Bug, message)
    }
}

/// One mistake in a file of an author: the location, the mistake, and the correction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// File, relative to the repository or component folder; empty if the problem concerns the whole.
    pub file: String,
    /// Line, counted from 1, if the problem has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Sentence with the mistake and the correction.
    pub message: String,
}

impl Problem {
    /// Returns a problem in `file` at `line`.
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
