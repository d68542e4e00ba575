//! Capabilities of the function.

use jiff::SignedDuration;
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::executions::Executions;
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::secrets::Secrets;
use lockstep_domain::model::error::Failure;
use lockstep_runtime::{HasExecutions, HasHookKey, HasLedger, HasSecrets, ReleaseMachine};

/// Age until which a secret, or its absence, needs no other read: a new secret works after a minute at most.
const SECRET_AGE: SignedDuration = SignedDuration::from_secs(60);

/// The capabilities of this function. None of them reaches a target account.
pub trait WebhookContext: HasHookKey + HasSecrets + HasLedger + HasExecutions + ReleaseMachine {}

impl<T: HasHookKey + HasSecrets + HasLedger + HasExecutions + ReleaseMachine> WebhookContext for T {}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 1] = [Setting::ReleaseArn];

/// The capabilities on AWS.
pub struct AwsContext {
    hook_key: HookKey,
    secrets: Secrets,
    ledger: Ledger,
    executions: Executions,
    release: String,
}

impl AwsContext {
    /// Wires the adapters to the account of the function.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            hook_key: HookKey::new(aws),
            secrets: Secrets::new(aws, SECRET_AGE),
            ledger: Ledger::new(aws),
            executions: Executions::new(aws),
            release: config.get(Setting::ReleaseArn)?.to_owned(),
        })
    }
}

impl HasHookKey for AwsContext {
    fn hook_key(&self) -> &HookKey {
        &self.hook_key
    }
}

impl HasSecrets for AwsContext {
    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl HasLedger for AwsContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl HasExecutions for AwsContext {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl ReleaseMachine for AwsContext {
    fn release_machine(&self) -> &str {
        &self.release
    }
}
