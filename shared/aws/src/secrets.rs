//! Secrets Manager.

use crate::aws::Aws;
use crate::clock;
use crate::failure::{code, failure};
use crate::remembered::Remembered;
use aws_sdk_secretsmanager::Client;
use jiff::SignedDuration;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::sync::OnceLock;

pub use secrecy::{ExposeSecret, SecretString};

/// Reads secrets and caches each result for a while, absence included. An unauthenticated request costs at most one
/// cached read.
pub struct Secrets {
    aws: Aws,
    client: OnceLock<Client>,
    known: Remembered<String, Option<SecretString>>,
}

impl Secrets {
    /// Creates a reader in the account of `aws`; an entry lives for `max_age`.
    pub fn new(aws: &Aws, max_age: SignedDuration) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), known: Remembered::new(max_age) }
    }

    /// Returns the secret called `name`; `None` if it does not exist, or if this function may not read it.
    ///
    /// Secrets Manager does not distinguish an absent secret from a name outside the policy's pattern.
    pub async fn find(&self, name: &str) -> Result<Option<SecretString>, Failure> {
        match self.get(name).await {
            Err(failure) if failure.kind == FailureKind::AccessDenied => {
                tracing::warn!("taken for a secret that does not exist: {}", failure.chain());
                self.known.put(name.to_owned(), None, clock::now());
                Ok(None)
            }
            read => read,
        }
    }

    /// Returns the secret called `name`; `None` if it does not exist or has no text.
    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>
    pub async fn get(&self, name: &str) -> Result<Option<SecretString>, Failure> {
        let (now, key) = (clock::now(), name.to_owned());
        if let Some(known) = self.known.get(&key, now) {
            return Ok(known);
        }
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let secret = match client.get_secret_value().secret_id(name).send().await {
            Ok(answer) => answer.secret_string.filter(|text| !text.is_empty()).map(SecretString::from),
            Err(error) if code(&error) == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(failure("GetSecretValue", name, &error)),
        };
        self.known.put(key, secret.clone(), now);
        Ok(secret)
    }
}
