//! The inputs of running stacks that differ from the outputs of their producers, with both values.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::views::status::{Now, StaleValue};
use lockstep_domain::delivery::freshness::{StaleInput, stale};
use lockstep_domain::records::{Deployment, Environment};

/// Returns each stale environment of `environments`, which holds those of every stage, with its inputs.
pub async fn read(
    plane: &ControlPlane,
    environments: &[Environment],
) -> Result<Vec<(Environment, Vec<StaleValue>)>, Failure> {
    let mut found = Vec::new();
    for stage in environments.chunk_by(|a, b| a.stage == b.stage) {
        for environment in stage {
            let inputs = stale(environment, stage);
            let (false, Some(deployed)) = (inputs.is_empty(), &environment.deployed) else { continue };
            let runs = plane.deployment(&deployed.deployment).await?;
            let mut values = Vec::new();
            for input in inputs {
                let source = match &input.source {
                    Some(source) => Some(plane.deployment(source).await?),
                    None => None,
                };
                values.push(value(&input, &runs, source.as_ref()));
            }
            found.push((environment.clone(), values));
        }
    }
    Ok(found)
}

/// Returns the values of an input. A hidden input hides its new value too.
fn value(input: &StaleInput, runs: &Deployment, source: Option<&Deployment>) -> StaleValue {
    let runs_with = runs
        .deploy()
        .and_then(|deploy| deploy.inputs.get(&input.input))
        .and_then(|input| input.shown.clone());
    let output = source
        .and_then(Deployment::deploy)
        .and_then(|deploy| deploy.outputs.get(input.input.output.as_str()));
    let now = match (source, output, &runs_with) {
        (None, ..) => Now::Gone,
        (Some(_), Some(output), Some(_)) => Now::Value(output.clone()),
        (Some(_), ..) => Now::Hidden,
    };
    StaleValue { input: input.input.clone(), runs_with, now }
}
