//! `lockstep stages`, `lockstep parameters` and `lockstep people`: the configuration of the whole organisation.

use crate::context::CommandContext;
use crate::control_plane::{ControlPlane, of_problems};
use crate::failure::{Exit, Failure};
use crate::global::Global;
use crate::output::Output;
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_aws::accounts::Registrations;
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::people::{self, People};
use lockstep_domain::delivery::stage_changes::{self, Objection, StagesPlan};
use lockstep_domain::delivery::stages::{EXAMPLE, Stages};
use lockstep_domain::delivery::weakening;
use lockstep_domain::installation::accounts::Registered;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::{Configured, Request};
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::records::ConfigKind;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The arguments of `stages`.
#[derive(Args, Debug)]
pub struct StagesArguments {
    #[command(subcommand)]
    command: StagesCommand,
}

#[derive(Debug, Subcommand)]
enum StagesCommand {
    /// Make this file the organisation's stages
    Apply {
        /// A stages.toml
        file: PathBuf,
        /// Apply it in spite of the objection to this account or stage; repeat it for each
        #[arg(long, value_name = "ACCOUNT|STAGE")]
        accept: Vec<String>,
    },
    /// Print the organisation's stages
    Show {
        /// Print a commented example instead
        #[arg(long)]
        example: bool,
    },
}

/// The arguments of `parameters`.
#[derive(Args, Debug)]
pub struct ParametersArguments {
    #[command(subcommand)]
    command: ParametersCommand,
}

#[derive(Debug, Subcommand)]
enum ParametersCommand {
    /// Make this file the organisation's parameters: a table [default] and one for each stage
    Apply {
        /// A parameters.toml
        file: PathBuf,
    },
    /// Print the organisation's parameters
    Show,
}

/// The arguments of `people`.
#[derive(Args, Debug)]
pub struct PeopleArguments {
    #[command(subcommand)]
    command: PeopleCommand,
}

#[derive(Debug, Subcommand)]
enum PeopleCommand {
    /// Make this file the organisation's people
    Apply {
        /// A people.toml
        file: PathBuf,
    },
    /// Print the organisation's people
    Show {
        /// Print a commented example instead
        #[arg(long)]
        example: bool,
    },
}

/// Runs `lockstep stages`.
pub async fn stages(
    arguments: &StagesArguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        StagesCommand::Show { example: true } => {
            context.output.line(EXAMPLE.trim_end());
            Ok(Report::done(json!({ "text": EXAMPLE })))
        }
        StagesCommand::Show { example: false } => show(ConfigKind::Stages, global, context).await,
        StagesCommand::Apply { file, accept } => {
            let text = context.read(file)?;
            // Parsed here first, so that a problem names the file as it was typed.
            let name = file.display().to_string();
            let stages = Stages::parse(&name, &text).map_err(|problems| of_problems(&problems))?;
            let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
            let plan = plan(&plane, &stages, accept.iter().cloned().collect()).await?;
            if let Some(refused) = refused(&plan, file, accept, &context.output) {
                return Err(refused);
            }
            let configured = plane.ask_for(&Request::ApplyStages { text }).await?;
            let names: Vec<String> = stages.iter().map(|stage| stage.name.to_string()).collect();
            let head = format!("stages {}: {}", outcome(&configured), names.join(", "));
            Ok(applied(ConfigKind::Stages, &head, &configured, &context.output))
        }
    }
}

/// Applies the first stages of an organisation. Returns their names.
pub(super) async fn apply_first_stages(plane: &ControlPlane, text: String) -> Result<String, Failure> {
    let stages = Stages::parse("the stages", &text).map_err(|problems| of_problems(&problems))?;
    let _: Configured = plane.ask_for(&Request::ApplyStages { text }).await?;
    Ok(stages.iter().map(|stage| stage.name.to_string()).collect::<Vec<_>>().join(", "))
}

/// Compares new stages with those that apply, the added accounts and the environments.
async fn plan(plane: &ControlPlane, new: &Stages, accepted: BTreeSet<String>) -> Result<StagesPlan, Failure> {
    let old = plane.config(ConfigKind::Stages).await?;
    let old = old.map(|old| Stages::parse("the stages that apply", &old.text)).transpose();
    let old = old.map_err(|problems| of_problems(&problems))?;
    let environments = match &old {
        Some(old) => plane.environments(old).await?,
        None => Vec::new(),
    };
    let accounts: BTreeSet<&AccountId> = new.iter().map(|stage| &stage.account).collect();
    let (registrations, mut registered) = (Registrations::new(plane.aws()), Registered::new());
    for account in accounts {
        let path = registrations.path_of(account).await?;
        registered.extend(path.map(|path| (account.clone(), path)));
    }
    Ok(stage_changes::plan(old.as_ref(), new, &registered, &environments, &accepted))
}

/// Prints the differences of a file that is not applied, and returns the reasons; `None` if there is none.
fn refused(plan: &StagesPlan, file: &Path, accepted: &[String], output: &Output) -> Option<Failure> {
    let unused: Vec<String> =
        plan.unused.iter().map(|name| format!("there is no objection to `{name}`")).collect();
    let objections = plan.objections.iter().map(ToString::to_string);
    let reasons: Vec<String> = objections.chain(unused).collect();
    if reasons.is_empty() {
        return None;
    }
    weakening::lines(&plan.differences).into_iter().for_each(|line| output.line(format!("  {line}")));
    let names = accepted.iter().filter(|name| !plan.unused.contains(name)).map(String::as_str);
    let names = names.chain(plan.objections.iter().map(Objection::name));
    let options: String = names.map(|name| format!(" --accept {name}")).collect();
    let refusal = Failure::new(format!("the stages are not applied: {}", reasons.join("; ")));
    let refusal =
        refusal.next(format!("if it is meant so: lockstep stages apply {}{options}", file.display()));
    Some(Failure { exit: Exit::NeedsHuman, ..refusal })
}

/// Runs `lockstep parameters`.
pub async fn parameters(
    arguments: &ParametersArguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        ParametersCommand::Show => show(ConfigKind::Parameters, global, context).await,
        ParametersCommand::Apply { file } => {
            let text = context.read(file)?;
            let name = file.display().to_string();
            OrganisationParameters::parse(&name, &text).map_err(|problems| of_problems(&problems))?;
            let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
            let configured = plane.ask_for(&Request::ApplyParameters { text }).await?;
            let head = format!("parameters {}", outcome(&configured));
            Ok(applied(ConfigKind::Parameters, &head, &configured, &context.output))
        }
    }
}

/// Runs `lockstep people`.
pub async fn people(
    arguments: &PeopleArguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        PeopleCommand::Show { example: true } => {
            context.output.line(people::EXAMPLE.trim_end());
            Ok(Report::done(json!({ "text": people::EXAMPLE })))
        }
        PeopleCommand::Show { example: false } => show(ConfigKind::People, global, context).await,
        PeopleCommand::Apply { file } => {
            let text = context.read(file)?;
            let name = file.display().to_string();
            let people = People::parse(&name, &text).map_err(|problems| of_problems(&problems))?;
            let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
            let configured = plane.ask_for(&Request::ApplyPeople { text }).await?;
            let names: Vec<&str> = people.names().map(|person| person.as_str()).collect();
            let head = format!("people {}: {}", outcome(&configured), names.join(", "));
            Ok(applied(ConfigKind::People, &head, &configured, &context.output))
        }
    }
}

pub(super) async fn show(
    kind: ConfigKind,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let found = plane.config(kind).await?.ok_or_else(|| {
        Failure::new("nothing was applied yet")
            .next("lockstep stages apply, lockstep parameters apply, or lockstep people apply")
    })?;
    context.output.line(found.text.trim_end());
    Ok(Report::done(json!(found)))
}

/// Prints the outcome of a new version of a part of the configuration, with its differences. Exits with 3 if the change
/// waits.
pub(super) fn applied(kind: ConfigKind, head: &str, configured: &Configured, output: &Output) -> Report {
    let document = json!(configured);
    output.line(head);
    for line in weakening::lines(&configured.differences) {
        output.line(format!("  {line}"));
    }
    let Some(pending) = &configured.pending else { return Report::done(document) };
    let (config, number) = (kind.as_str(), pending.number);
    output
        .line(format!("  change {number} {}; everything else in the file waits with it", pending.waits_for));
    output.line(format!(
        "  lockstep pending confirm {config} {number}, or lockstep pending cancel {config} {number}"
    ));
    Report { document, exit: Exit::NeedsHuman }
}

pub(super) fn outcome(configured: &Configured) -> String {
    match (configured.changed, configured.pending.is_some()) {
        (true, _) => format!("applied as version {}", configured.version),
        (false, true) => {
            format!("NOT applied, still version {}: the change weakens a protection", configured.version)
        }
        (false, false) => format!("unchanged, still version {}", configured.version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::messages::operator::Pending;
    use lockstep_domain::model::difference::Difference;

    #[test]
    fn a_refused_file_shows_its_differences_and_the_way_on() {
        let output = Output::memory(false);
        let account: AccountId = "444444444444".parse().unwrap();
        let stages = vec!["staging".parse().unwrap()];
        let plan = StagesPlan {
            differences: vec![Difference { sentence: "staging is removed".into(), weakens: true }],
            objections: vec![Objection::NeverAdded { account, stages }],
            unused: vec!["prod".into()],
        };
        let accepted = ["ci".to_owned(), "prod".to_owned()];
        let refusal = refused(&plan, Path::new("stages.toml"), &accepted, &output).unwrap();
        assert_eq!(refusal.exit, Exit::NeedsHuman);
        assert!(refusal.what.contains("444444444444 of staging was never added"), "{refusal}");
        assert!(refusal.what.ends_with("there is no objection to `prod`"), "{refusal}");
        assert!(refusal.next.ends_with("apply stages.toml --accept ci --accept 444444444444"), "{refusal}");
        assert_eq!(output.captured().trim(), "WEAKENS: staging is removed");
        assert_eq!(refused(&StagesPlan::default(), Path::new("stages.toml"), &[], &output), None);
    }

    #[test]
    fn a_change_that_waits_says_that_everything_waits_with_it() {
        let weakens = Difference { sentence: "production asks for no approval".into(), weakens: true };
        let waits_for = "waits for another administrator than ada, until 2100-01-08T00:00:00Z".to_owned();
        let pending = Some(Pending { number: 2, waits_for });
        let configured = Configured { version: 3, changed: false, differences: vec![weakens], pending };
        let output = Output::memory(false);
        let report = applied(ConfigKind::Stages, &outcome(&configured), &configured, &output);
        assert_eq!(report.exit, Exit::NeedsHuman);
        let expected = "NOT applied, still version 3: the change weakens a protection\n  \
                        WEAKENS: production asks for no approval\n  \
                        change 2 waits for another administrator than ada, until 2100-01-08T00:00:00Z; everything else in the \
                        file waits with it\n  lockstep pending confirm stages 2, or lockstep pending cancel stages 2";
        assert_eq!(output.captured().trim_end(), expected);
    }

    #[test]
    fn a_change_that_applies_is_done() {
        let configured = Configured { version: 4, changed: true, differences: vec![], pending: None };
        let report = applied(ConfigKind::Stages, &outcome(&configured), &configured, &Output::memory(false));
        assert_eq!((report.exit, outcome(&configured).as_str()), (Exit::Done, "applied as version 4"));
    }
}
