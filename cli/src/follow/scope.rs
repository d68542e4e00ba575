//! The deployments that belong to an execution.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use lockstep_aws::operator::executions::Execution;
use lockstep_domain::messages::inputs;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, ImageName, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, DeploymentBody, ImageOrigin, ImageVersion};
use std::collections::BTreeSet;

/// The deployments that belong to an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// One teardown or promotion of an image.
    One(DeploymentId),
    /// One deployment to a stage, and the images it needs.
    Deployment(DeploymentId, StageName),
    /// The deployments of every release that it packaged, and of the images that it baked before.
    Release,
    /// Every build and copy of the version that it bakes.
    Bake,
    /// One build of an image.
    Build(ImageName, Version, StageName),
    /// One release on its way to one stage, and the images it needs.
    Promotion(ComponentName, Version, StageName),
}

/// Returns the deployments that an execution may have, by its state machine and its input.
pub(super) fn scope(execution: &Execution) -> Scope {
    let machine = execution.arn.rsplit(':').nth(1).unwrap_or_default();
    match machine {
        "lockstep-release" => Scope::Release,
        "lockstep-bake-image" => Scope::Bake,
        "lockstep-delivery-build-image" | "lockstep-promotion-build-image" => {
            match serde_json::from_value::<inputs::BuildImage>(execution.input.clone()) {
                Ok(input) => Scope::Build(input.image, input.version, input.stage),
                Err(_) => Scope::One(DeploymentId::of_execution(&execution.arn)),
            }
        }
        "lockstep-promote" => match serde_json::from_value::<inputs::Promote>(execution.input.clone()) {
            Ok(input) => Scope::Promotion(input.component, input.version, input.to),
            Err(_) => Scope::One(DeploymentId::of_execution(&execution.arn)),
        },
        "lockstep-delivery-deploy" | "lockstep-promotion-deploy" => {
            let id = DeploymentId::of_execution(&execution.arn);
            match serde_json::from_value::<inputs::Deploy>(execution.input.clone()) {
                Ok(input) => Scope::Deployment(id, input.stage),
                Err(_) => Scope::One(id),
            }
        }
        _ => Scope::One(DeploymentId::of_execution(&execution.arn)),
    }
}

/// Returns the deployments of an execution, in the order of their start.
pub(super) async fn deployments_of(
    plane: &ControlPlane,
    execution: &Execution,
) -> Result<Vec<Deployment>, Failure> {
    let scope = scope(execution);
    if let Scope::One(id) = &scope {
        let key = Deployment::key_of(id);
        return Ok(plane.ledger.get(&key).await?.map(|found| found.record).into_iter().collect());
    }
    let made = Products {
        packaged: match scope {
            Scope::Release => {
                let releases = plane.releases(None).await?.into_iter();
                releases.filter(|r| r.execution == execution.arn).map(|r| (r.component, r.version)).collect()
            }
            _ => BTreeSet::new(),
        },
        baked: match scope {
            Scope::Release | Scope::Bake => {
                let versions = plane.image_versions().await?.into_iter();
                versions.filter(|v| is_baked_by(v, execution)).map(|v| (v.name, v.version)).collect()
            }
            _ => BTreeSet::new(),
        },
    };
    let mut found: Vec<Deployment> = plane.deployments().await?;
    found.retain(|deployment| began_within(deployment, execution) && belongs(deployment, &scope, &made));
    found.sort_by_key(|deployment| deployment.started_at);
    // The index lags behind the table, so each record is read again from the table.
    let mut current = Vec::with_capacity(found.len());
    for deployment in found {
        current.push(plane.deployment(&deployment.id).await?);
    }
    Ok(current)
}

fn began_within(deployment: &Deployment, execution: &Execution) -> bool {
    let after = deployment.started_at >= execution.started_at;
    after && execution.ended_at.is_none_or(|ended| deployment.started_at <= ended)
}

/// The releases and image versions of an execution.
struct Products {
    packaged: BTreeSet<(ComponentName, Version)>,
    baked: BTreeSet<(ImageName, Version)>,
}

/// Returns true if the execution baked the version, or started the execution that did, for the same commit.
fn is_baked_by(version: &ImageVersion, execution: &Execution) -> bool {
    let same_commit = version.commit().is_some_and(|commit| execution.input["commit"] == commit.as_str());
    let baked = matches!(version.origin, ImageOrigin::Baked { .. });
    version.recorded_by == execution.arn || (baked && same_commit)
}

fn belongs(deployment: &Deployment, scope: &Scope, made: &Products) -> bool {
    use DeploymentBody::{BuildImage, Deploy, PromoteImage};
    let baked = |image: &ImageName| made.baked.contains(&(image.clone(), deployment.version.clone()));
    match (scope, &deployment.body) {
        (Scope::One(id), _) => deployment.id == *id,
        (Scope::Deployment(_, stage), PromoteImage(_)) => deployment.stage == *stage,
        (Scope::Deployment(id, _), _) => deployment.id == *id,
        (Scope::Bake | Scope::Release, BuildImage(build)) if baked(&build.image) => true,
        (Scope::Bake | Scope::Release, PromoteImage(promotion)) if baked(&promotion.image) => true,
        (Scope::Build(image, version, stage), BuildImage(build)) => {
            build.image == *image && deployment.version == *version && deployment.stage == *stage
        }
        (Scope::Release, PromoteImage(_)) => deployment.path == DeploymentPath::Delivery,
        (Scope::Release, Deploy(deploy)) => {
            let release = (deploy.stack.component.clone(), deployment.version.clone());
            deployment.path == DeploymentPath::Delivery && made.packaged.contains(&release)
        }
        (Scope::Promotion(component, version, to), Deploy(deploy)) => {
            deploy.stack.component == *component && deployment.version == *version && deployment.stage == *to
        }
        (Scope::Promotion(_, _, to), PromoteImage(_)) => deployment.stage == *to,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use lockstep_aws::operator::executions::Status;
    use serde_json::json;

    fn execution(machine: &str, input: serde_json::Value) -> Execution {
        Execution {
            arn: format!("arn:aws:states:eu-west-1:111111111111:execution:{machine}:x"),
            input,
            status: Status::Running,
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
        }
    }

    #[test]
    fn the_scope_of_a_promotion_is_its_release_and_stage() {
        let input = json!({"component": "logs", "version": "2.1.0", "to": "production"});
        let expected = Scope::Promotion(
            "logs".parse().unwrap(),
            "2.1.0".parse().unwrap(),
            "production".parse().unwrap(),
        );
        assert_eq!(scope(&execution("lockstep-promote", input)), expected);
    }

    #[test]
    fn the_scope_of_a_deployment_is_its_id_and_stage() {
        let input = json!({"component": "logs", "version": "2.1.0", "stage": "ci"});
        let execution = execution("lockstep-delivery-deploy", input);
        let id = DeploymentId::of_execution(&execution.arn);
        assert_eq!(scope(&execution), Scope::Deployment(id, "ci".parse().unwrap()));
    }
}
