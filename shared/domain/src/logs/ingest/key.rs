//! API keys: the text that an application presents, and the digest that is stored.
//!
//! A key has the form `lsk_<application>.<number>_<secret>`. Its beginning selects one record, and its secret
//! is 32 random bytes. The stored digest is the SHA-256 of the whole key. No attacker can guess 32 random
//! bytes, so a slow hash, as passwords need it, would only make every request slow, also those of
//! unauthenticated callers.

use super::Refused;
use crate::model::ids::{ApplicationName, Digest, InvalidId};
use crate::model::text::stored_as_text;
use hmac::digest::CtOutput;
use secrecy::{ExposeSecret as _, SecretSlice};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;

/// Length of a secret, in bytes.
pub const SECRET_BYTES: usize = 32;

/// Prefix of every key. Scanners of repositories find leaked keys by it.
const PREFIX: &str = "lsk_";

/// Id of a key: an application, and the number of the key among all that were issued to it, from 1. It is no
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId {
    /// Application of the key.
    pub application: ApplicationName,
    /// Number of the key.
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
        let invalid = || InvalidId::new(text, "a key's id (<application>.<number>, such as shop.1)");
        let (application, number) = text.split_once('.').ok_or_else(invalid)?;
        let id = Self { application: application.parse()?, number: number.parse().map_err(|_| invalid())? };
        // One key has one id, without a sign or a leading zero.
        if id.number > 0 && id.number.to_string() == number { Ok(id) } else { Err(invalid()) }
    }
}

stored_as_text!(KeyId);

/// A key as an application presents it.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Id that the key claims.
    pub id: KeyId,
    secret: SecretSlice<u8>,
}

impl ApiKey {
    /// Returns the key `id` with this random secret.
    pub fn new(id: KeyId, secret: [u8; SECRET_BYTES]) -> Self {
        Self { id, secret: secret.to_vec().into() }
    }

    /// Returns the text of the key, which is a secret.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, hex::encode(self.secret.expose_secret()))
    }

    /// Returns the digest that is stored.
    pub fn digest(&self) -> Digest {
        Digest::of(self.expose().as_bytes())
    }

    /// Returns true if `kept` is the digest of this key. The comparison takes the same time at any
    /// difference.
    pub(super) fn is(&self, kept: &Digest) -> bool {
        let mut bytes = [0; 32];
        let read = hex::decode_to_slice(kept.as_str(), &mut bytes);
        let mut own = [0; 32];
        let shown = hex::decode_to_slice(self.digest().as_str(), &mut own);
        let same = CtOutput::<Sha256>::new(own.into()) == CtOutput::new(bytes.into());
        same && read.is_ok() && shown.is_ok()
    }
}

/// A text that is no key. The message does not repeat it.
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
        let key = Self::new(id.parse().map_err(|_| InvalidKey)?, secret);
        // One key has one text, without capital digits.
        if key.expose() == text { Ok(key) } else { Err(InvalidKey) }
    }
}

/// Parses the key of a header `Authorization: Bearer <key>`.
/// <https://www.rfc-editor.org/rfc/rfc6750#section-2.1>
pub fn authenticate(authorization: Option<&str>) -> Result<ApiKey, Refused> {
    let (scheme, key) = authorization.and_then(|text| text.split_once(' ')).ok_or(Refused::Unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Unknown);
    }
    key.trim().parse().map_err(|_| Refused::Unknown)
}
