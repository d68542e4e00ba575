//! The world as this function needs it: [`World`] is the port, [`Cloud`] wires the adapters.

use jiff::Timestamp;
use lockstep_domain::images::bake::{Encryption, EncryptionKey};
use lockstep_domain::images::promotion::KEY_ALIAS;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::location::Location;
use lockstep_platform::artifacts::Artifacts;
use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::codebuild::{Builds, CodeBuild};
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::ec2::references::References;
use lockstep_platform::ec2::{Ec2, Images};
use lockstep_platform::executions::Executions;
use lockstep_platform::kms::{Keys, Kms};
use lockstep_platform::ledger::Ledger;
use lockstep_platform::ports::{Records, WaitBook};
use lockstep_platform::public_images::{PublicImages, Published};
use lockstep_platform::waits::Waits;

/// Everything outside this function.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait World {
    /// The ledger.
    type Records: Records;
    /// The waits.
    type Waits: WaitBook;
    /// EC2 somewhere.
    type Images: Images + References;
    /// CodeBuild somewhere.
    type Builds: Builds;
    /// What AWS and others publish in a region.
    type PublicImages: PublicImages;

    /// The ledger.
    fn records(&self) -> &Self::Records;

    /// The waits.
    fn waits(&self) -> &Self::Waits;

    /// The time.
    fn now(&self) -> Timestamp;

    /// Whether an execution still runs; nothing if that is not known.
    async fn is_running(&self, execution: &str) -> Option<bool>;

    /// The recipe at this key of the control plane's bucket.
    async fn recipe(&self, key: &str) -> Result<Vec<u8>, Failure>;

    /// EC2 at `location`; `session` tells people there who came.
    async fn images(&self, location: &Location, session: &str) -> Result<Self::Images, Failure>;

    /// CodeBuild at `location`.
    async fn builds(&self, location: &Location, session: &str) -> Result<Self::Builds, Failure>;

    /// Returns how volumes are encrypted at `location`.
    async fn encryption(&self, location: &Location, session: &str) -> Result<Encryption, Failure>;

    /// What AWS and others publish at `location`.
    async fn public_images(&self, location: &Location, session: &str) -> Result<Self::PublicImages, Failure>;
}

/// The settings this function needs.
pub const SETTINGS: [Setting; 5] =
    [Setting::Table, Setting::Bucket, Setting::ExternalId, Setting::Path, Setting::ResumeFunction];

/// AWS.
pub struct Cloud {
    aws: Aws,
    ledger: Ledger,
    waits: Waits,
    executions: Executions,
    artifacts: Artifacts,
    external_id: String,
    role: String,
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
            artifacts: Artifacts::new(aws, config.get(Setting::Bucket)?),
            external_id: config.get(Setting::ExternalId)?.to_owned(),
            role: TargetRole::ImageBuilder.name(config.path()?),
        })
    }

    async fn there(&self, location: &Location, session: &str) -> Result<Aws, Failure> {
        self.aws.assume(location, &self.role, &self.external_id, session).await
    }
}

impl World for Cloud {
    type Records = Ledger;
    type Waits = Waits;
    type Images = Ec2;
    type Builds = CodeBuild;
    type PublicImages = Published;

    fn records(&self) -> &Ledger {
        &self.ledger
    }

    fn waits(&self) -> &Waits {
        &self.waits
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    async fn is_running(&self, execution: &str) -> Option<bool> {
        self.executions.is_running(execution).await
    }

    async fn recipe(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.artifacts.artifact(key).await
    }

    async fn images(&self, location: &Location, session: &str) -> Result<Ec2, Failure> {
        Ok(Ec2::new(&self.there(location, session).await?))
    }

    async fn builds(&self, location: &Location, session: &str) -> Result<CodeBuild, Failure> {
        Ok(CodeBuild::new(&self.there(location, session).await?, location))
    }

    async fn encryption(&self, location: &Location, session: &str) -> Result<Encryption, Failure> {
        let there = self.there(location, session).await?;
        let Some(default_key) = Ec2::new(&there).default_key().await? else {
            return Ok(Encryption::default());
        };
        let keys = Kms::new(&there);
        let of_customer = keys.describe(&default_key).await?.is_some_and(|key| !key.managed_by_aws);
        let default_key = if of_customer { EncryptionKey::OfCustomer } else { EncryptionKey::OfAws };
        let has_image_key = keys.describe(KEY_ALIAS).await?.is_some();
        Ok(Encryption { default_key: Some(default_key), has_image_key })
    }

    async fn public_images(&self, location: &Location, session: &str) -> Result<Published, Failure> {
        Ok(Published::new(&self.there(location, session).await?))
    }
}
