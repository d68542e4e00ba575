//! Services of the control plane, for contexts.

use super::{BUCKET, RELEASE, SimContext, TEARDOWN};
use jiff::Timestamp;
use lockstep_aws::executions::Executions;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::ledger::Ledger;
use lockstep_aws::secrets::Secrets;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::model::error::Failure;
use lockstep_domain::stacks::permissions::Table;
use lockstep_runtime::{
    Artifacts, Callbacks, CallsFunctions, Clock, HasCallbacks, HasExecutions, HasLedger, HasSecrets,
    PermissionTable, ReleaseMachine, ShippedFunctions, StoresArtifacts, TeardownMachine,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

impl<C> Clock for SimContext<C> {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.advance(time);
    }
}

impl<C> HasLedger for SimContext<C> {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl<C> HasCallbacks for SimContext<C> {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

impl<C> HasExecutions for SimContext<C> {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl<C> HasSecrets for SimContext<C> {
    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl<C> Artifacts for SimContext<C> {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let found = self.account.object(BUCKET, key);
        found.ok_or_else(|| Failure::not_found(format!("{key} does not exist")))
    }
}

impl<C> StoresArtifacts for SimContext<C> {
    async fn store_artifact(&self, key: &str, zip: Vec<u8>) -> Result<(), Failure> {
        self.account.put_object(BUCKET, key, zip);
        Ok(())
    }
}

impl<C> ShippedFunctions for SimContext<C> {
    fn shipped_functions(&self) -> &FunctionLock {
        &self.shipped
    }
}

impl<C> PermissionTable for SimContext<C> {
    async fn permission_table(&self) -> Result<Arc<Table>, Failure> {
        Ok(Arc::clone(&self.permissions))
    }
}

impl<C> CallsFunctions for SimContext<C> {
    async fn call(&self, function: &str, payload: &Value, patience: Duration) -> Result<Called, Failure> {
        Functions::new(&self.account.aws()).call(function, payload, patience).await
    }
}

impl<C> ReleaseMachine for SimContext<C> {
    fn release_machine(&self) -> &str {
        RELEASE
    }
}

impl<C> TeardownMachine for SimContext<C> {
    fn teardown_machine(&self) -> &str {
        TEARDOWN
    }
}
