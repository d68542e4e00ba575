use super::{Key, Record, Table};
use crate::model::ids::{CommitSha, RepositoryId};
use crate::model::outcome::Outcome;
use crate::model::person::GithubLogin;
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
    /// The delivery ended with a [`DeliveryEnd`].
    Finished,
}

/// End of a webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryEnd {
    /// Done, superseded, rejected or quarantined.
    pub outcome: Outcome,
    /// Reason of a rejection or a quarantine, or for which the push releases nothing; empty otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl DeliveryEnd {
    /// Returns the end of a delivery whose releases reached the last stage that needs no operator, or whose commit
    /// changed no component.
    pub fn done() -> Self {
        Self { outcome: Outcome::Done, reason: String::new() }
    }

    /// Returns the end of a delivery that a later push overtook.
    pub fn superseded() -> Self {
        Self { outcome: Outcome::Superseded, reason: String::new() }
    }

    /// Returns the end of a push to a branch that is not released.
    pub fn ignored(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Done, reason: reason.into() }
    }

    /// Returns the end of a delivery that repeats the delivery called `original`.
    pub fn duplicate(original: &str) -> Self {
        let reason = format!("it repeats delivery {original}, which has the same body");
        Self { outcome: Outcome::Superseded, reason }
    }

    /// Returns the end of a delivery whose content was rejected.
    pub fn rejected(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Rejected, reason: reason.into() }
    }

    /// Returns the end of a delivery that could not be processed. An operator must look at it.
    pub fn quarantined(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::Quarantined, reason: reason.into() }
    }
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
    /// Account that the git host authenticated as the pusher; `None` for a push that the sweep found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<GithubLogin>,
    /// State of the delivery.
    pub state: WebhookDeliveryState,
    /// Execution that processes it.
    pub execution: String,
    /// End of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DeliveryEnd>,
    /// Time of the acceptance.
    pub accepted_at: Timestamp,
    /// Time of the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl WebhookDelivery {
    /// Returns the key of a delivery.
    pub fn key_of(provider: &str, delivery: &str) -> Key {
        Key::single(Table::Intake, format!("EVENT#{provider}#{delivery}"))
    }
}

impl Record for WebhookDelivery {
    const KIND: &'static str = "EVENT";
    const TABLES: &'static [Table] = &[Table::Intake];

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
