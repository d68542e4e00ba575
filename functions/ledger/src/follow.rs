//! Redeployments of consumers: starts those that are due after a deployment ended.

use crate::context::LedgerContext;
use crate::turn;
use lockstep_aws::ledger::{Order, Versioned};
use lockstep_domain::delivery::start::machine;
use lockstep_domain::delivery::{freshness, gate};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::ComponentResult;
use lockstep_domain::messages::run::Run;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::records::{Deployment, Environment, Follows, Release, ReleaseState};
use lockstep_runtime::releases;
use lockstep_runtime::stages::stages;

/// Number of the newest drafts of a component that are read.
const DRAFTS: usize = 20;

/// Starts the redeployments that are due in the stage of `ended`: of its environment, and of those that read its outputs.
/// A repeated request starts nothing twice.
///
/// A failure is logged alone: the deployment has ended. `lockstep status` shows the consumer as stale, and the sweep asks
/// again.
pub async fn after(context: &impl LedgerContext, ended: &Deployment) {
    let Some(run) = ended.stack().filter(|_| ended.path == DeploymentPath::Delivery) else { return };
    let looked = async {
        let push = push_of(context, ended).await?;
        look_from(context, &ended.stage, &run.environment, push.as_ref()).await
    };
    log(looked.await, &ended.stage);
}

/// Starts the redeployments of components that a push should have deployed, and did not.
pub async fn after_push(context: &impl LedgerContext, results: &[ComponentResult]) -> Result<(), Failure> {
    let stages = stages(context.ledger()).await?;
    for result in results.iter().filter(|result| !result.outcome.is_success()) {
        for stage in stages.iter().filter(|stage| freshness::follows_by_itself(stage)) {
            log(look(context, &stage.name, &result.component).await, &stage.name);
        }
    }
    Ok(())
}

fn log(looked: Result<(), Failure>, stage: &StageName) {
    if let Err(failure) = looked {
        tracing::warn!(%stage, "stale consumers may not be deployed again: {}", failure.chain());
    }
}

/// Wakes the deployment whose turn it is in an environment that was changed. If none waits, starts the redeployments that
/// are due: the one that left would have brought the inputs. A failure to start them is logged alone.
pub async fn settle(context: &impl LedgerContext, environment: &Environment) -> Result<(), Failure> {
    turn::wake_due(context, environment).await?;
    if environment.queue.is_empty() {
        log(look(context, &environment.stage, &environment.name).await, &environment.stage);
    }
    Ok(())
}

/// Starts the redeployments that are due for an environment, and for those that read its outputs.
async fn look(context: &impl LedgerContext, stage: &StageName, name: &str) -> Result<(), Failure> {
    look_from(context, stage, name, None).await
}

/// Does so after `push` ended there, the release that a push deployed: its other components are deployed by the push itself.
async fn look_from(
    context: &impl LedgerContext,
    stage: &StageName,
    name: &str,
    push: Option<&Release>,
) -> Result<(), Failure> {
    let stages = stages(context.ledger()).await?;
    let Some(stage) = stages.get(stage).filter(|stage| freshness::follows_by_itself(stage)) else {
        return Ok(());
    };
    let found: Vec<Versioned<Environment>> =
        context.ledger().every(&Environment::all_of(&stage.name)).await?;
    let all: Vec<Environment> = found.iter().map(|found| found.record.clone()).collect();
    let Some(ended) = all.iter().find(|environment| environment.name == name) else { return Ok(()) };
    for candidate in found.iter().filter(|found| freshness::concerns(ended, &found.record)) {
        let consumer = &candidate.record;
        let Some(follows) = freshness::due(consumer, candidate.rev(), stage, &all) else { continue };
        let is_pushed = match push {
            Some(release) if consumer.name != name => {
                is_of_push(context, &consumer.component, release).await?
            }
            _ => false,
        };
        if !is_pushed && is_plain(context, &follows).await? {
            start(context, consumer, follows).await?;
        }
    }
    Ok(())
}

/// Returns the release of a deployment that a push started.
async fn push_of(context: &impl LedgerContext, ended: &Deployment) -> Result<Option<Release>, Failure> {
    let Some(deploy) = ended.deploy() else { return Ok(None) };
    let (component, version) = (&deploy.stack.component, &ended.version);
    let Ok(release) = releases::release(context.ledger(), component, version).await else { return Ok(None) };
    let plain = inputs::Deploy::new(component.clone(), version.clone(), ended.stage.clone());
    let is_of_push = gate::is_of_push(&ended.execution, &plain, &release.record);
    Ok(Some(release.record).filter(|_| is_of_push))
}

/// Returns true if the push of `release` packaged a release of `component` that has not ended its test.
async fn is_of_push(
    context: &impl LedgerContext,
    component: &ComponentName,
    release: &Release,
) -> Result<bool, Failure> {
    let drafts: Vec<Versioned<Release>> =
        context.ledger().list(&Release::drafts_of(component), Order::Newest, DRAFTS).await?;
    Ok(drafts
        .iter()
        .map(|found| &found.record)
        .any(|draft| draft.execution == release.execution && draft.state == ReleaseState::Packaged))
}

/// Returns true if the replaced deployment had the parameters of its release: a redeployment would drop any others.
async fn is_plain(context: &impl LedgerContext, follows: &Follows) -> Result<bool, Failure> {
    let found = context.ledger().get::<Deployment>(&Deployment::key_of(&follows.replaces)).await?;
    let deploy = found.as_ref().and_then(|found| found.record.deploy());
    Ok(deploy.is_some_and(|deploy| deploy.overrides.is_empty() && deploy.parameters_of.is_none()))
}

async fn start(
    context: &impl LedgerContext,
    consumer: &Environment,
    follows: Follows,
) -> Result<(), Failure> {
    let name = freshness::execution(&consumer.component, &follows);
    let run = Run::DeliveryDeploy(freshness::input(consumer, follows)?);
    let input = run.input().map_err(|error| Failure::bug("an input cannot be written").caused_by(&error))?;
    let arn = machine(context.state_machines(), &run);
    let started = context.executions().start(&arn, &name, &input).await?;
    tracing::info!(component = %consumer.component, stage = %consumer.stage, ?started, "a stale consumer is deployed again");
    Ok(())
}
