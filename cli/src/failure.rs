//! How a command ends, for people and for scripts.

use lockstep_domain::model::error::{Failure as DomainFailure, FailureKind, Policy};
use serde::Serialize;
use std::fmt;
use std::process::ExitCode;

/// How a command ended, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: it failed, or what it followed did.
    Failed,
    /// 2: the command line makes no sense.
    Usage,
    /// 3: a person must decide something first.
    NeedsHuman,
}

impl Exit {
    /// The number scripts see.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NeedsHuman => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command could not do what was asked: what happened and where, and what to do next. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// What happened, and where.
    pub what: String,
    /// What to do next; empty if `what` says it.
    pub next: String,
    /// How the command ends.
    pub exit: Exit,
}

impl Failure {
    /// Something went wrong.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), next: String::new(), exit: Exit::Failed }
    }

    /// The command line makes no sense.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(what) }
    }

    /// Adds what to do next.
    pub fn next(self, next: impl Into<String>) -> Self {
        Self { next: next.into(), ..self }
    }

    /// Adds what to do next, unless it says so already.
    pub fn or_next(self, next: impl Into<String>) -> Self {
        if self.next.is_empty() { self.next(next) } else { self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
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
                "use credentials that may do this: --profile, or the AWS_* variables (see docs/operations.md)"
            }
            FailureKind::Throttled | FailureKind::Transient | FailureKind::Conflict => {
                "try again in a moment"
            }
            _ => "",
        };
        Self { what: failure.message, next: next.to_owned(), exit }
    }
}

/// Explains an error of the operating system at a place.
pub fn at<E: fmt::Display>(place: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| Failure::new(format!("{place}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_the_documentation_names() {
        let codes = [Exit::Done, Exit::Failed, Exit::Usage, Exit::NeedsHuman].map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    #[test]
    fn what_only_a_person_can_decide_ends_with_three() {
        let of = |kind| Failure::from(DomainFailure::new(kind, "x")).exit;
        assert_eq!(of(FailureKind::StackNeedsHuman), Exit::NeedsHuman);
        assert_eq!(of(FailureKind::Rejected), Exit::Failed);
        assert_eq!(of(FailureKind::Throttled), Exit::Failed);
    }

    #[test]
    fn a_failure_reads_as_what_happened_and_what_to_do_next() {
        let failure =
            Failure::new("stages.toml: no such file").next("write one: lockstep stages show --example");
        assert_eq!(
            failure.to_string(),
            "stages.toml: no such file\nnext: write one: lockstep stages show --example"
        );
    }
}
