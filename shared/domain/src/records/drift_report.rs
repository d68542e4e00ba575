use super::{Environment, Key, Partition, Record, Table};
use crate::model::deployment_path::DeploymentPath;
use crate::model::ids::{ComponentName, Digest, StageName};
use crate::model::version::Version;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use strum::{Display, IntoStaticStr};

/// Bytes of a report, as JSON, below the 400 KB of an item.
const REPORT_BYTES: usize = 300 * 1024;

/// Value of a property as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportedValue {
    /// The value.
    Value(Value),
    /// The beginning of a value that is too long.
    Beginning(String),
    /// No value.
    Absent,
    /// A value that no report shows.
    Hidden,
}

impl fmt::Display for ReportedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Beginning(text) => write!(f, "{text}…"),
            Self::Absent => f.write_str("(absent)"),
            Self::Hidden => f.write_str("(hidden, changed)"),
        }
    }
}

/// Property that differs from its declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftedProperty {
    /// Path of the property; empty for the whole resource.
    pub path: String,
    /// Declared value.
    pub wanted: ReportedValue,
    /// Live value.
    pub found: ReportedValue,
    /// Time of the first of the concluded looks in a row that found the property drifted.
    pub since: Timestamp,
}

/// Resource that differs from its declaration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftedResource {
    /// Logical id, prefixed with the logical ids of the nested stacks around it.
    pub name: String,
    /// Type of the resource.
    pub resource_type: String,
    /// Physical id.
    pub physical_id: String,
    /// True if the resource does not exist any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Properties that differ.
    pub properties: Vec<DriftedProperty>,
}

/// Reason why a resource or one of its properties is unknown.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr, Display,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum UnknownCause {
    /// Neither CloudFormation nor Cloud Control reads the type.
    Unsupported,
    /// The reader's role may not read the resource.
    Denied,
    /// AWS returned no value for a property that it cannot have lost.
    Unreadable,
    /// AWS's schema says that no read returns the property.
    WriteOnly,
    /// The declared value holds an intrinsic that the stack's own values do not resolve.
    Unresolved,
    /// Cloud Control identifies the type by more than its physical id.
    Unidentified,
    /// Cloud Control knows no resource with this physical id, and CloudFormation does not say that it was deleted.
    NotFound,
    /// CloudFormation's detection and the live model do not agree.
    Disagreement,
    /// Another resource adds members to the property.
    Shared,
    /// The look had read as many resources as one look may read.
    Limit,
    /// The read failed.
    Failed,
}

/// Resource, or property of one, that could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownResource {
    /// Logical id, prefixed with the logical ids of the nested stacks around it.
    pub name: String,
    /// Type of the resource.
    pub resource_type: String,
    /// Reason.
    pub cause: UnknownCause,
    /// Path of the property; empty for the whole resource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Words of AWS, such as the missing permission.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Findings of a look that looked at the same release from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Beginning of the look.
    pub at: Timestamp,
    /// Release that ran.
    pub version: Version,
    /// Epoch of the environment.
    pub epoch: u64,
    /// Number of resources of the stack and its nested stacks.
    pub resources: u32,
    /// Number of resources that are in sync.
    pub in_sync: u32,
    /// Number of drifted resources.
    pub drifted: u32,
    /// Number of resources that are unknown, or have an unknown property. A drifted resource is not counted again.
    pub unknown: u32,
    /// Digest of everything that drifted; `None` if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Drifted resources, as many as fit.
    #[serde(default)]
    pub drift: Vec<DriftedResource>,
    /// Unknown resources and properties, as many as fit.
    #[serde(default)]
    pub unknowns: Vec<UnknownResource>,
}

/// Reason why a look concluded nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, Display)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Inconclusive {
    /// A deployment ran, or changed the environment, between the beginning and the end of the look.
    DeployedMeanwhile,
    /// No release runs in the environment, or its stack is in no state in which CloudFormation detects drift.
    NotStable,
    /// The stack has more resources than one look reads.
    TooLarge,
    /// A call failed.
    Failed,
}

/// A look that concluded nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedLook {
    /// Time of the look.
    pub at: Timestamp,
    /// Reason.
    pub reason: Inconclusive,
    /// Sentence with the reason and what to do.
    pub message: String,
}

/// Change of state that a look found, against the looks before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DriftChange {
    /// The environment has drifted.
    Drifted,
    /// The environment had drifted before, and its drift is another one.
    Changed,
    /// What had drifted is in sync.
    BackInSync,
    /// The look failed, and the one before did not.
    CheckFailed,
}

/// State of an environment, as the newest look leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum DriftState {
    /// Every resource was looked at, and is as declared.
    InSync,
    /// A resource differs from its declaration.
    Drifted,
    /// No drift was found, and not everything was looked at.
    Unknown,
    /// The look failed.
    Failed,
}

/// Drift that was reported, and that no look has found gone since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenDrift {
    /// Digest of the drift.
    pub digest: Digest,
    /// Names of its resources.
    pub names: BTreeSet<String>,
}

/// A window of the schedule in which an environment is looked at, and the execution that does so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookTurn {
    /// Beginning of the window.
    pub window: Timestamp,
    /// Execution that took the turn.
    pub execution: String,
}

/// What the looks at one environment found. `drift` of the environment's path writes it, and it is a claim: no
/// deployment is decided by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftReport {
    /// Path of the environment.
    pub path: DeploymentPath,
    /// The stage.
    pub stage: StageName,
    /// Name of the environment within its stage.
    pub environment: String,
    /// The component.
    pub component: ComponentName,
    /// Findings of the newest look that concluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<Findings>,
    /// The newest look, if it concluded nothing. The findings are then older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedLook>,
    /// Change of state that the newest look found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<DriftChange>,
    /// Drift that was reported last, until each of its resources is in sync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenDrift>,
    /// Newest turn of the schedule that an execution took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<LookTurn>,
    /// Time since which the environment has its state.
    pub since: Timestamp,
}

impl DriftReport {
    /// Returns the key of the report of an environment.
    pub fn key_of(path: DeploymentPath, stage: &StageName, environment: &str) -> Key {
        Key::new(Table::of(path), format!("DRIFT#{stage}"), format!("ENVIRONMENT#{environment}"))
    }

    /// Returns the partition of all reports of a stage.
    pub fn all_of(path: DeploymentPath, stage: &StageName) -> Partition {
        Partition::new(Table::of(path), format!("DRIFT#{stage}"), "ENVIRONMENT#")
    }

    /// Returns the report of an environment of `path` that was never looked at.
    pub fn new(path: DeploymentPath, environment: &Environment, at: Timestamp) -> Self {
        Self {
            path,
            stage: environment.stage.clone(),
            environment: environment.name.clone(),
            component: environment.component.clone(),
            findings: None,
            failed: None,
            change: None,
            open: None,
            turn: None,
            since: at,
        }
    }

    /// Returns the time of the newest look; `None` if there was none.
    pub fn looked_at(&self) -> Option<Timestamp> {
        let concluded = self.findings.as_ref().map(|findings| findings.at);
        concluded.max(self.failed.as_ref().map(|failed| failed.at))
    }

    /// Returns the state. Findings that a later look could not repeat are not the state.
    pub fn state(&self) -> DriftState {
        match (&self.failed, &self.findings) {
            (Some(FailedLook { reason: Inconclusive::Failed, .. }), _) => DriftState::Failed,
            (Some(_), _) | (None, None) => DriftState::Unknown,
            (None, Some(findings)) => findings.state(),
        }
    }

    /// Returns the report, shortened to fit into an item of the table. The counts and the digest remain those of all.
    pub fn bounded(mut self) -> Self {
        if let Some(findings) = &mut self.findings {
            let size =
                |findings: &Findings| serde_json::to_string(findings).map_or(usize::MAX, |text| text.len());
            while size(findings) > REPORT_BYTES {
                let (drift, unknowns) = (findings.drift.len(), findings.unknowns.len());
                if drift == 0 && unknowns == 0 {
                    break;
                }
                // The drift is what a person acts on, so it is shortened last.
                if unknowns > 0 {
                    findings.unknowns.truncate(unknowns / 2);
                } else {
                    findings.drift.truncate(drift / 2);
                }
            }
        }
        self
    }
}

impl Findings {
    /// Returns the state. A resource that was not compared never makes an environment clean.
    pub fn state(&self) -> DriftState {
        match (self.drifted, self.unknown) {
            (0, 0) if self.in_sync == self.resources => DriftState::InSync,
            (0, _) => DriftState::Unknown,
            _ => DriftState::Drifted,
        }
    }
}

impl Record for DriftReport {
    const KIND: &'static str = "DRIFT";
    const TABLES: &'static [Table] = &[Table::Delivery, Table::Promotion];

    fn key(&self) -> Key {
        Self::key_of(self.path, &self.stage, &self.environment)
    }
}
