//! Recover: repairs a stack until a deployment can be planned, or deletes it. Each call begins one operation,
//! and the caller plans again after its end.

use crate::change_set;
use crate::context::StackContext;
use crate::late;
use crate::load::{self, Loaded};
use crate::plan::{self, unexpected_plan};
use crate::template;
use lockstep_aws::cloudformation::{Replay, Stacks, TemplateSource};
use lockstep_domain::messages::Task;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, LogicalId};
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Operation, OperationKind, ProposedAction};
use lockstep_domain::stacks::plan::{Plan, Recovery, express_advice, intend, operation_key};
use lockstep_runtime::stages::stages;
use lockstep_runtime::{deployment_log, releases};
use std::collections::BTreeSet;

/// Handles `recover` and `delete`. The kind of the deployment decides which of the two.
pub async fn recover<C: StackContext>(context: &C, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let loaded = Loaded::load(context, id).await?;
    loaded.ensure_not_cancelled()?;
    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let protect = loaded.protected(context).await?;
    let (plan, reading) = plan::decide(context, &stacks, &loaded, &protect).await?;
    let recovery = match plan {
        Plan::Recover(recovery) => recovery,
        Plan::Adopt { key } | Plan::AwaitOther { key } => {
            deployment_log::append(context.ledger(), id, &format!("waiting for {key}"), context.now())
                .await?;
            return wait_for(context, &stacks, &loaded, &protect, &key, task).await;
        }
        other => return over(context, &loaded, other, task).await,
    };
    let observed = reading.map(|reading| reading.observed);
    let observed = observed.ok_or_else(|| Failure::bug("a recovery without a stack"))?;
    let recorded = &loaded.deployment.record.operations;
    let operation = intend(id, &recovery, &observed, recorded, context.now());
    let key = operation_key(&recovery.arn, &operation.token);
    deployment_log::append(
        context.ledger(),
        id,
        &format!("{}: {}", doing(&operation), recovery.why),
        context.now(),
    )
    .await?;
    let role = load::execution_role(context, &loaded.deployment.record.location);
    let loaded = record_operation(context, loaded, &recovery, &operation).await?;
    context.callbacks().register(&key, task).await?;
    for bucket in &recovery.empty {
        context.empty_bucket(&loaded.deployment.record.location, &loaded.session(), bucket).await?;
    }
    begin(context, &stacks, &loaded, &operation, &role).await?;
    // The deletion of a stack that was only reviewed ends at once and may send no event.
    match plan::decide(context, &stacks, &loaded, &protect).await?.0 {
        Plan::Adopt { .. } | Plan::Wait => Ok(()),
        Plan::Recover(still) if still.operation == operation.operation => Ok(()),
        _ => context.callbacks().wake(&key).await,
    }
}

/// Records the operation and its approved cost before the operation begins.
async fn record_operation<C: StackContext>(
    context: &C,
    mut loaded: Loaded,
    recovery: &Recovery,
    operation: &Operation,
) -> Result<Loaded, Failure> {
    if loaded.deployment.record.operations.contains(operation) {
        return Ok(loaded);
    }
    let mut deployment = loaded.deployment.record.clone();
    deployment.operations.push(operation.clone());
    let run = deployment.stack_mut().ok_or_else(|| Failure::bug("a recovery without a stack"))?;
    if let Some(cost) = &recovery.allowed {
        match cost.action {
            ProposedAction::Retain => run.orphans.extend(cost.resources.iter().cloned()),
            ProposedAction::Skip => run.taint = Some(taint(operation)),
            ProposedAction::Delete => {}
        }
    }
    let id = loaded.id().clone();
    loaded.save(context, deployment).await?;
    Loaded::load(context, &id).await
}

fn taint(operation: &Operation) -> String {
    format!(
        "its rollback was finished without {}, which may differ from what CloudFormation believes",
        operation.without.join(", ")
    )
}

async fn begin<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    operation: &Operation,
    role: &str,
) -> Result<(), Failure> {
    let (arn, token, without) = (&operation.target, &operation.token, &operation.without);
    match operation.operation {
        OperationKind::Clear | OperationKind::Delete => stacks.delete_stack(arn, token, role, without).await,
        OperationKind::Rollback => stacks.rollback_stack(arn, token, role).await,
        OperationKind::Replay => stacks.replay(&last_release(context, loaded, operation, role).await?).await,
        OperationKind::ContinueRollback => stacks.continue_update_rollback(arn, token, role, without).await,
        other @ (OperationKind::Execute
        | OperationKind::Destroy
        | OperationKind::Copy
        | OperationKind::Build) => Err(Failure::bug(format!("{other:?} is no recovery"))),
    }
}

/// Returns the update to the release that the environment runs, with the parameters of the deployment that brought it.
async fn last_release<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    operation: &Operation,
    role: &str,
) -> Result<Replay, Failure> {
    let last = late::last_deployment(context, loaded).await?;
    let Some((last, deploy)) = last.as_ref().and_then(|last| Some((last, last.deploy()?))) else {
        let why = format!(
            "the stack {} failed in express mode, and the deployment that brought what it ran last is not on record; {}",
            operation.target,
            express_advice(&operation.target)
        );
        return Err(Failure::new(FailureKind::StackNeedsHuman, why));
    };
    let (component, ledger) = (&deploy.stack.component, context.ledger());
    let release = releases::same_release(ledger, component, &last.version, &deploy.digest).await?;
    let contents = load::contents(context, &release).await?;
    let stages = stages(ledger).await?;
    let stage = load::stage(&stages, &last.stage)?;
    Ok(Replay {
        arn: operation.target.clone(),
        token: operation.token.clone(),
        template: TemplateSource::Url(change_set::upload(context, loaded, deploy, (&contents, stage)).await?),
        parameters: deploy.parameters.clone(),
        capabilities: template::capabilities(&contents.template),
        role: role.to_owned(),
    })
}

fn doing(operation: &Operation) -> String {
    let arn = &operation.target;
    let done = match operation.operation {
        OperationKind::Rollback => format!("rolling back {arn}"),
        OperationKind::Replay => format!("deploying again what {arn} ran last, in express mode"),
        OperationKind::ContinueRollback => format!("continuing the rollback of {arn}"),
        _ => format!("deleting {arn}"),
    };
    match operation.without.as_slice() {
        [] => done,
        names => format!("{done} without {}", names.join(", ")),
    }
}

/// Waits for an operation that was seen running. It may have ended before the callback was registered.
async fn wait_for<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    protect: &BTreeSet<LogicalId>,
    key: &str,
    task: &Task,
) -> Result<(), Failure> {
    context.callbacks().register(key, task).await?;
    match plan::decide(context, stacks, loaded, protect).await?.0 {
        Plan::Adopt { key: still } | Plan::AwaitOther { key: still } if still == *key => Ok(()),
        _ => context.callbacks().wake(key).await,
    }
}

/// Wakes the task at once if there is no operation to wait for. The next plan decides about the stack.
async fn over<C: StackContext>(context: &C, loaded: &Loaded, plan: Plan, task: &Task) -> Result<(), Failure> {
    if let failure @ (Plan::NeedsHuman { .. } | Plan::Wait | Plan::LookAgain { .. }) = plan {
        return Err(unexpected_plan(failure));
    }
    let key =
        operation_key(loaded.stack.as_str(), &client_token(loaded.id().as_str(), "nothing-runs", task.retry));
    context.callbacks().register(&key, task).await?;
    context.callbacks().wake(&key).await
}
