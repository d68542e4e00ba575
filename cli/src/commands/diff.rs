//! `lockstep diff`: compares what runs in two stages.

use crate::background;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::report::Report;
use crate::views::diff::{self, ComponentDifference, Running};
use clap::Args;
use lockstep_domain::delivery::commits::CommitList;
use lockstep_domain::delivery::gate;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::records::Environment;
use serde_json::json;
use std::collections::BTreeSet;

/// The arguments of `diff`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The one stage, such as ci
    from: StageName,
    /// The other stage, such as production
    to: StageName,
    /// Compare only this component
    #[arg(long)]
    component: Option<ComponentName>,
}

/// Prints the versions, the parameters and the commits that differ between two stages. Clones are left out.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stages = plane.stages().await?;
    for stage in [&arguments.from, &arguments.to] {
        gate::stage(&stages, stage)?;
    }
    let of_component = |environment: &Environment| {
        environment.name == environment.component.as_str()
            && arguments.component.as_ref().is_none_or(|wanted| *wanted == environment.component)
    };
    let mut environments = plane.environments(&stages).await?;
    environments.retain(|environment| of_component(environment) && environment.deployed.is_some());
    let in_stage = |stage: &StageName, component: &ComponentName| {
        environments.iter().find(|found| found.stage == *stage && found.component == *component)
    };
    let components: BTreeSet<&ComponentName> = environments
        .iter()
        .filter(|found| [&arguments.from, &arguments.to].contains(&&found.stage))
        .map(|found| &found.component)
        .collect();
    let mut differences = Vec::new();
    for component in components {
        let sides = [in_stage(&arguments.from, component), in_stage(&arguments.to, component)];
        differences.push(compared(&plane, component, sides).await?);
    }
    if differences.is_empty() {
        context.output.line(format!("nothing runs in {} or {}", arguments.from, arguments.to));
    }
    diff::show([&arguments.from, &arguments.to], &differences, &context.output);
    Ok(Report { document: json!({ "components": differences }), exit: Exit::Done })
}

async fn compared(
    plane: &ControlPlane,
    component: &ComponentName,
    [from, to]: [Option<&Environment>; 2],
) -> Result<ComponentDifference, Failure> {
    let sides = [running(plane, from).await?, running(plane, to).await?];
    let commits = match &sides {
        [Some(a), Some(b)] if a.version != b.version => {
            background::commits_between(plane, component, &a.version, &b.version).await?
        }
        _ => CommitList::default(),
    };
    Ok(ComponentDifference::of(component, &sides, commits))
}

async fn running(
    plane: &ControlPlane,
    environment: Option<&Environment>,
) -> Result<Option<Running>, Failure> {
    let Some(deployed) = environment.and_then(|environment| environment.deployed.as_ref()) else {
        return Ok(None);
    };
    let deployment = plane.deployment(&deployed.deployment).await?;
    let deploy = deployment.deploy().cloned();
    Ok(deploy.map(|deploy| Running { version: deployed.version.clone(), deploy }))
}
