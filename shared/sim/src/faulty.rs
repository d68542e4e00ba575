//! A context whose calls can be intercepted: by a fault, or by a planted mistake.

mod account;
mod clouds;

use crate::Interceptor;
use crate::boundary::Boundary;
use crate::context::{RESUME, SECRET_AGE, SimAccounts, SimContext};
use crate::ec2::SimImages;
use crate::faults::{Faults, Site};
pub use account::{FaultyAccount, cross};
pub use clouds::{
    FaultyBuilds, FaultyImages, FaultyKeys, FaultyPort, FaultyPublished, FaultyStacks, FaultyStored,
    NeverStale, ReadsStale,
};
use jiff::Timestamp;
use lockstep_aws::cloudformation::{ChangeSetView, Stack};
use lockstep_aws::executions::Executions;
use lockstep_aws::functions::Called;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::{hook_key::HookKey, secrets::Secrets};
use lockstep_domain::delivery::function_code::{FunctionCode, FunctionLock};
use lockstep_domain::images::bake::Encryption;
use lockstep_domain::images::promotion::Ami;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{AccountId, CommitSha, Region};
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{ReleaseCommits, Repository};
use lockstep_domain::stacks::diagnosis::StackEvent;
use lockstep_domain::stacks::identity::InstallationId;
use lockstep_domain::stacks::permissions::Table;
use lockstep_domain::stacks::permissions::missing::{SimulationRequest, SimulationResult};
use lockstep_domain::stacks::plan::LiveResource;
use lockstep_runtime::{
    Artifacts, BranchCommits, BranchHeads, BuildsOf, Callbacks, CallsFunctions, ChannelsOf, Clock,
    CommitArchive, CommitArchives, EncryptionOf, HasCallbacks, HasExecutions, HasHookKey, HasLedger,
    HasSecrets, ImagesOf, InstallationSettings, Installed, KeptImagesOf, KeysOf, Locality, PermissionTable,
    PolicySimulation, PublicImagesOf, PublishedParameters, ReadsBack, ReleaseMachine, ShippedFunctions,
    StacksOf, StoredValuesOf, StoresArtifacts, TargetBuckets, TargetRoles, TeardownMachine,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A known mistake, planted in the data between a function and the clouds. A method that is not overridden changes no
/// data.
pub trait Mistake {
    /// Changes the client token of a call.
    fn token(&self, _token: &mut String) {}

    /// Changes the client token of a build.
    fn build_token(&self, _token: &mut String) {}

    /// Returns the change set used instead of `asked`; `newest` was made last.
    fn change_set_id(&self, asked: &str, _newest: Option<String>) -> String {
        asked.to_owned()
    }

    /// Returns the stack that the function receives.
    fn stack(&self, seen: Result<Option<Stack>, Failure>) -> Result<Option<Stack>, Failure> {
        seen
    }

    /// Returns the events of a stack that the function receives.
    fn events(&self, seen: Result<Vec<StackEvent>, Failure>) -> Result<Vec<StackEvent>, Failure> {
        seen
    }

    /// Returns the resources of a stack that the function receives.
    fn resources(&self, seen: Result<Vec<LiveResource>, Failure>) -> Result<Vec<LiveResource>, Failure> {
        seen
    }

    /// Returns the change set that the function receives.
    fn change_set(&self, seen: ChangeSetView) -> ChangeSetView {
        seen
    }

    /// Returns the image that the function receives.
    fn ami(&self, seen: Ami) -> Ami {
        seen
    }

    /// Returns true if the images of a version are looked up.
    fn looks_for_debris(&self) -> bool {
        true
    }

    /// Returns true if the snapshots of an image are shared.
    fn shares_snapshots(&self) -> bool {
        true
    }

    /// Returns true if a copy gets its tags in the call that creates it.
    fn tags_at_once(&self) -> bool {
        true
    }

    /// Returns true if references to an image are looked up.
    fn looks_for_references(&self) -> bool {
        true
    }

    /// Returns true if the files that a template names are copied.
    fn copies_files(&self) -> bool {
        true
    }

    /// Returns true if grants are revoked.
    fn revokes_grants(&self) -> bool {
        true
    }
}

/// No mistake.
pub struct NoMistake;

impl Mistake for NoMistake {}

/// A [`SimContext`] with faults and a mistake in its calls.
///
/// Faults of the clouds of target accounts occur at [`Boundary`]; those of DynamoDB, Lambda and Step Functions in the
/// interceptor of the control plane's account. The sweep's calls in an account have no faults.
pub struct FaultyContext {
    sim: SimContext,
    faults: Arc<Faults>,
    mistake: Rc<dyn Mistake>,
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    secrets: Secrets,
}

impl FaultyContext {
    /// Returns the contents of target accounts.
    pub fn accounts(&self) -> &SimAccounts {
        &self.sim.accounts
    }

    /// Returns `sim` behind faults, an interceptor and a mistake.
    pub fn new(
        sim: &SimContext,
        faults: &Arc<Faults>,
        interceptor: Arc<dyn Interceptor>,
        mistake: Rc<dyn Mistake>,
    ) -> Self {
        let aws = sim.account.behind(interceptor).aws();
        let ledger = Ledger::new(&aws);
        Self {
            sim: sim.clone(),
            faults: Arc::clone(faults),
            mistake,
            callbacks: Callbacks::new(&aws, RESUME),
            ledger,
            executions: Executions::new(&aws),
            secrets: Secrets::new(&aws, SECRET_AGE),
        }
    }

    /// Makes a call that no simulation has, with its fault if the case has one.
    pub async fn cross<T>(
        &self,
        name: &str,
        site: Site,
        call: impl AsyncFn() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.boundary().cross(name, site, || {}, call).await
    }

    fn boundary(&self) -> Boundary {
        Boundary::new(&self.faults, &self.sim.clock)
    }

    fn faulty_stacks(&self) -> FaultyStacks {
        let cloud = self.sim.cloudformation.clone();
        let port = cloud.stacks();
        FaultyPort::new(cloud, port, self.boundary(), &self.mistake)
    }
}

impl Clock for FaultyContext {
    fn now(&self) -> Timestamp {
        self.sim.now()
    }

    fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        self.sim.sleep(time).await;
    }
}

impl HasLedger for FaultyContext {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl HasCallbacks for FaultyContext {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

impl HasExecutions for FaultyContext {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl HasSecrets for FaultyContext {
    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl Locality for FaultyContext {
    fn is_local(&self) -> bool {
        self.sim.is_local()
    }
}

impl InstallationSettings for FaultyContext {
    fn state_machines(&self) -> &str {
        self.sim.state_machines()
    }

    fn administrators(&self) -> Administrators {
        self.sim.administrators()
    }
}

/// A process has the key from its start: a request makes no call for it that could fail.
impl HasHookKey for FaultyContext {
    fn hook_key(&self) -> &HookKey {
        self.sim.hook_key()
    }
}

impl Artifacts for FaultyContext {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.cross("GetObject", Site::Consistent, async || self.sim.artifact(key).await).await
    }
}

impl StoresArtifacts for FaultyContext {
    async fn store_artifact(&self, key: &str, zip: Vec<u8>) -> Result<(), Failure> {
        let store = async || self.sim.store_artifact(key, zip.clone()).await;
        self.cross("PutObject", Site::Write, store).await
    }
}

impl ShippedFunctions for FaultyContext {
    fn shipped_functions(&self) -> &FunctionLock {
        self.sim.shipped_functions()
    }
}

impl PermissionTable for FaultyContext {
    async fn permission_table(&self) -> Result<Arc<Table>, Failure> {
        self.cross("GetObject", Site::Consistent, async || self.sim.permission_table().await).await
    }
}

impl Installed for FaultyContext {
    fn installation(&self) -> InstallationId {
        self.sim.installation()
    }
}

impl TargetRoles for FaultyContext {
    fn path(&self) -> DeploymentPath {
        self.sim.path
    }

    fn partition(&self) -> &str {
        self.sim.partition()
    }

    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String {
        self.sim.role_arn(role, account)
    }
}

impl StacksOf for FaultyContext {
    type Stacks = FaultyStacks;

    async fn stacks(&self, _: &Location, _: &str) -> Result<FaultyStacks, Failure> {
        Ok(self.faulty_stacks())
    }
}

impl ReadsBack for FaultyContext {
    type Reader = Self;

    fn reader(&self) -> Result<&Self, Failure> {
        Ok(self)
    }
}

impl TargetBuckets for FaultyContext {
    async fn empty_bucket(&self, at: &Location, session: &str, bucket: &str) -> Result<(), Failure> {
        let empty = async || self.sim.empty_bucket(at, session, bucket).await;
        self.cross("DeleteObjects", Site::Write, empty).await
    }

    async fn put_function(&self, at: &Location, session: &str, code: &FunctionCode) -> Result<(), Failure> {
        let put = async || self.sim.put_function(at, session, code).await;
        self.cross("PutObject", Site::Write, put).await
    }

    async fn put_file(&self, at: &Location, session: &str, key: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let put = async || match self.mistake.copies_files() {
            true => self.sim.put_file(at, session, key, bytes.clone()).await,
            false => Ok(()),
        };
        self.cross("PutObject", Site::Write, put).await
    }

    async fn put_template(
        &self,
        at: &Location,
        session: &str,
        key: &str,
        text: String,
    ) -> Result<String, Failure> {
        let put = async || self.sim.put_template(at, session, key, text.clone()).await;
        self.faulty_stacks().call("PutObject", Site::Write, put).await
    }
}

impl PolicySimulation for FaultyContext {
    async fn simulate(
        &self,
        at: &Location,
        session: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure> {
        let simulate = async || self.sim.simulate(at, session, questions).await;
        self.cross("SimulatePrincipalPolicy", Site::Consistent, simulate).await
    }
}

impl ImagesOf for FaultyContext {
    type Images = FaultyImages;

    async fn images(&self, _: TargetRole, location: &Location, _: &str) -> Result<FaultyImages, Failure> {
        let port = self.sim.ec2.images(location);
        Ok(FaultyPort::new(self.sim.ec2.clone(), port, self.boundary(), &self.mistake))
    }
}

impl KeysOf for FaultyContext {
    type Keys = FaultyKeys;

    async fn keys(&self, _: TargetRole, location: &Location, _: &str) -> Result<FaultyKeys, Failure> {
        Ok(FaultyPort::new(NeverStale, self.sim.ec2.keys(location), self.boundary(), &self.mistake))
    }
}

impl EncryptionOf for FaultyContext {
    async fn encryption(&self, location: &Location, session: &str) -> Result<Encryption, Failure> {
        self.sim.encryption(location, session).await
    }
}

impl BuildsOf for FaultyContext {
    type Builds = FaultyBuilds;

    async fn builds(&self, location: &Location, _: &str) -> Result<FaultyBuilds, Failure> {
        let port = self.sim.codebuild.builds(location);
        Ok(FaultyPort::new(self.sim.codebuild.clone(), port, self.boundary(), &self.mistake))
    }
}

impl PublicImagesOf for FaultyContext {
    type PublicImages = FaultyPublished;

    async fn public_images(&self, _: &Location, _: &str) -> Result<FaultyPublished, Failure> {
        Ok(FaultyPort::new(NeverStale, self.sim.published.clone(), self.boundary(), &self.mistake))
    }
}

impl PublishedParameters for FaultyContext {
    async fn public_parameters(
        &self,
        region: &Region,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure> {
        let read = async || self.sim.public_parameters(region, names).await;
        self.cross("GetParameters", Site::Consistent, read).await
    }
}

impl StoredValuesOf for FaultyContext {
    type StoredValues = FaultyStored;

    async fn stored_values(&self, location: &Location, session: &str) -> Result<FaultyStored, Failure> {
        let port = self.sim.stored_values(location, session).await?;
        Ok(FaultyPort::new(NeverStale, port, self.boundary(), &self.mistake))
    }
}

impl KeptImagesOf for FaultyContext {
    type RetainedImages = SimImages;

    async fn kept_images(&self, location: &Location) -> Result<SimImages, Failure> {
        self.sim.kept_images(location).await
    }
}

impl ChannelsOf for FaultyContext {
    type Channels = SimImages;

    async fn channels(&self, location: &Location, session: &str) -> Result<SimImages, Failure> {
        self.sim.channels(location, session).await
    }
}

impl BranchHeads for FaultyContext {
    async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        self.sim.head(repository, branch).await
    }
}

impl BranchCommits for FaultyContext {
    async fn is_on_branch(
        &self,
        repository: &Repository,
        branch: &str,
        commit: &CommitSha,
    ) -> Result<bool, Failure> {
        let compared = async || self.sim.is_on_branch(repository, branch, commit).await;
        self.cross("GET compare", Site::Consistent, compared).await
    }

    async fn commits_since(
        &self,
        repository: &Repository,
        base: &CommitSha,
        commit: &CommitSha,
    ) -> Result<ReleaseCommits, Failure> {
        let listed = async || self.sim.commits_since(repository, base, commit).await;
        self.cross("GET compare", Site::Consistent, listed).await
    }
}

impl CommitArchives for FaultyContext {
    async fn archive(&self, repository: &Repository, commit: &CommitSha) -> Result<CommitArchive, Failure> {
        let archive = async || self.sim.archive(repository, commit).await;
        self.cross("GET tarball", Site::Consistent, archive).await
    }
}

impl CallsFunctions for FaultyContext {
    async fn call(&self, function: &str, payload: &Value, patience: Duration) -> Result<Called, Failure> {
        CallsFunctions::call(&self.sim, function, payload, patience).await
    }
}

impl ReleaseMachine for FaultyContext {
    fn release_machine(&self) -> &str {
        self.sim.release_machine()
    }
}

impl TeardownMachine for FaultyContext {
    fn teardown_machine(&self) -> &str {
        self.sim.teardown_machine()
    }
}
