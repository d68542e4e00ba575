//! `lockstep install`, `lockstep accounts add`, `lockstep uninstall`: install Lockstep into an account, and remove it.

use crate::connection::Connection;
use crate::context::CommandContext;
use crate::failure::{Exit, Failure};
use crate::functions::{self, Profile};
use crate::global::Global;
use crate::installation::{
    AlarmAddress, ImageBuilds, Installation, OrganizationChoice, STACKS, TargetAccount,
};
use crate::local::state_dir;
use crate::names;
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::build_policy::BuildPolicy;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::Region;
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

/// The arguments of `accounts`.
#[derive(Args, Debug)]
pub struct Accounts {
    #[command(subcommand)]
    command: AccountsCommand,
}

#[derive(Debug, Subcommand)]
enum AccountsCommand {
    /// Let Lockstep deploy to an account: create its roles there, accept its events here
    Add(Add),
}

#[derive(Args, Debug)]
struct Add {
    /// Your name for the account; in the local cloud, the account's own name
    alias: String,
    /// The deployment path whose functions may act there
    #[arg(long, value_enum, required_unless_present = "in_region")]
    path: Option<PathName>,
    /// Managed policies of the execution role, which CloudFormation uses there for components
    #[arg(long, required_unless_present = "in_region", num_args = 1.., value_name = "ARN")]
    execution_policies: Vec<String>,
    /// The managed policy that bounds them; by default the one execution policy
    #[arg(long, value_name = "ARN")]
    boundary: Option<String>,
    /// The profile of that account
    #[arg(long, value_name = "NAME")]
    target_profile: Option<String>,
    /// Another region of an account that was added before: adds its bucket and its events; the roles are valid in every
    /// region
    #[arg(long, value_name = "REGION", conflicts_with_all = ["path", "execution_policies", "boundary", "build_subnet", "build_security_group", "build_instance_profile", "build_environment"])]
    in_region: Option<Region>,
    /// Create a KMS key there for copies of encrypted images; it is never removed again
    #[arg(long)]
    image_key: bool,
    /// The subnet of the instances that builds of images launch there; no other one is possible then
    #[arg(long, value_name = "subnet-...")]
    build_subnet: Option<String>,
    /// The security group of these instances; by default each build makes one without inbound rules
    #[arg(long, value_name = "sg-...")]
    build_security_group: Option<String>,
    /// The instance profile of these instances, whose role has the same name; by default lockstep-image-instance
    #[arg(long, value_name = "NAME")]
    build_instance_profile: Option<String>,
    /// CodeBuild's image in which builds run, by tag or by digest
    #[arg(long, value_name = "NAME@sha256:...")]
    build_environment: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PathName {
    /// A push deploys to it
    Delivery,
    /// Only `promote` deploys to it
    Promotion,
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

/// Adds an account.
pub async fn accounts(
    arguments: &Accounts,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let AccountsCommand::Add(add) = &arguments.command;
    let connection = Connection::open(global, context).await?;
    let aws = connection.installer()?;
    let target = match (&add.target_profile, &connection.local) {
        (Some(profile), _) => Connection::of_profile(profile, global).await?,
        (None, Some(session)) => session.installer(&add.alias)?,
        (None, None) => return Err(Failure::usage("name the profile of the account with --target-profile")),
    };
    let installation = Installation::new(&aws, context.sources()?, &context.output).await?;
    let steps = match &add.in_region {
        Some(region) => installation.add_region(&target, region, add.image_key).await?,
        None => installation.add_account(&target, &wanted(add)?).await?,
    };
    let place = add.in_region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let output = &context.output;
    output.line(format!("added {}{place}; next: bind a stage to it with lockstep stages apply", add.alias));
    if let Some(PathName::Promotion) = add.path {
        output.line(format!(
            "the stage says in `builds` how an image is built there that may not be copied; {}",
            BuildPolicy::CHOICE
        ));
    }
    Ok(Report::done(json!({ "account": add.alias, "region": add.in_region, "stacks": steps })))
}

fn wanted(add: &Add) -> Result<TargetAccount, Failure> {
    let boundary = match (&add.boundary, add.execution_policies.as_slice()) {
        (Some(boundary), _) => boundary.clone(),
        (None, [only]) => only.clone(),
        (None, _) => return Err(Failure::usage("several execution policies need a --boundary")),
    };
    let path = match add.path {
        Some(PathName::Delivery) => DeploymentPath::Delivery,
        Some(PathName::Promotion) => DeploymentPath::Promotion,
        None => {
            return Err(Failure::usage("name the deployment path whose functions may act there with --path"));
        }
    };
    let image_builds = ImageBuilds {
        subnet: add.build_subnet.clone(),
        security_group: add.build_security_group.clone(),
        instance_profile: add.build_instance_profile.clone(),
        environment: add.build_environment.clone(),
    };
    Ok(TargetAccount {
        path,
        policies: add.execution_policies.clone(),
        boundary,
        image_key: add.image_key,
        image_builds,
    })
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
