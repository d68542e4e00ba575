//! The review of a change set: reads the stack before the change, and compares.

use crate::context::StackContext;
use crate::load::Loaded;
use crate::observe::StackReading;
use lockstep_aws::cloudformation::{Stacks, TemplateForm};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::resource_change::Change;
use lockstep_domain::records::{Deployment, Review};
use lockstep_domain::stacks::review::{self, After, Before};
use lockstep_domain::stacks::template::Template;
use std::collections::BTreeMap;

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
    let recorded = recorded(context, loaded).await?;
    let before = Before {
        template: old.as_ref(),
        parameters: &existing.stack.parameters,
        recorded: recorded.as_ref(),
    };
    Ok(review::review(Some(before), after))
}

/// Returns the parameters of the deployment that the environment runs.
async fn recorded<C: StackContext>(
    context: &C,
    loaded: &Loaded,
) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let Some(deployed) = &loaded.environment.record.deployed else { return Ok(None) };
    // A stage may have changed its path since. A function of a path reads no deployment of the other.
    if deployed.deployment.path() != loaded.id().path() {
        return Ok(None);
    }
    let key = Deployment::key_of(&deployed.deployment);
    let found = context.ledger().get::<Deployment>(&key).await?;
    Ok(found.and_then(|found| found.record.deploy().map(|deploy| deploy.parameters.clone())))
}
