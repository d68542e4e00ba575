//! Freshness: the inputs of running consumers compared with the outputs of their producers.
//!
//! An environment records the outputs of other components that its stack runs with, its *inputs*, and its own outputs, as
//! digests. An environment whose input differs from the output of its producer in the same stage is *stale*.
//!
//! Where releases propagate without an approval, Lockstep deploys the release of a stale environment again: once for each
//! set of inputs, as a deployment of its own. Elsewhere, and while an environment has a hold, `lockstep status` shows it.

use crate::delivery::order::{self, Graph};
use crate::delivery::stages::Stage;
use crate::messages::inputs;
use crate::model::canonical::canonical_json;
use crate::model::error::{Failure, FailureKind};
use crate::model::ids::{ComponentName, DeploymentId, Digest};
use crate::model::output_name::OutputName;
use crate::model::token::client_token;
use crate::records::{Deployment, Environment, Follows};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// An input that differs from the output that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleInput {
    /// The output.
    pub input: OutputName,
    /// The deployment whose stack has the output now; `None` if the producer has no such output any more.
    pub source: Option<DeploymentId>,
}

/// Returns the inputs of `consumer` that differ from their sources. `stage` holds the environments of its stage.
pub fn stale(consumer: &Environment, stage: &[Environment]) -> Vec<StaleInput> {
    let differs = |(input, digest): (&OutputName, &Digest)| {
        let now = producer(&input.component, stage)
            .and_then(|producer| Some((producer, producer.outputs.get(input.output.as_str())?)));
        if now.is_some_and(|(_, now)| now == digest) {
            return None;
        }
        let source = now.and_then(|(producer, _)| producer.deployed.as_ref());
        Some(StaleInput { input: input.clone(), source: source.map(|deployed| deployed.deployment.clone()) })
    };
    consumer.inputs.iter().filter_map(differs).collect()
}

/// Returns the environment whose outputs others read: the one under the component's own name.
fn producer<'a>(component: &ComponentName, stage: &'a [Environment]) -> Option<&'a Environment> {
    stage
        .iter()
        .find(|environment| environment.component == *component && environment.name == component.as_str())
}

/// Returns true if Lockstep deploys consumers in `stage` again by itself: releases propagate there, and no person approves.
pub fn follows_by_itself(stage: &Stage) -> bool {
    stage.propagates && stage.approval.is_none()
}

/// Returns true if `environment` may be stale after a deployment of `ended`: it is the same, or it reads its outputs.
pub fn concerns(ended: &Environment, environment: &Environment) -> bool {
    environment.name == ended.name
        || (ended.name == ended.component.as_str()
            && environment.inputs.keys().any(|input| input.component == ended.component))
}

/// Returns the redeployment that brings the inputs of `consumer` up to date, or `None` if none is due. `revision` is that of
/// the consumer's record, and `all` holds the environments of its stage.
///
/// The deployment that holds the consumer or its producer has this asked again when it ends.
pub fn due(consumer: &Environment, revision: u64, stage: &Stage, all: &[Environment]) -> Option<Follows> {
    let deployed = consumer.deployed.as_ref()?;
    let stale = stale(consumer, all);
    let sources: Vec<DeploymentId> = stale.iter().map(|input| input.source.clone()).collect::<Option<_>>()?;
    let wanted = wanted(&deployed.deployment, consumer, all)?;
    let is_own = consumer.name == consumer.component.as_str();
    let is_settled = |input: &StaleInput| {
        producer(&input.input.component, all).is_some_and(|producer| producer.holder.is_none())
    };
    let is_due = follows_by_itself(stage)
        && is_own
        && is_idle(consumer)
        && stale.iter().all(is_settled)
        && consumer.followed.as_ref() != Some(&wanted)
        && order::cycle(&graph(all), &consumer.component).is_none();
    let producer = sources.into_iter().next().filter(|_| is_due)?;
    Some(Follows { producer, replaces: deployed.deployment.clone(), inputs: wanted, revision })
}

/// Returns true if no deployment holds the environment or waits for it, and it has no hold.
fn is_idle(environment: &Environment) -> bool {
    environment.holder.is_none() && environment.queue.is_empty() && environment.hold.is_none()
}

/// Returns the digest of what a redeployment would bring: the present outputs, in place of what `replaced` brought.
fn wanted(replaced: &DeploymentId, consumer: &Environment, all: &[Environment]) -> Option<Digest> {
    let now = |input: &OutputName| {
        let digest = producer(&input.component, all)?.outputs.get(input.output.as_str())?;
        Some((input.to_string(), digest.clone()))
    };
    let inputs: BTreeMap<String, Digest> = consumer.inputs.keys().map(now).collect::<Option<_>>()?;
    Some(Digest::of(canonical_json(json!({ "replaces": replaced, "inputs": inputs })).as_bytes()))
}

/// Returns the producers of each component of a stage, as the running stacks read them.
fn graph(stage: &[Environment]) -> Graph {
    let own = stage.iter().filter(|environment| environment.name == environment.component.as_str());
    own.map(|environment| {
        let producers: BTreeSet<ComponentName> =
            environment.inputs.keys().map(|input| input.component.clone()).collect();
        (environment.component.clone(), producers)
    })
    .collect()
}

/// Returns the input of the redeployment of `consumer`.
///
/// # Errors
/// `Bug` if no release runs there.
pub fn input(consumer: &Environment, follows: Follows) -> Result<inputs::Deploy, Failure> {
    let deployed = consumer.deployed.as_ref().ok_or_else(|| {
        Failure::bug(format!("environment {} of stage {} runs no release", consumer.name, consumer.stage))
    })?;
    let (component, stage) = (consumer.component.clone(), consumer.stage.clone());
    Ok(inputs::Deploy {
        follows: Some(follows),
        ..inputs::Deploy::new(component, deployed.version.clone(), stage)
    })
}

/// Returns the name of the execution that makes the redeployment. Two observers of one state make the same name.
pub fn execution(component: &ComponentName, follows: &Follows) -> String {
    let Follows { producer, replaces, inputs, revision } = follows;
    client_token(replaces.as_str(), &format!("follow/{component}/{producer}/{inputs}/{revision}"), 1)
}

/// Returns the redeployment of `input`, if its execution has the name of one.
///
/// # Errors
/// `Rejected` for another name, and for a redeployment that is not plain.
pub fn of_execution(execution_arn: &str, input: &inputs::Deploy) -> Result<Option<Follows>, Failure> {
    let Some(follows) = &input.follows else { return Ok(None) };
    let plain = inputs::Deploy {
        follows: Some(follows.clone()),
        ..inputs::Deploy::new(input.component.clone(), input.version.clone(), input.stage.clone())
    };
    let name = execution(&input.component, follows);
    if *input == plain && execution_arn.rsplit(':').next() == Some(name.as_str()) {
        return Ok(Some(follows.clone()));
    }
    Err(Failure::rejected(
        "only Lockstep deploys a release again because its inputs changed; leave `follows` out of the input",
    ))
}

/// Checks that the redeployment `wanted` is still due in its environment: nothing happened there since it was asked for.
///
/// # Errors
/// `Superseded`, with the reason.
pub fn ensure_due(environment: Option<&Environment>, wanted: &Deployment) -> Result<(), Failure> {
    let Some(follows) = wanted.deploy().and_then(|deploy| deploy.follows.as_ref()) else { return Ok(()) };
    let runs = environment.and_then(|environment| environment.deployed.as_ref());
    let why = match environment {
        Some(environment) if !is_idle(environment) => "another deployment comes first, or a hold is set",
        Some(environment) if environment.followed.as_ref() == Some(&follows.inputs) => {
            "a deployment brought these inputs already"
        }
        Some(_) if runs.is_some_and(|runs| runs.deployment == follows.replaces) => return Ok(()),
        Some(_) | None => "another deployment was made there",
    };
    Err(Failure::new(
        FailureKind::Superseded,
        format!("{} in {} is not deployed again for its inputs: {why}", wanted.version, wanted.stage),
    ))
}

#[cfg(test)]
mod tests;
