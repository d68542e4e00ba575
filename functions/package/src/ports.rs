//! What packaging needs of the world, in its own words, and AWS behind them.

use crate::source::{Fetched, fetch};
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::function_code::FunctionLock;
use lockstep_domain::ids::CommitSha;
use lockstep_domain::records::{Key, Record, Repository};
use lockstep_platform::artifacts::Artifacts;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::git_host::GitHosts;
use lockstep_platform::ledger::{Inserted, Ledger, Order};

/// What packaging needs of the world.
pub trait Ports {
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

/// The settings that [`Cloud::new`] reads.
pub const SETTINGS: [Setting; 3] = [Setting::Table, Setting::Bucket, Setting::Functions];

/// AWS, and the git hosts of the subscribed repositories.
pub struct Cloud {
    hosts: GitHosts,
    ledger: Ledger,
    artifacts: Artifacts,
    shipped: FunctionLock,
}

impl Cloud {
    /// The account that the function runs in.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            hosts: GitHosts::new(aws),
            ledger: Ledger::new(aws, config.get(Setting::Table)?),
            artifacts: Artifacts::new(aws, config.get(Setting::Bucket)?),
            shipped: FunctionLock::of_keys(config.get(Setting::Functions)?).map_err(Failure::bug)?,
        })
    }
}

impl Ports for Cloud {
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
