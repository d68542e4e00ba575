//! What this function may reach.

use crate::source::{Fetched, fetch};
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::records::{Key, Record, Repository};
use lockstep_domain::stacks::permissions::{TABLE_BYTES_MAX, Table, table_digest};
use lockstep_platform::artifacts::Artifacts;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::git_host::GitHosts;
use lockstep_platform::ledger::{Inserted, Ledger, Order};
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The capabilities of this function.
pub trait PackageContext {
    /// The commit's tarball and author, from the repository's git host.
    fn fetch(
        &self,
        repository: &Repository,
        commit: &CommitSha,
    ) -> impl Future<Output = Result<Fetched, Failure>>;

    /// The commit that `branch` points to now; nothing if there certainly is no such branch.
    fn head(
        &self,
        repository: &Repository,
        branch: &str,
    ) -> impl Future<Output = Result<Option<CommitSha>, Failure>>;

    /// Stores an artifact. Keys name their content: storing the same again changes nothing, and needs no undo.
    fn store(&self, key: &str, artifact: Vec<u8>) -> impl Future<Output = Result<(), Failure>>;

    /// The functions that this installation ships for components.
    fn shipped(&self) -> &FunctionLock;

    /// The table of the permissions that resource types need, as `install` uploaded it.
    fn permissions(&self) -> impl Future<Output = Result<Arc<Table>, Failure>>;

    /// The record at `key`.
    fn get<T: Record>(&self, key: &Key) -> impl Future<Output = Result<Option<T>, Failure>>;

    /// At most `limit` records below a partition and prefix, highest sort key first.
    fn newest<T: Record>(
        &self,
        pk: &str,
        sk_prefix: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<T>, Failure>>;

    /// Reads the record at `key`, lets `plan` say what to write instead (`None`: nothing), and writes that only if
    /// nobody else wrote meanwhile: `Conflict` if somebody did. Answers what is there then.
    fn change<T: Record>(
        &self,
        key: &Key,
        plan: impl FnOnce(Option<&T>) -> Option<T>,
    ) -> impl Future<Output = Result<Option<T>, Failure>>;
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 4] =
    [Setting::Table, Setting::Bucket, Setting::Functions, Setting::Permissions];

/// The capabilities on AWS, and the git hosts of the subscribed repositories.
pub struct AwsContext {
    hosts: GitHosts,
    ledger: Ledger,
    artifacts: Artifacts,
    shipped: FunctionLock,
    permissions_key: String,
    permissions: OnceCell<Arc<Table>>,
}

impl AwsContext {
    /// The account that the function runs in.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            hosts: GitHosts::new(aws),
            ledger: Ledger::new(aws, config.get(Setting::Table)?),
            artifacts: Artifacts::new(aws, config.get(Setting::Bucket)?),
            shipped: FunctionLock::of_keys(config.get(Setting::Functions)?).map_err(Failure::bug)?,
            permissions_key: config.get(Setting::Permissions)?.to_owned(),
            permissions: OnceCell::new(),
        })
    }

    async fn read_permissions(&self) -> Result<Arc<Table>, Failure> {
        let key = &self.permissions_key;
        let digest = table_digest(key)
            .ok_or_else(|| Failure::bug(format!("{key} is no key of a permissions table; install again")))?;
        let compressed = self.artifacts.get(key, TABLE_BYTES_MAX).await?;
        let table = Table::read(&compressed, &digest);
        table.map(Arc::new).map_err(|error| Failure::rejected(format!("{key}: {error}; install again")))
    }
}

impl PackageContext for AwsContext {
    async fn fetch(&self, repository: &Repository, commit: &CommitSha) -> Result<Fetched, Failure> {
        fetch(&self.hosts.of(repository).await?, repository, commit).await
    }

    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        self.hosts.head(repository, branch).await
    }

    async fn store(&self, key: &str, artifact: Vec<u8>) -> Result<(), Failure> {
        self.artifacts.put(key, "application/zip", artifact).await
    }

    fn shipped(&self) -> &FunctionLock {
        &self.shipped
    }

    async fn permissions(&self) -> Result<Arc<Table>, Failure> {
        self.permissions.get_or_try_init(|| self.read_permissions()).await.cloned()
    }

    async fn get<T: Record>(&self, key: &Key) -> Result<Option<T>, Failure> {
        Ok(self.ledger.get(key).await?.map(|found| found.record))
    }

    async fn newest<T: Record>(&self, pk: &str, sk_prefix: &str, limit: usize) -> Result<Vec<T>, Failure> {
        let found = self.ledger.list(pk, sk_prefix, Order::Newest, limit).await?;
        Ok(found.into_iter().map(|found| found.record).collect())
    }

    async fn change<T: Record>(
        &self,
        key: &Key,
        plan: impl FnOnce(Option<&T>) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let found = self.ledger.get::<T>(key).await?;
        let Some(wanted) = plan(found.as_ref().map(|found| &found.record)) else {
            return Ok(found.map(|found| found.record));
        };
        let written = match &found {
            Some(old) => self.ledger.replace(old, wanted).await?,
            None => match self.ledger.insert(&wanted).await? {
                Inserted::New(written) => written,
                Inserted::Exists(_) => {
                    let message = format!("{} {} was written by another at the same time", key.pk, key.sk);
                    return Err(Failure::new(FailureKind::Conflict, message));
                }
            },
        };
        Ok(Some(written.record))
    }
}
