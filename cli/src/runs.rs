//! Starts executions for an operator: chooses the state machine and its input.
//!
//! An operator can also type these inputs (docs/operations.md). Each execution has a name of its own, so that an operator can
//! start the same run again.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::messages::inputs;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, DeploymentKind, WebhookDelivery};
use lockstep_platform::executions::{Executions, Started};
use lockstep_platform::operator::control_plane::StateMachines;
use serde_json::Value;
use strum::IntoStaticStr;

/// A state machine with its input.
#[derive(Clone, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Run {
    /// `release`.
    Release(inputs::Release),
    /// `promote`.
    Promote(inputs::Promote),
    /// `promote-image`.
    PromoteImage(inputs::PromoteImage),
    /// `bake-image`.
    BakeImage(inputs::BakeImage),
    /// `build-image` of a path.
    BuildImage(DeploymentPath, inputs::BuildImage),
    /// `deploy` of a path.
    Deploy(DeploymentPath, inputs::Deploy),
    /// `teardown` of a path.
    Teardown(DeploymentPath, inputs::Teardown),
}

impl Run {
    /// Returns the run that brings a release to a stage: `deploy` on the delivery path, `promote` on the promotion path.
    pub fn bring(component: ComponentName, version: Version, stage: &Stage) -> Self {
        match stage.path() {
            DeploymentPath::Delivery => Self::Deploy(
                DeploymentPath::Delivery,
                inputs::Deploy::new(component, version, stage.name.clone()),
            ),
            DeploymentPath::Promotion => Self::Promote(inputs::Promote {
                component,
                version,
                to: stage.name.clone(),
                revert_drift: false,
            }),
        }
    }

    /// Returns the run that repeats a deployment, or `None` for a record without the component that a deployment needs.
    pub fn again(deployment: &Deployment) -> Option<Self> {
        let version = deployment.version.clone();
        let stage = deployment.stage.clone();
        let other_name = |environment: &str, component: &ComponentName| {
            (environment != component.as_str()).then(|| environment.to_owned())
        };
        match (&deployment.kind, &deployment.component) {
            (DeploymentKind::Deploy { environment, .. }, Some(component)) => {
                let input = inputs::Deploy {
                    environment: other_name(environment, component),
                    parameters_of: deployment.parameters_of.clone(),
                    overrides: deployment.overrides.clone(),
                    plan_only: deployment.plan_only,
                    revert_drift: deployment.revert_drift,
                    ..inputs::Deploy::new(component.clone(), version, stage)
                };
                Some(Self::on_path(deployment.path, input))
            }
            (DeploymentKind::Teardown { environment, .. }, Some(component)) => Some(Self::Teardown(
                deployment.path,
                inputs::Teardown {
                    component: component.clone(),
                    stage,
                    environment: other_name(environment, component),
                },
            )),
            (DeploymentKind::PromoteImage { image, .. }, _) => {
                Some(Self::PromoteImage(inputs::PromoteImage { image: image.clone(), version, to: stage }))
            }
            (DeploymentKind::BuildImage { image }, _) => Some(Self::BuildImage(
                deployment.path,
                inputs::BuildImage { image: image.clone(), version, stage },
            )),
            (DeploymentKind::Deploy { .. } | DeploymentKind::Teardown { .. }, None) => None,
        }
    }

    /// Returns the run for the input of a deployment. A plain release needs `promote` on the promotion path, because only
    /// that copies its images.
    fn on_path(path: DeploymentPath, input: inputs::Deploy) -> Self {
        let plain = inputs::Deploy {
            revert_drift: input.revert_drift,
            ..inputs::Deploy::new(input.component.clone(), input.version.clone(), input.stage.clone())
        };
        match path {
            DeploymentPath::Promotion if plain == input => Self::Promote(inputs::Promote {
                component: input.component,
                version: input.version,
                to: input.stage,
                revert_drift: input.revert_drift,
            }),
            DeploymentPath::Promotion | DeploymentPath::Delivery => Self::Deploy(path, input),
        }
    }

    /// Returns the run that repeats the release of a webhook delivery.
    pub fn redeliver(event: &WebhookDelivery) -> Self {
        Self::Release(inputs::Release {
            repository: event.repository.clone(),
            reference: event.reference.clone(),
            commit: event.commit.clone(),
            delivery: Some(event.delivery.clone()),
        })
    }

    /// Returns the ARN of the state machine.
    pub fn machine<'a>(&self, machines: &'a StateMachines) -> &'a str {
        match self {
            Self::Release(_) => &machines.release,
            Self::Promote(_) => &machines.promote,
            Self::PromoteImage(_) => &machines.promote_image,
            Self::BakeImage(_) => &machines.bake_image,
            Self::BuildImage(DeploymentPath::Delivery, _) => &machines.delivery_build_image,
            Self::BuildImage(DeploymentPath::Promotion, _) => &machines.promotion_build_image,
            Self::Deploy(DeploymentPath::Delivery, _) => &machines.delivery_deploy,
            Self::Deploy(DeploymentPath::Promotion, _) => &machines.promotion_deploy,
            Self::Teardown(DeploymentPath::Delivery, _) => &machines.delivery_teardown,
            Self::Teardown(DeploymentPath::Promotion, _) => &machines.promotion_teardown,
        }
    }

    /// Returns the state machine's input.
    pub fn input(&self) -> Result<Value, Failure> {
        match self {
            Self::Release(input) => serde_json::to_value(input),
            Self::Promote(input) => serde_json::to_value(input),
            Self::PromoteImage(input) => serde_json::to_value(input),
            Self::BakeImage(input) => serde_json::to_value(input),
            Self::BuildImage(_, input) => serde_json::to_value(input),
            Self::Deploy(_, input) => serde_json::to_value(input),
            Self::Teardown(_, input) => serde_json::to_value(input),
        }
        .map_err(|error| Failure::new(error.to_string()))
    }

    /// Returns the first part of the execution's name, for lists of executions.
    fn word(&self) -> &'static str {
        match self {
            Self::Deploy(_, input) if input.plan_only => "plan",
            run => run.into(),
        }
    }
}

/// Starts a run. Returns the execution's ARN.
pub async fn start(plane: &ControlPlane, run: &Run) -> Result<String, Failure> {
    let name = format!("{}-{}", run.word(), uuid::Uuid::new_v4());
    let machine = run.machine(&plane.found.state_machines);
    match Executions::new(plane.aws()).start(machine, &name, &run.input()?).await? {
        Started::New(execution) => Ok(execution),
        Started::Exists => {
            Err(Failure::new(format!("an execution called {name} exists")).next("run the command again"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::delivery::stages::Stages;
    use lockstep_domain::model::ids::DeploymentId;
    use lockstep_domain::model::location::Location;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn stage(name: &str) -> Stage {
        let stages = Stages::parse("stages.toml", lockstep_domain::delivery::stages::EXAMPLE).unwrap();
        stages.get(&name.parse().unwrap()).unwrap().clone()
    }

    fn deployment(kind: DeploymentKind, stage: &Stage) -> Deployment {
        Deployment {
            component: Some("logs".parse().unwrap()),
            ..Deployment::new(
                DeploymentId::of_execution("arn:x"),
                kind,
                "arn:x",
                "2.1.0".parse().unwrap(),
                stage.name.clone(),
                stage.location(),
                stage.path(),
                jiff::Timestamp::UNIX_EPOCH,
            )
        }
    }

    fn deploy(environment: &str, stage: &Stage) -> Deployment {
        let stack = format!("{}-{environment}", stage.name).parse().unwrap();
        deployment(DeploymentKind::Deploy { environment: environment.into(), stack }, stage)
    }

    fn input(run: &Run) -> Value {
        run.input().unwrap()
    }

    #[test]
    fn a_release_reaches_a_stage_by_the_machine_of_its_path() {
        let bring = |to: &str| Run::bring("logs".parse().unwrap(), "2.1.0".parse().unwrap(), &stage(to));
        assert_eq!(input(&bring("ci")), json!({"component": "logs", "version": "2.1.0", "stage": "ci"}));
        assert!(matches!(bring("ci"), Run::Deploy(DeploymentPath::Delivery, _)));
        let to_production = json!({"component": "logs", "version": "2.1.0", "to": "production"});
        assert_eq!(input(&bring("production")), to_production);
    }

    #[test]
    fn a_repeated_deployment_has_the_same_input() {
        let plain = Run::again(&deploy("logs", &stage("ci"))).unwrap();
        assert_eq!(input(&plain), json!({"component": "logs", "version": "2.1.0", "stage": "ci"}));
        let clone = Deployment {
            parameters_of: Some("production".parse().unwrap()),
            overrides: BTreeMap::from([("MaxSize".to_owned(), "9".to_owned())]),
            plan_only: true,
            revert_drift: true,
            ..deploy("logs-2", &stage("ci"))
        };
        let expected = json!({
            "component": "logs", "version": "2.1.0", "stage": "ci", "environment": "logs-2",
            "parameters_of": "production", "overrides": {"MaxSize": "9"}, "plan_only": true,
            "revert_drift": true,
        });
        assert_eq!(input(&Run::again(&clone).unwrap()), expected);
    }

    #[test]
    fn a_promotion_is_repeated_by_promote_and_a_clone_by_deploy() {
        let production = stage("production");
        let promoted = Run::again(&deploy("logs", &production)).unwrap();
        assert!(matches!(promoted, Run::Promote(_)), "{promoted:?}");
        let reverting = Deployment { revert_drift: true, ..deploy("logs", &production) };
        let expected =
            json!({"component": "logs", "version": "2.1.0", "to": "production", "revert_drift": true});
        assert_eq!(input(&Run::again(&reverting).unwrap()), expected);
        let clone = Run::again(&deploy("logs-2", &production)).unwrap();
        assert!(matches!(clone, Run::Deploy(DeploymentPath::Promotion, _)), "{clone:?}");
    }

    #[test]
    fn a_repeated_teardown_has_the_same_environment() {
        let kind = |environment: &str| DeploymentKind::Teardown {
            environment: environment.into(),
            stack: "ci-logs".parse().unwrap(),
        };
        let own = Run::again(&deployment(kind("logs"), &stage("ci"))).unwrap();
        assert_eq!(input(&own), json!({"component": "logs", "stage": "ci"}));
        let clone = Run::again(&deployment(kind("logs-2"), &stage("ci"))).unwrap();
        assert_eq!(input(&clone)["environment"], "logs-2");
    }

    #[test]
    fn a_promotion_of_an_image_is_repeated() {
        let production = stage("production");
        let source = Location { account: production.account.clone(), region: production.region.clone() };
        let kind = DeploymentKind::PromoteImage { image: "logstash".parse().unwrap(), source };
        let run = Run::again(&Deployment { component: None, ..deployment(kind, &production) }).unwrap();
        assert_eq!(input(&run), json!({"image": "logstash", "version": "2.1.0", "to": "production"}));
    }

    #[test]
    fn each_path_has_its_own_machines() {
        let machines = StateMachines {
            release: "release".into(),
            promote: "promote".into(),
            promote_image: "promote-image".into(),
            bake_image: "bake-image".into(),
            delivery_build_image: "delivery-build-image".into(),
            promotion_build_image: "promotion-build-image".into(),
            delivery_deploy: "delivery-deploy".into(),
            promotion_deploy: "promotion-deploy".into(),
            delivery_teardown: "delivery-teardown".into(),
            promotion_teardown: "promotion-teardown".into(),
        };
        let input = inputs::Teardown {
            component: "logs".parse().unwrap(),
            stage: "ci".parse().unwrap(),
            environment: None,
        };
        for (path, machine) in [
            (DeploymentPath::Delivery, "delivery-teardown"),
            (DeploymentPath::Promotion, "promotion-teardown"),
        ] {
            assert_eq!(Run::Teardown(path, input.clone()).machine(&machines), machine);
        }
        let input =
            inputs::Deploy::new("logs".parse().unwrap(), "2.1.0".parse().unwrap(), "ci".parse().unwrap());
        for (path, machine) in
            [(DeploymentPath::Delivery, "delivery-deploy"), (DeploymentPath::Promotion, "promotion-deploy")]
        {
            assert_eq!(Run::Deploy(path, input.clone()).machine(&machines), machine);
        }
    }
}
