//! Judges an installation by the facts read from it: every decision of `lockstep doctor`.
//!
//! A [`Reading`] is a value, or the reason why it is unknown. An unknown reading never becomes a finding of
//! severity `Fine`.

mod definition;
mod judge;
mod limits;
mod place;
mod resource;
#[cfg(test)]
mod tests;

pub use definition::is_rendered_from;
pub use judge::examine;
pub use limits::{LEAST_CONCURRENCY, Quota, QuotaFacts, QuotaScope, WANTED_QUOTAS};
pub use place::{AllowedImages, DryRun, Encryption, TargetFacts};
pub use resource::{
    Diagnostic, FunctionState, MachineState, ResourceFacts, ResourceState, RoleState, RuleState,
};

use crate::model::ids::{AccountId, Region, RepositoryId};
use crate::records::OwnedName;
use jiff::Timestamp;
use serde::Serialize;
use strum::Display;

/// A value that was read, or the reason why it is unknown.
pub type Reading<T> = Result<T, Unknown>;

/// Reason why a value could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Reason, as a sentence without its final stop.
    pub reason: String,
    /// Command or change that makes the value readable; empty if there is none.
    pub remedy: String,
}

impl Unknown {
    /// Returns the reason of an unknown reading.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: String::new() }
    }

    /// Adds the command or change that makes the value readable.
    pub fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }
}

/// Severity of a finding. The order is that of the report: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    /// An object does not work, or will fail when it is needed.
    Broken,
    /// An object works, and an operator should look at it.
    Warning,
    /// An object could not be read, so it may be broken.
    Unknown,
    /// An object was read and is correct.
    Fine,
}

/// A sentence about one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Severity of the finding.
    pub severity: Severity,
    /// Object of the finding, such as `function lockstep-ledger`.
    pub subject: String,
    /// Sentence about the object.
    pub sentence: String,
    /// Command or change that repairs it; empty if it needs no repair.
    pub remedy: String,
}

impl Finding {
    fn new(
        severity: Severity,
        subject: &str,
        sentence: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity, subject: subject.to_owned(), sentence: sentence.into(), remedy: remedy.into() }
    }

    fn fine(subject: &str, sentence: impl Into<String>) -> Self {
        Self::new(Severity::Fine, subject, sentence, "")
    }

    fn warning(subject: &str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, sentence, remedy)
    }

    fn broken(subject: &str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Severity::Broken, subject, sentence, remedy)
    }

    fn unknown(subject: &str, unknown: &Unknown) -> Self {
        Self::new(Severity::Unknown, subject, unknown.reason.clone(), unknown.remedy.clone())
    }
}

/// Result of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every object was read and is correct.
    Healthy,
    /// An object is broken.
    Broken,
    /// No object is known to be broken, but an operator must look at a warning or at an unreadable object.
    Undecided,
}

/// Returns the result of a report with these findings.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let worst = findings.iter().map(|finding| finding.severity).min();
    match worst {
        Some(Severity::Broken) => Verdict::Broken,
        Some(Severity::Warning | Severity::Unknown) => Verdict::Undecided,
        // A report without a finding examined no object.
        None => Verdict::Undecided,
        Some(Severity::Fine) => Verdict::Healthy,
    }
}

/// A stack of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFacts {
    /// Name of the stack.
    pub name: String,
    /// State of the stack; `None` if there is no such stack.
    pub found: Reading<Option<StackState>>,
    /// Command that installs the stack.
    pub install: String,
}

/// State of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackState {
    /// Status of the stack, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// True if its template is the one that this command would install.
    pub is_current: Reading<bool>,
}

/// The control plane as its parameter describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Version of the control plane.
    pub version: String,
    /// Account of the control plane.
    pub account: AccountId,
    /// Region of the control plane.
    pub region: Region,
}

/// Facts from the webhook's log about one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookFacts {
    /// Repository, as its webhook names it.
    pub repository: String,
    /// Time of the last accepted delivery or answered ping, within the days that were read.
    pub last_accepted: Option<Timestamp>,
    /// Refusals after that time: the part of the request that was wrong, as the metric `Refusals` names it, and the number.
    pub refusals: Vec<(String, u32)>,
    /// Number of days of the log that were read.
    pub days: u32,
}

/// All facts that were read of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Version of the command.
    pub command_version: String,
    /// Account of the credentials.
    pub caller: Reading<AccountId>,
    /// Seconds by which this machine's clock is ahead of AWS's.
    pub clock_ahead_seconds: Reading<i64>,
    /// Control plane; `None` if this account and region has none.
    pub control_plane: Reading<Option<Installed>>,
    /// Stacks of the tooling account.
    pub stacks: Vec<StackFacts>,
    /// Resources of those stacks.
    pub resources: Vec<ResourceFacts>,
    /// Quotas of the tooling account.
    pub quotas: Vec<QuotaFacts>,
    /// Facts of the webhook, one entry for each repository.
    pub webhook: Reading<Vec<WebhookFacts>>,
    /// Names of components and images whose owner is not registered any more, each with that owner.
    pub abandoned_names: Reading<Vec<(OwnedName, RepositoryId)>>,
    /// Accounts and regions that Lockstep deploys to.
    pub places: Reading<Vec<TargetFacts>>,
}
