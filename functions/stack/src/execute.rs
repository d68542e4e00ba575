//! Execution of the change set, and observation of its end.

use crate::context::StackContext;
use crate::late;
use crate::load::{self, Loaded};
use crate::observe;
use crate::plan::decide;
use lockstep_aws::cloudformation::{Execution, Stack, Stacks};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{DeploymentId, StackName};
use lockstep_domain::model::late_values;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{ChangeSet, Operation, OperationKind, Release, StackClaim};
use lockstep_domain::stacks::change_set_review;
use lockstep_domain::stacks::diagnosis;
use lockstep_domain::stacks::plan::{OperationState, Plan, StackStatus, operation_key, operation_state};
use lockstep_runtime::deployment_log;
use lockstep_runtime::stages::stages;

/// Handles `execute`: starts the operation, or finds it running or finished.
pub async fn execute<C: StackContext>(context: &C, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let loaded = Loaded::load(context, id).await?;
    let (stack_arn, change_set) = planned(&loaded)?;
    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let token = client_token(id.as_str(), "execute", change_set.attempt);
    let key = operation_key(&stack_arn, &token);
    let earlier = executed(&loaded).filter(|operation| operation.token == token);
    let operation = match earlier {
        Some(earlier) => {
            context.callbacks().register(&key, task).await?;
            let (progress, _) =
                observe::progress(&stacks, &stack_arn, &tokens(&earlier, id), earlier.at).await?;
            match operation_state(&progress) {
                OperationState::Running => return Ok(()),
                OperationState::Succeeded | OperationState::Failed { .. } => {
                    return context.callbacks().wake(&key).await;
                }
                OperationState::NotStarted => earlier,
            }
        }
        None => {
            loaded.ensure_not_cancelled()?;
            let operation = intend(context, loaded, &stack_arn, &change_set, &token).await?;
            context.callbacks().register(&key, task).await?;
            operation
        }
    };
    match stacks.execute_change_set(&change_set.arn, &token).await? {
        Execution::Accepted => Ok(()),
        Execution::Refused => refused(context, &stacks, id, &stack_arn, &operation, &key).await,
    }
}

/// Returns the recorded execution of the change set, or `None` if there is none.
fn executed(loaded: &Loaded) -> Option<Operation> {
    let operations = &loaded.deployment.record.operations;
    operations.iter().rfind(|operation| operation.operation == OperationKind::Execute).cloned()
}

/// Returns the tokens that the events of an execution may carry: its own, and that of its cancellation.
fn tokens(operation: &Operation, id: &DeploymentId) -> [String; 2] {
    [operation.token.clone(), cancel_token(id)]
}

fn cancel_token(id: &DeploymentId) -> String {
    client_token(id.as_str(), "cancel", 1)
}

fn planned(loaded: &Loaded) -> Result<(String, ChangeSet), Failure> {
    let deploy = loaded.deploy()?;
    match (&deploy.stack.arn, &deploy.change_set) {
        (Some(arn), Some(change_set)) => Ok((arn.clone(), change_set.clone())),
        _ => Err(Failure::bug("the deployment has no change set to execute")),
    }
}

/// Records the execution before it starts, and this stack as the stack of the environment.
async fn intend<C: StackContext>(
    context: &C,
    mut loaded: Loaded,
    stack_arn: &str,
    change_set: &ChangeSet,
    token: &str,
) -> Result<Operation, Failure> {
    allowed(context, &loaded, change_set).await?;
    late::ensure_unchanged(context, &loaded).await?;
    let operation = Operation {
        operation: OperationKind::Execute,
        token: token.to_owned(),
        target: change_set.arn.clone(),
        attempt: change_set.attempt,
        without: Vec::new(),
        at: context.now(),
    };
    let mut deployment = loaded.deployment.record.clone();
    deployment.operations.push(operation.clone());
    if loaded.environment.record.stack_arn.as_deref() != Some(stack_arn) {
        let run = deployment.stack_mut().ok_or_else(|| Failure::bug("an execution without a stack"))?;
        run.claim = Some(StackClaim { arn: stack_arn.to_owned(), stable: false });
    }
    let id = loaded.id().clone();
    loaded.save(context, deployment).await?;
    deployment_log::append(context.ledger(), &id, &format!("executing {}", change_set.arn), context.now())
        .await?;
    Ok(operation)
}

/// Checks that the change set is the approved one, whatever the state machine says.
async fn allowed<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    change_set: &ChangeSet,
) -> Result<(), Failure> {
    let (deployment, deploy) = (&loaded.deployment.record, loaded.deploy()?);
    let stages = stages(context.ledger()).await?;
    let stage = load::stage(&stages, &deployment.stage)?;
    let same = (Some(&change_set.template_digest), Some(&change_set.parameters_digest))
        == (Some(&deploy.template_digest), deploy.parameters_digest.as_ref())
        && change_set.late_digest == deploy.late_values.digest();
    if same && change_set_review::reasons(change_set, stage.approval.is_some()).is_empty() {
        return Ok(());
    }
    let decisions = loaded.decisions(context).await?;
    if same && change_set_review::is_approved(&decisions, change_set, &deploy.digest, context.now()) {
        return Ok(());
    }
    if same && decisions.iter().any(|decision| decision.question.subject.key() == change_set.arn) {
        return Err(Failure::new(
            FailureKind::ApprovalRefused,
            format!("the approval of the change set {} has expired; deploy again", change_set.arn),
        ));
    }
    Err(Failure::bug(format!(
        "the change set {} is not the one that was planned and approved",
        change_set.arn
    )))
}

/// Handles a refused execution. CloudFormation has executed the change set before, or will never execute it.
async fn refused<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    id: &DeploymentId,
    stack_arn: &str,
    operation: &Operation,
    key: &str,
) -> Result<(), Failure> {
    let (progress, _) = observe::progress(stacks, stack_arn, &tokens(operation, id), operation.at).await?;
    match operation_state(&progress) {
        OperationState::Running => Ok(()),
        OperationState::Succeeded | OperationState::Failed { .. } => context.callbacks().wake(key).await,
        OperationState::NotStarted => Err(Failure::new(
            FailureKind::StackFailed,
            format!(
                "the change set {} cannot be executed any more: the stack was changed since; deploy again",
                operation.target
            ),
        )),
    }
}

/// Handles `observe`.
pub async fn observe<C: StackContext>(context: &C, id: &DeploymentId) -> Result<NextStep, Failure> {
    let loaded = Loaded::load(context, id).await?;
    let (stack_arn, _) = planned(&loaded)?;
    let operation = executed(&loaded);
    let operation = operation.ok_or_else(|| Failure::bug("nothing was executed that could be observed"))?;
    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let (progress, stack) =
        observe::progress(&stacks, &stack_arn, &tokens(&operation, id), operation.at).await?;
    match (operation_state(&progress), stack) {
        (OperationState::Succeeded, Some(stack)) => succeeded(context, loaded, stack).await,
        (OperationState::Failed { .. }, stack) => failed(context, &stacks, loaded, &operation, stack).await,
        (OperationState::Running, Some(stack)) => {
            cancel(context, &stacks, &loaded, &stack).await?;
            Ok(NextStep::Wait)
        }
        (OperationState::Succeeded | OperationState::Running | OperationState::NotStarted, _) => {
            Ok(NextStep::Wait)
        }
    }
}

/// Cancels an update that an operator wants to stop. Does nothing if the update has ended or rolls back
/// already.
async fn cancel<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    stack: &Stack,
) -> Result<(), Failure> {
    let Some(spec) = &loaded.deployment.record.cancellation else { return Ok(()) };
    if stack.status != StackStatus::UpdateInProgress {
        return Ok(());
    }
    deployment_log::append(
        context.ledger(),
        loaded.id(),
        &format!("cancelling the update, as {} wishes", spec.by),
        context.now(),
    )
    .await?;
    stacks.cancel_update_stack(&stack.arn, &cancel_token(loaded.id())).await
}

async fn succeeded<C: StackContext>(
    context: &C,
    mut loaded: Loaded,
    stack: Stack,
) -> Result<NextStep, Failure> {
    let mut deployment = loaded.deployment.record.clone();
    // A repeated step finds the values that the first one settled.
    let is_first = !loaded.deploy()?.stack_changed && !loaded.deploy()?.late_values.is_empty();
    let before = if is_first { late::deployed(context, &loaded).await? } else { None };
    if let Some(deploy) = deployment.deploy_mut() {
        if is_first {
            let changes = deploy.change_set.as_ref().map(|made| made.changes.as_slice()).unwrap_or_default();
            deploy.late_values = deploy.late_values.reached(before.as_ref(), &late_values::updated(changes));
        }
        deploy.outputs = stack.outputs;
        deploy.stack_changed = true;
        deploy.stack.claim = Some(StackClaim { arn: stack.arn, stable: true });
    }
    let id = loaded.id().clone();
    loaded.save(context, deployment).await?;
    deployment_log::append(context.ledger(), &id, &format!("the stack is {}", stack.status), context.now())
        .await?;
    Ok(NextStep::Check)
}

/// Diagnoses a failed operation and stores the findings in the deployment. If the rollback failed too, it is
/// continued before the failure is reported.
async fn failed<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    mut loaded: Loaded,
    operation: &Operation,
    stack: Option<Stack>,
) -> Result<NextStep, Failure> {
    let release = loaded.release(context).await?;
    let contents = load::contents(context, &release).await?;
    let protect = &contents.manifest.protect.logical_ids;
    let (stack_arn, _) = planned(&loaded)?;
    let failure_events = observe::failure_events(stacks, &stack_arn, &operation.token, operation.at).await?;
    let causes = diagnosis::diagnose(&failure_events, Some(&contents.template));
    loaded.change_deploy(context, |deploy| deploy.diagnosis = causes).await?;
    let (plan, _) = decide(context, stacks, &loaded, protect).await?;
    if is_unfinished_rollback(&plan) {
        deployment_log::append(
            context.ledger(),
            loaded.id(),
            "its rollback failed too and is continued",
            context.now(),
        )
        .await?;
        return Ok(NextStep::FinishRollback);
    }
    let status = stack.map_or(StackStatus::DeleteComplete, |stack| stack.status);
    let file = contents.manifest.component.template.as_str();
    let diagnosis = &loaded.deploy()?.diagnosis;
    let reason = match diagnosis.first() {
        Some(cause) => diagnosis::sentence(cause, file),
        None => without_cause(stacks, &stack_arn, &operation.token).await,
    };
    let message = explain(&reason, diagnosis.len(), &loaded.stack, &release, &status);
    deployment_log::append(context.ledger(), loaded.id(), &format!("failed: {message}"), context.now())
        .await?;
    Err(match loaded.ensure_not_cancelled() {
        Err(cancelled) => {
            Failure::new(cancelled.kind, format!("{cancelled}. The stack {} is {status}", loaded.stack))
        }
        Ok(()) => Failure::new(FailureKind::StackFailed, message),
    })
}

/// Returns true if the rollback of the execution still runs, or can continue without an approval.
fn is_unfinished_rollback(plan: &Plan) -> bool {
    match plan {
        Plan::Recover(recovery) => recovery.operation == OperationKind::ContinueRollback,
        Plan::Adopt { .. } | Plan::Wait => true,
        _ => false,
    }
}

/// Returns why an operation failed in which no resource failed: CloudFormation's validation stopped it before.
async fn without_cause<S: Stacks>(stacks: &S, stack: &str, token: &str) -> String {
    match stacks.failed_validations(stack, token).await {
        Ok(found) if !found.is_empty() => found.join("; "),
        Ok(_) => "CloudFormation names no resource that failed".to_owned(),
        Err(failure) => format!("no resource failed, and DescribeEvents cannot be read: {}", failure.chain()),
    }
}

fn explain(
    reason: &str,
    failed: usize,
    stack: &StackName,
    release: &Release,
    status: &StackStatus,
) -> String {
    let more = match failed {
        0 | 1 => String::new(),
        n => format!(" ({} more failed after it)", n - 1),
    };
    format!(
        "{reason}{more}. The stack {stack} is {status}; commit {} by {}",
        release.commit.short(),
        release.author
    )
}
