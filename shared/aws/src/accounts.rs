//! Registry of the added accounts, as their stacks in the control plane's account registered them.

use crate::aws::Aws;
use crate::clock;
use crate::failure::{code, failure};
use crate::remembered::Remembered;
use aws_sdk_ssm::Client;
use jiff::SignedDuration;
use lockstep_domain::installation::accounts::REGISTRATIONS;
use lockstep_domain::model::deployment_path::DeploymentPath;
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

    /// Returns the path that `account` was added to; `None` if it was never added. Nothing is cached.
    pub async fn path_of(&self, account: &AccountId) -> Result<Option<DeploymentPath>, Failure> {
        let client = self.client.get_or_init(|| Client::new(self.aws.sdk_config()));
        let name = format!("{REGISTRATIONS}{account}");
        let found = match client.get_parameter().name(&name).send().await {
            Ok(found) => found.parameter.and_then(|parameter| parameter.value).unwrap_or_default(),
            Err(error) if code(&error) == Some("ParameterNotFound") => return Ok(None),
            Err(error) => return Err(failure("GetParameter", &name, &error)),
        };
        let path = found.parse();
        path.map(Some).map_err(|_| Failure::bug(format!("{name} names no path: {found}")))
    }

    /// Returns true if `account` is registered.
    pub async fn is_registered(&self, account: &AccountId) -> Result<bool, Failure> {
        let now = clock::now();
        if self.known.get(account, now) == Some(true)
            || self.known.younger(account, UNKNOWN_FOR, now) == Some(false)
        {
            return Ok(self.known.get(account, now) == Some(true));
        }
        let is_registered = self.path_of(account).await?.is_some();
        self.known.put(account.clone(), is_registered, now);
        Ok(is_registered)
    }
}
