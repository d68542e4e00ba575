//! PlanTeardown: decides how a stack is deleted.

use crate::context::StackContext;
use crate::load::Loaded;
use crate::observe;
use crate::plan::{decide, unexpected_plan, wait_for_other};
use lockstep_aws::cloudformation::Stacks;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::NamedResource;
use lockstep_domain::stacks::plan::{LiveResource, Plan};
use lockstep_runtime::deployment_log;

/// Handles `plan_teardown`. The state machine runs `delete` next, and plans again after it.
pub async fn plan<C: StackContext>(context: &C, id: &DeploymentId) -> Result<NextStep, Failure> {
    let mut loaded = Loaded::load(context, id).await?;
    loaded.ensure_not_cancelled()?;
    let stacks = context.stacks(&loaded.deployment.record.location, &loaded.session()).await?;
    let protect = loaded.protected(context).await?;
    let (plan, reading) = decide(context, &stacks, &loaded, &protect).await?;
    let mut run = loaded.run()?.clone();
    if let Some(reading) = &reading {
        run.arn = Some(reading.observed.arn.clone());
    }
    run.proposal = None;
    run.waits_since = wait_for_other(&plan, run.waits_since, context.now());
    let (go, line) = match plan {
        Plan::Ask(proposal) => {
            let line = format!("a person must allow this: {}", proposal.key());
            run.proposal = Some(proposal);
            (NextStep::Approve, line)
        }
        Plan::Recover(_) => (NextStep::Delete, "the stack needs deletion".to_owned()),
        Plan::Adopt { key } | Plan::AwaitOther { key } => {
            (NextStep::Delete, format!("an operation runs: {key}"))
        }
        Plan::Gone => {
            let orphans = left_behind(&stacks, run.arn.as_deref()).await?;
            for orphan in orphans {
                if !run.orphans.contains(&orphan) {
                    run.orphans.push(orphan);
                }
            }
            let names: Vec<&str> = run.orphans.iter().map(|orphan| orphan.name.as_str()).collect();
            let left =
                if names.is_empty() { String::new() } else { format!("; left behind: {}", names.join(", ")) };
            (NextStep::Done, format!("the stack is gone{left}"))
        }
        other => return Err(unexpected_plan(other)),
    };
    loaded.change_run(context, |stored| *stored = run).await?;
    deployment_log::append(context.ledger(), id, &line, context.now()).await?;
    Ok(go)
}

/// Returns the resources that CloudFormation left behind when it deleted the stack, because of a deletion
/// policy or an approval.
async fn left_behind(stacks: &impl Stacks, arn: Option<&str>) -> Result<Vec<NamedResource>, Failure> {
    let Some(arn) = arn else { return Ok(Vec::new()) };
    let resources = observe::resources(stacks, arn).await?;
    let skipped = resources.iter().filter(|resource| resource.status == "DELETE_SKIPPED");
    Ok(skipped.map(LiveResource::named).collect())
}
