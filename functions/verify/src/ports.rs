//! What verifying needs of the world, in its own words, and AWS behind them.

use jiff::Timestamp;
use lockstep_domain::delivery::checks::{Admission, Peer};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, Release};
use lockstep_platform::artifacts::Artifacts;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::functions::{Called, Functions};
use lockstep_platform::ledger::Ledger;
use lockstep_platform::probe::{Answer, Get, Prober, SystemResolver, Unanswered};
use lockstep_runtime::deployment_log;
use lockstep_runtime::stages::stages;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// What verifying needs of the world.
pub trait Ports {
    /// The deployment.
    fn deployment(&self, id: &DeploymentId) -> impl Future<Output = Result<Deployment, Failure>>;

    /// The release it deploys.
    fn release(
        &self,
        component: &ComponentName,
        version: &Version,
    ) -> impl Future<Output = Result<Release, Failure>>;

    /// The bytes of an artifact.
    fn artifact(&self, key: &str) -> impl Future<Output = Result<Vec<u8>, Failure>>;

    /// What the checks of a stage may connect to.
    fn admission(&self, stage: &StageName) -> impl Future<Output = Result<Admission, Failure>>;

    /// Calls a function where the deployment's stack is.
    fn call(
        &self,
        deployment: &Deployment,
        function: &str,
        question: &Value,
        patience: Duration,
    ) -> impl Future<Output = Result<Called, Failure>>;

    /// Sends a GET and follows redirects.
    fn get(
        &self,
        get: Get<'_>,
        admission: &Admission,
        patience: Duration,
    ) -> impl Future<Output = Result<Answer, Unanswered>>;

    /// Opens a connection and closes it.
    fn connect(
        &self,
        peer: &Peer,
        admission: &Admission,
        patience: Duration,
    ) -> impl Future<Output = Result<(), Unanswered>>;

    /// How long ago something was that happened before all checks and does not matter; it never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits.
    fn sleep(&self, pause: Duration) -> impl Future<Output = ()>;

    /// Adds a line to the deployment's journal.
    fn note(
        &self,
        id: &DeploymentId,
        note: String,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), Failure>>;
}

/// The settings that [`Cloud::new`] reads.
pub const SETTINGS: [Setting; 4] = [Setting::Table, Setting::Bucket, Setting::ExternalId, Setting::Path];

/// AWS.
pub struct Cloud {
    aws: Aws,
    ledger: Ledger,
    artifacts: Artifacts,
    external_id: String,
    role: String,
    prober: Prober,
    since: Instant,
}

impl Cloud {
    /// The account that the function runs in, and through its roles those of the stages.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            aws: aws.clone(),
            ledger: Ledger::new(aws, config.get(Setting::Table)?),
            artifacts: Artifacts::new(aws, config.get(Setting::Bucket)?),
            external_id: config.get(Setting::ExternalId)?.to_owned(),
            role: TargetRole::Verifier.name(config.path()?),
            prober: Prober::new(SystemResolver),
            since: Instant::now(),
        })
    }
}

impl Ports for Cloud {
    async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, Failure> {
        Ok(self.ledger.expect(&Deployment::key_of(id), &format!("deployment {id}")).await?.record)
    }

    async fn release(&self, component: &ComponentName, version: &Version) -> Result<Release, Failure> {
        let what = format!("release {component}@{version}");
        Ok(self.ledger.expect(&Release::key_of(component, version), &what).await?.record)
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }

    async fn admission(&self, stage: &StageName) -> Result<Admission, Failure> {
        let stages = stages(&self.ledger).await?;
        // A stage that is gone allows nothing.
        let reach = stages.get(stage).map(|stage| stage.checks_may_reach.clone()).unwrap_or_default();
        Ok(Admission::new(stage.clone(), reach, self.aws.endpoint_url()))
    }

    async fn call(
        &self,
        deployment: &Deployment,
        function: &str,
        question: &Value,
        patience: Duration,
    ) -> Result<Called, Failure> {
        let session = format!("lockstep-{}", deployment.id);
        let there = self.aws.assume(&deployment.location, &self.role, &self.external_id, &session).await?;
        Functions::new(&there).call(function, question, patience).await
    }

    async fn get(
        &self,
        get: Get<'_>,
        admission: &Admission,
        patience: Duration,
    ) -> Result<Answer, Unanswered> {
        self.prober.get(get, admission, patience).await
    }

    async fn connect(
        &self,
        peer: &Peer,
        admission: &Admission,
        patience: Duration,
    ) -> Result<(), Unanswered> {
        self.prober.connect(peer, admission, patience).await
    }

    fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }

    async fn note(&self, id: &DeploymentId, note: String, at: Timestamp) -> Result<(), Failure> {
        deployment_log::append(&self.ledger, id, &note, at).await
    }
}
