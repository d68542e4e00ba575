//! The installation's webhook key, which a process reads once.

use crate::aws::Aws;
use crate::clock;
use crate::remembered::Remembered;
use crate::secrets::{ExposeSecret as _, SecretString, Secrets};
use jiff::SignedDuration;
use lockstep_domain::delivery::hook::{HookId, KEY_SECRET, WeakKey};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::RepositoryId;
use tokio::sync::OnceCell;

/// Time for which a failed read is not repeated. Requests that arrive meanwhile cost no call.
const PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// The webhook key. A process that has it makes no further call for it.
pub struct HookKey {
    secrets: Secrets,
    key: OnceCell<SecretString>,
    failed: Remembered<(), Failure>,
}

impl HookKey {
    /// Creates a reader in the account of `aws`, without a call.
    pub fn new(aws: &Aws) -> Self {
        let secrets = Secrets::new(aws, SignedDuration::ZERO);
        Self { secrets, key: OnceCell::new(), failed: Remembered::new(PAUSE) }
    }

    /// Reads the key unless this process has it. A function calls this when it starts; its requests repeat a failed read.
    pub async fn load(&self) -> Result<(), Failure> {
        self.key.get_or_try_init(|| self.read()).await.map(drop)
    }

    /// Returns the id of the hook of `repository`.
    pub async fn hook_of(&self, repository: &RepositoryId) -> Result<HookId, Failure> {
        let key = self.key.get_or_try_init(|| self.read()).await?;
        HookId::of(key.expose_secret().as_bytes(), repository).map_err(weak)
    }

    /// Returns true if this installation gave `hook` out.
    pub async fn fits(&self, hook: &HookId) -> Result<bool, Failure> {
        let key = self.key.get_or_try_init(|| self.read()).await?;
        hook.fits(key.expose_secret().as_bytes()).map_err(weak)
    }

    async fn read(&self) -> Result<SecretString, Failure> {
        let now = clock::now();
        if let Some(failure) = self.failed.get(&(), now) {
            return Err(failure);
        }
        let read = self.secrets.get(KEY_SECRET).await;
        let read = read.and_then(|key| key.ok_or_else(absent));
        read.inspect_err(|failure| self.failed.put((), failure.clone(), now))
    }
}

fn absent() -> Failure {
    Failure::new(
        FailureKind::Transient,
        format!("there is no secret {KEY_SECRET}; run lockstep install again"),
    )
}

fn weak(weak: WeakKey) -> Failure {
    Failure::new(FailureKind::Transient, format!("secret {KEY_SECRET}: {weak}; run lockstep install again"))
}
