//! `lockstep cancel`, `retry`, `unlock` and `reconcile`: an operator's actions on a run or an environment.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::follow::{End, FollowOptions, follow, follow_to_end, report};
use crate::global::Global;
use crate::known;
use crate::names::{DeploymentPrefix, Reason, RunName};
use crate::report::Report;
use crate::runs::{self, Run};
use crate::views::why;
use clap::Args;
use jiff::Timestamp;
use lockstep_aws::operator::executions::Status;
use lockstep_domain::delivery::ending::{Fate, fate_of};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::operator::{Request, WaitsFor};
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName, TEST};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::{
    Deployment, DeploymentState, Environment, LeaseHolder, QueuedDeployment, WebhookDelivery,
    WebhookDeliveryState,
};
use serde_json::json;

/// The git host of webhook deliveries.
const PROVIDER: &str = "github";

/// The arguments of `cancel`.
#[derive(Args, Debug)]
pub struct Cancel {
    /// The deployment, or the beginning of its id
    deployment: DeploymentPrefix,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// Do not wait for the end of the deployment
    #[arg(long)]
    no_wait: bool,
}

/// The arguments of `retry`.
#[derive(Args, Debug)]
pub struct Retry {
    /// The deployment or the webhook delivery; the beginning of its id is enough
    run: RunName,
}

/// The environment to act on.
#[derive(Args, Debug)]
pub struct EnvironmentArguments {
    /// The component
    component: ComponentName,
    /// The stage
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
    /// The environment, if it is a clone
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

/// The arguments of `reconcile`.
#[derive(Args, Debug)]
pub struct Reconcile {
    #[command(flatten)]
    environment: EnvironmentArguments,
    /// A description of the repair that made the stack and CloudFormation agree again
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
}

impl EnvironmentArguments {
    fn name(&self) -> &str {
        self.environment.as_deref().unwrap_or(self.component.as_str())
    }

    fn title(&self) -> String {
        format!("{} in {}", self.name(), self.stage)
    }
}

/// Cancels a deployment and waits for its end.
pub async fn cancel(
    arguments: &Cancel,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let deployment = match plane.deployment_called(&arguments.deployment).await {
        Ok(deployment) => deployment,
        Err(unknown) => {
            let waiting = plane.queued_called(&arguments.deployment).await?;
            let (environment, queued) = waiting.ok_or(unknown)?;
            return cancel_queued(&plane, &environment, &queued, arguments, context).await;
        }
    };
    if deployment.state.is_final() {
        return Err(over(&deployment));
    }
    let (asked_at, known) = (Timestamp::now(), deployment.approvals.last().map_or(0, |last| last.number));
    plane.ask(&cancellation(&deployment.id, None, arguments)).await?;
    let output = &context.output;
    output.line(format!("requested the cancellation of {}", why::title(&deployment)));
    if arguments.no_wait {
        return Ok(Report::done(json!({ "deployment": deployment.id, "outcome": Outcome::Cancelling })));
    }
    let options = FollowOptions { after_question: Some(known), since: asked_at };
    let followed = follow(&plane, &deployment.execution, options, &output.without_events()).await?;
    if let End::NeedsApproval(_) | End::Interrupted(..) = followed.end {
        return report(&plane, &followed, context).await;
    }
    ending(&plane, &deployment.id, context).await
}

/// Returns the request to cancel a deployment.
fn cancellation(id: &DeploymentId, waits_for: Option<WaitsFor>, arguments: &Cancel) -> Request {
    Request::Cancel { deployment: id.clone(), waits_for, reason: arguments.reason.as_str().to_owned() }
}

/// Cancels a deployment that waits for its turn, and waits for the end of its execution.
async fn cancel_queued(
    plane: &ControlPlane,
    environment: &Environment,
    queued: &QueuedDeployment,
    arguments: &Cancel,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let id = &queued.deployment;
    let waits_for = WaitsFor { stage: environment.stage.clone(), environment: environment.name.clone() };
    plane.ask(&cancellation(id, Some(waits_for), arguments)).await?;
    if !arguments.no_wait {
        let options = FollowOptions { after_question: None, since: Timestamp::now() };
        let followed = follow(plane, &queued.execution, options, &context.output.without_events()).await?;
        if let End::Interrupted(..) = followed.end {
            return report(plane, &followed, context).await;
        }
    }
    ending(plane, id, context).await
}

/// Prints and returns the end of a deployment that was cancelled.
async fn ending(
    plane: &ControlPlane,
    id: &DeploymentId,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let ended = plane.deployment(id).await?;
    let (sentence, exit) = stopped(&ended);
    context.output.line(&sentence);
    let outcome = if exit == Exit::Done { Outcome::Cancelled } else { Outcome::TooLate };
    let report = Report { document: json!({ "deployment": ended, "outcome": outcome }), exit };
    let next = format!("lockstep why {}", ended.id.short());
    Ok(if exit == Exit::Done { report } else { report.failed(&Failure::new(sentence).next(next)) })
}

fn over(deployment: &Deployment) -> Failure {
    let (id, title) = (deployment.id.short(), why::title(deployment));
    Failure::new(format!("deployment {id} ({title}) is over: {}", why::state(deployment.state)))
        .next(format!("lockstep why {id}"))
}

/// Returns the result of a cancellation: a sentence and the exit code.
fn stopped(deployment: &Deployment) -> (String, Exit) {
    let what = deployment.failure.as_ref().map(|failure| format!(": {}", failure.message));
    let what = what.unwrap_or_default();
    match fate_of(deployment) {
        Some(Fate::NotDone) if deployment.state == DeploymentState::Cancelled => {
            (format!("cancelled{what}"), Exit::Done)
        }
        Some(Fate::NotDone) => (format!("it ended by itself{what}"), Exit::Done),
        Some(Fate::Done) => (format!("too late to cancel: {}", why::state(deployment.state)), Exit::Failed),
        Some(Fate::Unchecked | Fate::Failing) => (format!("too late to cancel{what}"), Exit::Failed),
        Some(Fate::RunsOn) => (format!("not cancelled{what}"), Exit::Failed),
        None => ("not cancelled: its execution ended without closing it".to_owned(), Exit::Failed),
    }
}

/// Repeats a failed run.
pub async fn retry(arguments: &Retry, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let (title, run) = match find(&plane, &arguments.run).await? {
        Retryable::Deployment(deployment) => {
            (why::title(&deployment), of_deployment(&plane, &deployment).await?)
        }
        Retryable::Delivery(event) => (pushed(&event), of_delivery(&plane, &event).await?),
    };
    context.output.line(format!("again: {title}"));
    let execution = runs::start(&plane, &run).await?;
    follow_to_end(&plane, &execution, context).await
}

/// A run that can be repeated.
enum Retryable {
    Deployment(Box<Deployment>),
    Delivery(Box<WebhookDelivery>),
}

async fn find(plane: &ControlPlane, name: &RunName) -> Result<Retryable, Failure> {
    // Complete ids first: the index lags behind the table.
    let id = name.as_str();
    if let Some(full) = name.deployment().and_then(|prefix| prefix.full())
        && let Some(found) = plane.ledger.get(&Deployment::key_of(&full)).await?
    {
        return Ok(Retryable::Deployment(Box::new(found.record)));
    }
    if let Some(found) = plane.ledger.get(&WebhookDelivery::key_of(PROVIDER, id)).await? {
        return Ok(Retryable::Delivery(Box::new(found.record)));
    }
    let deployments = plane.deployments().await?.into_iter();
    let deliveries = plane.deliveries().await?.into_iter();
    let deployments = deployments.filter(|deployment| deployment.id.as_str().starts_with(id));
    let deliveries = deliveries.filter(|event| event.delivery.starts_with(id));
    let mut fitting = deployments
        .map(|deployment| Retryable::Deployment(Box::new(deployment)))
        .chain(deliveries.map(|event| Retryable::Delivery(Box::new(event))));
    match (fitting.next(), fitting.next()) {
        (Some(Retryable::Deployment(one)), None) => {
            plane.deployment(&one.id).await.map(|current| Retryable::Deployment(Box::new(current)))
        }
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("several ids begin with {id}")).next("write more of the id"))
        }
        (None, _) => Err(Failure::new(format!("no deployment and no webhook delivery has an id that begins with {id}"))
            .next("lockstep status --json lists the last deployment of every environment; the git host lists its deliveries")),
    }
}

async fn of_deployment(plane: &ControlPlane, deployment: &Deployment) -> Result<Run, Failure> {
    let runs = !deployment.state.is_final() && is_running(plane, &deployment.execution).await?;
    can_be_retried(deployment, runs)?;
    if deployment.stage.as_str() == TEST {
        return of_test(plane, deployment).await;
    }
    Run::again(deployment).ok_or_else(|| {
        Failure::usage("a publication has no run that could be repeated").next("lockstep images publish")
    })
}

/// Refuses a deployment that succeeded or still runs. `runs` is true if its execution is running.
fn can_be_retried(deployment: &Deployment, runs: bool) -> Result<(), Failure> {
    match deployment.state {
        DeploymentState::Failed
        | DeploymentState::Refused
        | DeploymentState::Abandoned
        | DeploymentState::Cancelled
        | DeploymentState::Superseded
        | DeploymentState::Expired => Ok(()),
        // Its execution ended without closing the record: the next execution takes the environment over.
        DeploymentState::Running | DeploymentState::AwaitingApproval if !runs => Ok(()),
        DeploymentState::Running | DeploymentState::AwaitingApproval => Err(Failure::new(format!(
            "deployment {} ({}) is not over: {}",
            deployment.id.short(),
            why::title(deployment),
            why::state(deployment.state)
        ))
        .next(format!("lockstep watch {}", deployment.id.short()))),
        DeploymentState::Succeeded | DeploymentState::NoChanges | DeploymentState::Planned => {
            Err(over(deployment))
        }
    }
}

/// Returns the run that repeats a test. Only the release of a push creates, checks and deletes a test stack.
async fn of_test(plane: &ControlPlane, deployment: &Deployment) -> Result<Run, Failure> {
    let lost = || {
        Failure::new("the execution that tested this release is not in Step Functions' history any more")
            .next("push again, or redeliver the push on the git host")
    };
    let release = plane.release_of(deployment).await?.ok_or_else(lost)?;
    let execution = plane.executions.describe(&release.execution).await?.ok_or_else(lost)?;
    if execution.status == Status::Running {
        return Err(Failure::new("the execution that tests this release is not over")
            .next(format!("lockstep watch {}@{}", release.component, release.version)));
    }
    serde_json::from_value::<inputs::Release>(execution.input).map(Run::Release).map_err(|_| lost())
}

async fn of_delivery(plane: &ControlPlane, event: &WebhookDelivery) -> Result<Run, Failure> {
    let machine = plane.found.state_machines.release.replace(":stateMachine:", ":execution:");
    let execution = format!("{machine}:{}", event.execution);
    let runs = event.state != WebhookDeliveryState::Finished && is_running(plane, &execution).await?;
    can_be_redelivered(event, runs)?;
    Ok(Run::redeliver(event))
}

/// Refuses a webhook delivery that is done or still runs. `runs` is true if its execution is running.
fn can_be_redelivered(event: &WebhookDelivery, runs: bool) -> Result<(), Failure> {
    let (title, delivery) = (pushed(event), &event.delivery);
    if runs {
        return Err(Failure::new(format!("webhook delivery {delivery} ({title}) is not over"))
            .next(format!("lockstep watch {}", event.commit.short())));
    }
    match event.end.as_ref().map(|end| end.outcome) {
        Some(Outcome::Done) => Err(Failure::new(format!("webhook delivery {delivery} ({title}) is done"))
            .next("lockstep releases; to deploy one of them again: lockstep deploy")),
        Some(Outcome::Superseded) => {
            Err(Failure::new(format!("a later push superseded webhook delivery {delivery} ({title})"))
                .next("to deploy that commit, deploy its release, or push it again"))
        }
        _ => Ok(()),
    }
}

fn pushed(event: &WebhookDelivery) -> String {
    let branch = event.reference.strip_prefix("refs/heads/").unwrap_or(&event.reference);
    format!("the push of {} to {branch} of {}", event.commit.short(), event.repository)
}

async fn is_running(plane: &ControlPlane, execution: &str) -> Result<bool, Failure> {
    let found = plane.executions.describe(execution).await?;
    Ok(found.is_some_and(|found| found.status == Status::Running))
}

/// Releases an environment whose holder is dead.
pub async fn unlock(
    arguments: &EnvironmentArguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    known::environment(&plane, &arguments.component, &arguments.stage).await?;
    let environment = plane.environment(&arguments.stage, arguments.name()).await?;
    let holder = environment.and_then(|environment| environment.holder);
    let request =
        Request::Unlock { stage: arguments.stage.clone(), environment: arguments.name().to_owned() };
    let applied = plane.ask(&request).await.map_err(|failure| about(failure, holder.as_ref()))?;
    let title = arguments.title();
    context.output.line(match applied.changed {
        true => format!("released {title}; the deployment that held it is closed"),
        false => format!("{title} was not held"),
    });
    Ok(Report::done(json!({ "changed": applied.changed, "held_by": holder })))
}

/// Adds the commands that watch or cancel the holder to a refusal.
fn about(failure: Failure, holder: Option<&LeaseHolder>) -> Failure {
    match holder {
        Some(holder) if failure.next.is_empty() => failure.next(format!(
            "look at it: lockstep watch {}; stop it: lockstep cancel {} --reason <TEXT>",
            holder.deployment.short(),
            holder.deployment.short()
        )),
        _ => failure,
    }
}

/// Clears the taint of an environment.
pub async fn reconcile(
    arguments: &Reconcile,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    known::environment(&plane, &arguments.environment.component, &arguments.environment.stage).await?;
    let request = Request::Reconcile {
        stage: arguments.environment.stage.clone(),
        environment: arguments.environment.name().to_owned(),
        reason: arguments.reason.as_str().to_owned(),
    };
    let applied = plane.ask(&request).await?;
    let title = arguments.environment.title();
    context.output.line(match applied.changed {
        true => format!("{title} is no longer tainted"),
        false => format!("{title} was not tainted"),
    });
    Ok(Report::done(json!({ "changed": applied.changed })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployment};
    use lockstep_domain::records::{DeliveryEnd, FailureRecord};

    fn in_state(state: DeploymentState) -> Deployment {
        Deployment { state, ..deployment() }
    }

    fn event(state: WebhookDeliveryState, end: Option<DeliveryEnd>) -> WebhookDelivery {
        WebhookDelivery {
            provider: PROVIDER.into(),
            delivery: "72d3162e-cc78-11e3-81ab-4c9367dc0958".into(),
            repository: "github.acme.logs".parse().unwrap(),
            reference: "refs/heads/main".into(),
            commit: "5b1f0f0b6f3c1b0a5f1d2e7c9a8b7c6d5e4f3a2b".parse().unwrap(),
            pusher: None,
            state,
            execution: "t0".into(),
            end,
            accepted_at: at(0),
            finished_at: None,
        }
    }

    #[test]
    fn only_a_failed_or_dead_deployment_is_repeated() {
        use DeploymentState::{
            Abandoned, AwaitingApproval, Cancelled, Expired, Failed, NoChanges, Planned, Refused, Running,
            Succeeded, Superseded,
        };
        for state in [Failed, Refused, Abandoned, Cancelled, Superseded, Expired] {
            assert_eq!(can_be_retried(&in_state(state), false), Ok(()), "{state:?}");
        }
        for state in [Succeeded, NoChanges, Planned] {
            assert!(can_be_retried(&in_state(state), false).is_err(), "{state:?}");
        }
        for state in [Running, AwaitingApproval] {
            let alive = can_be_retried(&in_state(state), true).unwrap_err();
            assert_eq!(alive.next, format!("lockstep watch {}", deployment().id.short()));
            assert_eq!(can_be_retried(&in_state(state), false), Ok(()), "its execution is dead: {state:?}");
        }
    }

    #[test]
    fn only_a_failed_or_dead_webhook_delivery_is_repeated() {
        let finished = |end| event(WebhookDeliveryState::Finished, Some(end));
        for end in [DeliveryEnd::rejected("x"), DeliveryEnd::quarantined("x")] {
            assert_eq!(can_be_redelivered(&finished(end), false), Ok(()));
        }
        for end in [DeliveryEnd::done(), DeliveryEnd::superseded()] {
            assert!(can_be_redelivered(&finished(end), false).is_err());
        }
        let started = event(WebhookDeliveryState::Started, None);
        assert_eq!(can_be_redelivered(&started, false), Ok(()));
        let running = can_be_redelivered(&started, true).unwrap_err();
        assert!(running.what.contains("the push of 5b1f0f0 to main of github.acme.logs"), "{running}");
        assert_eq!(running.next, "lockstep watch 5b1f0f0");
    }

    #[test]
    fn a_cancellation_that_came_too_late_fails() {
        assert_eq!(stopped(&in_state(DeploymentState::Succeeded)).1, Exit::Failed);
        let ended = |error: &str, state: DeploymentState, changed: bool| {
            let failure = FailureRecord { error: error.into(), message: "why".into() };
            let mut ended = Deployment { failure: Some(failure), ..in_state(state) };
            ended.deploy_mut().unwrap().stack_changed = changed;
            stopped(&ended)
        };
        let cancelled = ended("Cancelled", DeploymentState::Cancelled, false);
        assert_eq!(cancelled, ("cancelled: why".to_owned(), Exit::Done));
        let refused = ended("ApprovalRefused", DeploymentState::Refused, false);
        assert_eq!(refused, ("it ended by itself: why".to_owned(), Exit::Done));
        let failing = ended("CheckFailed", DeploymentState::Failed, true);
        assert_eq!(failing, ("too late to cancel: why".to_owned(), Exit::Failed));
        let unchecked = ended("Cancelled", DeploymentState::Failed, true);
        assert_eq!(unchecked, ("too late to cancel: why".to_owned(), Exit::Failed));
    }

    #[test]
    fn a_refused_unlock_names_the_commands_for_the_holder() {
        let deployment = deployment();
        let holder =
            LeaseHolder { deployment: deployment.id.clone(), execution: "arn:x".into(), since: at(0) };
        let refusal = about(Failure::new("it still runs"), Some(&holder));
        let short = deployment.id.short();
        assert!(refusal.next.contains(&format!("lockstep cancel {short} --reason")), "{refusal}");
        assert_eq!(about(Failure::new("x"), None).next, "");
    }
}
