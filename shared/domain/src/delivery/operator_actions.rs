//! What people may do to a deployment or an environment, beside answering its questions. Who, why and when is always
//! written down.

use crate::delivery::environment;
use crate::model::error::{Failure, FailureKind};
use crate::model::operator_action::OperatorAction;
use crate::records::{
    Cancellation, Deployment, DeploymentKind, DeploymentState, Environment, Operation, OperationKind,
};
use crate::stacks::plan::operation_key;

/// What a cancellation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The deployment with the action on it; nothing if it has one already.
    pub deployment: Option<Deployment>,
    /// The operation whose wait is woken, so that the action is seen now and not when the operation ends.
    pub wake: Option<String>,
}

/// Asks a running deployment to stop. `environment` is the one it is about.
///
/// The stack function sees the action at its next step. What CloudFormation cannot stop is refused, so that nobody believes
/// it was: a creation and a deletion go on to their end
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CancelUpdateStack.html>).
pub fn cancel(
    deployment: &Deployment,
    environment: Option<&Environment>,
    action: &OperatorAction,
) -> Result<Cancelled, Failure> {
    let id = &deployment.id;
    let conflict = |message: String| Failure::new(FailureKind::Conflict, message);
    if matches!(deployment.kind, DeploymentKind::PromoteImage { .. }) {
        return Err(Failure::rejected(format!(
            "{id} brings an image; that is not cancelled, only left to end"
        )));
    }
    if deployment.state.is_final() {
        return Err(conflict(format!("deployment {id} is closed already")));
    }
    if deployment.state == DeploymentState::AwaitingApproval {
        return Err(conflict(format!(
            "deployment {id} waits for an answer and does nothing meanwhile; refuse it: \
             lockstep approve {id} --refuse --reason \"...\""
        )));
    }
    environment::still_holds(environment, deployment)?;
    let was_stable = environment.is_some_and(|environment| environment.ever_stable);
    match deployment.operation().map(|operation| operation.operation) {
        Some(OperationKind::Execute) if !was_stable => {
            return Err(conflict(format!(
                "deployment {id} creates its stack, and CloudFormation cannot stop a creation; if it fails, it is undone"
            )));
        }
        Some(OperationKind::Delete) => {
            return Err(conflict(format!(
                "deployment {id} deletes its stack, and CloudFormation cannot stop a deletion"
            )));
        }
        _ => {}
    }
    let cancellation = Cancellation { by: action.by.clone(), reason: action.reason.clone(), at: action.at };
    let wanted = deployment.cancellation.is_none();
    Ok(Cancelled {
        deployment: wanted.then(|| Deployment { cancellation: Some(cancellation), ..deployment.clone() }),
        wake: deployment.operation().and_then(|operation| awaited(deployment, operation)),
    })
}

/// What a state waits for while `operation` runs.
fn awaited(deployment: &Deployment, operation: &Operation) -> Option<String> {
    // What is executed is a change set; its events are the stack's.
    let stack = match operation.operation {
        OperationKind::Execute => deployment.stack_arn.as_deref()?,
        _ => operation.target.as_str(),
    };
    Some(operation_key(stack, &operation.token))
}

/// The environment without its taint, which the caller has put in order by hand, and the line for the journal; nothing if
/// it has none.
///
/// Not while a deployment works on it: what it is about to find there is not known yet.
pub fn reconcile(
    environment: &Environment,
    action: &OperatorAction,
) -> Result<Option<(Environment, String)>, Failure> {
    let Some(taint) = &environment.taint else { return Ok(None) };
    if let Some(holder) = &environment.holder {
        return Err(Failure::new(
            FailureKind::EnvironmentBusy,
            format!("deployment {} works on it; reconcile it when that has ended", holder.deployment),
        ));
    }
    let note = format!("{} reconciled it ({taint}): {}", action.by, action.reason);
    Ok(Some((Environment { taint: None, ..environment.clone() }, note)))
}

#[cfg(test)]
mod tests;
