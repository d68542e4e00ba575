//! Applications that may send, and the life of their keys.
//!
//! All keys of an application are one record. A rule about all of them, such as at most two valid keys, is
//! then one conditional write, and a request reads one item.

use super::{ApiKey, KeyId, Rate, Refused, SECRET_BYTES};
use crate::model::ids::{ApplicationName, Digest};
use crate::records::{Key, Record, Table};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Maximum number of recorded keys of an application. The oldest keys that are no longer valid are deleted
/// first.
pub const KEYS_KEPT: usize = 20;

/// An application that may send, or could once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Name of the application, which each of its events carries.
    pub name: ApplicationName,
    /// Keys of the application, oldest first.
    pub keys: Vec<IssuedKey>,
    /// Number of keys that were ever issued to it.
    pub issued: u32,
    /// Rate of the application. `None` applies the component's rate for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// Record of an issued key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedKey {
    /// Number of the key among those of the application, from 1.
    pub number: u32,
    /// SHA-256 of the key.
    pub digest: Digest,
    /// State of the key.
    pub state: KeyState,
    /// ARN of the operator who issued it.
    pub made_by: String,
    /// Time of issue.
    pub made_at: Timestamp,
}

/// State of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum KeyState {
    /// The key is valid.
    Valid,
    /// The key is valid until a time, because another one replaces it.
    Retiring {
        /// End of its validity.
        until: Timestamp,
    },
    /// The key is not valid any more.
    Revoked {
        /// ARN of the operator who revoked it.
        by: String,
        /// Time of the revocation.
        at: Timestamp,
    },
}

impl KeyState {
    /// Returns true if a key in this state is valid at `now`.
    pub fn works(&self, now: Timestamp) -> bool {
        match self {
            Self::Valid => true,
            Self::Retiring { until } => now < *until,
            Self::Revoked { .. } => false,
        }
    }
}

impl Record for Application {
    const KIND: &'static str = "APPLICATION";
    const TABLES: &'static [Table] = &[Table::Applications];

    fn key(&self) -> Key {
        Self::key_of(&self.name)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.name.to_string())
    }
}

/// Selection of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The key of this number.
    One(u32),
    /// Every key.
    All,
}

/// Reason why a key was not issued, replaced or revoked, as a message for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unissued {
    /// A valid key exists.
    #[error("{0} works; to replace it, rotate it")]
    Works(KeyId),
    /// No valid key exists that could be replaced.
    #[error("no key of {0} works; add one")]
    NoneWorks(ApplicationName),
    /// Two keys are valid: the one before the last has not expired yet.
    #[error("{0} and {1} both work, and two is the maximum; wait until {0} expires, or revoke it")]
    TwoWork(KeyId, KeyId),
    /// The key does not exist.
    #[error("there is no key {0}, or it is too old to be on record")]
    NoSuchKey(KeyId),
    /// The numbers of keys are exhausted.
    #[error("{0} has used every number of a key; use another application name")]
    Exhausted(ApplicationName),
}

impl Application {
    /// Returns the key of an application's record.
    pub fn key_of(name: &ApplicationName) -> Key {
        Key::single(Table::Applications, format!("APPLICATION#{name}"))
    }

    /// Returns an application without a key.
    pub fn new(name: ApplicationName) -> Self {
        Self { name, keys: Vec::new(), issued: 0, rate: None }
    }

    /// Returns the keys that are valid at `now`.
    pub fn working(&self, now: Timestamp) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().filter(move |key| key.state.works(now)).map(|key| self.id(key.number))
    }

    /// Issues a key to an application without a valid one.
    pub fn add(
        mut self,
        secret: [u8; SECRET_BYTES],
        by: &str,
        now: Timestamp,
    ) -> Result<(Self, ApiKey), Unissued> {
        if let Some(works) = self.working(now).next() {
            return Err(Unissued::Works(works));
        }
        let key = self.issue(secret, by, now)?;
        Ok((self, key))
    }

    /// Issues a key that replaces the valid one, which remains valid for `keep`.
    pub fn rotate(
        mut self,
        secret: [u8; SECRET_BYTES],
        keep: SignedDuration,
        by: &str,
        now: Timestamp,
    ) -> Result<(Self, ApiKey), Unissued> {
        let mut working = self.working(now);
        let before = match (working.next(), working.next()) {
            (Some(one), None) => one,
            (Some(one), Some(other)) => return Err(Unissued::TwoWork(one, other)),
            (None, _) => return Err(Unissued::NoneWorks(self.name.clone())),
        };
        drop(working);
        let until = now.checked_add(keep).unwrap_or(Timestamp::MAX);
        for key in self.keys.iter_mut().filter(|key| key.number == before.number) {
            key.state = KeyState::Retiring { until };
        }
        let key = self.issue(secret, by, now)?;
        Ok((self, key))
    }

    /// Revokes keys for good. An earlier revocation remains unchanged.
    pub fn revoke(mut self, which: Which, by: &str, now: Timestamp) -> Result<Self, Unissued> {
        if let Which::One(number) = which
            && !self.keys.iter().any(|key| key.number == number)
        {
            return Err(Unissued::NoSuchKey(self.id(number)));
        }
        let meant = |key: &&mut IssuedKey| which == Which::All || which == Which::One(key.number);
        for key in self.keys.iter_mut().filter(meant) {
            if !matches!(key.state, KeyState::Revoked { .. }) {
                key.state = KeyState::Revoked { by: by.to_owned(), at: now };
            }
        }
        Ok(self)
    }

    fn id(&self, number: u32) -> KeyId {
        KeyId { application: self.name.clone(), number }
    }

    fn issue(&mut self, secret: [u8; SECRET_BYTES], by: &str, now: Timestamp) -> Result<ApiKey, Unissued> {
        let number = self.issued.checked_add(1).ok_or_else(|| Unissued::Exhausted(self.name.clone()))?;
        let key = ApiKey::new(self.id(number), secret);
        self.issued = number;
        self.keys.push(IssuedKey {
            number,
            digest: key.digest(),
            state: KeyState::Valid,
            made_by: by.to_owned(),
            made_at: now,
        });
        while self.keys.len() > KEYS_KEPT
            && let Some(over) = self.keys.iter().position(|key| !key.state.works(now))
        {
            self.keys.remove(over);
        }
        Ok(key)
    }
}

/// Admits the bearer of `key` if it is valid; `application` is the record that the key selects.
///
/// A caller without the whole key learns nothing. The response does not reveal if the application or the key
/// exists, or if it was revoked, and the computation is the same in all cases.
pub fn authorize(application: Option<&Application>, key: &ApiKey, now: Timestamp) -> Result<(), Refused> {
    let issued = application.and_then(|found| found.keys.iter().find(|kept| kept.number == key.id.number));
    let nothing = Digest::of(b"");
    let known = key.is(issued.map_or(&nothing, |issued| &issued.digest));
    match issued.filter(|_| known).map(|issued| &issued.state) {
        None => Err(Refused::Unknown),
        Some(state) if state.works(now) => Ok(()),
        Some(KeyState::Retiring { until }) => Err(Refused::Retired(*until)),
        Some(KeyState::Revoked { .. } | KeyState::Valid) => Err(Refused::Revoked),
    }
}
