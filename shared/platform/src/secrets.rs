//! Secrets Manager.

use crate::aws::Aws;
use crate::clock;
use crate::failure::{code, failure};
use crate::remembered::Remembered;
use aws_sdk_secretsmanager::Client;
use jiff::SignedDuration;
use lockstep_domain::model::error::Failure;
use std::fmt;
use std::sync::OnceLock;

/// A secret's text. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads secrets and caches each result for a while, absence included. An unauthenticated request costs at most one
/// cached read.
pub struct Secrets {
    aws: Aws,
    client: OnceLock<Client>,
    known: Remembered<String, Option<Secret>>,
}

impl Secrets {
    /// Creates a reader in the account of `aws`; an entry lives for `max_age`.
    pub fn new(aws: &Aws, max_age: SignedDuration) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), known: Remembered::new(max_age) }
    }

    /// Returns the secret called `name`; `None` if it does not exist or has no text.
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, Failure> {
        let (now, key) = (clock::now(), name.to_owned());
        if let Some(known) = self.known.get(&key, now) {
            return Ok(known);
        }
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let secret = match client.get_secret_value().secret_id(name).send().await {
            Ok(answer) => answer.secret_string.filter(|text| !text.is_empty()).map(Secret),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(failure("GetSecretValue", name, &error)),
        };
        self.known.put(key, secret.clone(), now);
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }
}
