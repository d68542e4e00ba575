//! Judges an installation by what was read of it: every decision of `lockstep doctor`.
//!
//! A [`Reading`] is a value, or the reason why it is unknown. An unknown reading never becomes a finding that says
//! that something is fine.

mod definition;
mod judge;
mod limits;
mod place;
mod resource;
#[cfg(test)]
mod tests;

pub use definition::is_rendered_from;
pub use judge::examine;
pub use limits::{LEAST_CONCURRENCY, Quota, QuotaFacts, QuotaPlace, WANTED_QUOTAS};
pub use place::{AllowedImages, DryRun, Encryption, PlaceFacts};
pub use resource::{
    Diagnostic, FunctionState, MachineState, ResourceFacts, ResourceState, RoleState, RuleState,
};

use crate::model::ids::{AccountId, Region};
use jiff::Timestamp;
use serde::Serialize;

/// A value that was read, or the reason why it is unknown.
pub type Reading<T> = Result<T, Unknown>;

/// Why a value could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// The reason, as a sentence without its final stop.
    pub reason: String,
    /// The command or the change after which it can be read; empty if there is none.
    pub mend: String,
}

impl Unknown {
    /// Makes the reason of an unknown reading.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), mend: String::new() }
    }

    /// Adds what makes the value readable.
    pub fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: mend.into(), ..self }
    }
}

/// How much a finding matters. The order is that of the report: the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, or will not work when it is needed.
    Broken,
    /// Something works, and a person should look at it.
    Warning,
    /// Something could not be read, so it may be broken.
    Unknown,
    /// Something was read and is as it must be.
    Fine,
}

/// A sentence about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The thing, such as `function lockstep-ledger`.
    pub subject: String,
    /// What was found.
    pub sentence: String,
    /// The command or the change that mends it; empty where nothing is to be mended.
    pub mend: String,
}

impl Finding {
    fn new(severity: Severity, subject: &str, sentence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { severity, subject: subject.to_owned(), sentence: sentence.into(), mend: mend.into() }
    }

    fn fine(subject: &str, sentence: impl Into<String>) -> Self {
        Self::new(Severity::Fine, subject, sentence, "")
    }

    fn warning(subject: &str, sentence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, sentence, mend)
    }

    fn broken(subject: &str, sentence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Severity::Broken, subject, sentence, mend)
    }

    fn unknown(subject: &str, unknown: &Unknown) -> Self {
        Self::new(Severity::Unknown, subject, unknown.reason.clone(), unknown.mend.clone())
    }
}

/// How the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was read and is as it must be.
    Healthy,
    /// Something is broken.
    Broken,
    /// Nothing is known to be broken, and a person must look: at a warning, or at what could not be read.
    Undecided,
}

/// Returns how a report with these findings ends.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let worst = findings.iter().map(|finding| finding.severity).min();
    match worst {
        Some(Severity::Broken) => Verdict::Broken,
        Some(Severity::Warning | Severity::Unknown) => Verdict::Undecided,
        // A report without a finding looked at nothing.
        None => Verdict::Undecided,
        Some(Severity::Fine) => Verdict::Healthy,
    }
}

/// A stack that an installation consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackFacts {
    /// Its name.
    pub name: String,
    /// Its state; `None` if there is no such stack.
    pub found: Reading<Option<StackState>>,
    /// The command that installs it.
    pub install: String,
}

/// The state of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackState {
    /// Its status, such as `UPDATE_COMPLETE`.
    pub status: String,
    /// Whether its template is the one that this command would install.
    pub is_current: Reading<bool>,
}

/// The control plane as its parameter describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its version.
    pub version: String,
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
}

/// What the webhook's log says of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookFacts {
    /// The repository, as its hook names it.
    pub repository: String,
    /// When its last delivery was accepted, or its last ping answered, within the time that was read.
    pub last_accepted: Option<Timestamp>,
    /// The refusals after that: status and number.
    pub refusals: Vec<(u16, u32)>,
    /// How many days of the log were read.
    pub days: u32,
}

/// Everything that was read of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The version of the command.
    pub command_version: String,
    /// The account of the credentials.
    pub caller: Reading<AccountId>,
    /// How many seconds this machine's clock is ahead of AWS's.
    pub clock_ahead_seconds: Reading<i64>,
    /// The control plane; `None` if none is installed here.
    pub control_plane: Reading<Option<Installed>>,
    /// The stacks of the tooling account.
    pub stacks: Vec<StackFacts>,
    /// The resources of those stacks.
    pub resources: Vec<ResourceFacts>,
    /// The quotas of the tooling account.
    pub quotas: Vec<QuotaFacts>,
    /// The webhook, one entry for each repository.
    pub webhook: Reading<Vec<WebhookFacts>>,
    /// The accounts and regions that Lockstep deploys to.
    pub places: Reading<Vec<PlaceFacts>>,
}
