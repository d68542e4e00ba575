//! `lockstep promote`: brings a release to a stage that no push reaches.

use super::deploy::keeping_stage;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::follow::follow_to_end;
use crate::global::Global;
use crate::known;
use crate::names::{Reason, ReleaseName};
use crate::output::Output;
use crate::report::Report;
use crate::runs::{self, Run};
use clap::Args;
use lockstep_domain::delivery::order::{self, Graph};
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::model::ids::{ComponentName, StageName};
use lockstep_domain::model::outcome::Outcome;
use serde_json::json;
use std::collections::BTreeMap;

/// The arguments of `promote`.
#[derive(Args, Debug)]
pub struct Promote {
    /// The release, such as logs-broker@2.1.0; of several, producers come first and independent ones side by side
    #[arg(value_name = "RELEASE", required = true)]
    releases: Vec<ReleaseName>,
    /// The stage to promote to
    #[arg(long = "in", alias = "to", value_name = "STAGE")]
    to: StageName,
    /// Admit it without the evidence of the stage before, once and within an hour; the reason is recorded
    #[arg(long, value_name = "REASON")]
    break_glass: Option<Reason>,
    /// Also revert changes that were made there outside of CloudFormation
    #[arg(long)]
    revert_drift: bool,
}

/// Starts a promotion and follows it to its end, or to a question. Several releases are promoted in the order of their
/// components.
pub async fn run(arguments: &Promote, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    keeping_stage(&plane, &arguments.to).await?;
    match (arguments.releases.as_slice(), &arguments.break_glass) {
        ([release], reason) => {
            known::release(&plane, release).await?;
            if let Some(reason) = reason {
                break_glass(release, &arguments.to, reason, &plane, &context.output).await?;
            }
            let execution = start(arguments, release, &plane).await?;
            follow_to_end(&plane, &execution, context).await
        }
        (_, Some(_)) => Err(Failure::usage("--break-glass admits one release; promote it alone")),
        (releases, None) => several(arguments, releases, &plane, context).await,
    }
}

async fn start(arguments: &Promote, release: &ReleaseName, plane: &ControlPlane) -> Result<String, Failure> {
    let ReleaseName { component, version } = release.clone();
    let run = Run::Promote(inputs::Promote {
        component,
        version,
        to: arguments.to.clone(),
        revert_drift: arguments.revert_drift,
    });
    runs::start(plane, &run).await
}

/// Promotes several releases, round by round. A component whose producer does not succeed is not begun.
async fn several(
    arguments: &Promote,
    releases: &[ReleaseName],
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let graph = graph(releases, plane).await?;
    let mut reports = BTreeMap::new();
    let blocked = loop {
        let ended =
            reports.iter().map(|(component, report)| (ComponentName::clone(component), outcome(report)));
        let round = order::round(&graph, &ended.collect());
        if round.ready.is_empty() {
            break round.blocked;
        }
        let mut executions = Vec::new();
        for release in releases.iter().filter(|release| round.ready.contains(&release.component)) {
            executions.push((release, start(arguments, release, plane).await));
        }
        // An error of one promotion leaves the others unseen if it ends the command.
        for (release, execution) in executions {
            let followed = match execution {
                Ok(execution) => follow_to_end(plane, &execution, context).await,
                Err(failure) => Err(failure),
            };
            let report = followed.unwrap_or_else(|failure| {
                context.output.note(format!("{}: {failure}", release.component));
                Report::of(&failure)
            });
            let is_interrupted = report.exit == Exit::Interrupted;
            reports.insert(release.component.clone(), report);
            if is_interrupted {
                return Ok(summary(&[], &reports));
            }
        }
    };
    for blocked in &blocked {
        context.output.line(format!("{}: {}", blocked.component, order::not_begun(blocked)));
    }
    let not_begun: Vec<&ComponentName> = blocked.iter().map(|blocked| &blocked.component).collect();
    Ok(summary(&not_begun, &reports))
}

/// Returns the outcome of a promotion, for the components that need it.
fn outcome(report: &Report) -> Outcome {
    let known = serde_json::from_value(report.document["outcome"].clone());
    match (report.exit, known) {
        (Exit::Done, _) => Outcome::Done,
        (_, Ok(outcome)) if !Outcome::is_success(outcome) => outcome,
        (Exit::NeedsHuman, _) => Outcome::NeedsApproval,
        _ => Outcome::Failed,
    }
}

/// Returns the components to promote with their producers.
async fn graph(releases: &[ReleaseName], plane: &ControlPlane) -> Result<Graph, Failure> {
    let mut graph = Graph::new();
    for release in releases {
        let producers = known::release(plane, release).await?.producers;
        let component = &release.component;
        if graph.insert(component.clone(), producers).is_some() {
            return Err(Failure::usage(format!("{component} stands there twice; name one release of it")));
        }
    }
    match graph.keys().find_map(|component| order::cycle(&graph, component)) {
        None => Ok(graph),
        Some(path) => {
            let shown: Vec<&str> = path.iter().map(ComponentName::as_str).collect();
            Err(Failure::new(format!("these releases need each other: {}", shown.join(" -> ")))
                .next("promote them one by one"))
        }
    }
}

/// Returns the report of several promotions. A failure counts before a question.
fn summary(not_begun: &[&ComponentName], reports: &BTreeMap<ComponentName, Report>) -> Report {
    let exits = [Exit::Interrupted, Exit::Failed, Exit::Usage, Exit::NeedsHuman];
    let exit = exits.into_iter().find(|exit| reports.values().any(|report| report.exit == *exit));
    let promotions: BTreeMap<_, _> =
        reports.iter().map(|(component, report)| (component, &report.document)).collect();
    let report = Report {
        document: json!({ "promotions": promotions, "not_begun": not_begun }),
        exit: exit.unwrap_or(Exit::Done),
    };
    match exit {
        Some(Exit::Failed | Exit::Usage) => report.failed(&unsuccessful(reports)),
        Some(Exit::Done | Exit::NeedsHuman | Exit::Interrupted) | None => report,
    }
}

/// Returns the failure of several promotions: it names those that failed.
fn unsuccessful(reports: &BTreeMap<ComponentName, Report>) -> Failure {
    let failed = reports.iter().filter(|(_, report)| matches!(report.exit, Exit::Failed | Exit::Usage));
    let names: Vec<&str> = failed.map(|(component, _)| component.as_str()).collect();
    Failure::new(format!("{} of {} promotions failed: {}", names.len(), reports.len(), names.join(", ")))
        .next("lockstep status shows what runs; correct each failure, then promote these again")
}

async fn break_glass(
    release: &ReleaseName,
    to: &StageName,
    reason: &Reason,
    plane: &ControlPlane,
    output: &Output,
) -> Result<(), Failure> {
    let ReleaseName { component, version } = release.clone();
    let request =
        Request::BreakGlass { component, version, stage: to.clone(), reason: reason.as_str().to_owned() };
    plane.ask(&request).await?;
    output.note(warning(release, to, reason));
    Ok(())
}

/// Returns the warning that is printed on standard error, with `--json` too.
fn warning(release: &ReleaseName, to: &StageName, reason: &Reason) -> String {
    let ReleaseName { component, version } = release;
    format!(
        "!! BREAK-GLASS !! {component} {version} is admitted to {to} without the evidence of the stage before. \
         Recorded with your name: {}",
        reason.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Cli, Command};
    use clap::Parser;

    #[test]
    fn break_glass_needs_a_reason_and_prints_a_warning() {
        let typed = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.command);
        assert!(typed("lockstep promote logs@2.1.0 --in production --break-glass").is_err());
        let Ok(Command::Promote(arguments)) =
            typed("lockstep promote logs@2.1.0 --in production --break-glass outage")
        else {
            panic!("this is a promotion");
        };
        let warned = warning(&arguments.releases[0], &arguments.to, arguments.break_glass.as_ref().unwrap());
        assert!(warned.starts_with("!! BREAK-GLASS !! logs 2.1.0 is admitted to production"), "{warned}");
        assert!(warned.ends_with(": outage"), "{warned}");
    }

    #[test]
    fn the_outcome_of_a_promotion_decides_about_its_consumers() {
        let (failed, asks) = (Exit::Failed, Exit::NeedsHuman);
        for (exit, document, expected) in [
            (Exit::Done, json!({ "outcome": "done" }), Outcome::Done),
            (failed, json!({ "outcome": "cancelled" }), Outcome::Cancelled),
            (asks, json!({ "outcome": "needs_approval" }), Outcome::NeedsApproval),
            (asks, json!({ "error": "no" }), Outcome::NeedsApproval),
            // What failed is never a success, whatever its document says.
            (failed, json!({ "outcome": "succeeded" }), Outcome::Failed),
            (failed, json!({ "error": "no" }), Outcome::Failed),
        ] {
            assert_eq!(outcome(&Report { document, exit }), expected);
        }
    }

    #[test]
    fn the_report_of_several_promotions_has_the_worst_exit() {
        let report = |exit| Report { document: json!({}), exit };
        let exit = |of: &[Exit]| {
            let reports =
                of.iter().enumerate().map(|(n, exit)| (format!("c{n}").parse().unwrap(), report(*exit)));
            summary(&[], &reports.collect()).exit
        };
        assert_eq!(exit(&[Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(exit(&[Exit::Done, Exit::NeedsHuman]), Exit::NeedsHuman);
        assert_eq!(exit(&[Exit::NeedsHuman, Exit::Failed]), Exit::Failed);
    }
}
