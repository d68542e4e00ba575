//! Load the deployment and its checks, judge each, report.

use crate::judge::{self, Ask, Judged, Next, Step, Unmet};
use crate::ports::Ports;
use crate::together::together;
use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use lockstep_domain::delivery::checks::{Admission, Check};
use lockstep_domain::messages::verify::Response;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::Deployment;
use lockstep_platform::probe::Get;
use serde_json::Value;
use std::time::Duration;

/// The first pause between two looks.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Runs every check of a deployment's release, all at the same time, and notes the results in its journal.
///
/// # Errors
/// `CheckFailed` with every check that failed; `Superseded` if the deployment no longer runs; what AWS throttles or
/// fails at until the deadline of a check, so that the checks are run again.
pub async fn handle(
    ports: &impl Ports,
    deployment: &DeploymentId,
    now: impl Fn() -> Timestamp,
) -> Result<Response, Failure> {
    let deployment = ports.deployment(deployment).await?;
    let subject = judge::subject(&deployment)?;
    let release = ports.release(&subject.component, &deployment.version).await?;
    let artifact = ports.artifact(&release.artifact).await?;
    let admission = ports.admission(&deployment.stage).await?;
    let checks = judge::checks(&release, &subject.digest, &artifact)?;
    let question = judge::question(&deployment, &subject);
    let run = Run { ports, deployment: &deployment, question, admission, started: ports.elapsed() };
    let results = together(checks.iter().map(|check| run.check(check))).await;
    let results = results.into_iter().collect::<Result<Vec<_>, Failure>>()?;
    let judged: Vec<Judged> = checks.into_iter().zip(results).collect();
    ports.note(&deployment.id, judge::note(&judged), now()).await?;
    judge::verdict(&deployment.id, &subject.stack, &judged)
}

/// What every check of a deployment has in common.
struct Run<'a, P> {
    ports: &'a P,
    deployment: &'a Deployment,
    /// What functions are told.
    question: Value,
    admission: Admission,
    /// When all checks started.
    started: Duration,
}

impl<P: Ports> Run<'_, P> {
    /// What came of one check. What AWS cannot do now fails the run instead of the check: it says nothing of the stack.
    async fn check(&self, check: &Check) -> Result<Result<(), String>, Failure> {
        let ask = match judge::begin(check, &self.deployment.outputs, &self.deployment.location) {
            Step::Judged(result) => return Ok(result),
            Step::Ask(ask) => ask,
        };
        let (mut looks, mut pauses) = (0, pauses());
        loop {
            looks += 1;
            let seen = self.look(&ask, ask.patience(self.left(check))).await;
            let pause = pauses.next().unwrap_or(PAUSE_MAX);
            match judge::next(seen, looks, check.deadline(), self.left(check), pause) {
                Next::Judged(result) => return Ok(result),
                Next::Unknown(failure) => return Err(failure),
                Next::Again(pause) => self.ports.sleep(pause).await,
            }
        }
    }

    /// How long is left until the deadline of `check`.
    fn left(&self, check: &Check) -> Duration {
        (self.started + check.deadline()).saturating_sub(self.ports.elapsed())
    }

    async fn look(&self, ask: &Ask<'_>, patience: Duration) -> Result<(), Unmet> {
        match ask {
            Ask::Call(function) => {
                let called = self.ports.call(self.deployment, function, &self.question, patience).await;
                judge::called(called, patience)
            }
            Ask::Get { url, wanted, matches } => {
                let get = Get { url, wanted, body: matches.is_some() };
                judge::answered(self.ports.get(get, &self.admission, patience).await, wanted, *matches)
            }
            Ask::Connect(peer) => Ok(self.ports.connect(peer, &self.admission, patience).await?),
        }
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::new().with_min_delay(PAUSE_MIN).with_max_delay(PAUSE_MAX);
    pauses.with_factor(2.0).without_max_times().build()
}
