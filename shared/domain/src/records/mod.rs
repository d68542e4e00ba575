//! The items of the ledger: one DynamoDB table, one Rust type per item.
//!
//! Every item carries a revision that the store raises on each write; a write names the revision it was read at, so
//! a stale writer loses. Keys are made here and nowhere else.

mod config;
mod deployment;
mod environment;
mod image;
mod image_version;
mod inbox;
mod release;
mod sweep;
mod traffic;
mod wait;

pub use config::{Config, ConfigKind, Repository};
pub use deployment::{
    Approval, Cancellation, ChangeSet, Decision, Deployment, DeploymentKind, DeploymentState, FailedEvent,
    FailureRecord, NamedResource, Operation, OperationKind, Proposal, ProposedAction, Step, Subject,
};
pub use environment::{Deployed, Environment, Holder};
pub use image::{Image, ImageState};
pub use image_version::{ImageOrigin, ImageVersion, Revocation};
pub use inbox::{Event, EventState, Outcome};
pub use release::{BreakGlass, BuildCounter, CommitVersion, Evidence, Rejection, Release, ReleaseState};
pub use sweep::{Leftover, SweepReport};
pub use traffic::{Slot, Traffic, Waiting};
pub use wait::{Wait, WaitState};

use crate::model::ids::{AccountId, Region};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Partition key.
    pub pk: String,
    /// Sort key; `-` where the partition holds one item.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    pub(crate) fn single(pk: String) -> Self {
        Self::new(pk, "-")
    }
}

/// One kind of item of the ledger.
pub trait Record: Serialize + DeserializeOwned + Clone {
    /// The item's kind, stored beside it so that a person who opens the table can read it.
    const KIND: &'static str;

    /// Where the item is stored.
    fn key(&self) -> Key;

    /// Seconds since 1970 after which DynamoDB may delete the item; `None` keeps it for ever.
    fn expires_at(&self) -> Option<i64> {
        None
    }

    /// The sort key in the `listing` index, partitioned by [`Record::KIND`]; `None` leaves the item out of it.
    fn listed_at(&self) -> Option<String> {
        None
    }
}

/// One account in one region: where a stack or an image lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Location {
    /// The AWS account.
    pub account: AccountId,
    /// The AWS region.
    pub region: Region,
}

/// An error as a state machine hands it on: the `Error` and `Cause` of a caught failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caught {
    /// The error's name, such as `StackFailed` or `States.Timeout`.
    #[serde(rename = "Error", default)]
    pub error: String,
    /// Its cause: for a Lambda function a JSON object with `errorMessage`, for a nested execution its description.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl Caught {
    /// The sentence meant for people inside the cause, however deep Step Functions wrapped it.
    pub fn sentence(&self) -> String {
        fn dig(text: &str, depth: u32) -> String {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return text.to_owned() };
            ["errorMessage", "Cause", "cause"]
                .iter()
                .find_map(|k| value.get(k).and_then(|v| v.as_str()))
                .filter(|_| depth > 0)
                .map_or_else(|| text.to_owned(), |inner| dig(inner, depth - 1))
        }
        dig(&self.cause, 5)
    }

    /// The error's name, and those of the errors inside the cause: that of a nested execution is what it ended with.
    pub fn names(&self) -> Vec<String> {
        let (mut names, mut text) = (vec![self.error.clone()], self.cause.clone());
        for _ in 0..5 {
            let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { break };
            let field =
                |names: [&str; 2]| names.iter().find_map(|name| value.get(name)?.as_str().map(str::to_owned));
            names.extend(field(["Error", "errorType"]));
            let Some(inner) = field(["Cause", "errorMessage"]) else { break };
            text = inner;
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::Caught;

    #[test]
    fn the_sentence_is_dug_out_of_nested_causes() {
        let lambda = r#"{"errorType":"StackFailed","errorMessage":"queue exists"}"#;
        let nested = serde_json::json!({"ExecutionArn": "arn", "Cause": lambda}).to_string();
        for cause in [lambda, nested.as_str(), "queue exists"] {
            let caught = Caught { error: "StackFailed".into(), cause: cause.into() };
            assert_eq!(caught.sentence(), "queue exists");
        }
    }
}
