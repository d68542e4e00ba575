//! Sweeps: they find what no event reported.

use crate::test_cloud::{TestCloud, until};
use jiff::{Timestamp, ToSpan};
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::ledger::Ledger;
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Failure, at};
use lockstep_domain::delivery::environment::acquire;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::ids::TEST;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    Charter, DeliveryEnd, DeployBody, Deployment, DeploymentStart, DeploymentState, Environment, Record,
    StackRun, SweepReport, WebhookDelivery, WebhookDeliveryState,
};
use serde_json::json;
use std::time::Duration;

/// Name of the lost environment, branch and delivery.
const LOST: &str = "lost";

/// Writes, as root, the records that a crash leaves: an old environment that an ended execution holds, and a delivery that
/// was accepted and never started. Two sweeps that an operator invokes repair both.
pub async fn a_sweep_finds_what_no_event_reported(cloud: &mut TestCloud) -> Result<(), Failure> {
    let ledger = ledger(cloud).await?;
    let (environment, deployment) = lost_environment(cloud).await?;
    ledger.insert(&environment).await?;
    ledger.insert(&deployment).await?;
    let charter = Charter::of(&deployment).ok_or_else(|| Failure::new("the deployment has no stack"))?;
    ledger.insert(&charter).await?;
    let event = lost_delivery(cloud).await?;
    ledger.insert(&event).await?;

    let report = sweep(cloud).await?;
    ensure(report.freed.contains(&"test/lost".to_owned()), format!("the environment is freed: {report:?}"))?;
    ensure(
        report.released.contains(&"delivery lost".to_owned()),
        format!("the delivery is released: {report:?}"),
    )?;
    let closed = ledger.get::<Deployment>(&deployment.key()).await?.map(|found| found.record.state);
    ensure(closed == Some(DeploymentState::Abandoned), "the dead deployment is closed")?;

    let report = sweep(cloud).await?;
    ensure(report.removing == ["test/lost"], format!("the expired environment is torn down: {report:?}"))?;
    until("the test environment is deleted", async || {
        Ok(ledger.get::<Environment>(&environment.key()).await?.is_none())
    })
    .await?;
    until("the delivery has ended", async || {
        let found = ledger.get::<WebhookDelivery>(&event.key()).await?.map(|found| found.record);
        // The branch of the delivery does not exist.
        Ok(found.is_some_and(|event| event.end == Some(DeliveryEnd::superseded())))
    })
    .await?;
    let quiet = sweep(cloud).await?;
    ensure(quiet == SweepReport::new(quiet.at), format!("the next sweep finds no fault: {quiet:?}"))
}

async fn ledger(cloud: &TestCloud) -> Result<Ledger, Failure> {
    let root = cloud.demo.session()?.root("tooling")?;
    Ok(Ledger::new(&root))
}

async fn sweep(cloud: &TestCloud) -> Result<SweepReport, Failure> {
    let operator = Functions::new(cloud.demo.plane().await?.aws());
    match operator.call("lockstep-sweep", &json!({}), Duration::from_secs(60)).await? {
        Called::Answered { error: None, payload, .. } => {
            serde_json::from_slice(&payload).map_err(at("the report"))
        }
        other => Err(Failure::new(format!("the sweep fails: {other:?}"))),
    }
}

fn long_ago() -> Result<Timestamp, Failure> {
    Timestamp::now().checked_sub(48.hours()).map_err(at("two days ago"))
}

/// Returns an environment like that of a tested release, under another name. Its execution has ended.
async fn lost_environment(cloud: &TestCloud) -> Result<(Environment, Deployment), Failure> {
    let all = cloud.records::<Deployment>().await?;
    let tested = all.into_iter().find(|d| d.stage.as_str() == TEST && d.state == DeploymentState::Succeeded);
    let tested = tested.ok_or_else(|| Failure::new("no deployment to the stage test succeeded"))?;
    let known = tested.deploy().ok_or_else(|| Failure::new("no release was tested"))?.clone();
    let name = format!("{TEST}-{LOST}").parse().map_err(at("a stack's name"))?;
    let stack = StackRun::new(known.stack.component, LOST.to_owned(), name);
    let body = DeployBody::new(stack, known.digest, known.template_digest, known.repository);
    let start = DeploymentStart {
        id: DeploymentId::of_execution(LOST),
        execution: tested.execution,
        version: tested.version,
        stage: tested.stage,
        location: tested.location,
        path: tested.path,
        at: long_ago()?,
    };
    let taken = acquire(None, &Deployment::new(start, body), long_ago()?)?;
    Ok((taken.environment, taken.deployment))
}

async fn lost_delivery(cloud: &TestCloud) -> Result<WebhookDelivery, Failure> {
    let known = cloud.records::<WebhookDelivery>().await?.into_iter().next();
    let known = known.ok_or_else(|| Failure::new("no delivery is recorded"))?;
    Ok(WebhookDelivery {
        delivery: LOST.to_owned(),
        reference: format!("refs/heads/{LOST}"),
        commit: "0".repeat(40).parse().map_err(at("a commit"))?,
        pusher: None,
        state: WebhookDeliveryState::Accepted,
        execution: client_token(&known.provider, LOST, 1),
        end: None,
        accepted_at: long_ago()?,
        finished_at: None,
        ..known
    })
}
