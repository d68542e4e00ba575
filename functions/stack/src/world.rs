//! The world as this function needs it: [`World`] is the port, [`Cloud`] wires the adapters.

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use lockstep_domain::delivery::function_code::{FunctionCode, MAX_ZIP_BYTES};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::Digest;
use lockstep_domain::model::location::Location;
use lockstep_domain::stacks::permissions::missing::{SimulationRequest, SimulationResult};
use lockstep_platform::artifacts::Artifacts;
use lockstep_platform::aws::Aws;
use lockstep_platform::buckets;
use lockstep_platform::clock;
use lockstep_platform::cloudformation::{CloudFormation, Stacks};
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::ledger::Ledger;
use lockstep_platform::ports::{Records, WaitBook};
use lockstep_platform::simulation::Simulator;
use lockstep_platform::waits::Waits;
use std::time::Duration;

/// Everything outside this function.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait World {
    /// The ledger.
    type Records: Records;
    /// The waits.
    type Waits: WaitBook;
    /// CloudFormation somewhere.
    type Stacks: Stacks;

    /// The ledger.
    fn records(&self) -> &Self::Records;

    /// The waits.
    fn waits(&self) -> &Self::Waits;

    /// The time.
    fn now(&self) -> Timestamp;

    /// How long to wait before each look at a change set that is being made; no more when it is enough.
    fn patience(&self) -> impl Iterator<Item = Duration>;

    /// The role CloudFormation acts as at `location`.
    fn execution_role(&self, location: &Location) -> String;

    /// The artifact at `key` of the control plane's bucket.
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure>;

    /// CloudFormation at `location`; `session` tells people there who came.
    async fn stacks(&self, location: &Location, session: &str) -> Result<Self::Stacks, Failure>;

    /// Asks IAM what the execution role at `location` may do; changes nothing.
    async fn simulate(
        &self,
        location: &Location,
        session: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure>;

    /// Empties a bucket of a throw-away stack at `location`. Nothing undoes it; it may be gone.
    async fn empty_bucket(&self, location: &Location, session: &str, bucket: &str) -> Result<(), Failure>;

    /// Puts the code of a function of Lockstep where CloudFormation at `location` can read it: the zip that was pinned,
    /// byte for byte, under the key it has in the control plane's bucket. Doing it again changes nothing, and needs no
    /// undo.
    async fn put_function(
        &self,
        location: &Location,
        session: &str,
        code: &FunctionCode,
    ) -> Result<(), Failure>;

    /// Puts a template where CloudFormation at `location` can read it, and says where that is. The key is the
    /// template's digest, so that doing it again changes nothing, and needs no undo.
    async fn put_template(
        &self,
        location: &Location,
        session: &str,
        key: &str,
        text: String,
    ) -> Result<String, Failure>;
}

/// The settings this function needs.
pub const SETTINGS: [Setting; 5] =
    [Setting::Table, Setting::Bucket, Setting::ExternalId, Setting::Path, Setting::ResumeFunction];

/// AWS.
pub struct Cloud {
    aws: Aws,
    ledger: Ledger,
    waits: Waits,
    artifacts: Artifacts,
    external_id: String,
    path: DeploymentPath,
}

impl Cloud {
    /// Wires the adapters; nothing is called yet.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let ledger = Ledger::new(aws, config.get(Setting::Table)?);
        Ok(Self {
            aws: aws.clone(),
            waits: Waits::new(aws, &ledger, config.get(Setting::ResumeFunction)?),
            ledger,
            artifacts: Artifacts::new(aws, config.get(Setting::Bucket)?),
            external_id: config.get(Setting::ExternalId)?.to_owned(),
            path: config.path()?,
        })
    }

    /// The target account's own bucket, from which alone CloudFormation there reads.
    async fn bucket(&self, location: &Location, session: &str) -> Result<Artifacts, Failure> {
        let name = format!("lockstep-artifacts-{}-{}", location.account, location.region);
        Ok(Artifacts::new(&self.deployer(location, session).await?, &name))
    }

    async fn deployer(&self, location: &Location, session: &str) -> Result<Aws, Failure> {
        self.aws.assume(location, &TargetRole::Deployer.name(self.path), &self.external_id, session).await
    }
}

impl World for Cloud {
    type Records = Ledger;
    type Waits = Waits;
    type Stacks = CloudFormation;

    fn records(&self) -> &Ledger {
        &self.ledger
    }

    fn waits(&self) -> &Waits {
        &self.waits
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn patience(&self) -> impl Iterator<Item = Duration> {
        patience()
    }

    fn execution_role(&self, location: &Location) -> String {
        TargetRole::Execution.arn(self.path, self.aws.partition(), &location.account)
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }

    async fn stacks(&self, location: &Location, session: &str) -> Result<CloudFormation, Failure> {
        Ok(CloudFormation::new(&self.deployer(location, session).await?))
    }

    async fn simulate(
        &self,
        location: &Location,
        session: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure> {
        let simulator = Simulator::new(&self.deployer(location, session).await?);
        simulator.ask(&self.execution_role(location), questions).await
    }

    async fn empty_bucket(&self, location: &Location, session: &str, bucket: &str) -> Result<(), Failure> {
        buckets::empty(&self.deployer(location, session).await?, bucket).await
    }

    async fn put_function(
        &self,
        location: &Location,
        session: &str,
        code: &FunctionCode,
    ) -> Result<(), Failure> {
        let key = code.to_string();
        let zip = self.artifacts.get(&key, MAX_ZIP_BYTES).await?;
        if Digest::of(&zip) != code.digest {
            return Err(Failure::rejected(format!("{key} does not hold what it is named after")));
        }
        self.bucket(location, session).await?.put_new(&key, "application/zip", zip).await
    }

    async fn put_template(
        &self,
        location: &Location,
        session: &str,
        key: &str,
        text: String,
    ) -> Result<String, Failure> {
        let bucket = self.bucket(location, session).await?;
        bucket.put(key, "application/octet-stream", text.into_bytes()).await?;
        Ok(bucket.template_url(key))
    }
}

/// 0.1 s, doubled up to 12 s: eight minutes in all, below the time-out of the state.
fn patience() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(12))
        .with_max_times(45)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_set_is_looked_at_within_the_time_of_its_state() {
        let total: Duration = patience().sum();
        assert!(total > Duration::from_secs(300) && total < Duration::from_secs(600), "{total:?}");
    }
}
