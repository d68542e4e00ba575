//! What this function may reach.

use jiff::SignedDuration;
use lockstep_domain::messages::inputs;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::{Record, Repository, WebhookDelivery, WebhookDeliveryState};
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::executions::Executions;
use lockstep_platform::ledger::Ledger;
use lockstep_platform::secrets::{Secret, Secrets};

/// How long a secret, or its absence, is believed: a new secret works after a minute at most.
const SECRET_AGE: SignedDuration = SignedDuration::from_secs(60);

/// The capabilities of this function.
pub trait WebhookContext {
    /// The secret that signs the hook's deliveries; nothing if there is none. Remembered for a while, absence too.
    fn webhook_secret(&self, id: &RepositoryId) -> impl Future<Output = Result<Option<Secret>, Failure>>;

    /// The subscribed repository.
    fn repository(&self, id: &RepositoryId) -> impl Future<Output = Result<Option<Repository>, Failure>>;

    /// Writes an event down, unless its delivery is known; answers the event that the ledger holds then.
    fn insert(&self, event: &WebhookDelivery) -> impl Future<Output = Result<WebhookDelivery, Failure>>;

    /// Starts the execution called `name`, or finds it started.
    fn start(&self, name: &str, input: &inputs::Release) -> impl Future<Output = Result<(), Failure>>;

    /// Notes that the event's execution was started, unless the ledger knows more already.
    fn mark_started(&self, event: &WebhookDelivery) -> impl Future<Output = Result<(), Failure>>;
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 2] = [Setting::Table, Setting::ReleaseArn];

/// The capabilities on AWS.
pub struct AwsContext {
    secrets: Secrets,
    ledger: Ledger,
    executions: Executions,
    release: String,
}

impl AwsContext {
    /// The account that the function runs in.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            secrets: Secrets::new(aws, SECRET_AGE),
            ledger: Ledger::new(aws, config.get(Setting::Table)?),
            executions: Executions::new(aws),
            release: config.get(Setting::ReleaseArn)?.to_owned(),
        })
    }
}

impl WebhookContext for AwsContext {
    async fn webhook_secret(&self, id: &RepositoryId) -> Result<Option<Secret>, Failure> {
        match self.secrets.get(&id.webhook_secret()).await {
            // Secrets Manager does not tell what does not exist from what the policy's pattern does not match.
            Err(failure) if failure.kind == FailureKind::AccessDenied => {
                tracing::warn!("taken for a hook that does not exist: {failure}");
                Ok(None)
            }
            read => read,
        }
    }

    async fn repository(&self, id: &RepositoryId) -> Result<Option<Repository>, Failure> {
        Ok(self.ledger.get(&Repository::key_of(id)).await?.map(|found| found.record))
    }

    async fn insert(&self, event: &WebhookDelivery) -> Result<WebhookDelivery, Failure> {
        Ok(self.ledger.insert(event).await?.into_inner().record)
    }

    async fn start(&self, name: &str, input: &inputs::Release) -> Result<(), Failure> {
        let input = serde_json::to_value(input)
            .map_err(|error| Failure::bug(format!("the input of a release cannot be written: {error}")))?;
        self.executions.start(&self.release, name, &input).await.map(drop)
    }

    async fn mark_started(&self, event: &WebhookDelivery) -> Result<(), Failure> {
        let stored = self.ledger.get::<WebhookDelivery>(&event.key()).await?;
        let Some(stored) = stored.filter(|stored| stored.record.state == WebhookDeliveryState::Accepted)
        else {
            return Ok(());
        };
        match self.ledger.replace(&stored, event.clone()).await {
            // Another copy of the delivery, or the execution itself, was quicker and knows at least as much.
            Err(lost) if lost.kind == FailureKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }
}
