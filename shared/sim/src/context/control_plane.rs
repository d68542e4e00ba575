//! Services of the control plane, for contexts.

use super::{BUCKET, MACHINES, RELEASE, SimContext, TEARDOWN};
use jiff::Timestamp;
use lockstep_aws::executions::Executions;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::secrets::Secrets;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::stacks::permissions::Table;
use lockstep_runtime::{
    Artifacts, Callbacks, CallsFunctions, Clock, HasCallbacks, HasExecutions, HasHookKey, HasLedger,
    HasSecrets, InstallationSettings, Locality, PermissionTable, ReleaseMachine, ShippedFunctions,
    StoresArtifacts, TeardownMachine,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

impl Clock for SimContext {
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

impl HasLedger for SimContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl HasCallbacks for SimContext {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

impl HasExecutions for SimContext {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl HasSecrets for SimContext {
    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl Locality for SimContext {
    fn is_local(&self) -> bool {
        false
    }
}

impl InstallationSettings for SimContext {
    fn state_machines(&self) -> &str {
        MACHINES
    }

    fn administrators(&self) -> Administrators {
        Administrators::Many
    }
}

impl HasHookKey for SimContext {
    fn hook_key(&self) -> &HookKey {
        &self.hook_key
    }
}

impl Artifacts for SimContext {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let found = self.account.object(BUCKET, key);
        found.ok_or_else(|| Failure::not_found(format!("{key} does not exist")))
    }
}

impl StoresArtifacts for SimContext {
    async fn store_artifact(&self, key: &str, zip: Vec<u8>) -> Result<(), Failure> {
        self.account.put_object(BUCKET, key, zip);
        Ok(())
    }
}

impl ShippedFunctions for SimContext {
    fn shipped_functions(&self) -> &FunctionLock {
        &self.shipped
    }
}

impl PermissionTable for SimContext {
    async fn permission_table(&self) -> Result<Arc<Table>, Failure> {
        Ok(Arc::clone(&self.permissions))
    }
}

impl CallsFunctions for SimContext {
    async fn call(&self, function: &str, payload: &Value, patience: Duration) -> Result<Called, Failure> {
        if self.throttled.borrow().contains(function) {
            return Err(Failure::new(FailureKind::Throttled, format!("Invoke {function}: it is throttled")));
        }
        let callee = self.callees.borrow().get(function).cloned();
        let Some(callee) = callee else {
            return Functions::new(&self.account.aws()).call(function, payload, patience).await;
        };
        let (error, reply) = match callee(payload.clone()).await {
            Ok(reply) => (None, reply),
            // Lambda reports every failure of a handler so.
            Err(failure) => {
                let reply = json!({"errorType": failure.kind.error_type(), "errorMessage": failure.message});
                (Some("Unhandled".to_owned()), reply)
            }
        };
        Ok(Called::Answered { error, payload: reply.to_string().into_bytes(), cut: false })
    }
}

impl ReleaseMachine for SimContext {
    fn release_machine(&self) -> &str {
        RELEASE
    }
}

impl TeardownMachine for SimContext {
    fn teardown_machine(&self) -> &str {
        TEARDOWN
    }
}
