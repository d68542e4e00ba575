//! `lockstep stages`, `lockstep parameters` and `lockstep people`: the configuration of the whole organisation.

use crate::context::CommandContext;
use crate::control_plane::{ControlPlane, of_problems};
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_domain::delivery::parameters::OrganisationParameters;
use lockstep_domain::delivery::people::{self, People};
use lockstep_domain::delivery::stages::{EXAMPLE, Stages};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::{Applied, Request};
use lockstep_domain::records::ConfigKind;
use serde_json::json;
use std::path::PathBuf;

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
        StagesCommand::Apply { file } => {
            let text = context.read(file)?;
            // Parsed here first, so that a problem names the file as it was typed.
            let name = file.display().to_string();
            let stages = Stages::parse(&name, &text).map_err(|problems| of_problems(&problems))?;
            let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
            let applied = plane.ask(&Request::ApplyStages { text }).await?;
            let names: Vec<String> = stages.iter().map(|stage| stage.name.to_string()).collect();
            context.output.line(format!("stages {}: {}", outcome(&applied), names.join(", ")));
            Ok(Report::done(json!(applied)))
        }
    }
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
            let applied = plane.ask(&Request::ApplyParameters { text }).await?;
            context.output.line(format!("parameters {}", outcome(&applied)));
            Ok(Report::done(json!(applied)))
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
            let applied = plane.ask(&Request::ApplyPeople { text }).await?;
            let names: Vec<&str> = people.names().map(|person| person.as_str()).collect();
            context.output.line(format!("people {}: {}", outcome(&applied), names.join(", ")));
            Ok(Report::done(json!(applied)))
        }
    }
}

async fn show(kind: ConfigKind, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let found = plane.config(kind).await?.ok_or_else(|| {
        Failure::new("nothing was applied yet")
            .next("lockstep stages apply, lockstep parameters apply, or lockstep people apply")
    })?;
    context.output.line(found.text.trim_end());
    Ok(Report::done(json!(found)))
}

fn outcome(applied: &Applied) -> String {
    if applied.changed {
        format!("applied as version {}", applied.version)
    } else {
        format!("unchanged, still version {}", applied.version)
    }
}
