//! Registry of the added accounts, as their stacks in the control plane's account registered them.

use crate::aws::Aws;
use crate::clock;
use crate::failure::{code, failure};
use crate::remembered::Remembered;
use aws_sdk_ssm::Client;
use jiff::SignedDuration;
use lockstep_domain::installation::accounts::REGISTRATIONS;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use std::sync::OnceLock;

/// Lifetime of the cached answer that an account is registered.
const KNOWN_FOR: SignedDuration = SignedDuration::from_mins(10);

/// Lifetime of the cached answer that an account is unknown. Bounds the time until a new account is known.
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_secs(20);

/// Account registrations in SSM's Parameter Store.
pub struct Registrations {
    aws: Aws,
    client: OnceLock<Client>,
    known: Remembered<AccountId, bool>,
}

impl Registrations {
    /// Creates the registry from the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new(), known: Remembered::new(KNOWN_FOR) }
    }

    async fn look(&self, account: &AccountId) -> Result<bool, Failure> {
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let name = format!("{REGISTRATIONS}{account}");
        match client.get_parameter().name(&name).send().await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some("ParameterNotFound") => Ok(false),
            Err(error) => Err(failure("GetParameter", &name, &error)),
        }
    }

    /// Returns true if `account` is registered.
    pub async fn is_registered(&self, account: &AccountId) -> Result<bool, Failure> {
        let now = clock::now();
        if self.known.get(account, now) == Some(true)
            || self.known.younger(account, UNKNOWN_FOR, now) == Some(false)
        {
            return Ok(self.known.get(account, now) == Some(true));
        }
        let is_registered = self.look(account).await?;
        self.known.put(account.clone(), is_registered, now);
        Ok(is_registered)
    }
}
