//! The capabilities of this function.

use lockstep_aws::artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::ledger::Ledger;
use lockstep_aws::probe::{Get, ProbeResponse, Prober, SystemResolver, Unanswered};
use lockstep_domain::delivery::checks::{Admission, Peer};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::Deployment;
use lockstep_runtime::{Artifacts, AssumedRoles, Clock, HasLedger};
use serde_json::Value;
use std::time::Duration;

/// Capabilities that the handler uses.
pub trait VerifyContext: Clock + HasLedger + Artifacts + Peers {}

impl<T: Clock + HasLedger + Artifacts + Peers> VerifyContext for T {}

/// Access to the peers and functions that checks name.
pub trait Peers {
    /// Returns the endpoint of a local cloud, which checks may connect to; `None` on AWS.
    fn local_endpoint(&self) -> Option<&str>;

    /// Calls a function in the account and region of the deployment's stack.
    fn call(
        &self,
        deployment: &Deployment,
        function: &str,
        question: &Value,
        time_limit: Duration,
    ) -> impl Future<Output = Result<Called, Failure>>;

    /// Sends a GET and follows redirects.
    fn get(
        &self,
        get: Get<'_>,
        admission: &Admission,
        time_limit: Duration,
    ) -> impl Future<Output = Result<ProbeResponse, Unanswered>>;

    /// Opens a connection and closes it.
    fn connect(
        &self,
        peer: &Peer,
        admission: &Admission,
        time_limit: Duration,
    ) -> impl Future<Output = Result<(), Unanswered>>;
}

/// Settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 3] = [Setting::Bucket, Setting::ExternalId, Setting::Path];

/// Capabilities on AWS.
pub struct AwsContext {
    aws: Aws,
    ledger: Ledger,
    artifacts: artifacts::Artifacts,
    roles: AssumedRoles,
    prober: Prober,
}

impl AwsContext {
    /// Creates the adapters. Calls no service.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            aws: aws.clone(),
            ledger: Ledger::new(aws),
            artifacts: artifacts::Artifacts::new(aws, config.get(Setting::Bucket)?),
            roles: AssumedRoles::new(aws, config)?,
            prober: Prober::new(SystemResolver),
        })
    }
}

impl Clock for AwsContext {}

impl HasLedger for AwsContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl Artifacts for AwsContext {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }
}

impl Peers for AwsContext {
    fn local_endpoint(&self) -> Option<&str> {
        self.aws.endpoint_url()
    }

    async fn call(
        &self,
        deployment: &Deployment,
        function: &str,
        question: &Value,
        time_limit: Duration,
    ) -> Result<Called, Failure> {
        let session = deployment.id.session();
        let there = self.roles.assume(TargetRole::Verifier, &deployment.location, &session).await?;
        Functions::new(&there).call(function, question, time_limit).await
    }

    async fn get(
        &self,
        get: Get<'_>,
        admission: &Admission,
        time_limit: Duration,
    ) -> Result<ProbeResponse, Unanswered> {
        self.prober.get(get, admission, time_limit).await
    }

    async fn connect(
        &self,
        peer: &Peer,
        admission: &Admission,
        time_limit: Duration,
    ) -> Result<(), Unanswered> {
        self.prober.connect(peer, admission, time_limit).await
    }
}
