//! The deployment of an execution that waits in the queue of its environment.

use super::scope::{Scope, scope};
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::views::why;
use lockstep_aws::operator::executions::Execution;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::delivery::start::promoted_execution;
use lockstep_domain::delivery::{environment, gate};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::records::{Deployment, DeploymentState, Environment, QueuedDeployment};
use serde::Deserialize;

/// A deployment that waits until its environment is free.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The environment.
    pub environment: Environment,
    /// The deployment that waits.
    pub queued: QueuedDeployment,
    /// The deployment that holds the environment, if one does.
    pub holder: Option<Deployment>,
}

impl Behind {
    /// Returns the holder if it waits for an answer.
    pub fn asking(&self) -> Option<&Deployment> {
        self.holder.as_ref().filter(|holder| holder.state == DeploymentState::AwaitingApproval)
    }

    /// Returns the sentence about the wait: what waits, and for what.
    pub fn sentence(&self) -> String {
        let Environment { component, stage, .. } = &self.environment;
        let (version, id) = (&self.queued.version, self.queued.deployment.short());
        let subject = format!("{component} {version} ({id}) waits for its turn in {stage}");
        if let (Some(hold), Some(_)) = (&self.environment.hold, self.queued.pushed) {
            let reason = &hold.reason;
            return format!(
                "{subject}, which pushes wait for ({reason}): lockstep resume {component} --in {stage}"
            );
        }
        match (self.asking(), &self.holder) {
            (Some(asking), _) => format!("{subject}, behind the open question of {}", why::title(asking)),
            (None, Some(holder)) => {
                format!("{subject}, behind {} ({})", why::title(holder), holder.id.short())
            }
            (None, None) => subject,
        }
    }
}

/// Returns the first deployment of an execution that waits in the queue of its environment.
pub async fn queued(plane: &ControlPlane, execution: &Execution) -> Result<Option<Behind>, Failure> {
    for (stage, name, deploys) in destinations(plane, execution).await? {
        let Some(environment) = plane.environment(&stage, &name).await? else { continue };
        let own = environment.queue.iter().find(|queued| name_of(&queued.execution) == deploys);
        let Some(queued) = own.cloned() else { continue };
        let holder = match &environment.holder {
            Some(holder) => Some(plane.deployment(&holder.deployment).await?),
            None => None,
        };
        return Ok(Some(Behind { environment, queued, holder }));
    }
    Ok(None)
}

/// Returns the name of an execution, which is the last part of its ARN.
fn name_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or_default()
}

/// Returns the stage and the environment of each deployment that an execution may make, and the name of the execution that
/// deploys there.
async fn destinations(
    plane: &ControlPlane,
    execution: &Execution,
) -> Result<Vec<(StageName, String, String)>, Failure> {
    Ok(match scope(execution) {
        Scope::Promotion(component, _, stage) => {
            vec![(stage, component.to_string(), promoted_execution(&execution.arn))]
        }
        Scope::Deployment(..) | Scope::One(_) => own_place(execution).into_iter().collect(),
        Scope::Release => {
            let stages = plane.stages().await?;
            let releases = plane.releases(None).await?.into_iter();
            let own = releases.filter(|release| release.execution == execution.arn);
            own.flat_map(|release| {
                let reached = stages.iter().filter(|stage| stage.path() == DeploymentPath::Delivery);
                let component = release.component;
                let deploys = |stage: &Stage| gate::deploy_execution(&execution.arn, &stage.name, &component);
                let places = reached.map(|stage| (stage.name.clone(), component.to_string(), deploys(stage)));
                places.collect::<Vec<_>>()
            })
            .collect()
        }
        Scope::Bake | Scope::Build(..) => Vec::new(),
    })
}

/// The environment that a deployment or a teardown asks for.
#[derive(Deserialize)]
struct Wanted {
    component: ComponentName,
    stage: StageName,
    environment: Option<String>,
}

/// Returns the place of a deployment or a teardown itself, as [`destinations`]; `None` for another execution.
fn own_place(execution: &Execution) -> Option<(StageName, String, String)> {
    let wanted: Wanted = serde_json::from_value(execution.input.clone()).ok()?;
    let name = environment::name(&wanted.component, wanted.environment.as_deref()).ok()?;
    Some((wanted.stage, name, name_of(&execution.arn).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployment, environment};
    use lockstep_domain::delivery::queue::entry;

    #[test]
    fn a_wait_names_what_it_waits_for() {
        let asking = Deployment { state: DeploymentState::AwaitingApproval, ..deployment() };
        let queued = entry(&deployment(), None, at(1));
        let mut behind =
            Behind { environment: environment("production", "logs"), queued, holder: Some(asking) };
        let sentence = behind.sentence();
        assert!(
            sentence.starts_with(
                "logs 2.1.3 (3fad57ee) waits for its turn in production, behind the open question"
            )
        );
        behind.holder = Some(deployment());
        assert!(
            behind.asking().is_none() && behind.sentence().contains(&deployment().id.short().to_string())
        );
        behind.holder = None;
        assert_eq!(behind.sentence(), "logs 2.1.3 (3fad57ee) waits for its turn in production");
    }
}
