//! The review of a change set: reads the stack before the change, and compares.

use crate::context::StackContext;
use crate::late;
use crate::load::Loaded;
use crate::observe::{self, StackReading};
use lockstep_aws::cloudformation::{Stacks, TemplateForm};
use lockstep_domain::delivery::packaging::PackedContents;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::Change;
use lockstep_domain::records::Review;
use lockstep_domain::stacks::access::changed_nested;
use lockstep_domain::stacks::review::{self, After, Before, NestedBefore};
use lockstep_domain::stacks::template::Template;
use std::collections::BTreeSet;

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
    let nested = nested_before(stacks, &existing.stack.arn, changes).await?;
    let parameters = &existing.stack.parameters;
    let before = Before { template: old.as_ref(), parameters, recorded, nested: &nested };
    Ok(review::review(Some(before), after))
}

/// Reads the nested stacks that the change set changes, as they run.
async fn nested_before(
    stacks: &impl Stacks,
    root: &str,
    changes: &[Change],
) -> Result<Vec<NestedBefore>, Failure> {
    let changed: BTreeSet<&str> = changed_nested(changes).map(|change| change.logical_id.as_str()).collect();
    let mut found = Vec::new();
    if changed.is_empty() {
        return Ok(found);
    }
    let resources = observe::resources(stacks, root).await?;
    for resource in resources.iter().filter(|resource| changed.contains(resource.logical_id.as_str())) {
        let Some(stack) = stacks.describe(&resource.physical_id).await? else { continue };
        let text = stacks.template(&stack.arn, TemplateForm::Submitted).await?;
        let template = Template::parse("template", &text).ok();
        let logical_id = resource.logical_id.clone();
        found.push(NestedBefore { logical_id, template, parameters: stack.parameters });
    }
    Ok(found)
}
