//! The starter of a deployment: the caller of the operators' function, if the deployment is the one that the caller
//! asked for.
//!
//! The function records the caller before the execution exists. Step Functions reports no starter, so the name of the
//! execution, and the input that it was given, connect a deployment with the record.

use crate::messages::inputs;
use crate::messages::run::Run;
use crate::model::error::Failure;
use crate::model::ids::DeploymentId;
use crate::model::person::{Caller, Starter};
use crate::model::token::{client_token, execution_arn, is_client_token};
use crate::records::Start;
use jiff::Timestamp;
use serde_json::json;

/// Maximum length of an execution's name.
/// <https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html>
const NAME_BYTES: usize = 80;

/// Returns the ARN of the state machine of `run`. `machines` is the beginning of the ARN of each state machine.
pub fn machine(machines: &str, run: &Run) -> String {
    format!("{machines}-{}", run.machine())
}

/// Returns the name of the execution that deploys for the execution `promote`.
pub fn promoted_execution(promote: &str) -> String {
    client_token(promote, "deploy", 1)
}

/// Returns the record of a run that `by` starts under `name`. `machines` is the beginning of the ARN of each state machine.
///
/// The error `Rejected` refuses a name that Step Functions would refuse, and one that a state machine could make.
pub fn record(machines: &str, name: &str, run: &Run, by: &Caller, now: Timestamp) -> Result<Start, Failure> {
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !letters || name.is_empty() || name.len() > NAME_BYTES || is_client_token(name) {
        return Err(Failure::rejected(
            "the name of an execution has 1 to 80 letters, digits, `-` or `_`, and not the form of a token",
        ));
    }
    Ok(Start {
        deployment: DeploymentId::of_execution(&deploying(machines, name, run)),
        name: name.to_owned(),
        machine: run.machine().to_owned(),
        input: run.input().map_err(|error| Failure::bug("an input is not JSON").caused_by(&error))?,
        by: by.clone(),
        at: now,
    })
}

/// Returns the ARN of the execution that begins the deployment.
fn deploying(machines: &str, name: &str, run: &Run) -> String {
    let started = execution_arn(&machine(machines, run), name);
    match run {
        Run::Promote(_) => {
            execution_arn(&format!("{machines}-promotion-deploy"), &promoted_execution(&started))
        }
        Run::DeliveryDeploy(_)
        | Run::PromotionDeploy(_)
        | Run::DeliveryTeardown(_)
        | Run::PromotionTeardown(_) => started,
    }
}

/// Returns true if `again` repeats the request that `known` records.
pub fn is_same(known: &Start, again: &Start) -> bool {
    *known == Start { at: known.at, ..again.clone() }
}

/// Returns the starter of a deployment with `input`; `None` if no caller asked for exactly this deployment.
pub fn of_deploy(start: Option<&Start>, input: &inputs::Deploy) -> Option<Starter> {
    let start = start?;
    (asked(start)? == *input).then(|| Starter::Caller(start.by.clone()))
}

/// Returns the starter of a teardown with `input`; unknown if no caller asked for exactly this teardown.
pub fn of_teardown(start: Option<&Start>, input: &inputs::Teardown) -> Starter {
    match start.and_then(|start| Some((run_of(start)?, &start.by))) {
        Some((Run::DeliveryTeardown(asked) | Run::PromotionTeardown(asked), by)) if asked == *input => {
            Starter::Caller(by.clone())
        }
        _ => Starter::Unknown,
    }
}

/// Returns the deployment that a caller asked for; `None` for another run.
pub fn asked(start: &Start) -> Option<inputs::Deploy> {
    match run_of(start)? {
        Run::DeliveryDeploy(asked) | Run::PromotionDeploy(asked) => Some(asked),
        Run::Promote(asked) => Some(promotes(&asked)),
        Run::DeliveryTeardown(_) | Run::PromotionTeardown(_) => None,
    }
}

/// Returns the run of a recorded start; `None` if no such run exists.
fn run_of(start: &Start) -> Option<Run> {
    serde_json::from_value(json!({"machine": start.machine, "input": start.input})).ok()
}

/// Returns the deployment that a promotion makes.
fn promotes(input: &inputs::Promote) -> inputs::Deploy {
    let inputs::Promote { component, version, to, revert_drift } = input.clone();
    inputs::Deploy { revert_drift, ..inputs::Deploy::new(component, version, to) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::person::testing::user;

    const MACHINES: &str = "arn:aws:states:eu-west-1:111111111111:stateMachine:lockstep";

    fn promotion() -> inputs::Promote {
        inputs::Promote {
            component: "logs".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            to: "production".parse().unwrap(),
            revert_drift: false,
        }
    }

    fn teardown() -> inputs::Teardown {
        let (component, stage) = ("logs".parse().unwrap(), "production".parse().unwrap());
        inputs::Teardown { component, stage, environment: None }
    }

    fn started(run: Run) -> Start {
        record(MACHINES, "run-1", &run, &user("ada"), Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_promotion_is_recorded_for_the_deployment_that_it_begins() {
        let promote = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-promote:run-1";
        let deploy = format!(
            "arn:aws:states:eu-west-1:111111111111:execution:lockstep-promotion-deploy:{}",
            promoted_execution(promote)
        );
        let start = started(Run::Promote(promotion()));
        assert_eq!(start.deployment, DeploymentId::of_execution(&deploy));
        let start = started(Run::DeliveryTeardown(teardown()));
        let own = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-teardown:run-1";
        assert_eq!(start.deployment, DeploymentId::of_execution(own));
    }

    #[test]
    fn a_name_that_a_machine_could_make_is_refused() {
        let token = client_token("e", "deploy", 1);
        let long = "x".repeat(81);
        for bad in ["", "a b", "a:b", "ä", token.as_str(), long.as_str()] {
            let refused =
                record(MACHINES, bad, &Run::Promote(promotion()), &user("ada"), Timestamp::UNIX_EPOCH);
            assert!(refused.is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_deployment_that_was_asked_for_has_the_caller_as_starter() {
        let ada = Some(Starter::Caller(user("ada")));
        let plain = promotes(&promotion());
        let start = started(Run::Promote(promotion()));
        assert_eq!(of_deploy(Some(&start), &plain), ada);
        assert_eq!(of_deploy(None, &plain), None);
        let widened =
            inputs::Deploy { overrides: [("A".to_owned(), "b".to_owned())].into(), ..plain.clone() };
        assert_eq!(of_deploy(Some(&start), &widened), None);
        let clone = started(Run::PromotionDeploy(widened.clone()));
        assert_eq!(of_deploy(Some(&clone), &widened), ada);
        assert_eq!(of_deploy(Some(&started(Run::PromotionTeardown(teardown()))), &plain), None);
    }

    #[test]
    fn only_the_teardown_that_was_asked_for_has_the_caller_as_starter() {
        let start = started(Run::PromotionTeardown(teardown()));
        assert_eq!(of_teardown(Some(&start), &teardown()), Starter::Caller(user("ada")));
        let other = inputs::Teardown { environment: Some("logs-2".into()), ..teardown() };
        assert_eq!(of_teardown(Some(&start), &other), Starter::Unknown);
        assert_eq!(of_teardown(None, &teardown()), Starter::Unknown);
        assert_eq!(of_teardown(Some(&started(Run::Promote(promotion()))), &teardown()), Starter::Unknown);
    }

    #[test]
    fn a_repeated_request_is_the_same_and_another_caller_is_not() {
        let start = started(Run::Promote(promotion()));
        let later = Start { at: Timestamp::from_second(9).unwrap(), ..start.clone() };
        assert!(is_same(&start, &later));
        assert!(!is_same(&start, &Start { by: user("grace"), ..later }));
    }
}
