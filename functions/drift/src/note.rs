//! The state of an environment and its stack, noted before a look and again after it.

use lockstep_aws::cloudformation::Stacks;
use lockstep_domain::drift::report::target;
use lockstep_domain::messages::drift::Noted;
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::Environment;
use lockstep_domain::stacks::plan::StackStatus;

/// Returns the state of an environment and its stack, or the reason why it cannot be looked at.
pub async fn note(
    environment: &Environment,
    stacks: &impl Stacks,
) -> Result<Result<(Noted, StackStatus), String>, Failure> {
    let (version, arn) = match target(environment) {
        Ok(target) => target,
        Err(reason) => return Ok(Err(reason)),
    };
    let Some(stack) = stacks.describe(arn).await? else {
        return Ok(Err(format!("the stack {arn} does not exist; run `lockstep reconcile`")));
    };
    let noted = Noted {
        epoch: environment.epoch,
        version: version.clone(),
        stack: arn.to_owned(),
        status: stack.status.to_string(),
        updated: stack.last_updated,
    };
    Ok(Ok((noted, stack.status)))
}
