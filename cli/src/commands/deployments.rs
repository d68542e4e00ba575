//! `lockstep deployments`: the deployments, newest first, with those that wait for their turn.

use crate::context::CommandContext;
use crate::control_plane::{ControlPlane, LISTED};
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use crate::views::deployments::{Filter, HEAD, Listed, listed, row};
use clap::Args;
use jiff::Timestamp;
use lockstep_domain::model::ids::{ComponentName, StageName};
use serde_json::json;

/// Maximum number of deployments that are printed. The document has all.
const SHOWN: usize = 50;

/// The arguments of `deployments`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// List those that wait: for an approver, or for their turn
    #[arg(long)]
    waiting: bool,
    /// List those that failed
    #[arg(long)]
    failed: bool,
    /// List only those to this stage
    #[arg(long = "in", value_name = "STAGE")]
    stage: Option<StageName>,
    /// List only those of this component
    #[arg(long, value_name = "COMPONENT")]
    component: Option<ComponentName>,
}

/// Lists deployments, newest first.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let filter = Filter {
        waiting: arguments.waiting,
        failed: arguments.failed,
        stage: arguments.stage.clone(),
        component: arguments.component.clone(),
    };
    let only_waiting = arguments.waiting && !arguments.failed;
    let deployments = match only_waiting {
        true => plane.unfinished_deployments().await?,
        false => plane.deployments().await?,
    };
    let is_cut = deployments.len() >= LISTED && !only_waiting;
    let environments = plane.environments(&plane.stages().await?).await?;
    let found = listed(&deployments, &environments, &filter);
    let (output, now) = (&context.output, Timestamp::now());
    if found.is_empty() {
        output.line("no deployment is like that");
    } else {
        output.table(HEAD, found.iter().take(SHOWN).map(|listed: &Listed| row(listed, now)));
    }
    let more = found.len().saturating_sub(SHOWN);
    if more > 0 {
        output.line(format!("and {more} more: --json lists them"));
    }
    if is_cut {
        output.line(format!("deployments before the newest {LISTED} are not listed"));
    }
    Ok(Report::done(json!({ "deployments": found, "older_exist": is_cut })))
}
