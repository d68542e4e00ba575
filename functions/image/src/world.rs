//! The world as this function needs it: [`World`] is the port, [`Cloud`] wires the adapters.

use backon::{BackoffBuilder, ExponentialBuilder};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::path::Path;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::ec2::{Ec2, Images};
use lockstep_platform::executions::Executions;
use lockstep_platform::kms::{Keys, Kms};
use lockstep_platform::ledger::Ledger;
use lockstep_platform::ports::{Records, WaitBook};
use lockstep_platform::waits::Waits;
use lockstep_runtime::Clock;
use std::time::Duration;

/// Everything outside this function.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait World: Clock {
    /// The ledger.
    type Records: Records;
    /// The waits.
    type Waits: WaitBook;
    /// EC2 somewhere.
    type Images: Images;
    /// KMS somewhere.
    type Keys: Keys;

    /// The ledger.
    fn records(&self) -> &Self::Records;

    /// The waits.
    fn waits(&self) -> &Self::Waits;

    /// The partition of all ARNs here.
    fn partition(&self) -> &str;

    /// Returns the ARN of the role that copies images into `account`.
    fn target_role(&self, account: &AccountId) -> String;

    /// How long to wait before each further try to copy what was shared a moment ago.
    fn patience(&self) -> impl Iterator<Item = Duration>;

    /// Whether an execution still runs; nothing if that is not known.
    async fn is_running(&self, execution: &str) -> Option<bool>;

    /// EC2 at `location`, where images come from; `session` tells people there who came.
    async fn source(&self, location: &Location, session: &str) -> Result<Self::Images, Failure>;

    /// EC2 at `location`, where images go to.
    async fn target(&self, location: &Location, session: &str) -> Result<Self::Images, Failure>;

    /// KMS at `location`, where images come from.
    async fn source_keys(&self, location: &Location, session: &str) -> Result<Self::Keys, Failure>;

    /// KMS as seen by who copies images to `location`.
    async fn target_keys(&self, location: &Location, session: &str) -> Result<Self::Keys, Failure>;
}

/// The settings this function needs.
pub const SETTINGS: [Setting; 4] =
    [Setting::Table, Setting::ExternalId, Setting::Path, Setting::ResumeFunction];

/// AWS.
pub struct Cloud {
    aws: Aws,
    ledger: Ledger,
    waits: Waits,
    executions: Executions,
    external_id: String,
    path: Path,
}

impl Cloud {
    /// Wires the adapters; nothing is called yet.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        let ledger = Ledger::new(aws, config.get(Setting::Table)?);
        Ok(Self {
            aws: aws.clone(),
            waits: Waits::new(aws, &ledger, config.get(Setting::ResumeFunction)?),
            ledger,
            executions: Executions::new(aws),
            external_id: config.get(Setting::ExternalId)?.to_owned(),
            path: config.path()?,
        })
    }

    async fn at(&self, location: &Location, role: TargetRole, session: &str) -> Result<Aws, Failure> {
        self.aws.assume(location, &role.name(self.path), &self.external_id, session).await
    }
}

impl Clock for Cloud {}

impl World for Cloud {
    type Records = Ledger;
    type Waits = Waits;
    type Images = Ec2;
    type Keys = Kms;

    fn records(&self) -> &Ledger {
        &self.ledger
    }

    fn waits(&self) -> &Waits {
        &self.waits
    }

    fn partition(&self) -> &str {
        self.aws.partition()
    }

    fn target_role(&self, account: &AccountId) -> String {
        TargetRole::ImageTarget.arn(self.path, self.aws.partition(), account)
    }

    /// One to sixteen seconds, half a minute in all: sharing is seen everywhere within seconds.
    fn patience(&self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::new().with_min_delay(Duration::from_secs(1)).with_max_times(5).build()
    }

    async fn is_running(&self, execution: &str) -> Option<bool> {
        self.executions.is_running(execution).await
    }

    async fn source(&self, location: &Location, session: &str) -> Result<Ec2, Failure> {
        self.at(location, TargetRole::ImageSource, session).await.map(|aws| Ec2::new(&aws))
    }

    async fn target(&self, location: &Location, session: &str) -> Result<Ec2, Failure> {
        self.at(location, TargetRole::ImageTarget, session).await.map(|aws| Ec2::new(&aws))
    }

    async fn source_keys(&self, location: &Location, session: &str) -> Result<Kms, Failure> {
        self.at(location, TargetRole::ImageSource, session).await.map(|aws| Kms::new(&aws))
    }

    async fn target_keys(&self, location: &Location, session: &str) -> Result<Kms, Failure> {
        self.at(location, TargetRole::ImageTarget, session).await.map(|aws| Kms::new(&aws))
    }
}
