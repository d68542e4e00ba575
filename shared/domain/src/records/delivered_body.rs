use super::{Key, Record, Table};
use crate::model::ids::{Digest, RepositoryId};
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// A body that a git host signed, and the webhook delivery that processes it.
///
/// The signature covers the body alone. The id of a delivery is an unsigned header, so only the body identifies a delivery
/// that is sent again under another id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredBody {
    /// The provider: `github`.
    pub provider: String,
    /// Repository that the URL of the webhook selects.
    pub repository: RepositoryId,
    /// Digest of the raw bytes.
    pub digest: Digest,
    /// The provider's id of the delivery that processes the body.
    pub delivery: String,
    /// Time of that delivery.
    pub at: Timestamp,
}

impl DeliveredBody {
    /// Returns the key of a body. A slash keeps it apart from every webhook delivery.
    pub fn key_of(provider: &str, repository: &RepositoryId, digest: &Digest) -> Key {
        Key::single(Table::Intake, format!("EVENT#{provider}#body/{repository}/{digest}"))
    }
}

impl Record for DeliveredBody {
    const KIND: &'static str = "BODY";
    const TABLES: &'static [Table] = &[Table::Intake];

    fn key(&self) -> Key {
        Self::key_of(&self.provider, &self.repository, &self.digest)
    }

    /// Returns the expiry: a year after the delivery. A later copy is compared with the head of its branch as a new one.
    fn expires_at(&self) -> Option<i64> {
        self.at.checked_add((365 * 24).hours()).ok().map(Timestamp::as_second)
    }
}
