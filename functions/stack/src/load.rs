//! The records that every step starts from.

use crate::context::StackContext;
use lockstep_aws::ledger::{Order, Versioned};
use lockstep_aws::scope;
use lockstep_domain::delivery::packaging::{self, PackedContents};
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::delivery::{approval, environment};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, LogicalId, StackName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    ApprovalDecision, DeployBody, Deployment, DeploymentState, Environment, Proposal, Record as _, Release,
    StackRun,
};
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_runtime::{Installed, TargetRoles, releases};
use std::collections::BTreeSet;

/// The most change sets of one deployment. Each after the first replaces an obsolete one.
pub const CHANGE_SETS_MAX: u32 = 5;

/// The most questions of one deployment that are read.
const QUESTIONS: usize = 1000;

/// A running deployment that holds its environment.
pub struct Loaded {
    pub deployment: Versioned<Deployment>,
    pub environment: Versioned<Environment>,
    pub stack: StackName,
}

impl Loaded {
    /// Loads the deployment and its environment. Fails with `Superseded` if the deployment has ended or
    /// another one has its environment. The caller must then stop.
    pub async fn load<C: StackContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the deployment {id}");
        let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        scope::about(&deployment.record);
        if deployment.record.state != DeploymentState::Running {
            return Err(superseded(id, "it is not running any more"));
        }
        let run = run(&deployment.record)?;
        let stack = run.name.clone();
        let key = Environment::key_of(&deployment.record.stage, &run.environment);
        let environment = context.ledger().get::<Environment>(&key).await?;
        let held = environment.filter(|found| {
            let holder = found.record.holder.as_ref();
            found.record.epoch == deployment.record.epoch
                && holder.is_some_and(|holder| holder.deployment == *id)
        });
        match held {
            Some(mut environment) => {
                environment.record = environment::with_claims(&environment.record, &deployment.record);
                Ok(Self { deployment, environment, stack })
            }
            None => Err(superseded(id, "it does not hold its environment any more")),
        }
    }

    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// Returns the session name that the logs of the target account show.
    pub fn session(&self) -> String {
        self.id().session()
    }

    /// Returns the release of the deployment.
    pub async fn release<C: StackContext>(&self, context: &C) -> Result<Release, Failure> {
        let (component, version) = (&self.run()?.component, &self.deployment.record.version);
        match self.deployment.record.digest() {
            Some(digest) => releases::same_release(context.ledger(), component, version, digest).await,
            None => Ok(releases::release(context.ledger(), component, version).await?.record),
        }
    }

    /// Returns the logical ids that the release protects. They are read from the artifact, because the
    /// ledger's record alone is no proof.
    pub async fn protected<C: StackContext>(&self, context: &C) -> Result<BTreeSet<LogicalId>, Failure> {
        let release = self.release(context).await?;
        let artifact = context.artifact(&release.artifact).await?;
        Ok(packaging::open_release(&release, &artifact)?.manifest.protect.logical_ids)
    }

    /// Returns the deployment's work on its stack.
    pub fn run(&self) -> Result<&StackRun, Failure> {
        run(&self.deployment.record)
    }

    /// Returns the identity of the deployment's stack.
    pub fn identity(&self, context: &impl Installed) -> Result<StackIdentity, Failure> {
        Ok(StackIdentity::of_run(&self.deployment.record.stage, self.run()?, context.installation()))
    }

    /// Returns the body of the deployment of a release, or fails with `Rejected` for a teardown.
    pub fn deploy(&self) -> Result<&DeployBody, Failure> {
        self.deployment.record.deploy().ok_or_else(|| no_release(self.id()))
    }

    /// Writes the deployment of a release with the body as `change` leaves it.
    pub async fn change_deploy<C: StackContext>(
        &mut self,
        context: &C,
        change: impl FnOnce(&mut DeployBody),
    ) -> Result<(), Failure> {
        let mut record = self.deployment.record.clone();
        change(record.deploy_mut().ok_or_else(|| no_release(self.id()))?);
        self.save(context, record).await
    }

    /// Writes the deployment with its work on the stack as `change` leaves it.
    pub async fn change_run<C: StackContext>(
        &mut self,
        context: &C,
        change: impl FnOnce(&mut StackRun),
    ) -> Result<(), Failure> {
        let mut record = self.deployment.record.clone();
        change(record.stack_mut().ok_or_else(|| no_stack(self.id()))?);
        self.save(context, record).await
    }

    /// Writes the deployment while it holds its environment, and fails if it holds it no longer.
    ///
    /// The environment is a record of `ledger`. This function reports about it in the deployment.
    pub async fn save<C: StackContext>(&mut self, context: &C, record: Deployment) -> Result<(), Failure> {
        // Re-running a step that is done writes nothing.
        if record != self.deployment.record {
            let written = match context
                .ledger()
                .replace_while(&self.deployment, record.clone(), &self.environment)
                .await
            {
                Err(lost) if lost.kind == FailureKind::Conflict => {
                    self.read_environment(context).await?;
                    context.ledger().replace_while(&self.deployment, record, &self.environment).await?
                }
                written => written?,
            };
            self.environment.record = environment::with_claims(&self.environment.record, &written.record);
            self.deployment = written;
        }
        Ok(())
    }

    /// Reads the environment again. Another deployment may have joined its queue, which takes nothing from the holder.
    async fn read_environment<C: StackContext>(&mut self, context: &C) -> Result<(), Failure> {
        let found = context.ledger().get::<Environment>(&self.environment.record.key()).await?;
        environment::still_holds(found.as_ref().map(|found| &found.record), &self.deployment.record)?;
        if let Some(mut found) = found {
            found.record = environment::with_claims(&found.record, &self.deployment.record);
            self.environment = found;
        }
        Ok(())
    }

    /// Returns true if the deployment deletes its stack permanently.
    pub fn is_teardown(&self) -> bool {
        self.deployment.record.teardown().is_some()
    }

    /// Fails if an operator cancelled the deployment.
    pub fn ensure_not_cancelled(&self) -> Result<(), Failure> {
        match &self.deployment.record.cancellation {
            None => Ok(()),
            Some(spec) => {
                Err(Failure::new(FailureKind::Cancelled, format!("{} stopped it: {}", spec.by, spec.reason)))
            }
        }
    }

    /// Returns the answers of approvers to the questions of the deployment. The deployment itself is no proof: this
    /// function may write it, and only the function of approvers writes their answers.
    pub async fn decisions<C: StackContext>(&self, context: &C) -> Result<Vec<ApprovalDecision>, Failure> {
        if self.deployment.record.approvals.is_empty() {
            return Ok(Vec::new());
        }
        let partition = ApprovalDecision::all_of(self.id());
        let found = context.ledger().list(&partition, Order::Oldest, QUESTIONS).await?;
        Ok(found.into_iter().map(|found| found.record).collect())
    }

    /// Returns the proposals that an approver allowed.
    pub async fn allowed<C: StackContext>(&self, context: &C) -> Result<Vec<Proposal>, Failure> {
        let decisions = self.decisions(context).await?;
        Ok(approval::allowed(&self.deployment.record, &decisions, context.now()))
    }

    /// Returns the names of the deployment's change sets, in the order of the attempts.
    pub fn change_set_names(&self) -> Vec<String> {
        (1..=CHANGE_SETS_MAX).map(|attempt| client_token(self.id().as_str(), "change-set", attempt)).collect()
    }
}

fn run(deployment: &Deployment) -> Result<&StackRun, Failure> {
    deployment.stack().ok_or_else(|| no_stack(&deployment.id))
}

fn no_stack(id: &DeploymentId) -> Failure {
    Failure::rejected(format!("the deployment {id} is about an image and has no stack"))
}

fn no_release(id: &DeploymentId) -> Failure {
    Failure::rejected(format!("the deployment {id} deploys no release"))
}

fn superseded(id: &DeploymentId, why: &str) -> Failure {
    Failure::new(FailureKind::Superseded, format!("the deployment {id} must stop: {why}"))
}

/// Opens the artifact of `release`, with the files that its templates name. Refuses an artifact with another digest.
pub async fn contents<C: StackContext>(context: &C, release: &Release) -> Result<PackedContents, Failure> {
    packaging::open_packed(release, &context.artifact(&release.artifact).await?)
}

/// Returns the ARN of the role that CloudFormation acts as at `location`.
pub fn execution_role(context: &impl TargetRoles, location: &Location) -> String {
    context.role_arn(TargetRole::Execution, &location.account)
}

/// Returns the stage called `name`, or fails with `NotFound`.
pub fn stage<'a>(
    stages: &'a Stages,
    name: &lockstep_domain::model::ids::StageName,
) -> Result<&'a Stage, Failure> {
    stages.get(name).ok_or_else(|| Failure::not_found(format!("there is no stage `{name}` any more")))
}
