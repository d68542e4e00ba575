//! The review of a change set: reads the stack before the change, and compares.

use crate::context::StackContext;
use crate::late;
use crate::load::Loaded;
use crate::observe::StackReading;
use lockstep_aws::cloudformation::{Stacks, TemplateForm};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::Change;
use lockstep_domain::records::Review;
use lockstep_domain::stacks::review::{self, After, Before};
use lockstep_domain::stacks::template::Template;

/// Returns what the change set changes of values and access. `existing` is the stack that it updates.
pub async fn review<C: StackContext>(
    context: &C,
    stacks: &C::Stacks,
    loaded: &Loaded,
    existing: Option<&StackReading>,
    template: &Template,
    changes: &[Change],
) -> Result<Review, Failure> {
    let deploy = loaded.deploy()?;
    let (parameters, overrides) = (&deploy.parameters, &deploy.overrides);
    let after = After { template, parameters, overrides, changes };
    let Some(existing) = existing else { return Ok(review::review(None, after)) };
    let text = stacks.template(&existing.stack.arn, TemplateForm::Submitted).await?;
    let old = Template::parse("template", &text).ok();
    let last = late::last_deployment(context, loaded).await?;
    let recorded = last.as_ref().and_then(|last| last.deploy()).map(|deploy| &deploy.parameters);
    let before = Before { template: old.as_ref(), parameters: &existing.stack.parameters, recorded };
    Ok(review::review(Some(before), after))
}
