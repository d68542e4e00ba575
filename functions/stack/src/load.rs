//! What every step starts from.

use crate::context::StackContext;
use jiff::Timestamp;
use lockstep_domain::delivery::approval;
use lockstep_domain::delivery::packaging::{self, Contents};
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::installation::target_roles::TargetRole;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, LogicalId, StackName};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Deployment, DeploymentKind, DeploymentState, Environment, Proposal, Release};
use lockstep_platform::ledger::Versioned;
use lockstep_runtime::TargetRoles;
use std::collections::BTreeSet;

/// How many change sets one deployment may make: each after the first because the one before became obsolete.
pub const CHANGE_SETS_MAX: u32 = 5;

/// A deployment that runs, and holds its environment.
pub struct Loaded {
    /// The deployment.
    pub deployment: Versioned<Deployment>,
    /// Its environment.
    pub environment: Versioned<Environment>,
    /// The stack's name.
    pub stack: StackName,
}

impl Loaded {
    /// Loads it. One that is over, or whose environment another took, is `Superseded`: whoever still works for it must
    /// stop.
    pub async fn load<C: StackContext>(context: &C, id: &DeploymentId) -> Result<Self, Failure> {
        let what = format!("the deployment {id}");
        let deployment = context.ledger().expect::<Deployment>(&Deployment::key_of(id), &what).await?;
        if deployment.record.state != DeploymentState::Running {
            return Err(superseded(id, "it is not running any more"));
        }
        let (name, stack) = match &deployment.record.kind {
            DeploymentKind::Deploy { environment, stack }
            | DeploymentKind::Teardown { environment, stack } => (environment.clone(), stack.clone()),
            DeploymentKind::PromoteImage { .. } | DeploymentKind::BuildImage { .. } => {
                return Err(Failure::rejected(format!("{what} is about an image and has no stack")));
            }
        };
        let key = Environment::key_of(&deployment.record.stage, &name);
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

    /// The deployment's id.
    pub fn id(&self) -> &DeploymentId {
        &self.deployment.record.id
    }

    /// What people in the target account see of who came.
    pub fn session(&self) -> String {
        session(self.id())
    }

    /// Its release.
    pub async fn release<C: StackContext>(&self, context: &C) -> Result<Release, Failure> {
        let deployment = &self.deployment.record;
        let component = deployment.component.as_ref();
        let component = component.ok_or_else(|| Failure::bug("a deployment without a component"))?;
        let what = format!("the release {component}@{}", deployment.version);
        let key = Release::key_of(component, &deployment.version);
        Ok(context.ledger().expect::<Release>(&key, &what).await?.record)
    }

    /// The logical ids that its release protects, as its artifact says: the ledger's record is not proof enough.
    pub async fn protected<C: StackContext>(&self, context: &C) -> Result<BTreeSet<LogicalId>, Failure> {
        let release = self.release(context).await?;
        Ok(contents(context, &release).await?.manifest.protect.logical_ids)
    }

    /// Writes the deployment.
    pub async fn save<C: StackContext>(&mut self, context: &C, record: Deployment) -> Result<(), Failure> {
        // Re-running a step that is done writes nothing.
        if record != self.deployment.record {
            self.deployment = context.ledger().replace(&self.deployment, record).await?;
        }
        Ok(())
    }

    /// Writes the deployment and its environment, both or neither. What is loaded is out of date afterwards.
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

    /// Whether it is to delete its stack for good.
    pub fn is_teardown(&self) -> bool {
        matches!(self.deployment.record.kind, DeploymentKind::Teardown { .. })
    }

    /// Refuses to begin anything for a deployment that a person stopped.
    pub fn goes_on(&self) -> Result<(), Failure> {
        match &self.deployment.record.cancellation {
            None => Ok(()),
            Some(wish) => {
                Err(Failure::new(FailureKind::Cancelled, format!("{} stopped it: {}", wish.by, wish.reason)))
            }
        }
    }

    /// What a person allowed it to do with its stack.
    pub fn allowed(&self, now: Timestamp) -> Vec<Proposal> {
        approval::allowed(&self.deployment.record, now)
    }

    /// The names that this deployment gives to its change sets, the first attempt's first.
    pub fn change_set_names(&self) -> Vec<String> {
        (1..=CHANGE_SETS_MAX).map(|attempt| client_token(self.id().as_str(), "change-set", attempt)).collect()
    }
}

/// A session's name.
pub fn session(id: &DeploymentId) -> String {
    format!("lockstep-{id}")
}

fn superseded(id: &DeploymentId, why: &str) -> Failure {
    Failure::new(FailureKind::Superseded, format!("the deployment {id} must stop: {why}"))
}

/// The artifact of `release`, opened; one with another digest is refused.
pub async fn contents<C: StackContext>(context: &C, release: &Release) -> Result<Contents, Failure> {
    packaging::open_release(release, &context.artifact(&release.artifact).await?)
}

/// Returns the ARN of the role that CloudFormation acts as at `location`.
pub fn execution_role(context: &impl TargetRoles, location: &Location) -> String {
    context.role_arn(TargetRole::Execution, &location.account)
}

/// The stage called `name`.
pub fn stage<'a>(
    stages: &'a Stages,
    name: &lockstep_domain::model::ids::StageName,
) -> Result<&'a Stage, Failure> {
    stages.get(name).ok_or_else(|| Failure::not_found(format!("there is no stage `{name}` any more")))
}

/// The stack of the environment `name` in `stage`.
pub fn stack_name(stage: &Stage, name: &str) -> Result<StackName, Failure> {
    format!("{}-{name}", stage.name)
        .parse()
        .map_err(|error: lockstep_domain::model::ids::InvalidId| Failure::rejected(error.to_string()))
}
