//! Messages of the `webhook` function, apart from the requests of git hosts. The sweep proposes, and the function
//! decides from its own records.

use crate::model::ids::{CommitSha, RepositoryId};
use serde::{Deserialize, Serialize};

/// Requests of the sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Request {
    /// Accepts the head of a repository's default branch if no webhook delivery reported it. Returns [`AcceptedHead`].
    AcceptHead {
        /// The repository.
        repository: RepositoryId,
        /// The head that its git host names.
        commit: CommitSha,
    },
    /// Starts, supersedes or quarantines a webhook delivery that no execution finishes. Returns [`Settled`].
    Settle {
        /// The git host's kind.
        provider: String,
        /// Id of the webhook delivery.
        delivery: String,
    },
}

/// Result of a request to accept a head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedHead {
    /// Id of the new webhook delivery; `None` if the head is known.
    pub delivery: Option<String>,
}

/// Result of a request to settle a webhook delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Settled {
    /// It is left as it is.
    Left,
    /// Its execution is started.
    Released,
    /// It is superseded or quarantined.
    Finished,
}
