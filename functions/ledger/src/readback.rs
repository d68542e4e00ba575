//! Reads the stack of a deployment before its success is believed.

use crate::context::LedgerContext;
use crate::load::refused;
use lockstep_aws::cloudformation::{Stacks, TemplateForm};
use lockstep_domain::delivery::packaging;
use lockstep_domain::delivery::parameters::{Layer, Layers};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::StackName;
use lockstep_domain::records::{DeployBody, Deployment, Environment, Release};
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::readback::{self, ExpectedStack, FoundStack};
use lockstep_runtime::{Artifacts as _, Installed as _, ReadsBack, StacksOf, stages};

/// Ensures that the stack of `deployment` runs `release`. `known` is the ledger's own record of the environment.
///
/// # Errors
/// As [`readback::check`].
pub async fn ensure_deployed<C: LedgerContext>(
    context: &C,
    known: &Environment,
    deployment: &Deployment,
    deploy: &DeployBody,
    release: &Release,
) -> Result<(), Failure> {
    let (reader, ledger, run) = (context.reader()?, context.ledger(), &deploy.stack);
    let contents = packaging::open_release(release, &reader.artifact(&release.artifact).await?)?;
    let (stages, organisation) = (stages::stages(ledger).await?, stages::parameters(ledger).await?);
    let stage = stages.named(&deployment.stage)?;
    let overrides = Layer::overrides(&deploy.overrides).map_err(refused)?;
    let layers = Layers {
        organisation: Some(&organisation),
        component: &contents.layers,
        overrides: Some(&overrides),
    };
    let layers_of = deploy.parameters_of.as_ref().unwrap_or(&stage.name);
    let expected = ExpectedStack {
        name: run.name.as_str(),
        identity: &StackIdentity::of_run(&stage.name, run, reader.installation()),
        recorded_arn: known.stack_arn.as_deref(),
        reported_arn: run.arn.as_deref(),
        template: &contents.template_in(stage),
        parameters: &contents.settled_parameters(&stages, stage, layers_of, release, layers),
    };
    readback::check(&expected, read::<C>(reader, deployment, &run.name).await?.as_ref())
}

async fn read<C: ReadsBack>(
    reader: &C::Reader,
    deployment: &Deployment,
    stack: &StackName,
) -> Result<Option<FoundStack>, Failure> {
    let stacks = reader.stacks(&deployment.location, &deployment.id.session()).await?;
    let Some(found) = stacks.describe(stack.as_str()).await? else { return Ok(None) };
    let template = stacks.template(&found.arn, TemplateForm::Submitted).await?;
    Ok(Some(FoundStack {
        arn: found.arn,
        status: found.status,
        tags: found.tags,
        template,
        parameters: found.parameters,
    }))
}
