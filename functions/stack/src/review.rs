//! The review of a change set: reads the stack before the change, and compares.

use crate::context::StackContext;
use crate::late;
use crate::load::Loaded;
use crate::observe::{self, StackReading};
use lockstep_aws::cloudformation::{Stacks, TemplateForm};
use lockstep_domain::delivery::packaging::PackedContents;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::{Change, NESTED_STACK};
use lockstep_domain::records::Review;
use lockstep_domain::stacks::access::changed_nested;
use lockstep_domain::stacks::review::{self, After, Before, NestedBefore};
use lockstep_domain::stacks::template::Template;

/// Returns what the change set changes of values and access. `existing` is the stack that it updates.
pub async fn review<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    existing: Option<&StackReading>,
    (contents, template): (&PackedContents, &Template),
    changes: &[Change],
) -> Result<Review, Failure> {
    let (deploy, deployment) = (loaded.deploy()?, &loaded.deployment.record);
    let (parameters, overrides) = (&deploy.parameters, &deploy.overrides);
    let nested = contents.nested_stacks(&deployment.stage, &deployment.location, parameters);
    let after = After { template, parameters, overrides, changes, nested: &nested };
    let Some(existing) = existing else { return Ok(review::review(None, after)) };
    let text = stacks.template(&existing.stack.arn, TemplateForm::Submitted).await?;
    let old = Template::parse("template", &text).ok();
    let last = late::last_deployment(context, loaded).await?;
    let recorded = last.as_ref().and_then(|last| last.deploy()).map(|deploy| &deploy.parameters);
    let nested = nested_before(stacks, &existing.stack.arn, &after).await?;
    let parameters = &existing.stack.parameters;
    let before = Before { template: old.as_ref(), parameters, recorded, nested: &nested };
    Ok(review::review(Some(before), after))
}

/// Reads the nested stacks that are compared, as they run.
async fn nested_before(
    stacks: &impl Stacks,
    root: &str,
    after: &After<'_>,
) -> Result<Vec<NestedBefore>, Failure> {
    let mut found = Vec::new();
    if after.nested.is_empty() && changed_nested(after.changes).next().is_none() {
        return Ok(found);
    }
    let resources = observe::resources(stacks, root).await?;
    let nested = resources.iter().filter(|resource| resource.resource_type == NESTED_STACK);
    for resource in nested.filter(|resource| after.compares(&resource.logical_id)) {
        let Some(stack) = stacks.describe(&resource.physical_id).await? else { continue };
        let text = stacks.template(&stack.arn, TemplateForm::Submitted).await?;
        let template = Template::parse("template", &text).ok();
        let logical_id = resource.logical_id.clone();
        found.push(NestedBefore { logical_id, template, parameters: stack.parameters });
    }
    Ok(found)
}
