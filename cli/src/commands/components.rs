//! `lockstep components`: the repositories that the names of components belong to.

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::names::RepositoryName;
use crate::report::Report;
use crate::views::owners;
use clap::{Args, Subcommand};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::model::ids::{ComponentName, RepositoryId};
use lockstep_domain::records::OwnedName;
use serde_json::json;

/// The arguments of `components`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give the name of a component to a repository: only its pushes release the component from then on
    Assign {
        /// The component
        component: ComponentName,
        /// The registered repository, such as github:acme/logs
        #[arg(long, value_name = "REPOSITORY")]
        to: RepositoryName,
    },
    /// List the names of components and images with their repositories (the default)
    List,
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        Some(Command::Assign { component, to }) => {
            let plane = ControlPlane::open_for(Callers::Administrators, global, context).await?;
            assign(OwnedName::Component(component.clone()), &to.0, &plane, context).await
        }
        Some(Command::List) | None => {
            list(&ControlPlane::open_for(Callers::Operators, global, context).await?, context).await
        }
    }
}

/// Gives a name to a repository.
pub async fn assign(
    name: OwnedName,
    to: &RepositoryId,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let before = plane.owner_of(&name).await?.and_then(|claim| claim.owner);
    let applied = plane.ask(&Request::Assign { name: name.clone(), to: to.clone() }).await?;
    let output = &context.output;
    let to_name = to.full_name();
    match &before {
        _ if !applied.changed => output.line(format!("the {name} belonged to {to_name} already")),
        Some(before) => {
            output.line(format!("the {name} belongs to {to_name}, and no longer to {}", before.full_name()));
            output
                .line("what was released before stays deployable; its next release comes from the new owner");
        }
        None => output.line(format!("the {name} belongs to {to_name}")),
    }
    Ok(Report::done(json!({ "name": name, "owner": to, "before": before, "changed": applied.changed })))
}

async fn list(plane: &ControlPlane, context: &CommandContext) -> Result<Report, Failure> {
    let owners = plane.owners().await?;
    let mut unregistered = Vec::new();
    for owner in owners.iter().filter_map(|claim| claim.owner.as_ref()) {
        if !unregistered.contains(owner) && plane.repository(owner).await?.is_none() {
            unregistered.push(owner.clone());
        }
    }
    if owners.is_empty() {
        context.output.line("no name has an owner yet: the first push to a default branch claims its names");
    } else {
        context.output.table(owners::HEAD, owners::rows(&owners, &unregistered));
    }
    Ok(Report::done(json!({ "owners": owners, "unregistered": unregistered })))
}
