//! The permissions that CloudFormation's role needs for a component, stage by stage.

use super::{Package, PackagingInput};
use crate::delivery::environment::stack_name;
use crate::delivery::parameters::{Layers, OutputName, Request, settled};
use crate::delivery::stages::{Stage, Stages};
use crate::model::ids::{AmiId, CommitSha, FunctionName, StageName};
use crate::model::version::Version;
use crate::stacks::permissions::{Needs, Table, TemplateContext, needs_with_nested};

/// Stand-ins for a commit and an AMI, which no settled value holds.
const SOME_COMMIT: &str = "0000000000000000000000000000000000000000";
const SOME_AMI: &str = "ami-00000000";

/// The permissions that a component needs in one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageNeeds {
    /// The stage; `None` if the stages are unknown.
    pub stage: Option<StageName>,
    /// The permissions that the template needs in the stage.
    pub needs: Needs,
}

/// Scope of the ARNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// ARNs with the account, the region and the stack of one deployment.
    Stage,
    /// ARNs for every environment of an account.
    Account,
}

/// Returns the permissions that a component and its nested stacks need in every stage, with the settled values of the
/// stage's parameters.
pub fn needs_by_stage(
    package: &Package,
    input: &PackagingInput<'_>,
    table: &Table,
    scope: Scope,
) -> Vec<StageNeeds> {
    let nested = |address: &str| package.local.templates_at(address);
    let needs = |known: &TemplateContext| needs_with_nested(&package.template, table, known, &nested);
    let Some(stages) = input.stages else {
        return vec![StageNeeds { stage: None, needs: needs(&TemplateContext::default()) }];
    };
    let of = |stage: &Stage| StageNeeds {
        stage: Some(stage.name.clone()),
        needs: needs(&known(package, input, stages, stage, scope)),
    };
    stages.iter().map(of).collect()
}

/// Returns the context of a deployment to `stage` that is known before the deployment.
fn known(
    package: &Package,
    input: &PackagingInput<'_>,
    stages: &Stages,
    stage: &Stage,
    scope: Scope,
) -> TemplateContext {
    let component = &package.manifest.component;
    let place = match scope {
        Scope::Account => TemplateContext::default(),
        Scope::Stage => TemplateContext {
            account: Some(stage.account.to_string()),
            region: Some(stage.region.to_string()),
            // The name of the test stack contains a version that is not known yet.
            stack: Some(stage)
                .filter(|stage| !stage.is_test())
                .and_then(|stage| Some(stack_name(&stage.name, component.name.as_str()).ok()?.to_string())),
            ..TemplateContext::default()
        },
    };
    let (Ok(commit), Ok(ami)) = (SOME_COMMIT.parse::<CommitSha>(), SOME_AMI.parse::<AmiId>()) else {
        return place;
    };
    let unknown = |what: String| Err(format!("{what} is not known yet"));
    let request = Request {
        template_file: component.template.as_str(),
        parameters: package.template.parameters(),
        layers: Layers { organisation: input.organisation, component: &package.layers, overrides: None },
        stage,
        layers_of: &stage.name,
        stages,
        version: &Version::release(component.version, 0),
        commit: &commit,
        outputs: &|output: &OutputName| unknown(output.to_string()),
        functions: &|function: &FunctionName| unknown(function.to_string()),
        images: &package.manifest.images.keys().map(|id| (id.clone(), ami.clone())).collect(),
        stored: &|id, _| package.public_lock.parameters.contains(id).then(|| unknown(id.to_string())),
    };
    TemplateContext { parameters: settled(&request), ..place }
}
