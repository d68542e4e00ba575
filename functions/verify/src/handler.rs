//! Load the deployment and its checks, judge each, report.

use crate::judge::{self, Judged, Step};
use crate::ports::Ports;
use jiff::Timestamp;
use lockstep_domain::checks::Check;
use lockstep_domain::error::{Failure, Policy};
use lockstep_domain::ids::DeploymentId;
use lockstep_domain::payloads::verify::Response;
use lockstep_domain::records::Deployment;
use serde_json::Value;
use std::time::Duration;

/// Runs every check of a deployment's release and notes the results in its journal.
///
/// # Errors
/// `CheckFailed` with every check that failed; `Superseded` if the deployment no longer runs; what AWS throttles or
/// fails at for now, so that the checks are run again.
pub async fn handle(
    ports: &impl Ports,
    deployment: &DeploymentId,
    now: impl Fn() -> Timestamp,
) -> Result<Response, Failure> {
    let deployment = ports.deployment(deployment).await?;
    let subject = judge::subject(&deployment)?;
    let release = ports.release(&subject.component, &deployment.version).await?;
    let artifact = ports.artifact(&release.artifact).await?;
    let checks = judge::checks(&release, &subject.digest, &artifact)?;
    let functions = checks.iter().filter(|check| matches!(check, Check::Lambda { .. })).count();
    let (question, patience) = (judge::question(&deployment, &subject), judge::patience(functions));
    let mut judged: Vec<Judged> = Vec::new();
    for check in checks {
        let result = run(ports, &deployment, &check, &question, patience).await?;
        judged.push((check, result));
    }
    ports.note(&deployment.id, judge::note(&judged), now()).await?;
    judge::verdict(&deployment.id, &subject.stack, &judged)
}

/// What came of one check. What may pass by itself fails the run instead of the check: it says nothing of the stack.
async fn run(
    ports: &impl Ports,
    deployment: &Deployment,
    check: &Check,
    question: &Value,
    patience: Duration,
) -> Result<Result<(), String>, Failure> {
    let function = match judge::begin(check, &deployment.outputs, &deployment.location) {
        Step::Judged(result) => return Ok(result),
        Step::Call(function) => function,
    };
    match ports.call(deployment, function, question, patience).await {
        Ok(called) => Ok(judge::evaluate(&called, patience)),
        Err(failure) if failure.kind.policy() == Policy::Retryable => Err(failure),
        Err(failure) => Ok(Err(failure.message)),
    }
}
