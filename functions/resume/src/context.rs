//! The capabilities of this function.

use lockstep_aws::accounts::Registrations;
use lockstep_aws::aws::Aws;
use lockstep_aws::executions::{Answered, Executions};
use lockstep_aws::ledger::Ledger;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_runtime::{HasExecutions, HasLedger, RegisteredAccounts, TaskTokens};

/// Capabilities that the handler uses.
pub trait ResumeContext: HasExecutions + HasLedger + TaskTokens + RegisteredAccounts {}

impl<T: HasExecutions + HasLedger + TaskTokens + RegisteredAccounts> ResumeContext for T {}

/// Capabilities on AWS.
pub struct AwsContext {
    ledger: Ledger,
    executions: Executions,
    accounts: Registrations,
}

impl AwsContext {
    /// Creates the adapters. Calls no service.
    pub fn new(aws: &Aws) -> Self {
        Self { ledger: Ledger::new(aws), executions: Executions::new(aws), accounts: Registrations::new(aws) }
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

impl TaskTokens for AwsContext {
    async fn answer(&self, token: &str) -> Result<Answered, Failure> {
        self.executions.answer(token).await
    }
}

impl RegisteredAccounts for AwsContext {
    async fn is_registered(&self, account: &AccountId) -> Result<bool, Failure> {
        self.accounts.is_registered(account).await
    }
}
