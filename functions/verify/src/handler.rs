//! Loads the checks of a deployment, looks at each of them, and reports the result.
//!
//! The function looks for some seconds when it is invoked first, and once in each later invocation. Its state invokes it
//! again until all checks pass at the same time, or one of them has failed.

use crate::context::VerifyContext;
use crate::judge::{self, Ask, Looked, Next, Step, Unmet};
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::future::join_all;
use jiff::Timestamp;
use lockstep_aws::probe::Get;
use lockstep_aws::scope;
use lockstep_domain::delivery::checks::{Admission, Check};
use lockstep_domain::messages::verify::{Request, Response};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, Release};
use lockstep_runtime::deployment_log;
use lockstep_runtime::releases;
use lockstep_runtime::stages::stages;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// First pause between two looks at a peer.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// Longest pause between two looks at a peer within an invocation.
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// Time for which the first invocation looks again: most stacks are ready within it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Looks at the checks of a deployment's release concurrently and writes the results to the deployment log.
///
/// # Errors
/// `CheckFailed` with every failed check; `ChecksPending` if none failed and one has not passed yet; `Superseded` if the
/// deployment no longer runs. A retryable failure of AWS if it lasts until the deadline of a check.
pub async fn handle(context: &impl VerifyContext, request: &Request) -> Result<Response, Failure> {
    let deployment = load_deployment(context, &request.deployment).await?;
    let deploy = judge::running(&deployment)?;
    let release = load_release(context, &deploy.stack.component, &deployment.version).await?;
    let artifact = context.artifact(&release.artifact).await?;
    let admission = admission(context, &deployment.stage).await?;
    let checks = judge::checks(&release, &deploy.digest, &artifact)?;
    let question = judge::question(&deployment, deploy);
    let run = Run {
        context,
        deployment: &deployment,
        outputs: &deploy.outputs,
        question,
        admission,
        since: request.since,
        looks_until: context.elapsed() + if request.retry == 0 { PATIENCE } else { Duration::ZERO },
    };
    let results = join_all(checks.iter().map(|check| run.check(check))).await;
    let results = results.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let looked: Vec<(Check, Looked)> = checks.into_iter().zip(results).collect();
    if let Some((note, pending)) = judge::pending(&looked, request.since) {
        // One line says what is asked until when; the retries do not repeat it.
        if request.retry == 0 {
            deployment_log::append(context.ledger(), &deployment.id, &note, context.now()).await?;
        }
        return Err(pending);
    }
    let judged = judge::judged(looked);
    deployment_log::append(context.ledger(), &deployment.id, &judge::note(&judged), context.now()).await?;
    judge::verdict(&deployment.id, &deploy.stack.name, &judged)
}

async fn load_deployment(context: &impl VerifyContext, id: &DeploymentId) -> Result<Deployment, Failure> {
    let key = Deployment::key_of(id);
    let deployment = context.ledger().expect::<Deployment>(&key, &format!("deployment {id}")).await?.record;
    scope::about(&deployment);
    Ok(deployment)
}

async fn load_release(
    context: &impl VerifyContext,
    component: &ComponentName,
    version: &Version,
) -> Result<Release, Failure> {
    Ok(releases::release(context.ledger(), component, version).await?.record)
}

/// Returns the addresses that the checks of a stage may connect to.
async fn admission(context: &impl VerifyContext, stage: &StageName) -> Result<Admission, Failure> {
    let stages = stages(context.ledger()).await?;
    // A stage that was removed allows no special address.
    let reach = stages.get(stage).map(|stage| stage.checks_may_reach.clone()).unwrap_or_default();
    Ok(Admission::new(stage.clone(), reach, context.local_endpoint()))
}

/// Common input of the checks of a deployment.
struct Run<'a, C> {
    context: &'a C,
    deployment: &'a Deployment,
    outputs: &'a BTreeMap<String, String>,
    /// Payload for the functions that checks call.
    question: Value,
    admission: Admission,
    /// Time at which all checks started.
    since: Timestamp,
    /// Time, as the context's clock measures it, until which this invocation looks again.
    looks_until: Duration,
}

impl<C: VerifyContext> Run<'_, C> {
    /// Runs one check. A retryable failure of AWS fails the run and not the check: it gives no information about the stack.
    async fn check(&self, check: &Check) -> Result<Looked, Failure> {
        let ask = match judge::begin(check, self.outputs, &self.deployment.location) {
            Step::Judged(result) => return Ok(Looked::Judged(result)),
            Step::Ask(ask) => ask,
        };
        let mut pauses = pauses();
        loop {
            let seen = self.look(&ask, ask.time_limit(self.left(check))).await;
            let pause = pauses.next().unwrap_or(PAUSE_MAX);
            let patience = self.looks_until.saturating_sub(self.context.elapsed());
            match judge::next(seen, check.deadline(), self.left(check), patience, pause) {
                Next::Looked(looked) => return Ok(looked),
                Next::Unknown(failure) => return Err(failure),
                Next::Again(pause) => self.context.sleep(pause).await,
            }
        }
    }

    /// Returns the time until the deadline of `check`.
    fn left(&self, check: &Check) -> Duration {
        let passed = Duration::try_from(self.context.now().duration_since(self.since)).unwrap_or_default();
        check.deadline().saturating_sub(passed)
    }

    async fn look(&self, ask: &Ask<'_>, time_limit: Duration) -> Result<(), Unmet> {
        match ask {
            Ask::Call(function) => {
                let called = self.context.call(self.deployment, function, &self.question, time_limit).await;
                judge::called(called, time_limit)
            }
            Ask::Get { url, wanted, matches } => {
                let get = Get { url, wanted, body: matches.is_some() };
                judge::answered(self.context.get(get, &self.admission, time_limit).await, wanted, *matches)
            }
            Ask::Connect(peer) => Ok(self.context.connect(peer, &self.admission, time_limit).await?),
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::new().with_min_delay(PAUSE_MIN).with_max_delay(PAUSE_MAX);
    pauses.with_factor(2.0).without_max_times().build()
}
