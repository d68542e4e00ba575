//! The gate of a promotion.

use crate::context::LedgerContext;
use crate::load;
use jiff::Timestamp;
use lockstep_domain::delivery::gate::{
    check_evidence, check_path, check_release, check_taint, stage as find_stage,
};
use lockstep_domain::delivery::start::promoted_execution;
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::Gated;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use lockstep_domain::records::Environment;
use lockstep_runtime::releases;
use lockstep_runtime::stages::stages;

/// Checks that the gate of the stage admits the release.
///
/// A break-glass opens the gate here too, but only the start of the deployment uses it up. The deployment
/// must begin before the break-glass expires.
pub async fn gate(
    context: &impl LedgerContext,
    execution: &str,
    input: &inputs::Promote,
    now: Timestamp,
) -> Result<Gated, Failure> {
    let stages = stages(context.ledger()).await?;
    let stage = find_stage(&stages, &input.to)?;
    let release = releases::release(context.ledger(), &input.component, &input.version).await?.record;
    check_path(&release, stage, DeploymentPath::Promotion)?;
    check_release(&release, stage)?;
    let proof = load::proof(context, &release, &stages, stage).await?;
    check_evidence(&release, &stages, stage, proof.evidence.as_ref(), proof.permission(), now)?;
    let key = Environment::key_of(&stage.name, input.component.as_str());
    let environment = context.ledger().get::<Environment>(&key).await?;
    check_taint(environment.as_ref().map(|environment| &environment.record))?;
    Ok(Gated { deploy_execution: promoted_execution(execution) })
}
