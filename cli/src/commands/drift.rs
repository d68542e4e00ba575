//! `lockstep drift`: looks for changes that were made outside of Lockstep, and explains what the last look found.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::follow::wait;
use crate::global::Global;
use crate::report::Report;
use crate::runs::{self, Run};
use crate::views::drift::{HEAD, exit, explain, rows};
use clap::{Args, Subcommand};
use lockstep_aws::operator::executions::{Execution, Status};
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::messages::drift::Subject;
use lockstep_domain::messages::inputs;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::records::{DriftReport, DriftState};
use serde_json::{Value, json};

/// The arguments of `drift`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Drift {
    /// The stage; by default every stage but that of tests
    #[arg(long = "in", alias = "stage", value_name = "STAGE")]
    stage: Option<StageName>,
    /// The component; by default every one
    #[arg(long, value_name = "COMPONENT")]
    component: Option<ComponentName>,
    /// Look at the environments whose turn it is by the schedules of their stages, as the schedule does
    #[arg(long, conflicts_with_all = ["stage", "component"])]
    due: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

/// What `drift` does other than to look.
#[derive(Debug, Subcommand)]
enum Action {
    /// Show what the last look at an environment found: property, wanted, found, since when
    Explain(Explain),
}

/// The arguments of `drift explain`.
#[derive(Args, Debug)]
struct Explain {
    /// The component
    component: ComponentName,
    /// The stage
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
    /// The environment, if it is a clone
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
}

/// Runs the command.
pub async fn run(arguments: &Drift, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    match &arguments.action {
        Some(Action::Explain(arguments)) => explained(arguments, &plane, context).await,
        None => look(arguments, &plane, context).await,
    }
}

/// Looks at the environments, one execution for each stage or path, and shows the reports.
async fn look(arguments: &Drift, plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let stages = plane.stages().await?;
    let mut executions = Vec::new();
    for (path, input) in inputs(arguments, &stages)? {
        executions.push(runs::start(plane, &Run::Drift(path, input)).await?);
    }
    let mut reports = Vec::new();
    for execution in &executions {
        let ended = wait(plane, execution, &context.output).await?;
        for subject in looked_at(&ended)? {
            reports.push(report(plane, stages.named(&subject.stage)?, &subject).await?);
        }
    }
    if reports.is_empty() && arguments.due {
        context.output.line("by the schedules of the stages, no environment is due");
    } else if reports.is_empty() {
        context.output.line("no environment runs a release, so there was nothing to look at");
    } else {
        context.output.table(HEAD, rows(&reports));
    }
    for report in reports.iter().filter(|report| report.state() != DriftState::InSync) {
        context.output.line("");
        explain(report).iter().for_each(|line| context.output.line(line));
    }
    let exit = exit(&reports);
    let report = Report { document: document(&reports), exit };
    let next = "read the reasons above, or run lockstep doctor, then look again: lockstep drift";
    Ok(match exit {
        Exit::Failed => report.failed(&Failure::new("a look at an environment failed").next(next)),
        Exit::Done | Exit::Usage | Exit::NeedsHuman | Exit::Interrupted => report,
    })
}

/// Returns the input of each execution, with its path.
fn inputs(arguments: &Drift, stages: &Stages) -> Result<Vec<(DeploymentPath, inputs::Drift)>, Failure> {
    if arguments.due {
        return Ok(DeploymentPath::ALL.into_iter().map(|path| (path, inputs::Drift::default())).collect());
    }
    let chosen: Vec<&Stage> = match &arguments.stage {
        Some(name) => vec![stages.named(name)?],
        None => stages.iter().filter(|stage| !stage.is_test()).collect(),
    };
    let input = |stage: &Stage| inputs::Drift {
        stage: Some(stage.name.clone()),
        component: arguments.component.clone(),
    };
    Ok(chosen.into_iter().map(|stage| (stage.path(), input(stage))).collect())
}

/// Returns the environments that an execution looked at.
fn looked_at(ended: &Execution) -> Result<Vec<Subject>, Failure> {
    match &ended.status {
        Status::Succeeded { output } => {
            let results = output.get("results").cloned().unwrap_or_else(|| json!([]));
            serde_json::from_value(results).map_err(crate::failure::at("the result of the execution"))
        }
        Status::Failed { error, cause } => {
            let caught = CaughtError { error: error.clone(), cause: cause.clone() };
            let what = format!("no environment was looked at: {}", caught.sentence());
            Err(Failure::of_kind(caught.kind(), what))
        }
        Status::Running => Err(Failure::new("the execution still runs; run the command again")),
    }
}

async fn report(plane: &ControlPlane, stage: &Stage, subject: &Subject) -> Result<DriftReport, Failure> {
    let found = plane.drift_report(stage, &subject.environment).await?;
    found.ok_or_else(|| {
        let name = format!("{}/{}", subject.stage, subject.environment);
        Failure::new(format!("the look at {name} wrote no report")).next("lockstep drift")
    })
}

async fn explained(
    arguments: &Explain,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let stages = plane.stages().await?;
    let stage = stages.named(&arguments.stage)?;
    let name = arguments.environment.as_deref().unwrap_or(arguments.component.as_str());
    let Some(found) = plane.drift_report(stage, name).await? else {
        let next = format!("lockstep drift --in {} --component {}", stage.name, arguments.component);
        return Err(Failure::new(format!("nothing has looked at {}/{name} yet", stage.name)).next(next));
    };
    explain(&found).iter().for_each(|line| context.output.line(line));
    Ok(Report { document: described(&found), exit: exit(std::slice::from_ref(&found)) })
}

fn document(reports: &[DriftReport]) -> Value {
    json!({ "environments": reports.iter().map(described).collect::<Vec<_>>() })
}

/// Returns a report with its state, which follows from its fields.
fn described(report: &DriftReport) -> Value {
    let mut document = json!(report);
    document["state"] = json!(report.state());
    document
}
