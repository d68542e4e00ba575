//! `lockstep install` and `lockstep uninstall`: install Lockstep into an account, and remove it.

use crate::connection::Connection;
use crate::context::CommandContext;
use crate::failure::{Exit, Failure};
use crate::functions::{self, Profile};
use crate::global::Global;
use crate::installation::{AlarmAddress, Installation, OrganizationChoice, STACKS};
use crate::local::state_dir;
use crate::names;
use crate::report::Report;
use clap::Args;
use lockstep_domain::model::administrators::Administrators;
use serde_json::json;
use std::path::PathBuf;

/// The arguments of `install`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Take the functions' binaries from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
    /// The build profile of the functions
    #[arg(long, value_enum)]
    profile_build: Option<Profile>,
    /// Let the policies name your organization instead of listing accounts, which have room for 240; `none` lists them again
    #[arg(long, value_name = "o-...|none")]
    organization: Option<OrganizationChoice>,
    /// Send the alarms to this e-mail address, which must confirm the subscription; `none` ends it
    #[arg(long, value_name = "EMAIL|none")]
    alarms_to: Option<AlarmAddress>,
    /// The number of requests that the webhook handles at once, reserved out of the account's concurrency; 0 reserves none
    #[arg(long, value_name = "REQUESTS", value_parser = clap::value_parser!(u16).range(0..=1000))]
    webhook_at_once: Option<u16>,
    /// The number of administrators, which a new installation needs: with `many`, a second one confirms each change
    /// that weakens a stage; with `one`, such a change takes effect after a day, in which it can be cancelled
    #[arg(long, value_name = "one|many", value_parser = names::administrators)]
    administrators: Option<Administrators>,
}

/// The arguments of `uninstall`.
#[derive(Args, Debug)]
pub struct Uninstall {
    /// Remove it; without this option the command only lists what it would remove
    #[arg(long)]
    yes: bool,
}

/// Installs or updates the control plane.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let output = &context.output;
    let connection = Connection::open(global, context).await?;
    let aws = connection.installer()?;
    let sources = context.sources()?;
    // This refuses an unsupported region before anything is built.
    let installation = Installation::new(&aws, sources.clone(), output).await?;
    let installation = installation
        .naming(arguments.organization.clone().unwrap_or_default())
        .notifying(arguments.alarms_to.clone().unwrap_or_default())
        .webhook_at_once(arguments.webhook_at_once)
        .governed_by(arguments.administrators);
    // So does this a missing or another number of administrators.
    installation.number_of_administrators().await?;
    let default = if connection.local.is_some() { Profile::Dev } else { Profile::Lambda };
    let profile = arguments.profile_build.unwrap_or(default);
    let binaries = match &arguments.functions {
        Some(folder) => functions::in_folder(&context.path(folder))?,
        None => {
            let cargo = context.variable("CARGO").unwrap_or("cargo");
            functions::build(&sources, cargo, profile, &state_dir(context)?, |step| output.line(step)).await?
        }
    };
    let packages = installation.pack(&binaries, profile).await?;
    let (found, steps) = installation.install(&packages).await?;
    output.line(format!(
        "Lockstep {} is installed in account {}, {}",
        found.version, found.account, found.region
    ));
    output.line("next: lockstep accounts add, then lockstep people apply and lockstep stages apply");
    output.line(
        "lockstep doctor lists the roles whose users act as unknown people: their approvals do not count",
    );
    Ok(Report::done(json!({ "account": found.account, "region": found.region, "stacks": steps })))
}

/// Removes the control plane and lists the retained resources.
pub async fn uninstall(
    arguments: &Uninstall,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let output = &context.output;
    let connection = Connection::open(global, context).await?;
    let aws = connection.installer()?;
    let installation = Installation::new(&aws, context.sources()?, output).await?;
    if !arguments.yes {
        output.line(format!("this removes from account {}, {}:", installation.account(), aws.region()));
        output.line("  every stack lockstep-account-*");
        STACKS.iter().rev().for_each(|stack| output.line(format!("  stack {stack}")));
        output.line("these are retained, because a new installation cannot restore them: the ledger, the artifacts, the secrets lockstep/repositories/*");
        output.line("to remove them: lockstep uninstall --yes");
        return Ok(Report { document: json!({ "removed": [], "stacks": STACKS }), exit: Exit::NeedsHuman });
    }
    let mut kept = installation.uninstall().await?;
    kept.push("AWS::SecretsManager::Secret lockstep/repositories/*".to_owned());
    kept.push("AWS::CloudFormation::Stack lockstep-target, in every account that was added".to_owned());
    output.line("retained; remove these yourself:");
    kept.iter().for_each(|what| output.line(format!("  {what}")));
    Ok(Report::done(json!({ "kept": kept })))
}
