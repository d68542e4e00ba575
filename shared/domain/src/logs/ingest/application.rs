//! Applications that may send, and the life of their keys.
//!
//! All keys of an application are one record, so that what holds for all of them together (at most two work at once) is one
//! conditional write, and a request reads one item.

use super::{ApiKey, KeyId, Rate, Refused, SECRET_BYTES};
use crate::model::ids::{ApplicationName, Digest};
use crate::records::{Key, Record, Table};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How many keys of an application are kept on record; the oldest of those that work no more go first.
pub const KEYS_KEPT: usize = 20;

/// An application that may send, or might once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its name, which every event of it carries.
    pub name: ApplicationName,
    /// Its keys, the oldest first.
    pub keys: Vec<IssuedKey>,
    /// How many keys it was ever given.
    pub issued: u32,
    /// How much it may send; without one, what the component says for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// A key that was given out, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedKey {
    /// Its number among those of the application, from 1.
    pub number: u32,
    /// The SHA-256 of the key.
    pub digest: Digest,
    /// Whether it works.
    pub state: KeyState,
    /// The ARN of who made it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
}

/// Whether a key works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum KeyState {
    /// It does.
    Valid,
    /// It does until then: another one takes its place.
    Retiring {
        /// Until when.
        until: Timestamp,
    },
    /// It does not any more.
    Revoked {
        /// The ARN of who revoked it.
        by: String,
        /// When.
        at: Timestamp,
    },
}

impl KeyState {
    /// Whether a key in this state lets anybody in at `now`.
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
    const TABLE: Table = Table::Applications;

    fn key(&self) -> Key {
        Self::key_of(&self.name)
    }

    fn listed_at(&self) -> Option<String> {
        Some(self.name.to_string())
    }
}

/// Which keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one of this number.
    One(u32),
    /// Every one.
    All,
}

/// Why a key was not given out, not replaced or not revoked: sentences for whoever asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unissued {
    /// There is one that works.
    #[error("{0} works; to replace it, rotate it")]
    Works(KeyId),
    /// There is none to replace.
    #[error("no key of {0} works; add one")]
    NoneWorks(ApplicationName),
    /// Two work: the one before the last is not over yet.
    #[error("{0} and {1} both work, which is as many as may; wait until {0} is over, or revoke it")]
    TwoWork(KeyId, KeyId),
    /// There is no such key.
    #[error("there is no key {0}, or it is so old that it is on record no more")]
    NoSuchKey(KeyId),
    /// Numbers have run out.
    #[error("{0} has had every key that there can be")]
    Exhausted(ApplicationName),
}

impl Application {
    /// Where the record of an application is.
    pub fn key_of(name: &ApplicationName) -> Key {
        Key::single(format!("APPLICATION#{name}"))
    }

    /// An application without a key.
    pub fn new(name: ApplicationName) -> Self {
        Self { name, keys: Vec::new(), issued: 0, rate: None }
    }

    /// The keys that work at `now`.
    pub fn working(&self, now: Timestamp) -> impl Iterator<Item = KeyId> + '_ {
        self.keys.iter().filter(move |key| key.state.works(now)).map(|key| self.id(key.number))
    }

    /// Gives out a key where none works.
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

    /// Gives out a key in place of the one that works, which goes on to work for `keep`.
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

    /// Revokes keys, for good. What was revoked before stays as it was.
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

/// Whether `key` lets its bearer in, `application` being the record that it selects.
///
/// Whoever does not know the whole key learns nothing: not whether there is such an application, such a key, or whether it
/// was revoked; and the same is computed for all of them.
pub fn admit(application: Option<&Application>, key: &ApiKey, now: Timestamp) -> Result<(), Refused> {
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
