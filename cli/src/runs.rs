//! Starts executions for an operator: chooses the state machine and its input.
//!
//! A run that may ask for an approval starts through the operators' function, which records its caller as the starter. An
//! operator can also type these inputs (docs/operations.md); the starter is then unknown. Each execution has a name of its
//! own, so that an operator can start the same run again.

use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use lockstep_aws::executions::{Executions, Started};
use lockstep_aws::operator::control_plane::StateMachines;
use lockstep_domain::delivery::stages::Stage;
use lockstep_domain::messages::operator::{Request, StartedRun};
use lockstep_domain::messages::{inputs, run};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::ComponentName;
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, DeploymentBody, StackRun, WebhookDelivery};
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
    /// `drift` of a path.
    Drift(DeploymentPath, inputs::Drift),
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

    /// Returns the run that repeats a deployment. `None` for a publication, which no state machine runs.
    pub fn again(deployment: &Deployment) -> Option<Self> {
        let path = deployment.path;
        let (version, stage) = (deployment.version.clone(), deployment.stage.clone());
        let other_name = |stack: &StackRun| {
            (stack.environment != stack.component.as_str()).then(|| stack.environment.clone())
        };
        Some(match &deployment.body {
            DeploymentBody::Deploy(deploy) => {
                let input = inputs::Deploy {
                    environment: other_name(&deploy.stack),
                    parameters_of: deploy.parameters_of.clone(),
                    overrides: deploy.overrides.clone(),
                    plan_only: deploy.plan_only,
                    revert_drift: deploy.revert_drift,
                    ..inputs::Deploy::new(deploy.stack.component.clone(), version, stage)
                };
                Self::on_path(path, input)
            }
            DeploymentBody::Teardown(teardown) => {
                let environment = other_name(&teardown.stack);
                let component = teardown.stack.component.clone();
                Self::Teardown(path, inputs::Teardown { component, stage, environment })
            }
            DeploymentBody::PromoteImage(promotion) => {
                let image = promotion.image.clone();
                Self::PromoteImage(inputs::PromoteImage { image, version, to: stage })
            }
            DeploymentBody::BuildImage(build) => {
                Self::BuildImage(path, inputs::BuildImage { image: build.image.clone(), version, stage })
            }
            DeploymentBody::PublishImage(_) => return None,
        })
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
            Self::Drift(DeploymentPath::Delivery, _) => &machines.delivery_drift,
            Self::Drift(DeploymentPath::Promotion, _) => &machines.promotion_drift,
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
            Self::Drift(_, input) => serde_json::to_value(input),
        }
        .map_err(at("the input of the execution"))
    }

    /// Returns the run as the operators' function starts it; `None` for a run that asks for no approval.
    fn with_starter(&self) -> Option<run::Run> {
        use DeploymentPath::{Delivery, Promotion};
        match self {
            Self::Promote(input) => Some(run::Run::Promote(input.clone())),
            Self::Deploy(Delivery, input) => Some(run::Run::DeliveryDeploy(input.clone())),
            Self::Deploy(Promotion, input) => Some(run::Run::PromotionDeploy(input.clone())),
            Self::Teardown(Delivery, input) => Some(run::Run::DeliveryTeardown(input.clone())),
            Self::Teardown(Promotion, input) => Some(run::Run::PromotionTeardown(input.clone())),
            Self::Release(_)
            | Self::PromoteImage(_)
            | Self::BakeImage(_)
            | Self::BuildImage(..)
            | Self::Drift(..) => None,
        }
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
    if let Some(run) = run.with_starter() {
        return Ok(plane.ask_for::<StartedRun>(&Request::Start { name, run }).await?.execution);
    }
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
    use lockstep_domain::model::ids::{DeploymentId, Digest};
    use lockstep_domain::model::location::Location;
    use lockstep_domain::records::{DeployBody, DeploymentStart, PromoteImageBody, TeardownBody};
    use serde_json::json;
    use std::collections::BTreeMap;

    fn stage(name: &str) -> Stage {
        let stages = Stages::parse("stages.toml", lockstep_domain::delivery::stages::EXAMPLE).unwrap();
        stages.get(&name.parse().unwrap()).unwrap().clone()
    }

    fn deployment(body: impl Into<DeploymentBody>, stage: &Stage) -> Deployment {
        let start = DeploymentStart {
            id: DeploymentId::of_execution("arn:x"),
            execution: "arn:x".into(),
            version: "2.1.0".parse().unwrap(),
            stage: stage.name.clone(),
            location: stage.location(),
            path: stage.path(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        Deployment::new(start, body)
    }

    fn stack(environment: &str, stage: &Stage) -> StackRun {
        let name = format!("{}-{environment}", stage.name).parse().unwrap();
        StackRun::new("logs".parse().unwrap(), environment.into(), name)
    }

    fn body(environment: &str, stage: &Stage) -> DeployBody {
        let repository = "github.acme.logs".parse().unwrap();
        DeployBody::new(stack(environment, stage), Digest::of(b"d"), Digest::of(b"t"), repository)
    }

    fn deploy(environment: &str, stage: &Stage) -> Deployment {
        deployment(body(environment, stage), stage)
    }

    fn input(run: &Run) -> Value {
        run.input().unwrap()
    }

    fn again(deployment: &Deployment) -> Run {
        Run::again(deployment).unwrap()
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
        let plain = again(&deploy("logs", &stage("ci")));
        assert_eq!(input(&plain), json!({"component": "logs", "version": "2.1.0", "stage": "ci"}));
        let clone = DeployBody {
            parameters_of: Some("production".parse().unwrap()),
            overrides: BTreeMap::from([("MaxSize".to_owned(), "9".to_owned())]),
            plan_only: true,
            revert_drift: true,
            ..body("logs-2", &stage("ci"))
        };
        let expected = json!({
            "component": "logs", "version": "2.1.0", "stage": "ci", "environment": "logs-2",
            "parameters_of": "production", "overrides": {"MaxSize": "9"}, "plan_only": true,
            "revert_drift": true,
        });
        assert_eq!(input(&again(&deployment(clone, &stage("ci")))), expected);
    }

    #[test]
    fn a_promotion_is_repeated_by_promote_and_a_clone_by_deploy() {
        let production = stage("production");
        let promoted = again(&deploy("logs", &production));
        assert!(matches!(promoted, Run::Promote(_)), "{promoted:?}");
        let reverting = DeployBody { revert_drift: true, ..body("logs", &production) };
        let expected =
            json!({"component": "logs", "version": "2.1.0", "to": "production", "revert_drift": true});
        assert_eq!(input(&again(&deployment(reverting, &production))), expected);
        let clone = again(&deploy("logs-2", &production));
        assert!(matches!(clone, Run::Deploy(DeploymentPath::Promotion, _)), "{clone:?}");
    }

    #[test]
    fn a_repeated_teardown_has_the_same_environment() {
        let ci = stage("ci");
        let again = |environment: &str| {
            let body = TeardownBody { stack: stack(environment, &ci), digest: None };
            again(&deployment(body, &ci))
        };
        let own = again("logs");
        assert_eq!(input(&own), json!({"component": "logs", "stage": "ci"}));
        let clone = again("logs-2");
        assert_eq!(input(&clone)["environment"], "logs-2");
    }

    #[test]
    fn a_promotion_of_an_image_is_repeated() {
        let production = stage("production");
        let source = Location { account: production.account.clone(), region: production.region.clone() };
        let body = PromoteImageBody { image: "logstash".parse().unwrap(), source, plan: None };
        let run = again(&deployment(body, &production));
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
            delivery_drift: "delivery-drift".into(),
            promotion_drift: "promotion-drift".into(),
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

    #[test]
    fn a_run_that_may_ask_starts_through_the_operators_function() {
        let bring = |to: &str| Run::bring("logs".parse().unwrap(), "2.1.0".parse().unwrap(), &stage(to));
        let teardown = |path| {
            let (component, stage) = ("logs".parse().unwrap(), "ci".parse().unwrap());
            Run::Teardown(path, inputs::Teardown { component, stage, environment: None })
        };
        let clone = |path| {
            let deploy =
                inputs::Deploy::new("logs".parse().unwrap(), "2.1.0".parse().unwrap(), "ci".parse().unwrap());
            Run::Deploy(path, deploy)
        };
        for (run, machine) in [
            (bring("production"), "promote"),
            (bring("ci"), "delivery-deploy"),
            (clone(DeploymentPath::Promotion), "promotion-deploy"),
            (teardown(DeploymentPath::Delivery), "delivery-teardown"),
            (teardown(DeploymentPath::Promotion), "promotion-teardown"),
        ] {
            let started = run.with_starter().unwrap();
            assert_eq!(started.machine(), machine);
            assert_eq!(started.input().unwrap(), input(&run));
        }
        let image = inputs::PromoteImage {
            image: "logstash".parse().unwrap(),
            version: "2.1.0".parse().unwrap(),
            to: "production".parse().unwrap(),
        };
        assert_eq!(Run::PromoteImage(image).with_starter(), None);
    }
}
