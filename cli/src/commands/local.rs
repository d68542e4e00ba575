//! `lockstep local`: starts, stops and describes the cloud on this machine.

pub mod git_host;
pub mod repository;
mod setup;

use crate::context::CommandContext;
use crate::failure::{Failure, at};
use crate::global::Global;
use crate::local::{Session, TOOLING, other_version, state_dir};
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_local::CloudOptions;
use lockstep_local::session::{self, Status};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Timeout for the installation and the start of the emulator.
const START: Duration = Duration::from_secs(300);

/// Timeout for its stop.
const STOP: Duration = Duration::from_secs(20);

/// The arguments of `local`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cloud with three accounts (tooling, development, production) and install Lockstep into it
    Up(Up),
    /// Stop it; the content of its accounts is lost, the repositories of its git host remain
    Down,
    /// Show its state and its endpoints
    Status,
    /// Stop it if it runs, delete its repositories, and start a new one
    Reset(Up),
    /// Manage the repositories of its git host
    Repository(repository::Arguments),
    /// Print the variables that point the AWS CLI or an SDK at one of its accounts: eval "$(lockstep local env production)"
    Env {
        /// tooling, development or production
        #[arg(default_value = TOOLING)]
        account: String,
    },
    /// Serve the cloud until stopped; `up` starts this
    #[command(hide = true)]
    Serve {
        /// The folder of its files
        state: PathBuf,
        /// Stop as soon as this process has ended
        #[arg(long, value_name = "PID")]
        owner: Option<u32>,
    },
}

/// The variable with the id of the process that the cloud must not outlive. An operator's own cloud has none.
pub const OWNER: &str = "LOCKSTEP_OWNER";

#[derive(Args, Debug)]
struct Up {
    /// Take the functions' binaries from this folder instead of building them
    #[arg(long, value_name = "FOLDER")]
    functions: Option<PathBuf>,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        Command::Up(up) => start(up, context).await,
        Command::Down => down(context).await,
        Command::Status => status(context),
        Command::Reset(up) => {
            down(context).await?;
            forget_repositories(context)?;
            start(up, context).await
        }
        Command::Repository(arguments) => repository::run(arguments, global, context).await,
        Command::Env { account } => env(account, global, context),
        Command::Serve { state, owner } => serve(state, *owner, context).await,
    }
}

async fn start(up: &Up, context: &CommandContext) -> Result<Report, Failure> {
    let output = &context.output;
    let session = installed(up.functions.as_deref(), context).await?;
    output.line("");
    output.table(["account", "id"], session.accounts.iter().map(|account| [account.alias, account.id]));
    for line in [
        "next:",
        "  lockstep try                                    brings an example from a git push to ci",
        "  lockstep local repository add acme/shop         makes a repository for components of your own",
        "  lockstep stages show --example > stages.toml    edit the accounts, then lockstep stages apply stages.toml",
        "  eval \"$(lockstep local env production)\"         points the AWS CLI at an account",
        "  lockstep approve <deployment> --as grace        answers as the other person: ada starts, grace approves",
        "  lockstep local down                             stops it all",
    ] {
        output.line(line);
    }
    Ok(Report::done(described(&session)))
}

/// Starts the cloud unless it runs, and installs this version of Lockstep into it.
async fn installed(functions: Option<&Path>, context: &CommandContext) -> Result<Session, Failure> {
    let session = match Session::load(context)? {
        Some(session) => {
            context.output.line(format!("the local cloud runs at {}", session.endpoint));
            session
        }
        None => launch(context).await?,
    };
    setup::install(&session, functions, context).await
}

/// Returns the cloud with Lockstep in it. A running one is left as it is.
pub async fn ready(functions: Option<&Path>, context: &CommandContext) -> Result<Session, Failure> {
    match Session::load(context)? {
        Some(session) if session.is_set_up() => {
            context.output.line(format!("the local cloud runs at {}", session.endpoint));
            Ok(session)
        }
        _ => installed(functions, context).await,
    }
}

/// Starts the daemon, which is this program with `local serve`.
async fn launch(context: &CommandContext) -> Result<Session, Failure> {
    let folder = state_dir(context)?;
    let progress =
        context.output.progress("start the local cloud (the first time it is installed: a minute)");
    let program = program(context)?;
    let mut arguments = vec!["local".as_ref(), "serve".as_ref(), folder.as_os_str()];
    if let Some(owner) = context.variable(OWNER) {
        arguments.push("--owner".as_ref());
        arguments.push(owner.as_ref());
    }
    let session =
        session::spawn_detached(&folder, &program, &arguments, START).await.map_err(at("the local cloud"))?;
    progress.done(format!("started the local cloud at {}", session.endpoint));
    Ok(Session::new(session))
}

/// Returns the program to start as the daemon: this one, unless a variable names another.
fn program(context: &CommandContext) -> Result<PathBuf, Failure> {
    match context.variable("LOCKSTEP_PROGRAM") {
        Some(named) => Ok(named.into()),
        None => std::env::current_exe().map_err(at("this program")),
    }
}

async fn serve(state: &Path, owner: Option<u32>, context: &CommandContext) -> Result<Report, Failure> {
    session::serve_until_stopped(CloudOptions::new(state).recorded_on_demand(), owner, |step| {
        context.output.line(step)
    })
    .await
    .map_err(at("the local cloud"))?;
    Ok(Report::done(json!({})))
}

async fn down(context: &CommandContext) -> Result<Report, Failure> {
    let stopped = session::down(&state_dir(context)?, STOP).await;
    match stopped {
        Ok(daemon) => {
            context.output.line(format!("stopped the local cloud at {}", daemon.endpoint));
            Ok(Report::done(json!({ "stopped": true })))
        }
        Err(session::SessionError::NotRunning(_)) => {
            context.output.line("no local cloud is running");
            Ok(Report::done(json!({ "stopped": false })))
        }
        Err(error) => Err(at("the local cloud")(error)),
    }
}

/// Deletes the bare repositories of the git host, which outlive the cloud.
fn forget_repositories(context: &CommandContext) -> Result<(), Failure> {
    let folder = state_dir(context)?.join("repositories");
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(at(folder.display())(error)),
        _ => Ok(()),
    }
}

fn status(context: &CommandContext) -> Result<Report, Failure> {
    let output = &context.output;
    let folder = state_dir(context)?;
    match session::status(&folder).map_err(at("the local cloud"))? {
        Status::Stopped => {
            output.line("no local cloud is running; start one: lockstep local up");
            Ok(Report::done(json!({ "status": "stopped" })))
        }
        Status::Starting => {
            output.line("the local cloud is starting");
            Ok(Report::done(json!({ "status": "starting" })))
        }
        Status::OtherVersion(daemon) => Err(other_version(&daemon)),
        Status::Running(session) => {
            let session = Session::new(*session);
            output.line(format!("the local cloud runs at {}", session.endpoint));
            output.line(format!("  git host      {}", session.git_host));
            output.line(format!("  repositories  {}", session.repositories.display()));
            output.line(format!(
                "  logs          {}, {}",
                session.log.display(),
                session.emulator_log.display()
            ));
            output.table(
                ["account", "id", "set up"],
                session.accounts.iter().map(|account| {
                    let ready = if session.stored(&account.alias).is_some() { "yes" } else { "no" };
                    [account.alias, account.id, ready.to_owned()]
                }),
            );
            Ok(Report::done(described(&session)))
        }
    }
}

/// Returns the session for scripts, without a key.
fn described(session: &Session) -> serde_json::Value {
    json!({
        "status": "running",
        "endpoint": session.endpoint,
        "region": session.region,
        "git_host": session.git_host,
        "repositories": session.repositories,
        "accounts": session.accounts,
        "log": session.log,
        "emulator_log": session.emulator_log,
    })
}

/// Prints shell commands that set the variables. Their secret has no use outside this machine.
fn env(account: &str, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let session = Session::expect(context)?;
    let name = match &global.person {
        None => account,
        Some(person) if account == TOOLING => {
            session.person(person)?;
            person
        }
        Some(_) => return Err(Failure::usage(format!("the people are users of the account {TOOLING}"))),
    };
    session.account(account)?;
    let kept = session.stored(name).ok_or_else(|| Failure::new("the account is not set up"))?;
    let variables = [
        ("AWS_ENDPOINT_URL", session.endpoint.as_str()),
        ("AWS_REGION", session.region.as_str()),
        ("AWS_DEFAULT_REGION", session.region.as_str()),
        ("AWS_ACCESS_KEY_ID", kept.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", kept.secret_access_key.as_str()),
    ];
    for (name, value) in variables {
        context.output.line(format!("export {name}='{value}'"));
    }
    context.output.line("unset AWS_PROFILE AWS_SESSION_TOKEN");
    Ok(Report::done(variables.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()))
}
