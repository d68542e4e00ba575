//! Reads the stack of a deployment before its success is believed.

use crate::context::LedgerContext;
use lockstep_aws::cloudformation::{Stacks, TemplateForm};
use lockstep_domain::delivery::packaging;
use lockstep_domain::delivery::parameters::{Layer, Layers};
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::{DeployBody, Deployment, Environment};
use lockstep_domain::stacks::identity::StackIdentity;
use lockstep_domain::stacks::readback::{self, ExpectedStack, FoundStack};
use lockstep_runtime::{Artifacts as _, Installed, ReadsBack, StacksOf, releases, stages};

use crate::load::refused;

/// Ensures that the stack runs the release that `deployment` began with. `environment` is the ledger's own record. A
/// teardown and a deployment that only plans have nothing to compare.
///
/// # Errors
/// As [`readback::check`].
pub async fn ensure_deployed<C: LedgerContext>(
    context: &C,
    environment: &Environment,
    deployment: &Deployment,
) -> Result<(), Failure> {
    let Some(deploy) = deployment.deploy().filter(|deploy| !deploy.plan_only) else { return Ok(()) };
    let reader = context.reader()?;
    let (ledger, run) = (context.ledger(), &deploy.stack);
    let release = releases::same_release(ledger, &run.component, &deployment.version, &deploy.digest).await?;
    let contents = packaging::open_release(&release, &reader.artifact(&release.artifact).await?)?;
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
        identity: &identity(reader, deployment, deploy),
        recorded_arn: environment.stack_arn.as_deref(),
        reported_arn: run.arn.as_deref(),
        template: &contents.template_in(stage),
        parameters: &contents.settled_parameters(&stages, stage, layers_of, &release, layers),
    };
    readback::check(&expected, read::<C>(reader, deployment, deploy).await?.as_ref())
}

fn identity(reader: &impl Installed, deployment: &Deployment, deploy: &DeployBody) -> StackIdentity {
    StackIdentity {
        stage: deployment.stage.clone(),
        environment: deploy.stack.environment.clone(),
        component: Some(deploy.stack.component.clone()),
        installation: reader.installation(),
    }
}

async fn read<C: ReadsBack>(
    reader: &C::Reader,
    deployment: &Deployment,
    deploy: &DeployBody,
) -> Result<Option<FoundStack>, Failure> {
    let session = format!("lockstep-{}", deployment.id);
    let stacks = reader.stacks(&deployment.location, &session).await?;
    let Some(found) = stacks.describe(deploy.stack.name.as_str()).await? else { return Ok(None) };
    let template = stacks.template(&found.arn, TemplateForm::Submitted).await?;
    Ok(Some(FoundStack {
        arn: found.arn,
        status: found.status,
        tags: found.tags,
        template,
        parameters: found.parameters,
    }))
}
