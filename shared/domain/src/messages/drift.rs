//! Messages of the `drift` function.

use super::inputs;
use crate::model::caught_error::CaughtError;
use crate::model::ids::StageName;
use crate::model::version::Version;
use crate::records::{DriftChange, DriftState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// Request to the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "action", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Request {
    /// Lists the environments of a stage, or those whose turn it is.
    List {
        /// Input of the state machine.
        input: inputs::Drift,
        /// ARN of the execution, which takes the turns.
        execution: String,
    },
    /// Notes the state of an environment and starts CloudFormation's detections.
    Look {
        /// The environment.
        #[serde(flatten)]
        subject: Subject,
    },
    /// Reads the results, and Cloud Control, and writes the report. The error `ChecksPending` asks the state to invoke
    /// the function again.
    Collect {
        /// The look that was begun.
        look: BegunLook,
    },
    /// Writes the report of a look that failed.
    Fail {
        /// The environment.
        #[serde(flatten)]
        subject: Subject,
        /// The error.
        error: CaughtError,
    },
}

/// Environment to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The stage.
    pub stage: StageName,
    /// Name of the environment within the stage.
    pub environment: String,
}

/// Environments that run a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The environments.
    pub environments: Vec<Subject>,
}

/// A detection of CloudFormation that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Logical ids of the nested stacks down to the stack, with a dot between them; empty for the environment's stack.
    pub path: String,
    /// ARN of the stack.
    pub stack: String,
    /// Id of the detection.
    pub id: String,
}

/// What a look notes before it begins, and compares when it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Epoch of the environment.
    pub epoch: u64,
    /// Release that runs.
    pub version: Version,
    /// ARN of the stack.
    pub stack: String,
    /// Status of the stack.
    pub status: String,
    /// Time of the last update of the stack; `None` if it was never updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Timestamp>,
}

/// A look that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunLook {
    /// The environment.
    #[serde(flatten)]
    pub subject: Subject,
    /// Time of the beginning.
    pub at: Timestamp,
    /// State of the environment and its stack.
    pub noted: Noted,
    /// Detections of the stack and its nested stacks.
    pub detections: Vec<Detection>,
}

/// Response to `look`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookStart {
    /// The look; `None` if the environment cannot be looked at, and the report says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<BegunLook>,
}

/// Response to `collect` and `fail`: what the report says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The environment.
    #[serde(flatten)]
    pub subject: Subject,
    /// State of the environment.
    pub state: DriftState,
    /// Change of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<DriftChange>,
}
