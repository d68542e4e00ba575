//! A context of capabilities over the simulated clouds.
//!
//! The ledger, callbacks and executions are the real services over the [`FakeAws`] of the control plane's account. Time
//! is virtual and shared by all parts: a sleep advances it.

mod accounts;
mod clouds;
mod control_plane;
mod hosts;
mod published;
mod stored;

use crate::FakeAws;
use crate::clock::VirtualClock;
use crate::cloudformation::SimCloudFormation;
use crate::codebuild::SimCodeBuild;
use crate::ec2::SimEc2;
pub use accounts::SimAccounts;
pub use hosts::SimHosts;
use jiff::{SignedDuration, Timestamp};
use lockstep_aws::executions::Executions;
use lockstep_aws::hook_key::HookKey;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::secrets::Secrets;
use lockstep_domain::delivery::function_code::FunctionLock;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::location::Location;
use lockstep_domain::records::{Config, ConfigKind};
use lockstep_domain::stacks::permissions::Table;
use lockstep_runtime::Callbacks;
pub use published::SimPublished;
use published::newest;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
pub use stored::SimStored;

/// The bucket of the control plane.
pub const BUCKET: &str = "artifacts";

/// The external id of the installation.
pub const EXTERNAL_ID: &str = "5f1c9f0e-5f0a-4d6c-9a44-6f3a9d1f7a10";

/// The function that answers task tokens.
pub const RESUME: &str = "lockstep-resume";

/// The beginning of the ARN of each state machine.
pub const MACHINES: &str = "arn:aws:states:eu-west-1:333333333333:stateMachine:lockstep";

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

/// A function that calls run within the process.
pub type Callee = Rc<dyn Fn(Value) -> Pin<Box<dyn Future<Output = Result<Value, Failure>>>>>;

/// Every capability of a function, in-process. Clones share their state.
#[derive(Clone)]
pub struct SimContext {
    /// The time.
    pub clock: VirtualClock,
    /// The control plane's account: the table, Step Functions, the bucket, Lambda.
    pub account: FakeAws,
    /// CloudFormation in every target account.
    pub cloudformation: SimCloudFormation,
    /// EC2 and KMS in every target account.
    pub ec2: SimEc2,
    /// CodeBuild in every target account.
    pub codebuild: SimCodeBuild,
    /// The published images.
    pub published: SimPublished,
    /// The parameters and secrets of target accounts.
    pub stored: SimStored,
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
    /// The functions that a call runs within the process, by name. A call of another one is only recorded.
    pub callees: Rc<RefCell<BTreeMap<String, Callee>>>,
    /// The functions whose invocations Lambda throttles.
    pub throttled: Rc<RefCell<BTreeSet<String>>>,
    ledger: Ledger,
    callbacks: Callbacks,
    executions: Executions,
    secrets: Rc<Secrets>,
    hook_key: Rc<HookKey>,
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

    /// Creates an organisation over existing clouds.
    pub fn of(
        clock: &VirtualClock,
        account: &FakeAws,
        cloudformation: SimCloudFormation,
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
            stored: SimStored::default(),
            accounts: Rc::default(),
            hosts: Rc::default(),
            shipped: FunctionLock::default(),
            permissions: Arc::default(),
            path: DeploymentPath::Delivery,
            callees: Rc::default(),
            throttled: Rc::default(),
            callbacks: Callbacks::new(&account.aws(), RESUME),
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
