//! `lockstep pending` and `lockstep administrators`: changes of the configuration that wait, and who decides on them.

use crate::commands::organisation::{applied, outcome, show};
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::names;
use crate::output::Output;
use crate::report::Report;
use crate::views::time;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use lockstep_aws::ledger::Order;
use lockstep_domain::delivery::pending_change;
use lockstep_domain::delivery::weakening;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::records::{ConfigKind, PendingConfig, PendingState};
use serde_json::json;

/// The arguments of `pending`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: PendingCommand,
}

#[derive(Debug, Subcommand)]
enum PendingCommand {
    /// Show the changes of the configuration that wait, with their differences
    Show,
    /// Confirm a change that another administrator proposed; it takes effect with everything in it
    Confirm(Change),
    /// Cancel a change
    Cancel(Change),
}

#[derive(Args, Debug)]
struct Change {
    /// The part of the configuration: stages, people or administrators
    #[arg(value_parser = names::config_kind)]
    config: ConfigKind,
    /// The number of the change, as `show` prints it
    number: u32,
}

/// The arguments of `administrators`.
#[derive(Args, Debug)]
pub struct AdministratorsArguments {
    /// `many`: a second administrator confirms what weakens a stage; `one`: it takes effect after a day. Without it,
    /// print the number
    #[arg(value_name = "one|many", value_parser = names::administrators)]
    administrators: Option<Administrators>,
}

/// Runs `lockstep pending`.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
    match &arguments.command {
        PendingCommand::Show => show_all(&plane, &context.output).await,
        PendingCommand::Confirm(change) => {
            let Change { config, number } = *change;
            let applied = plane.ask(&Request::ConfirmChange { config, number }).await?;
            let config = config.as_str();
            context
                .output
                .line(format!("change {number} of {config} takes effect as version {}", applied.version));
            Ok(Report::done(json!(applied)))
        }
        PendingCommand::Cancel(change) => {
            let Change { config, number } = *change;
            let applied = plane.ask(&Request::CancelChange { config, number }).await?;
            context.output.line(format!("change {number} of {} is cancelled", config.as_str()));
            Ok(Report::done(json!(applied)))
        }
    }
}

/// Prints the changes that wait. Exits with 3 if there is one: an administrator must decide.
async fn show_all(plane: &ControlPlane, output: &Output) -> Result<Report, Failure> {
    let now = Timestamp::now();
    let administrators = plane.administrators().await?;
    let mut waiting = Vec::new();
    for kind in ConfigKind::ALL {
        let newest =
            plane.ledger.list::<PendingConfig>(&PendingConfig::all_of(*kind), Order::Newest, 1).await?;
        let version = plane.config(*kind).await?.map_or(0, |config| config.version);
        let open = newest
            .into_iter()
            .map(|found| found.record)
            .filter(|pending| pending_change::state(&pending.change, version, now) == PendingState::Open);
        waiting.extend(open);
    }
    for pending in &waiting {
        lines(pending, administrators).into_iter().for_each(|line| output.line(line));
    }
    if waiting.is_empty() {
        output.line("no change of the configuration waits");
        return Ok(Report::done(json!({ "pending": [] })));
    }
    Ok(Report { document: json!({ "pending": waiting }), exit: Exit::NeedsHuman })
}

/// Returns the lines about a change that waits.
fn lines(pending: &PendingConfig, administrators: Administrators) -> Vec<String> {
    let (config, number, change) = (pending.config.as_str(), pending.number, &pending.change);
    let head = format!(
        "change {number} of {config}, proposed by {} ({}) at {}",
        change.proposer,
        change.proposed_by.arn,
        time(change.proposed_at)
    );
    let mut lines = vec![head];
    lines.extend(weakening::lines(&change.differences).into_iter().map(|line| format!("  {line}")));
    lines.push(format!("  it {}", pending_change::waits_for(change, administrators)));
    lines.push(format!(
        "  lockstep pending confirm {config} {number}, or lockstep pending cancel {config} {number}"
    ));
    lines
}

/// Runs `lockstep administrators`.
pub async fn administrators(
    arguments: &AdministratorsArguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let Some(administrators) = arguments.administrators else {
        return show(ConfigKind::Administrators, global, context).await;
    };
    let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
    let configured = plane.ask_for(&Request::ApplyAdministrators { administrators }).await?;
    let head = format!("administrators {}: {}", outcome(&configured), administrators.as_str());
    Ok(applied(ConfigKind::Administrators, &head, &configured, &context.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::at;
    use lockstep_domain::model::difference::Difference;
    use lockstep_domain::model::person::{Caller, Person};
    use lockstep_domain::records::PendingChange;

    #[test]
    fn a_change_that_waits_is_shown_with_who_weakens_what() {
        let difference = |sentence: &str, weakens| Difference { sentence: sentence.into(), weakens };
        let change = PendingChange {
            text: String::new(),
            base: 3,
            differences: vec![
                difference("staging is new, in account 111111111111", false),
                difference("production asks for no approval", true),
            ],
            proposed_by: Caller {
                arn: "arn:aws:iam::333333333333:user/ada".into(),
                user_id: "AIDAEXAMPLE00000ADA".into(),
                account: "333333333333".into(),
            },
            proposer: Person::Known("ada".parse().unwrap()),
            proposed_at: at(0),
            state: PendingState::Open,
            decided_by: None,
            ended_at: None,
        };
        let pending = PendingConfig { config: ConfigKind::Stages, number: 2, change };
        insta::assert_snapshot!("many", lines(&pending, Administrators::Many).join("\n"));
        insta::assert_snapshot!("one", lines(&pending, Administrators::One).join("\n"));
    }
}
