//! Actions of operators on a deployment or an environment, apart from approvals. Each action records its operator,
//! reason and time.

use crate::delivery::environment;
use crate::model::error::{Failure, FailureKind};
use crate::model::operator_action::OperatorAction;
use crate::records::{
    Cancellation, Deployment, DeploymentState, Environment, Hold, Operation, OperationKind,
};
use crate::stacks::plan::operation_key;

/// Result of a cancellation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The deployment with the cancellation recorded; `None` if it has one already.
    pub deployment: Option<Deployment>,
    /// Key of the callback to complete, so that the stack function sees the cancellation now and not at the end of the
    /// operation.
    pub wake: Option<String>,
}

/// Cancels a running deployment. `environment` is the environment of the deployment.
///
/// The stack function sees the cancellation at its next step. A creation or a deletion is refused, because
/// CloudFormation cannot stop them: they run to their end
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CancelUpdateStack.html>).
pub fn cancel(
    deployment: &Deployment,
    environment: Option<&Environment>,
    action: &OperatorAction,
) -> Result<Cancelled, Failure> {
    let id = &deployment.id;
    let conflict = |message: String| Failure::new(FailureKind::Conflict, message);
    if deployment.promotion().is_some() {
        return Err(Failure::rejected(format!(
            "{id} promotes an image, which cannot be cancelled; wait until it ends"
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
                "deployment {id} creates its stack, and CloudFormation cannot stop a creation; a failed creation is rolled back"
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

/// Returns the key of the callback that a state waits for while `operation` runs.
fn awaited(deployment: &Deployment, operation: &Operation) -> Option<String> {
    // The target of an execution is a change set, but the events name the stack.
    let stack = match operation.operation {
        OperationKind::Execute => deployment.stack()?.arn.as_deref()?,
        _ => operation.target.as_str(),
    };
    Some(operation_key(stack, &operation.token))
}

/// Clears the taint of an environment that the caller repaired by hand. Returns the environment and the line for the
/// deployment log, or `None` if there is no taint.
///
/// Refused while a deployment holds the environment, because its outcome is not known yet.
pub fn reconcile(
    environment: &Environment,
    action: &OperatorAction,
) -> Result<Option<(Environment, String)>, Failure> {
    let Some(taint) = &environment.taint else { return Ok(None) };
    if let Some(holder) = &environment.holder {
        return Err(Failure::new(
            FailureKind::EnvironmentBusy,
            format!(
                "deployment {} holds the environment; reconcile it when the deployment has ended",
                holder.deployment
            ),
        ));
    }
    let note = format!("{} reconciled it ({taint}): {}", action.by, action.reason);
    Ok(Some((Environment { taint: None, ..environment.clone() }, note)))
}

/// Returns the environment with a hold; `None` if it has one, which keeps its reason.
pub fn hold(environment: &Environment, action: &OperatorAction) -> Option<Environment> {
    let hold = Hold { by: action.by.clone(), reason: action.reason.clone(), at: action.at };
    environment.hold.is_none().then(|| Environment { hold: Some(hold), ..environment.clone() })
}

/// Returns the environment without its hold; `None` if it has none.
pub fn resume(environment: &Environment) -> Option<Environment> {
    environment.hold.is_some().then(|| Environment { hold: None, ..environment.clone() })
}

#[cfg(test)]
mod tests;
