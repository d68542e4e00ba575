//! Permissions that the execution role lacks for a deployment, as far as AWS reports them.
//!
//! The result is a warning. A result that cannot be determined is *unknown* and never stops a deployment.

use crate::context::StackContext;
use crate::load::{self, Loaded};
use lockstep_domain::delivery::packaging::PackedContents;
use lockstep_domain::model::error::{Failure, chain};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::missing_permissions::MissingPermissions;
use lockstep_domain::records::{DeployBody, Release};
use lockstep_domain::stacks::permissions::missing::{by_resource, judge, questions};
use lockstep_domain::stacks::permissions::{Table, TemplateContext, excerpt_key, needs_with_nested};
use std::time::Duration;

/// Timeout of AWS's answer, after which the result is unknown.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns what the execution role lacks for the deployment.
pub async fn lack<C: StackContext>(
    context: &C,
    loaded: &Loaded,
    deploy: &DeployBody,
    release: &Release,
    contents: &PackedContents,
) -> MissingPermissions {
    let table = match table(context, release).await {
        Ok(table) => table,
        Err(why) => return MissingPermissions::without_table(&why),
    };
    let location = &loaded.deployment.record.location;
    let nested = |address: &str| contents.local.templates_at(address);
    let known = known(context, deploy, location);
    let needs = needs_with_nested(&contents.template, &table, &known, &nested);
    let questions = questions(&needs, loaded.stack.as_str());
    let session = loaded.session();
    let asked = context.simulate(location, &session, &questions);
    let lack = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answers)) => judge(&needs, loaded.stack.as_str(), &answers),
        Ok(Err(failure)) => MissingPermissions::without_answer(&needs, &sentence(&failure)),
        Err(_) => MissingPermissions::without_answer(&needs, "AWS did not answer in time"),
    };
    match deploy.plan_only {
        true => MissingPermissions { resources: by_resource(&needs), ..lack },
        false => lack,
    }
}

/// Returns the rows of the table that packaging stored with the release, or why they are not known.
async fn table<C: StackContext>(context: &C, release: &Release) -> Result<Table, String> {
    let digest = release.permissions.as_ref();
    let digest = digest.ok_or("the release was packaged before its permissions were written down")?;
    let packed = context.artifact(&excerpt_key(&release.component, digest)).await;
    Table::read(&packed.map_err(|failure| sentence(&failure))?, digest).map_err(|error| chain(&error))
}

fn known<C: StackContext>(context: &C, deploy: &DeployBody, location: &Location) -> TemplateContext {
    let role = load::execution_role(context, location);
    TemplateContext {
        parameters: deploy.parameters.clone(),
        stack: Some(deploy.stack.name.to_string()),
        account: Some(location.account.to_string()),
        region: Some(location.region.to_string()),
        partition: role.split(':').nth(1).map(str::to_owned),
    }
}

/// The most characters of a reason: the deployment's record keeps it.
const REASON_CHARS: usize = 200;

fn sentence(failure: &Failure) -> String {
    failure.chain().chars().take(REASON_CHARS).collect()
}
