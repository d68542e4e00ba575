//! What no event tells of.

use crate::world::{World, until};
use jiff::{Timestamp, ToSpan};
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Failure, at};
use lockstep_domain::delivery::environment::acquire;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::ids::TEST;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{
    DeliveryEnd, DeployBody, Deployment, DeploymentStart, DeploymentState, Environment, Record, StackRun,
    SweepReport, WebhookDelivery, WebhookDeliveryState,
};
use lockstep_platform::functions::{Called, Functions};
use lockstep_platform::ledger::Ledger;
use serde_json::json;
use std::time::Duration;

/// The name of what is lost, whatever it is.
const LOST: &str = "lost";

/// As root, what those leave behind who die in the middle: an environment that an ended execution holds, long ago, and a
/// delivery that was accepted and never started. Two sweeps by hand, as an operator, put it in order.
pub async fn put_in_order(world: &mut World) -> Result<(), Failure> {
    let ledger = ledger(world).await?;
    let (environment, deployment) = lost_environment(world).await?;
    ledger.insert(&environment).await?;
    ledger.insert(&deployment).await?;
    let event = lost_delivery(world).await?;
    ledger.insert(&event).await?;

    let report = sweep(world).await?;
    ensure(report.freed.contains(&"test/lost".to_owned()), format!("the environment is freed: {report:?}"))?;
    ensure(
        report.released.contains(&"delivery lost".to_owned()),
        format!("the delivery is released: {report:?}"),
    )?;
    let closed = ledger.get::<Deployment>(&deployment.key()).await?.map(|found| found.record.state);
    ensure(closed == Some(DeploymentState::Abandoned), "the dead deployment is closed")?;

    let report = sweep(world).await?;
    ensure(report.removing == ["test/lost"], format!("what outlived its time is torn down: {report:?}"))?;
    until("the throw-away environment is gone", async || {
        Ok(ledger.get::<Environment>(&environment.key()).await?.is_none())
    })
    .await?;
    until("the delivery has come to its end", async || {
        let found = ledger.get::<WebhookDelivery>(&event.key()).await?.map(|found| found.record);
        // There is no such branch any more.
        Ok(found.is_some_and(|event| event.end == Some(DeliveryEnd::superseded())))
    })
    .await?;
    let quiet = sweep(world).await?;
    ensure(quiet == SweepReport::new(quiet.at), format!("then everything is in order: {quiet:?}"))
}

async fn ledger(world: &World) -> Result<Ledger, Failure> {
    let root = world.story.session()?.root("tooling")?;
    Ok(Ledger::new(&root, &world.story.plane().await?.found.table))
}

async fn sweep(world: &World) -> Result<SweepReport, Failure> {
    let operator = Functions::new(world.story.plane().await?.aws());
    match operator.call("lockstep-sweep", &json!({}), Duration::from_secs(60)).await? {
        Called::Answered { error: None, payload, .. } => {
            serde_json::from_slice(&payload).map_err(at("the report"))
        }
        other => Err(Failure::new(format!("the sweep does not answer: {other:?}"))),
    }
}

fn long_ago() -> Result<Timestamp, Failure> {
    Timestamp::now().checked_sub(48.hours()).map_err(at("two days ago"))
}

/// Like one that was tested, under another name; its execution has ended.
async fn lost_environment(world: &World) -> Result<(Environment, Deployment), Failure> {
    let all = world.records::<Deployment>().await?;
    let tested = all.into_iter().find(|d| d.stage.as_str() == TEST && d.state == DeploymentState::Succeeded);
    let tested = tested.ok_or_else(|| Failure::new("nothing was tested"))?;
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

async fn lost_delivery(world: &World) -> Result<WebhookDelivery, Failure> {
    let known = world.records::<WebhookDelivery>().await?.into_iter().next();
    let known = known.ok_or_else(|| Failure::new("nothing was ever pushed"))?;
    Ok(WebhookDelivery {
        delivery: LOST.to_owned(),
        reference: format!("refs/heads/{LOST}"),
        commit: "0".repeat(40).parse().map_err(at("a commit"))?,
        state: WebhookDeliveryState::Accepted,
        execution: client_token(&known.provider, LOST, 1),
        end: None,
        accepted_at: long_ago()?,
        finished_at: None,
        ..known
    })
}
