//! `lockstep repositories`: registers repositories, whose pushes become releases.

use super::secrets;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::names::{RepositoryName, RequestId};
use crate::report::Report;
use clap::{Args, Subcommand};
use hmac::{Hmac, KeyInit, Mac};
use jiff::SignedDuration;
use lockstep_aws::operator::secrets::exists;
use lockstep_aws::operator::signed;
use lockstep_aws::secrets::{ExposeSecret as _, SecretString, Secrets};
use lockstep_domain::delivery::webhook::{DELIVERY_HEADER, EVENT_HEADER, SIGNATURE_HEADER};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::{HookAddress, Request};
use lockstep_domain::model::branch_pattern::BranchPattern;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::Repository;
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

/// GitHub's own API.
const GITHUB: &str = "https://api.github.com";

/// The arguments of `repositories`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Register a repository: its pushes become releases
    Add(Add),
    /// List the registered repositories
    List,
    /// Remove the registration of a repository: its pushes are no longer released
    Remove {
        /// The repository, such as github:acme/logs
        repository: RepositoryName,
    },
    /// Send a signed ping to the webhook, as the git host would
    Test {
        /// The repository, such as github:acme/logs
        repository: RepositoryName,
    },
}

/// The arguments of `repositories add`.
#[derive(Args, Debug)]
pub(super) struct Add {
    /// The repository, such as github:acme/logs
    repository: RepositoryName,
    /// The default branch: releases come from it
    #[arg(long, default_value = "main")]
    branch: String,
    /// Other branches whose pushes are built and tested, each as a pattern such as 'feature/*'; by default those of the
    /// registration, and none for a new one
    #[arg(long, value_name = "PATTERN", num_args = 1.., conflicts_with = "default_branch_only")]
    branches: Vec<BranchPattern>,
    /// Release the default branch alone from now on
    #[arg(long)]
    default_branch_only: bool,
    /// The base URL of the git host's API; by default that of the registration, GitHub's, or that of the local cloud's
    /// git host
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
}

impl Add {
    /// Returns the registration of a repository of the local git host.
    pub(super) fn local(id: RepositoryId) -> Self {
        Self {
            repository: RepositoryName(id),
            branch: "main".to_owned(),
            branches: Vec::new(),
            default_branch_only: false,
            base_url: None,
        }
    }
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
    match &arguments.command {
        Command::Add(add) => subscribe(add, &plane, context).await,
        Command::List => list(&plane, context).await,
        Command::Remove { repository } => remove(&repository.0, &plane, context).await,
        Command::Test { repository } => ping(&repository.0, &plane, context).await,
    }
}

/// Registers a repository, and prints what its webhook needs.
pub(super) async fn subscribe(
    add: &Add,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let id = &add.repository.0;
    let local = plane.connection.local.as_ref();
    let known = plane.repository(id).await?.map(|known| known.base_url);
    let base_url = add.base_url.clone().or(known).or_else(|| local.map(|session| session.git_host.clone()));
    let base_url = base_url.unwrap_or_else(|| GITHUB.to_owned());
    let secret = id.webhook_secret();
    let fresh = !exists(plane.aws(), &secret).await?;
    if fresh {
        secrets::put(plane, &secret, &generated()).await?;
    }
    let branches = (add.default_branch_only || !add.branches.is_empty()).then(|| add.branches.clone());
    let request = Request::AddRepository { id: id.clone(), base_url, branch: add.branch.clone(), branches };
    let applied = plane.ask(&request).await?;
    let url = webhook_url(plane, id).await?;
    let output = &context.output;
    output.line(format!("{id} {}", if applied.changed { "is registered" } else { "was registered already" }));
    output.line("paste into the repository's settings, Webhooks:");
    output.line(format!("  payload URL   {url}"));
    output.line("  content type  application/json");
    output.line(format!(
        "  secret        aws secretsmanager get-secret-value --secret-id {secret} --query SecretString --output text"
    ));
    output.line("  events        just the push event");
    if !exists(plane.aws(), &id.token_secret()).await? {
        output.line("a private repository also needs a token that may read its contents:");
        output.line(format!("  lockstep secrets set github:{} token --stdin", id.full_name()));
    }
    output.line(format!("next: lockstep repositories test github:{}", id.full_name()));
    Ok(Report::done(json!({
        "repository": id, "webhook_url": url, "secret": secret, "secret_is_new": fresh, "changed": applied.changed,
    })))
}

async fn list(plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let repositories = plane.repositories().await?;
    if repositories.is_empty() {
        context.output.line(
            "no repository is registered yet; register one: lockstep repositories add github:<owner>/<name>",
        );
    } else {
        context
            .output
            .table(["repository", "branch", "other branches", "host"], repositories.iter().map(row));
    }
    Ok(Report::done(json!({ "repositories": repositories })))
}

fn row(repository: &Repository) -> [String; 4] {
    let branches: Vec<String> = repository.branches.iter().map(ToString::to_string).collect();
    [
        format!("github:{}", repository.id.full_name()),
        repository.branch.clone(),
        if branches.is_empty() { "-".to_owned() } else { branches.join(", ") },
        repository.base_url.clone(),
    ]
}

async fn remove(
    id: &RepositoryId,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let applied = plane.ask(&Request::RemoveRepository { id: id.clone() }).await?;
    let output = &context.output;
    output.line(format!("{id} {}", if applied.changed { "is removed" } else { "was not registered" }));
    output
        .line("its releases and its secrets remain; remove the webhook from the settings of the repository");
    let owners = plane.owners().await?;
    let names: Vec<_> = owners.into_iter().filter(|claim| claim.owner.as_ref() == Some(id)).collect();
    for claim in &names {
        let command = format!("lockstep {}s assign {} --to <repository>", claim.of.kind(), claim.of.as_str());
        output.line(format!("it still owns the {}; to give it to another one: {command}", claim.of));
    }
    let names: Vec<_> = names.into_iter().map(|claim| claim.of).collect();
    Ok(Report::done(json!({ "repository": id, "changed": applied.changed, "names": names })))
}

/// Returns the URL to which the git host sends the webhooks of a registered repository. The ledger function makes its MAC:
/// no operator can read the webhook key.
pub async fn webhook_url(plane: &ControlPlane, id: &RepositoryId) -> Result<String, Failure> {
    let address: HookAddress = plane.ask_for(&Request::ShowHook { id: id.clone() }).await?;
    Ok(format!("{}{}", plane.found.webhook_url.trim_end_matches('/'), address.path))
}

/// Returns the secret of a repository's webhook.
pub async fn webhook_secret(plane: &ControlPlane, id: &RepositoryId) -> Result<SecretString, Failure> {
    let name = id.webhook_secret();
    let found = Secrets::new(plane.aws(), SignedDuration::ZERO).get(&name).await?;
    found.ok_or_else(|| {
        Failure::new(format!("there is no secret {name}"))
            .next(format!("register the repository: lockstep repositories add github:{}", id.full_name()))
    })
}

/// Returns the value of the signature header for `body`.
pub fn sign(secret: &SecretString, body: &[u8]) -> Result<String, Failure> {
    let keyed = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    let mut keyed = keyed.map_err(|_| Failure::new("the webhook's secret cannot be used as a key"))?;
    keyed.update(body);
    Ok(format!("sha256={}", hex::encode(keyed.finalize().into_bytes())))
}

/// Sends a signed ping to the webhook of a repository.
pub(super) async fn ping(
    id: &RepositoryId,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let secret = webhook_secret(plane, id).await?;
    let body = json!({
        "zen": "Keep it logically awesome.",
        "repository": { "full_name": id.full_name(), "name": id.name(), "owner": { "login": id.owner() } },
    });
    let body = body.to_string().into_bytes();
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        (EVENT_HEADER.to_owned(), "ping".to_owned()),
        (DELIVERY_HEADER.to_owned(), uuid::Uuid::new_v4().to_string()),
        (SIGNATURE_HEADER.to_owned(), sign(&secret, &body)?),
    ];
    let url = webhook_url(plane, id).await?;
    let answer = signed::post_unsigned(&url, &headers, body).await?;
    if (200..300).contains(&answer.status) {
        context.output.line(format!(
            "the webhook of {id} responded with {}: its secret and URL are right",
            answer.status
        ));
        return Ok(Report::done(json!({ "repository": id, "status": answer.status })));
    }
    let request: Option<Denied> = serde_json::from_slice(&answer.body).ok();
    let next = match request.map(|denied| denied.request) {
        Some(request) => format!(
            "lockstep webhook explain {request}; the function caches a secret for a minute, so try again after that"
        ),
        None => "read the function's log: aws logs tail /aws/lambda/lockstep-webhook".to_owned(),
    };
    Err(Failure::new(format!("the webhook of {id} responded with {}", answer.status)).next(next))
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Denied {
    request: RequestId,
}

/// Returns 244 random bits as 64 hexadecimal digits.
fn generated() -> SecretString {
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    format!("{}{}", a.simple(), b.simple()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_signed_as_the_webhook_function_verifies_it() {
        let secret = generated();
        let signature = sign(&secret, b"{}").unwrap();
        let verified = |body: &[u8]| {
            lockstep_domain::delivery::webhook::verify_signature(
                secret.expose_secret().as_bytes(),
                Some(&signature),
                body,
            )
        };
        assert!(verified(b"{}").is_ok());
        assert!(verified(b"{ }").is_err());
    }

    #[test]
    fn two_generated_secrets_differ_and_are_long() {
        assert_ne!(generated().expose_secret(), generated().expose_secret());
        assert_eq!(generated().expose_secret().len(), 64);
    }
}
