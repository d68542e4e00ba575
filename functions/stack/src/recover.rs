//! Recover: bring a stack to where it can be planned for.

use crate::journal::note;
use crate::load::Loaded;
use crate::plan::{decide, no_go};
use crate::world::World;
use lockstep_domain::error::Failure;
use lockstep_domain::ids::DeploymentId;
use lockstep_domain::payloads::Task;
use lockstep_domain::records::{Operation, OperationKind};
use lockstep_domain::stack_plan::{Plan, operation_key};
use lockstep_domain::token::client_token;
use lockstep_platform::cloudformation::Stacks;
use lockstep_platform::ports::WaitBook;

/// Serves `recover`. The state machine plans again afterwards, so that every other find ends the wait at once.
pub async fn recover<W: World>(world: &W, id: &DeploymentId, task: &Task) -> Result<(), Failure> {
    let mut loaded = Loaded::load(world, id).await?;
    let stacks = world.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let (plan, _) = decide(&stacks, &loaded).await?;
    let arn = match plan {
        Plan::Clear { arn, .. } => arn,
        Plan::Adopt { key } => {
            note(world, id, &format!("waiting for {key}")).await?;
            return wait_for(world, &stacks, &loaded, &key, task).await;
        }
        other => return over(world, &loaded, other, task).await,
    };
    let operation = intent(world, &loaded, &arn);
    let key = operation_key(&arn, &operation.token);
    let mut record = loaded.deployment.record.clone();
    if record.operation() != Some(&operation) {
        record.operations.push(operation.clone());
    }
    loaded.save(world, record).await?;
    note(world, id, &format!("deleting {arn}, which was never stable")).await?;
    world.waits().register(&key, task).await?;
    let role = world.execution_role(&loaded.deployment.record.location);
    stacks.delete_stack(&arn, &operation.token, &role, &[]).await?;
    // The deletion of a stack that was only reviewed is over at once, and may tell nobody.
    match decide(&stacks, &loaded).await?.0 {
        Plan::Adopt { .. } | Plan::Clear { .. } | Plan::Wait => Ok(()),
        _ => world.waits().wake(&key).await,
    }
}

/// The deletion of `arn`; the same one as before if it was begun before.
fn intent<W: World>(world: &W, loaded: &Loaded, arn: &str) -> Operation {
    let before = loaded.deployment.record.operation();
    let before = before.filter(|operation| operation.operation == OperationKind::Clear);
    match before {
        Some(same) if same.target == arn => same.clone(),
        other => {
            let attempt = other.map_or(1, |operation| operation.attempt + 1);
            Operation {
                operation: OperationKind::Clear,
                token: client_token(loaded.id().as_str(), "clear", attempt),
                target: arn.to_owned(),
                attempt,
                without: Vec::new(),
                at: world.now(),
            }
        }
    }
}

/// Waits for an operation that was seen running; it may have ended before anybody waited.
async fn wait_for<W: World>(
    world: &W,
    stacks: &W::Stacks,
    loaded: &Loaded,
    key: &str,
    task: &Task,
) -> Result<(), Failure> {
    world.waits().register(key, task).await?;
    match decide(stacks, loaded).await?.0 {
        Plan::Adopt { key: still } if still == *key => Ok(()),
        _ => world.waits().wake(key).await,
    }
}

/// Answers the token where there is nothing to wait for (any more): the next plan says what there is.
async fn over<W: World>(world: &W, loaded: &Loaded, plan: Plan, task: &Task) -> Result<(), Failure> {
    if let failure @ (Plan::NeedsHuman { .. } | Plan::Wait) = plan {
        return Err(no_go(failure));
    }
    let key =
        operation_key(loaded.stack.as_str(), &client_token(loaded.id().as_str(), "nothing-runs", task.retry));
    world.waits().register(&key, task).await?;
    world.waits().wake(&key).await
}
