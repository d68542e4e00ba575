//! `lockstep secrets`: stores a secret from standard input in Secrets Manager.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::names::RepositoryName;
use crate::report::Report;
use clap::{Args, Subcommand, ValueEnum};
use lockstep_aws::operator::secrets::store;
use lockstep_aws::secrets::SecretString;
use lockstep_domain::delivery::host_token;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::ids::RepositoryId;
use serde_json::json;

/// Maximum size of a secret in bytes.
const MOST_BYTES: usize = 16 << 10;

/// The arguments of `secrets`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Store a repository's secret; the text comes from standard input, never from the command line
    Set(Set),
}

#[derive(Args, Debug)]
struct Set {
    /// The repository, such as github:acme/logs
    repository: RepositoryName,
    /// The kind of secret
    #[arg(value_enum)]
    kind: Kind,
    /// Read the secret from standard input
    #[arg(long, required = true)]
    stdin: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// The key with which the git host signs webhooks
    Webhook,
    /// The token that fetches commits
    Token,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let Command::Set(set) = &arguments.command;
    let text = context.read_input(MOST_BYTES)?;
    // `echo` adds a line end, and no secret ends with one.
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Failure::usage("standard input is empty")
            .next("pipe the secret in: pass show x | lockstep secrets set …"));
    }
    let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
    let id = &set.repository.0;
    let (name, secret) = match set.kind {
        Kind::Webhook => (id.webhook_secret(), text.into()),
        Kind::Token => (id.token_secret(), bound(&text.into(), &plane, id).await?),
    };
    let replaced = put(&plane, &name, &secret).await?;
    let word = if replaced { "replaced" } else { "stored" };
    context.output.line(format!("{word} secret {name}"));
    Ok(Report::done(json!({ "secret": name, "replaced": replaced })))
}

/// Returns a token together with the host of its repository: Lockstep sends it to no other.
pub(super) async fn bound(
    token: &SecretString,
    plane: &ControlPlane,
    id: &RepositoryId,
) -> Result<SecretString, Failure> {
    let known = plane.repository(id).await?.ok_or_else(|| {
        Failure::new(format!("{id} is not registered, so its token has no host"))
            .next(format!("lockstep repositories add github:{}", id.full_name()))
    })?;
    host_token::stored(token, &known.base_url)
        .ok_or_else(|| Failure::new(format!("the base URL of {id} names no host")))
}

/// Stores a secret. Returns true if it replaced another.
pub(super) async fn put(plane: &ControlPlane, name: &str, secret: &SecretString) -> Result<bool, Failure> {
    Ok(store(plane.aws(), name, secret).await?)
}
