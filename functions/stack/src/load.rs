//! The records that every step starts from.

use crate::context::StackContext;
use jiff::Timestamp;
use lockstep_aws::ledger::Versioned;
use lockstep_aws::scope;
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::packaging::{self, Contents};
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, LogicalId, StackName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    DeployBody, Deployment, DeploymentState, Environment, Proposal, Release, StackRun,
};
use lockstep_runtime::TargetRoles;
use std::collections::BTreeSet;

/// The most change sets of one deployment. Each after the first replaces an obsolete one.
pub const CHANGE_SETS_MAX: u32 = 5;

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
            Some(environment) => Ok(Self { deployment, environment, stack }),
            None => Err(superseded(id, "it does not hold its environment any more")),
        }
    }

    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// Returns the session name that the logs of the target account show.
    pub fn session(&self) -> String {
        session(self.id())
    }

    /// Returns the release of the deployment.
    pub async fn release<C: StackContext>(&self, context: &C) -> Result<Release, Failure> {
        let (component, version) = (&self.run()?.component, &self.deployment.record.version);
        let what = format!("the release {component}@{version}");
        let key = Release::key_of(component, version);
        Ok(context.ledger().expect::<Release>(&key, &what).await?.record)
    }

    /// Returns the logical ids that the release protects. They are read from the artifact, because the
    /// ledger's record alone is no proof.
    pub async fn protected<C: StackContext>(&self, context: &C) -> Result<BTreeSet<LogicalId>, Failure> {
        let release = self.release(context).await?;
        Ok(contents(context, &release).await?.manifest.protect.logical_ids)
    }

    /// Returns the deployment's work on its stack.
    pub fn run(&self) -> Result<&StackRun, Failure> {
        run(&self.deployment.record)
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

    /// Writes the deployment.
    pub async fn save<C: StackContext>(&mut self, context: &C, record: Deployment) -> Result<(), Failure> {
        // Re-running a step that is done writes nothing.
        if record != self.deployment.record {
            self.deployment = context.ledger().replace(&self.deployment, record).await?;
        }
        Ok(())
    }

    /// Writes the deployment and its environment, both or neither. The loaded records are outdated
    /// afterwards.
    pub async fn save_both<C: StackContext>(
        self,
        context: &C,
        deployment: Deployment,
        environment: Environment,
    ) -> Result<(), Failure> {
        if deployment == self.deployment.record && environment == self.environment.record {
            return Ok(());
        }
        context
            .ledger()
            .replace_both((&self.deployment, &deployment), (&self.environment, &environment))
            .await
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

    /// Returns the proposals that an approver allowed.
    pub fn allowed(&self, now: Timestamp) -> Vec<Proposal> {
        approval::allowed(&self.deployment.record, now)
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

/// Returns the session name of a deployment.
pub fn session(id: &DeploymentId) -> String {
    format!("lockstep-{id}")
}

fn superseded(id: &DeploymentId, why: &str) -> Failure {
    Failure::new(FailureKind::Superseded, format!("the deployment {id} must stop: {why}"))
}

/// Opens the artifact of `release`. Refuses an artifact with another digest.
pub async fn contents<C: StackContext>(context: &C, release: &Release) -> Result<Contents, Failure> {
    packaging::open_release(release, &context.artifact(&release.artifact).await?)
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

/// Returns the name of the stack of the environment `name` in `stage`.
pub fn stack_name(stage: &Stage, name: &str) -> Result<StackName, Failure> {
    format!("{}-{name}", stage.name).parse().map_err(|error: lockstep_domain::model::ids::InvalidId| {
        Failure::rejected("the name of the stack").caused_by(&error)
    })
}
