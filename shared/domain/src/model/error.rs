//! Failures with their retry policies, and problems as authors read them.
//!
//! A function ends with a [`Failure`]. An exhaustive match gives each kind its [`Policy`] for the state
//! machines and its stable error name ([`FailureKind::error_type`]).

use serde::{Deserialize, Serialize};
use std::error::Error;
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
    /// A later push brought a newer release to the environment before this deployment began.
    Overtaken,
    /// The deployment waited for its turn until its life ended, and never began.
    Expired,
    /// Another deployment holds the environment and still runs.
    EnvironmentBusy,
    /// The test stack of another release of the component exists and has the same fixed names.
    TestBusy,
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
    /// A check has not passed yet, and its deadline has not come.
    ChecksPending,
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
            Self::Throttled
            | Self::Transient
            | Self::Conflict
            | Self::EnvironmentBusy
            | Self::TestBusy
            | Self::ChecksPending => Policy::Retryable,
            Self::Superseded
            | Self::Overtaken
            | Self::Expired
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

    /// Returns the kind with this [`error_type`](Self::error_type); `None` for a name of Step Functions or Lambda.
    pub fn named(error_type: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.error_type() == error_type)
    }
}

/// Returns a sentence with the name of its error behind it, in brackets: the reader needs the name last.
pub fn bracketed(sentence: &str, error_type: &str) -> String {
    match error_type {
        "" => sentence.to_owned(),
        name => format!("{sentence} [{name}]"),
    }
}

/// Maximum characters of one cause in a chain.
const CAUSE_CHARS: usize = 500;

/// One error in the chain of causes of a [`Failure`].
///
/// Only its text is kept: the error itself may hold a whole response, and with it a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{text}")]
pub struct ErrorCause {
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Box<ErrorCause>>,
}

impl ErrorCause {
    /// Returns a cause that no other error caused.
    pub fn new(text: &str) -> Self {
        Self { text: text.chars().take(CAUSE_CHARS).collect(), source: None }
    }

    /// Returns the text of an error with its own causes.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let source = error.source().map(|source| Box::new(Self::of(source)));
        Self { source, ..Self::new(&error.to_string()) }
    }
}

/// Returns an error and each of its causes, as one line for operators.
///
/// An error that repeats its cause at its end is not followed by the same words again.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    with_causes(&error.to_string(), error.source())
}

/// Returns a message with the error that caused it and its causes, as [`chain`] does.
pub fn with_causes(message: &str, cause: Option<&(dyn Error + 'static)>) -> String {
    let mut text = message.to_owned();
    let mut next = cause;
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// Failure of a function: a kind for state machines, and a sentence for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Failure {
    /// Kind of the failure, which decides its policy.
    pub kind: FailureKind,
    /// Event, place and next step. Never contains a secret.
    pub message: String,
    /// The error that caused it. The message does not repeat it; [`Failure::chain`] shows both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ErrorCause>,
}

impl Failure {
    /// Returns a failure of `kind` with `message`.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the error that caused the failure, with its own causes.
    pub fn caused_by(self, error: &(dyn Error + 'static)) -> Self {
        Self { source: Some(ErrorCause::of(error)), ..self }
    }

    /// Adds the causes of an error, but not the error itself, whose words the message holds already.
    pub fn with_causes_of(self, error: &dyn Error) -> Self {
        Self { source: error.source().map(ErrorCause::of), ..self }
    }

    /// Returns the message with every cause: the text for the boundary, where an operator reads it.
    pub fn chain(&self) -> String {
        chain(self)
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
    fn a_kind_is_found_by_its_name() {
        FailureKind::ALL
            .iter()
            .for_each(|kind| assert_eq!(FailureKind::named(kind.error_type()), Some(*kind)));
        assert_eq!(FailureKind::named("States.Timeout"), None);
    }

    #[test]
    fn the_name_of_an_error_follows_its_sentence() {
        assert_eq!(bracketed("no such stage", "Rejected"), "no such stage [Rejected]");
        assert_eq!(bracketed("no such stage", ""), "no such stage");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Refused;

    #[derive(Debug, thiserror::Error)]
    #[error("dispatch failed")]
    struct Dispatch(#[source] Refused);

    #[derive(Debug, thiserror::Error)]
    #[error("no answer: {0}")]
    struct Repeats(#[source] Refused);

    #[test]
    fn the_chain_of_an_error_is_kept_and_shown_once() {
        let failure =
            Failure::new(FailureKind::Transient, "CreateStack ci-logs").caused_by(&Dispatch(Refused));
        assert_eq!(failure.to_string(), "CreateStack ci-logs");
        assert_eq!(failure.chain(), "CreateStack ci-logs: dispatch failed: connection refused");
        let cause = failure.source().unwrap();
        assert_eq!(cause.source().unwrap().to_string(), "connection refused");
        // The chain survives where a failure crosses a process.
        let sent = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&sent).unwrap(), failure);
    }

    #[test]
    fn a_message_with_the_words_of_an_error_keeps_its_causes() {
        let failure =
            Failure::rejected(format!("the host: {}", Dispatch(Refused))).with_causes_of(&Dispatch(Refused));
        assert_eq!(failure.chain(), "the host: dispatch failed: connection refused");
        assert_eq!(Failure::rejected("x").with_causes_of(&Refused).source, None);
    }

    #[test]
    fn a_cause_that_an_error_repeats_is_shown_once() {
        let failure = Failure::rejected("x").caused_by(&Repeats(Refused));
        assert_eq!(failure.chain(), "x: no answer: connection refused");
        assert_eq!(chain(&Repeats(Refused)).matches("connection refused").count(), 1);
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
