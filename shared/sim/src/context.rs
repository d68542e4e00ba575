//! A context of capabilities over the simulated clouds.
//!
//! The ledger, callbacks and executions are the real services over the [`FakeAws`] of the control plane's account. Time
//! is virtual and shared by all parts: a sleep advances it.

use crate::FakeAws;
use crate::clock::VirtualClock;
use crate::cloudformation::{SimCloudFormation, SimStacks};
use crate::codebuild::{SimBuilds, SimCodeBuild};
use crate::ec2::{SimEc2, SimImages, SimKeys};
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::cloudformation::Stacks;
use lockstep_aws::executions::Executions;
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::public_images::PublicImages;
use lockstep_aws::secrets::Secrets;
use lockstep_domain::delivery::function_code::{FunctionCode, FunctionLock};
use lockstep_domain::images::bake::Encryption;
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::base_image::{ImageSearch, NamePattern, ParameterName};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::model::ids::{AccountId, AmiId};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Config, ConfigKind, Repository};
use lockstep_domain::stacks::permissions::Table;
use lockstep_domain::stacks::permissions::missing::{Decision, SimulationRequest, SimulationResult};
use lockstep_runtime::{
    Artifacts, BranchCommits, BranchHeads, BuildsOf, Callbacks, CallsFunctions, ChannelsOf, Clock,
    CommitArchive, CommitArchives, EncryptionOf, HasCallbacks, HasExecutions, HasHookKey, HasLedger,
    HasSecrets, ImagesOf, KeptImagesOf, KeysOf, PermissionTable, PolicySimulation, PublicImagesOf,
    ReleaseMachine, ShippedFunctions, StacksOf, StoresArtifacts, TargetBuckets, TargetRoles, TeardownMachine,
};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The bucket of the control plane.
pub const BUCKET: &str = "artifacts";

/// The function that answers task tokens.
pub const RESUME: &str = "lockstep-resume";

/// The state machine that releases a commit.
pub const RELEASE: &str = "arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-release";

/// The state machine that deletes a stack of the delivery path.
pub const TEARDOWN: &str = "arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep-delivery-teardown";

/// Age until which a context uses a secret without another read.
pub const SECRET_AGE: SignedDuration = SignedDuration::from_secs(60);

/// Returns the moment at which a simulation begins. It lies after this machine's time, which the ledger reads: a record
/// that expires in the simulation has not expired for the ledger.
pub fn beginning() -> Timestamp {
    Timestamp::from_second(4_102_444_800).unwrap_or_default()
}

/// A CloudFormation that a context provides.
pub trait CloudFormations {
    /// The type that functions use.
    type Stacks: Stacks;

    /// Returns the port for functions.
    fn stacks(&self) -> Self::Stacks;

    /// Stores a template at `url`.
    fn put_template(&self, url: &str, text: &str);
}

impl CloudFormations for SimCloudFormation {
    type Stacks = SimStacks;

    fn stacks(&self) -> SimStacks {
        SimCloudFormation::stacks(self)
    }

    fn put_template(&self, url: &str, text: &str) {
        SimCloudFormation::put_template(self, url, text);
    }
}

/// Every capability of a function, in-process. Clones share their state.
#[derive(Clone)]
pub struct SimContext<C = SimCloudFormation> {
    /// The time.
    pub clock: VirtualClock,
    /// The control plane's account: the table, Step Functions, the bucket, Lambda.
    pub account: FakeAws,
    /// CloudFormation in every target account.
    pub cloudformation: C,
    /// EC2 and KMS in every target account.
    pub ec2: SimEc2,
    /// CodeBuild in every target account.
    pub codebuild: SimCodeBuild,
    /// The published images.
    pub published: SimPublished,
    /// The other contents of target accounts.
    pub accounts: Rc<SimAccounts>,
    /// The git hosts with their branches.
    pub hosts: Rc<SimHosts>,
    /// The code of the functions that the installation ships.
    pub shipped: FunctionLock,
    /// The permissions that resource types need.
    pub permissions: Arc<Table>,
    /// The deployment path of the roles.
    pub path: DeploymentPath,
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    secrets: Rc<Secrets>,
    hook_key: Rc<HookKey>,
}

/// Contents of target accounts other than stacks, images and builds.
#[derive(Default)]
pub struct SimAccounts {
    /// The default encryption of volumes.
    pub encryption: RefCell<Encryption>,
    /// The actions that execution roles lack.
    pub lacks: RefCell<BTreeSet<String>>,
    /// True if IAM does not answer.
    pub is_mute: Cell<bool>,
    /// The buckets that were emptied.
    pub emptied: RefCell<Vec<String>>,
    /// The functions whose code was copied, each with the account.
    pub functions: RefCell<Vec<String>>,
    /// The accounts that cannot be reached.
    pub closed: RefCell<BTreeSet<String>>,
}

/// Git hosts: the head of each repository's branch, by the repository's name, and the tarballs of commits.
#[derive(Default)]
pub struct SimHosts {
    tarballs: RefCell<BTreeMap<CommitSha, Vec<u8>>>,
    heads: RefCell<BTreeMap<String, Result<Option<CommitSha>, Failure>>>,
    strays: RefCell<BTreeMap<CommitSha, Result<(), Failure>>>,
    asked: Cell<u32>,
}

impl SimHosts {
    /// Sets the host's answer for a repository; a repository without one has no branch.
    pub fn answer(&self, repository: &str, head: Result<Option<CommitSha>, Failure>) {
        self.heads.borrow_mut().insert(repository.to_owned(), head);
    }

    /// Lets every repository hold `commit` with this tarball.
    pub fn hold(&self, commit: &CommitSha, tarball: Vec<u8>) {
        self.tarballs.borrow_mut().insert(commit.clone(), tarball);
    }

    /// Lets `commit` be on no branch, or lets the hosts fail to compare it. Every other commit is on every branch.
    pub fn stray(&self, commit: &CommitSha, compared: Result<(), Failure>) {
        self.strays.borrow_mut().insert(commit.clone(), compared);
    }

    /// Returns the number of requests to them.
    pub fn asked(&self) -> u32 {
        self.asked.get()
    }
}

/// Images that AWS and others publish.
#[derive(Clone)]
pub struct SimPublished(Rc<RefCell<Vec<(String, NamePattern, AmiId)>>>, AmiId);

impl SimPublished {
    fn new(newest: AmiId) -> Self {
        Self(Rc::default(), newest)
    }

    /// Lets the search for `pattern` find the image called `name`.
    pub fn publish(&self, pattern: &str, name: NamePattern, ami: AmiId) {
        self.0.borrow_mut().push((pattern.to_owned(), name, ami));
    }
}

impl PublicImages for SimPublished {
    async fn newest(&self, _: &ParameterName) -> Result<AmiId, Failure> {
        Ok(self.1.clone())
    }

    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure> {
        let published = self.0.borrow();
        let found = published
            .iter()
            .find(|(pattern, name, _)| [pattern.as_str(), name.as_str()].contains(&search.name.as_str()));
        match found {
            Some((_, name, ami)) => Ok((name.clone(), ami.clone())),
            None => Err(Failure::rejected(format!("no image in this region is called {search}"))),
        }
    }
}

impl SimContext {
    /// Creates an organisation without configuration, at [`beginning`].
    pub fn new() -> Self {
        Self::at(beginning())
    }

    /// Creates an organisation without configuration, at `start`.
    pub fn at(start: Timestamp) -> Self {
        let clock = VirtualClock::at(start);
        let ec2 = SimEc2::new(&clock);
        let codebuild = SimCodeBuild::new(&clock, &ec2);
        Self::of(&clock, &FakeAws::new(), SimCloudFormation::new(&clock), ec2, codebuild)
    }

    /// Returns another context in the same state.
    pub fn duplicate(&self) -> Self {
        let clock = VirtualClock::at(self.clock.now());
        let ec2 = self.ec2.duplicate(&clock);
        let codebuild = self.codebuild.duplicate(&clock, &ec2);
        let cloudformation = self.cloudformation.duplicate(&clock);
        Self {
            path: self.path,
            ..Self::of(&clock, &self.account.duplicate(), cloudformation, ec2, codebuild)
        }
    }
}

impl<C> SimContext<C> {
    /// Creates an organisation without configuration, at `start`, whose accounts have this CloudFormation.
    pub fn over(start: Timestamp, cloudformation: C) -> Self {
        let clock = VirtualClock::at(start);
        let ec2 = SimEc2::new(&clock);
        let codebuild = SimCodeBuild::new(&clock, &ec2);
        Self::of(&clock, &FakeAws::new(), cloudformation, ec2, codebuild)
    }

    /// Creates an organisation over existing clouds.
    pub fn of(
        clock: &VirtualClock,
        account: &FakeAws,
        cloudformation: C,
        ec2: SimEc2,
        codebuild: SimCodeBuild,
    ) -> Self {
        let ledger = Ledger::new(&account.aws());
        Self {
            clock: clock.clone(),
            account: account.clone(),
            cloudformation,
            ec2,
            codebuild,
            published: SimPublished::new(newest()),
            accounts: Rc::default(),
            hosts: Rc::default(),
            shipped: FunctionLock::default(),
            permissions: Arc::default(),
            path: DeploymentPath::Delivery,
            callbacks: Callbacks::new(&account.aws(), &ledger, RESUME),
            executions: Executions::new(&account.aws()),
            secrets: Rc::new(Secrets::new(&account.aws(), SECRET_AGE)),
            hook_key: Rc::new(HookKey::new(&account.aws())),
            ledger,
        }
    }

    /// Returns the same context on another deployment path.
    pub fn on_path(self, path: DeploymentPath) -> Self {
        Self { path, ..self }
    }

    /// Applies `text` as version `version` of the stages.
    pub fn apply_stages(&self, version: u32, text: &str) {
        self.account.put(&Config {
            config: ConfigKind::Stages,
            version,
            text: text.to_owned(),
            applied_by: "arn:person".to_owned(),
            applied_at: self.clock.now(),
        });
    }

    fn reach(&self, location: &Location) -> Result<(), Failure> {
        match self.accounts.closed.borrow().contains(location.account.as_str()) {
            true => Err(Failure::new(FailureKind::AccessDenied, format!("{} is closed", location.account))),
            false => Ok(()),
        }
    }
}

impl Default for SimContext {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the image that a public parameter names.
#[expect(clippy::expect_used, reason = "a constant")]
fn newest() -> AmiId {
    "ami-0aaaaaaaaaaaaaaaa".parse().expect("an id")
}

impl<C> Clock for SimContext<C> {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    async fn sleep(&self, time: Duration) {
        self.clock.advance(time);
    }
}

impl<C> HasLedger for SimContext<C> {
    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}

impl<C> HasCallbacks for SimContext<C> {
    fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

impl<C> HasExecutions for SimContext<C> {
    fn executions(&self) -> &Executions {
        &self.executions
    }
}

impl<C> HasSecrets for SimContext<C> {
    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
}

impl<C> HasHookKey for SimContext<C> {
    fn hook_key(&self) -> &HookKey {
        &self.hook_key
    }
}

impl<C> Artifacts for SimContext<C> {
    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let found = self.account.object(BUCKET, key);
        found.ok_or_else(|| Failure::not_found(format!("{key} does not exist")))
    }
}

impl<C> StoresArtifacts for SimContext<C> {
    async fn store_artifact(&self, key: &str, zip: Vec<u8>) -> Result<(), Failure> {
        self.account.put_object(BUCKET, key, zip);
        Ok(())
    }
}

impl<C> ShippedFunctions for SimContext<C> {
    fn shipped_functions(&self) -> &FunctionLock {
        &self.shipped
    }
}

impl<C> PermissionTable for SimContext<C> {
    async fn permission_table(&self) -> Result<Arc<Table>, Failure> {
        Ok(Arc::clone(&self.permissions))
    }
}

impl<C> TargetRoles for SimContext<C> {
    fn partition(&self) -> &str {
        "aws"
    }

    fn role_arn(&self, role: TargetRole, account: &AccountId) -> String {
        role.arn(self.path, "aws", account)
    }
}

impl<C: CloudFormations> StacksOf for SimContext<C> {
    type Stacks = C::Stacks;

    async fn stacks(&self, location: &Location, _: &str) -> Result<C::Stacks, Failure> {
        self.reach(location)?;
        Ok(self.cloudformation.stacks())
    }
}

impl<C: CloudFormations> TargetBuckets for SimContext<C> {
    async fn empty_bucket(&self, _: &Location, _: &str, bucket: &str) -> Result<(), Failure> {
        self.accounts.emptied.borrow_mut().push(bucket.to_owned());
        Ok(())
    }

    async fn put_function(&self, location: &Location, _: &str, code: &FunctionCode) -> Result<(), Failure> {
        self.accounts.functions.borrow_mut().push(format!("{code} to {}", location.account));
        Ok(())
    }

    async fn put_template(&self, _: &Location, _: &str, key: &str, text: String) -> Result<String, Failure> {
        let url = format!("https://bucket/{key}");
        self.cloudformation.put_template(&url, &text);
        Ok(url)
    }
}

impl<C> PolicySimulation for SimContext<C> {
    async fn simulate(
        &self,
        _: &Location,
        _: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure> {
        if self.accounts.is_mute.get() {
            return Err(Failure::new(FailureKind::AccessDenied, "the deployer may not ask"));
        }
        let decision = |action: &str| match self.accounts.lacks.borrow().contains(action) {
            true => Decision::NotAllowed,
            false => Decision::Allowed,
        };
        let pairs = questions.iter().flat_map(|question| {
            question.actions.iter().map(|action| (action.clone(), question.resource.clone()))
        });
        let answer = |(action, resource): (String, _)| SimulationResult {
            decision: decision(&action),
            action,
            resource,
            missing_context: Vec::new(),
        };
        Ok(pairs.map(answer).collect())
    }
}

impl<C> ImagesOf for SimContext<C> {
    type Images = SimImages;

    async fn images(&self, _: TargetRole, location: &Location, _: &str) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl<C> KeysOf for SimContext<C> {
    type Keys = SimKeys;

    async fn keys(&self, _: TargetRole, location: &Location, _: &str) -> Result<SimKeys, Failure> {
        self.reach(location)?;
        Ok(self.ec2.keys(location))
    }
}

impl<C> EncryptionOf for SimContext<C> {
    async fn encryption(&self, _: &Location, _: &str) -> Result<Encryption, Failure> {
        Ok(self.accounts.encryption.borrow().clone())
    }
}

impl<C> BuildsOf for SimContext<C> {
    type Builds = SimBuilds;

    async fn builds(&self, location: &Location, _: &str) -> Result<SimBuilds, Failure> {
        self.reach(location)?;
        Ok(self.codebuild.builds(location))
    }
}

impl<C> PublicImagesOf for SimContext<C> {
    type PublicImages = SimPublished;

    async fn public_images(&self, _: &Location, _: &str) -> Result<SimPublished, Failure> {
        Ok(self.published.clone())
    }
}

impl<C> KeptImagesOf for SimContext<C> {
    type RetainedImages = SimImages;

    async fn kept_images(&self, location: &Location) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl<C> ChannelsOf for SimContext<C> {
    type Channels = SimImages;

    async fn channels(&self, location: &Location) -> Result<SimImages, Failure> {
        self.reach(location)?;
        Ok(self.ec2.images(location))
    }
}

impl<C> BranchHeads for SimContext<C> {
    async fn head(&self, repository: &Repository, _: &str) -> Result<Option<CommitSha>, Failure> {
        self.hosts.asked.set(self.hosts.asked.get() + 1);
        self.hosts.heads.borrow().get(repository.id.name()).cloned().unwrap_or(Ok(None))
    }
}

impl<C> BranchCommits for SimContext<C> {
    async fn is_on_branch(&self, _: &Repository, _: &str, commit: &CommitSha) -> Result<bool, Failure> {
        match self.hosts.strays.borrow().get(commit) {
            Some(compared) => compared.clone().map(|()| false),
            None => Ok(true),
        }
    }
}

impl<C> CommitArchives for SimContext<C> {
    async fn archive(&self, _: &Repository, commit: &CommitSha) -> Result<CommitArchive, Failure> {
        match self.hosts.tarballs.borrow().get(commit).cloned() {
            Some(tarball) => Ok(CommitArchive { tarball, author: "Ada".to_owned() }),
            None => Err(Failure::rejected(format!("there is no commit {commit}"))),
        }
    }
}

impl<C> CallsFunctions for SimContext<C> {
    async fn call(&self, function: &str, payload: &Value, patience: Duration) -> Result<Called, Failure> {
        Functions::new(&self.account.aws()).call(function, payload, patience).await
    }
}

impl<C> ReleaseMachine for SimContext<C> {
    fn release_machine(&self) -> &str {
        RELEASE
    }
}

impl<C> TeardownMachine for SimContext<C> {
    fn teardown_machine(&self) -> &str {
        TEARDOWN
    }
}
