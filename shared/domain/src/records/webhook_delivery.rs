use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, RepositoryId};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// State of an accepted webhook delivery. It never moves backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookDeliveryState {
    /// Recorded; its execution may not have been started.
    Accepted,
    /// Its execution was started.
    Started,
    /// The delivery ended with a [`DeliveryOutcome`].
    Finished,
}

/// Outcome of a webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum DeliveryOutcome {
    /// Its releases reached the last stage that needs no operator, or no component had changed.
    Done,
    /// A later push superseded it.
    Superseded,
    /// Its content was rejected, with the reason.
    Rejected(String),
    /// It could not be processed, with the reason. An operator must look at it.
    Quarantined(String),
}

/// An accepted webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookDelivery {
    /// The provider: `github`.
    pub provider: String,
    /// The provider's id of the delivery.
    pub delivery: String,
    /// Repository that the URL of the webhook selects.
    pub repository: RepositoryId,
    /// Git ref that was pushed.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Commit that the ref points to.
    pub commit: CommitSha,
    /// State of the delivery.
    pub state: WebhookDeliveryState,
    /// Execution that processes it.
    pub execution: String,
    /// Outcome of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DeliveryOutcome>,
    /// Time of the acceptance.
    pub accepted_at: Timestamp,
    /// Time of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl WebhookDelivery {
    /// Returns the key of a delivery.
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

    /// Returns the expiry of a finished delivery, thirty days later: GitHub redelivers for three. An open one
    /// never expires.
    fn expires_at(&self) -> Option<i64> {
        self.finished_at.and_then(|at| at.checked_add((30 * 24).hours()).ok()).map(Timestamp::as_second)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.accepted_at.to_string())
    }
}
