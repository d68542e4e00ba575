//! The failure of a command, and its exit code.

use lockstep_domain::model::error::{self, ErrorCause, Failure as DomainFailure, FailureKind, Policy};
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// The result of a command, as an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the command failed, or the execution that it followed failed.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: an operator or approver must decide first.
    NeedsHuman,
    /// 130: the caller interrupted the command; what it started continues.
    Interrupted,
}

impl Exit {
    /// Returns the exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NeedsHuman => 3,
            // As a shell reports a program that SIGINT ended.
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The reason of a failed command, and the next step. Never contains a secret.
///
/// No error has it as a source: the command prints it, with its causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The error, with its place.
    pub what: String,
    /// The error that caused it. `what` does not repeat it; [`Failure::chain`] shows both.
    pub cause: Option<ErrorCause>,
    /// The next step; empty if `what` names it.
    pub next: String,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// Returns a failure of the command.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: None, next: String::new(), exit: Exit::Failed }
    }

    /// Returns a failure of a wrong command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what) }
    }

    /// Adds the error that caused the failure, with its own causes.
    pub fn caused_by(self, error: &(dyn Error + 'static)) -> Self {
        Self { cause: Some(ErrorCause::of(error)), ..self }
    }

    /// Returns the error with every cause.
    pub fn chain(&self) -> String {
        error::with_causes(&self.what, self.cause.as_ref().map(|cause| cause as _))
    }

    /// Sets the next step.
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: next.into(), ..self }
    }

    /// Sets the next step, unless there is one.
    pub fn or_next(self, next: impl Into<String>) -> Self {
        if self.next.is_empty() { self.next(next) } else { self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())?;
        if self.next.is_empty() { Ok(()) } else { write!(f, "\nnext: {}", self.next) }
    }
}

impl From<DomainFailure> for Failure {
    fn from(failure: DomainFailure) -> Self {
        let exit = match failure.kind.policy() {
            Policy::NeedsHuman => Exit::NeedsHuman,
            Policy::Retryable | Policy::Terminal => Exit::Failed,
        };
        let next = match failure.kind {
            FailureKind::AccessDenied => {
                "ask for the managed policy of operators, approvers or administrators that allows it (docs/operations.md, People), or name \
                 other credentials: --profile, or the AWS_* variables"
            }
            FailureKind::Throttled | FailureKind::Transient | FailureKind::Conflict => {
                "try again in a moment"
            }
            _ => "",
        };
        Self { what: failure.message, cause: failure.source, next: next.to_owned(), exit }
    }
}

/// Returns a function that turns an error into a failure at a place.
pub fn at<E: Error + 'static>(place: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(place.to_string()).caused_by(&error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_match_the_documentation() {
        let exits = [Exit::Done, Exit::Failed, Exit::Usage, Exit::NeedsHuman, Exit::Interrupted];
        assert_eq!(exits.map(Exit::code), [0, 1, 2, 3, 130]);
    }

    #[test]
    fn a_failure_that_needs_a_human_exits_with_three() {
        let of = |kind| Failure::from(DomainFailure::new(kind, "x")).exit;
        assert_eq!(of(FailureKind::StackNeedsHuman), Exit::NeedsHuman);
        assert_eq!(of(FailureKind::Rejected), Exit::Failed);
        assert_eq!(of(FailureKind::Throttled), Exit::Failed);
    }

    #[test]
    fn the_command_shows_the_causes_of_a_failure_once() {
        let error = std::io::Error::other("connection refused");
        let failure = DomainFailure::new(FailureKind::Rejected, "DescribeStacks ci-logs").caused_by(&error);
        assert_eq!(Failure::from(failure).to_string(), "DescribeStacks ci-logs: connection refused");
    }

    #[test]
    fn a_failure_prints_the_error_and_the_next_step() {
        let failure =
            Failure::new("stages.toml: no such file").next("write one: lockstep stages show --example");
        assert_eq!(
            failure.to_string(),
            "stages.toml: no such file\nnext: write one: lockstep stages show --example"
        );
    }
}
