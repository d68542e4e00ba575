//! The failure of a command, and its exit code.

use lockstep_domain::installation::advice::{self, Cause};
use lockstep_domain::model::error::{self, ErrorCause, Failure as DomainFailure, FailureKind, Policy};
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::io::ErrorKind;
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
    /// The kind that a function of Lockstep or its ledger gave; `None` for an error of the command itself.
    pub kind: Option<FailureKind>,
    /// The next step of this failure alone; empty if its kind or its cause decides ([`Failure::next_step`]).
    pub next: String,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// Returns a failure of the command.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), cause: None, kind: None, next: String::new(), exit: Exit::Failed }
    }

    /// Returns a failure whose kind Lockstep gave. The kind decides the exit code, and the next step unless the cause does.
    pub fn of_kind(kind: Option<FailureKind>, what: impl Into<String>) -> Self {
        let exit = match kind.map(FailureKind::policy) {
            Some(Policy::NeedsHuman) => Exit::NeedsHuman,
            Some(Policy::Retryable | Policy::Terminal) | None => Exit::Failed,
        };
        Self { kind, exit, ..Self::new(what) }
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

    /// Returns the next step. Every failure has one.
    pub fn next_step(&self) -> String {
        if !self.next.is_empty() {
            return self.next.clone();
        }
        advice::next_step(self.kind, &self.chain()).unwrap_or_else(|| general(self.exit).to_owned())
    }

    /// Sets the next step, unless there is one.
    pub fn or_next(self, next: impl Into<String>) -> Self {
        if self.next.is_empty() { self.next(next) } else { self }
    }
}

/// Returns the next step of a failure whose kind and cause are unknown.
fn general(exit: Exit) -> &'static str {
    match exit {
        Exit::Usage => "add --help to the command for its options and an example",
        Exit::Done | Exit::Failed => {
            "correct what the message names; if it names nothing of yours, lockstep doctor checks the installation"
        }
        Exit::NeedsHuman => "decide what the message asks, then run the command again",
        Exit::Interrupted => "what was started continues; to see it: lockstep watch",
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map_or("", FailureKind::error_type);
        write!(f, "{}\nnext: {}", error::bracketed(&self.chain(), kind), self.next_step())
    }
}

impl From<DomainFailure> for Failure {
    fn from(failure: DomainFailure) -> Self {
        // The client lists every source of credentials that it tried, and its kind says nothing about them.
        if advice::cause(&failure.chain()) == Some(Cause::NoCredentials) {
            let what = format!("{}: there are no AWS credentials", failure.message);
            return Self::new(what).next(advice::of_cause(Cause::NoCredentials, ""));
        }
        Self { cause: failure.source, ..Self::of_kind(Some(failure.kind), failure.message) }
    }
}

/// Returns a function that turns an error into a failure at a place.
pub fn at<E: Error + 'static>(place: impl fmt::Display) -> impl FnOnce(E) -> Failure {
    move |error| {
        let failure = Failure::new(place.to_string()).caused_by(&error);
        match (&error as &dyn Error).downcast_ref::<std::io::Error>() {
            Some(error) => failure.next(of_file(error.kind())),
            None => failure,
        }
    }
}

/// Returns the next step after an error of a file or a stream; empty if its kind decides nothing.
fn of_file(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "check the path: it is relative to the folder in which the command runs",
        ErrorKind::PermissionDenied => "run the command as a user who may read and write this path",
        ErrorKind::AlreadyExists => "remove it, or name another path",
        ErrorKind::StorageFull => "free space on the disk, then run the command again",
        ErrorKind::InvalidData => "the file must be UTF-8 text",
        ErrorKind::IsADirectory => "name a file, not a folder",
        ErrorKind::NotADirectory => "name a folder, not a file",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::Cli;
    use crate::report::Report;
    use clap::CommandFactory as _;
    use serde_json::json;
    use strum::VariantArray as _;

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
        let shown = Failure::from(failure).to_string();
        assert_eq!(shown.lines().next(), Some("DescribeStacks ci-logs: connection refused [Rejected]"));
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

    #[test]
    fn no_failure_is_shown_without_a_next_step() {
        let kinds = FailureKind::ALL.iter().copied().map(Some).chain([None]);
        let of_kinds = kinds.map(|kind| Failure::of_kind(kind, "it failed"));
        let io =
            [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::Other].map(std::io::Error::from);
        let of_files = io.into_iter().map(|error| at("a.toml")(error));
        for failure in of_kinds.chain(of_files).chain([Failure::usage("no such option")]) {
            let (shown, report) = (failure.to_string(), Report::of(&failure));
            let (_, next) = shown.split_once("\nnext: ").expect(&shown);
            assert!(next.len() > 10, "{shown}");
            assert_eq!(report.document["next"], next);
            assert_eq!(report.document["error"], failure.chain());
            assert_eq!(report.document["kind"], json!(failure.kind.map(FailureKind::error_type)));
        }
    }

    #[test]
    fn missing_credentials_are_one_sentence() {
        let error =
            std::io::Error::other("no credentials found in chain. Attempted:\n  Profile: not enabled");
        let failure = DomainFailure::new(FailureKind::Transient, "GetParameter x").caused_by(&error);
        let shown = Failure::from(failure).to_string();
        assert!(shown.starts_with("GetParameter x: there are no AWS credentials\nnext: sign in"), "{shown}");
    }

    #[test]
    fn each_command_of_a_next_step_exists() {
        let commands = Cli::command();
        let known = |word: &str| commands.get_subcommands().any(|command| command.get_name() == word);
        let steps = FailureKind::ALL.iter().map(|kind| advice::of_kind(*kind).to_owned());
        let causes = advice::Cause::VARIANTS.iter().map(|cause| advice::of_cause(*cause, ""));
        let own =
            [Exit::Done, Exit::Failed, Exit::Usage, Exit::NeedsHuman].map(|exit| general(exit).to_owned());
        for step in steps.chain(causes).chain(own) {
            for (at, _) in step.match_indices("lockstep ") {
                let word = step[at + "lockstep ".len()..].split(|c: char| !c.is_ascii_lowercase()).next();
                assert!(word.is_some_and(known), "{word:?} in: {step}");
            }
        }
    }
}
