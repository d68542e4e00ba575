use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, RepositoryId};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// How far an accepted event has come. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookDeliveryState {
    /// Written down; its execution may not have been started.
    Accepted,
    /// Its execution was started.
    Started,
    /// It ended in an [`DeliveryOutcome`].
    Finished,
}

/// The one end of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum DeliveryOutcome {
    /// Its releases went as far as they go by themselves, or nothing had changed.
    Done,
    /// A later push made it pointless.
    Superseded,
    /// What it brought was refused.
    Rejected(String),
    /// It could not be processed; a person must look.
    Quarantined(String),
}

/// An accepted delivery of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDelivery {
    /// `github`.
    pub provider: String,
    /// The provider's id of the delivery.
    pub delivery: String,
    /// The repository that the hook's URL selects.
    pub repository: RepositoryId,
    /// The git ref that was pushed.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit it points to.
    pub commit: CommitSha,
    /// How far it has come.
    pub state: WebhookDeliveryState,
    /// The execution that processes it.
    pub execution: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DeliveryOutcome>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl WebhookDelivery {
    /// The key of a delivery.
    pub fn key_of(provider: &str, delivery: &str) -> Key {
        Key::single(format!("EVENT#{provider}#{delivery}"))
    }
}

impl Record for WebhookDelivery {
    const KIND: &'static str = "EVENT";
    const TABLE: Table = Table::Intake;

    fn key(&self) -> Key {
        Self::key_of(&self.provider, &self.delivery)
    }

    /// Only finished events expire, thirty days later: GitHub redelivers for three.
    fn expires_at(&self) -> Option<i64> {
        self.finished_at.and_then(|at| at.checked_add((30 * 24).hours()).ok()).map(Timestamp::as_second)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.accepted_at.to_string())
    }
}
