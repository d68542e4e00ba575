//! API keys: what an application shows, and what is kept of it.
//!
//! A key reads `lsk_<application>.<number>_<secret>`. Its beginning selects one record, its secret is 32 bytes out of a random
//! number generator. What is kept is the SHA-256 of the whole of it: nobody guesses those bytes, so that a hash made slow on
//! purpose, as passwords need it, would only make every request slow, those of strangers first.

use super::Refused;
use crate::model::ids::{ApplicationName, Digest, InvalidId};
use hmac::digest::CtOutput;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;

/// How long a secret is, in bytes.
pub const SECRET_BYTES: usize = 32;

/// What every key begins with, so that scanners of repositories can find those that got lost there.
const PREFIX: &str = "lsk_";

/// Which key: an application and the number of the key among those it was ever given, from 1. It is no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId {
    /// The application.
    pub application: ApplicationName,
    /// The number.
    pub number: u32,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.application, self.number)
    }
}

impl FromStr for KeyId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            value: text.chars().take(100).collect(),
            wanted: "a key's id (<application>.<number>, such as shop.1)",
        };
        let (application, number) = text.split_once('.').ok_or_else(invalid)?;
        let id = Self { application: application.parse()?, number: number.parse().map_err(|_| invalid())? };
        // One key has one id: no sign, no leading zero.
        if id.number > 0 && id.number.to_string() == number { Ok(id) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for KeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.to_string()
    }
}

/// A key as whoever has it shows it. It is never printed by accident.
#[derive(Clone)]
pub struct ApiKey {
    /// Which key it says it is.
    pub id: KeyId,
    secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.id)
    }
}

impl ApiKey {
    /// The key `id` with a secret that nobody can guess.
    pub fn new(id: KeyId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { id, secret }
    }

    /// The key as it is shown: a secret.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, hex::encode(self.secret))
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.expose().as_bytes())
    }

    /// Whether this is the key that `kept` is of. It takes the same time wherever the two differ.
    pub(super) fn is(&self, kept: &Digest) -> bool {
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(kept.as_str(), &mut bytes);
        let mut own = [0; 32];
        let shown = hex::decode_to_slice(self.digest().as_str(), &mut own);
        let same = CtOutput::<Sha256>::new(own.into()) == CtOutput::new(bytes.into());
        same && read.is_ok() && shown.is_ok()
    }
}

/// What is no key. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no API key; one reads lsk_<application>.<number>_ and 64 hexadecimal digits")]
pub struct InvalidKey;

impl FromStr for ApiKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (id, digits) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(InvalidKey)?;
        let mut secret = [0; SECRET_BYTES];
        hex::decode_to_slice(digits, &mut secret).map_err(|_| InvalidKey)?;
        let key = Self { id: id.parse().map_err(|_| InvalidKey)?, secret };
        // One key has one text: no capital digits.
        if key.expose() == text { Ok(key) } else { Err(InvalidKey) }
    }
}

/// The key in a header `Authorization: Bearer <key>`.
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
pub fn presented(authorization: Option<&str>) -> Result<ApiKey, Refused> {
    let (scheme, key) = authorization.and_then(|text| text.split_once(' ')).ok_or(Refused::Unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Unknown);
    }
    key.trim().parse().map_err(|_| Refused::Unknown)
}
