//! The capabilities of a `ledger` function, and their adapters on AWS.

use lockstep_aws::aws::Aws;
use lockstep_aws::cloudformation::CloudFormation;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::executions::Executions;
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::identity::InstallationId;
use lockstep_runtime::{
    Artifacts, AssumedRoles, Callbacks, HasCallbacks, HasExecutions, HasHookKey, HasLedger,
    InstallationSettings, Installed, Locality, ReadsBack, StacksOf,
};

/// The capabilities of this function.
pub trait LedgerContext:
    HasLedger + HasCallbacks + HasExecutions + HasHookKey + Locality + InstallationSettings + ReadsBack
{
}

impl<T> LedgerContext for T where
    T: HasLedger + HasCallbacks + HasExecutions + HasHookKey + Locality + InstallationSettings + ReadsBack
{
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 4] =
    [Setting::Callers, Setting::ResumeFunction, Setting::StateMachines, Setting::Administrators];

/// Facts of the installation.
#[derive(Clone, Debug)]
pub struct InstallationFacts {
    /// The beginning of the ARN of each state machine.
    pub state_machines: String,
    /// The number of administrators.
    pub administrators: Administrators,
}

/// The settings that only the functions of a path have.
pub const SETTINGS_OF_PATHS: [Setting; 2] = [Setting::Bucket, Setting::ExternalId];

/// The capabilities on AWS.
pub struct AwsContext {
    callers: Callers,
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    hook_key: HookKey,
    is_local: bool,
    reader: Option<Reader>,
    installed: InstallationFacts,
}

impl AwsContext {
    /// Creates the adapters without a call to AWS.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let callers = config.callers()?;
        let settings = InstallationFacts {
            state_machines: config.get(Setting::StateMachines)?.to_owned(),
            administrators: config.administrators()?,
        };
        let reader = callers.path().ok().map(|path| Reader::new(aws, config, path)).transpose()?;
        Ok(Self { reader, ..Self::of(aws, callers, config.get(Setting::ResumeFunction)?, settings) })
    }

    /// Creates the adapters with the name of the function that answers task tokens, and without a reader of stacks.
    pub fn of(aws: &Aws, callers: Callers, resume_function: &str, installed: InstallationFacts) -> Self {
        let ledger = Ledger::new(aws);
        let callbacks = Callbacks::new(aws, resume_function);
        Self {
            callers,
            ledger,
            callbacks,
            executions: Executions::new(aws),
            hook_key: HookKey::new(aws),
            is_local: aws.is_local(),
            reader: None,
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

impl ReadsBack for AwsContext {
    type Reader = Reader;

    fn reader(&self) -> Result<&Reader, Failure> {
        let missing = || Failure::bug(format!("the function for {} reads no stacks", self.callers.as_str()));
        self.reader.as_ref().ok_or_else(missing)
    }
}

/// Artifacts of releases, and stacks in target accounts, with a role that can only read.
pub struct Reader {
    artifacts: lockstep_aws::artifacts::Artifacts,
    roles: AssumedRoles,
}

impl Reader {
    fn new(aws: &Aws, config: &Config, path: DeploymentPath) -> Result<Self, Failure> {
        Ok(Self {
            artifacts: lockstep_aws::artifacts::Artifacts::new(aws, config.get(Setting::Bucket)?),
            roles: AssumedRoles::on(aws, config, path)?,
        })
    }
}

impl Artifacts for Reader {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }
}

impl Installed for Reader {
    fn installation(&self) -> InstallationId {
        self.roles.installation()
    }
}

impl StacksOf for Reader {
    type Stacks = CloudFormation;

    async fn stacks(&self, location: &Location, session: &str) -> Result<CloudFormation, Failure> {
        Ok(CloudFormation::new(&self.roles.assume(TargetRole::StackReader, location, session).await?))
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
