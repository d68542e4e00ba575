//! The capabilities of a `ledger` function, and their adapters on AWS.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::executions::Executions;
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::delivery::pending_change::Administrators;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::error::Failure;
use lockstep_runtime::{
    Callbacks, HasCallbacks, HasExecutions, HasHookKey, HasLedger, InstallationSettings, Locality,
};

/// The capabilities of this function.
pub trait LedgerContext:
    HasLedger + HasCallbacks + HasExecutions + HasHookKey + Locality + InstallationSettings
{
}

impl<T: HasLedger + HasCallbacks + HasExecutions + HasHookKey + Locality + InstallationSettings> LedgerContext
    for T
{
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 4] =
    [Setting::Callers, Setting::ResumeFunction, Setting::StateMachines, Setting::Administrators];

/// Settings of the installation.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The beginning of the ARN of each state machine.
    pub state_machines: String,
    /// The number of administrators.
    pub administrators: Administrators,
}

/// The capabilities on AWS.
pub struct AwsContext {
    callers: Callers,
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    hook_key: HookKey,
    is_local: bool,
    installed: Installed,
}

impl AwsContext {
    /// Creates the adapters without a call to AWS.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let installed = Installed {
            state_machines: config.get(Setting::StateMachines)?.to_owned(),
            administrators: config.administrators()?,
        };
        Ok(Self::of(aws, config.callers()?, config.get(Setting::ResumeFunction)?, installed))
    }

    /// Creates the adapters with the name of the function that answers task tokens.
    pub fn of(aws: &Aws, callers: Callers, resume_function: &str, installed: Installed) -> Self {
        let ledger = Ledger::new(aws);
        let callbacks = Callbacks::new(aws, &ledger, resume_function);
        Self {
            callers,
            ledger,
            callbacks,
            executions: Executions::new(aws),
            hook_key: HookKey::new(aws),
            is_local: aws.is_local(),
            installed,
        }
    }

    /// Returns the kind of callers of this function.
    pub fn callers(&self) -> Callers {
        self.callers
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

impl InstallationSettings for AwsContext {
    fn state_machines(&self) -> &str {
        &self.installed.state_machines
    }

    fn administrators(&self) -> Administrators {
        self.installed.administrators
    }
}
