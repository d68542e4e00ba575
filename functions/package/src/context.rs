//! Capabilities of the function.

use crate::source::fetch;
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::config::{Config, Setting};
use lockstep_aws::git_host::GitHosts;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::stored_values::{StoredValues as _, ValueStores};
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{CommitSha, Region};
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use lockstep_domain::records::{ReleaseCommits, Repository};
use lockstep_domain::stacks::permissions::{TABLE_BYTES_MAX, Table, table_digest};
use lockstep_runtime::{
    BranchCommits, BranchHeads, CommitArchive, CommitArchives, HasLedger, PermissionTable,
    PublishedParameters, ShippedFunctions, StoresArtifacts,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The capabilities of this function. None of them reaches a target account.
pub trait PackageContext:
    HasLedger
    + BranchHeads
    + BranchCommits
    + CommitArchives
    + StoresArtifacts
    + ShippedFunctions
    + PermissionTable
    + PublishedParameters
{
}

impl<
    T: HasLedger
        + BranchHeads
        + BranchCommits
        + CommitArchives
        + StoresArtifacts
        + ShippedFunctions
        + PermissionTable
        + PublishedParameters,
> PackageContext for T
{
}

/// The settings that [`AwsContext::new`] reads.
pub const SETTINGS: [Setting; 3] = [Setting::Bucket, Setting::Functions, Setting::Permissions];

/// The capabilities on AWS and on the git hosts of the registered repositories.
pub struct AwsContext {
    aws: Aws,
    hosts: GitHosts,
    ledger: Ledger,
    artifacts: Artifacts,
    shipped: FunctionLock,
    permissions_key: String,
    permissions: OnceCell<Arc<Table>>,
}

impl AwsContext {
    /// Wires the adapters to the account of the function.
    pub fn new(aws: &Aws, config: &Config) -> Result<Self, Failure> {
        Ok(Self {
            aws: aws.clone(),
            hosts: GitHosts::new(aws),
            ledger: Ledger::new(aws),
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
        table
            .map(Arc::new)
            .map_err(|error| Failure::rejected(format!("{key}; install again")).caused_by(&error))
    }
}

impl HasLedger for AwsContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl BranchHeads for AwsContext {
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        self.hosts.head(repository, branch).await
    }
}

impl BranchCommits for AwsContext {
    async fn is_on_branch(
        &self,
        repository: &Repository,
        branch: &str,
        commit: &CommitSha,
    ) -> Result<bool, Failure> {
        self.hosts.is_on_branch(repository, branch, commit).await
    }

    async fn commits_since(
        &self,
        repository: &Repository,
        base: &CommitSha,
        commit: &CommitSha,
    ) -> Result<ReleaseCommits, Failure> {
        self.hosts.commits_since(repository, base, commit).await
    }
}

impl CommitArchives for AwsContext {
    async fn archive(&self, repository: &Repository, commit: &CommitSha) -> Result<CommitArchive, Failure> {
        fetch(&self.hosts.of(repository).await?, repository, commit).await
    }
}

impl StoresArtifacts for AwsContext {
    async fn store_artifact(&self, key: &str, zip: Vec<u8>) -> Result<(), Failure> {
        self.artifacts.put(key, "application/zip", zip).await
    }
}

impl ShippedFunctions for AwsContext {
    fn shipped_functions(&self) -> &FunctionLock {
        &self.shipped
    }
}

impl PermissionTable for AwsContext {
    async fn permission_table(&self) -> Result<Arc<Table>, Failure> {
        self.permissions.get_or_try_init(|| self.read_permissions()).await.cloned()
    }
}

impl PublishedParameters for AwsContext {
    async fn public_parameters(
        &self,
        region: &Region,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure> {
        ValueStores::new(&self.aws.in_region(region)).parameters(names).await
    }
}
