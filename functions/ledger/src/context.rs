//! The capabilities of the `ledger` function, and their adapters on AWS.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::executions::Executions;
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::model::error::Failure;
use lockstep_runtime::{Callbacks, HasCallbacks, HasExecutions, HasHookKey, HasLedger, Locality};

/// The capabilities of this function.
pub trait LedgerContext: HasLedger + HasCallbacks + HasExecutions + HasHookKey + Locality {}

impl<T: HasLedger + HasCallbacks + HasExecutions + HasHookKey + Locality> LedgerContext for T {}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 1] = [Setting::ResumeFunction];

/// The capabilities on AWS.
pub struct AwsContext {
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    hook_key: HookKey,
    is_local: bool,
}

impl AwsContext {
    /// Creates the adapters without a call to AWS.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self::of(aws, config.get(Setting::ResumeFunction)?))
    }

    /// Creates the adapters with the name of the function that answers task tokens.
    pub fn of(aws: &Aws, resume_function: &str) -> Self {
        let ledger = Ledger::new(aws);
        let callbacks = Callbacks::new(aws, &ledger, resume_function);
        Self {
            ledger,
            callbacks,
            executions: Executions::new(aws),
            hook_key: HookKey::new(aws),
            is_local: aws.is_local(),
        }
    }
}

impl HasLedger for AwsContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl HasCallbacks for AwsContext {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

impl HasExecutions for AwsContext {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl HasHookKey for AwsContext {
    fn hook_key(&self) -> &HookKey {
        &self.hook_key
    }
}

impl Locality for AwsContext {
    fn is_local(&self) -> bool {
        self.is_local
    }
}
