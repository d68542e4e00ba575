//! `lockstep local repository`: repositories on the git host of the local cloud.

use super::git_host;
use crate::commands::repositories::{self, Add};
use crate::commands::secrets;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::git::git;
use crate::global::Global;
use crate::local::Session;
use crate::output::Output;
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::error::chain;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_local::PEOPLE;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The arguments of `local repository`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a repository, register it with its webhook and its token, and make a folder that pushes to it
    Add {
        /// Owner and name, such as acme/shop
        #[arg(value_name = "OWNER/NAME", value_parser = id)]
        repository: RepositoryId,
        /// The folder; by default one with the name of the repository
        #[arg(long)]
        folder: Option<PathBuf>,
    },
}

/// Reads `owner/name`.
fn id(text: &str) -> Result<RepositoryId, String> {
    let (owner, name) = text.split_once('/').ok_or("write it as owner/name")?;
    RepositoryId::github(owner, name).map_err(|error| chain(&error))
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    let Command::Add { repository, folder } = &arguments.command;
    let folder = folder.clone().unwrap_or_else(|| repository.name().into());
    let plane = plane(global, context).await?;
    add(repository, &folder, &plane, context).await?;
    let shown = folder.display();
    context.output.line(format!("next: lockstep init my-component {shown}/my-component"));
    Ok(Report::done(json!({ "repository": repository, "folder": context.path(&folder) })))
}

/// Opens the control plane of the local cloud as its administrator, whatever AWS account the variables name.
pub async fn plane(global: &Global, context: &CommandContext) -> Result<ControlPlane, Failure> {
    Session::expect(context)?;
    ControlPlane::open_for(Callers::Administrators, &as_person(global), context).await
}

/// Returns the options of a command that acts in the local cloud only.
pub fn as_person(global: &Global) -> Global {
    let person = global.person.clone().or_else(|| PEOPLE.first().map(|person| (*person).to_owned()));
    Global { person, profile: None, ..global.clone() }
}

/// Creates and registers a repository, and connects `folder` with it. Each step that is done already is left as it is.
pub async fn add(
    id: &RepositoryId,
    folder: &Path,
    plane: &ControlPlane,
    context: &CommandContext,
) -> Result<(), Failure> {
    let session = Session::expect(context)?;
    let remote = git_host::create(&session, id).await?;
    connect(&context.path(folder), &remote.display().to_string()).await?;
    // What a person pastes into the settings of a repository is done below.
    let quiet = CommandContext { output: Output::memory(false), ..context.clone() };
    repositories::subscribe(&Add::local(id.clone()), plane, &quiet).await?;
    let token = secrets::bound(&session.git_token.as_str().into(), plane, id).await?;
    secrets::put(plane, &id.token_secret(), &token).await?;
    git_host::register_hook(&session, plane, id).await?;
    repositories::ping(id, plane, &quiet).await?;
    context.output.line(format!(
        "repository {} is registered; {} pushes to it, and a push becomes a release",
        id.full_name(),
        folder.display()
    ));
    Ok(())
}

/// Makes `folder` a git repository whose `origin` is `remote`. Refuses a folder with another `origin`.
async fn connect(folder: &Path, remote: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(at(folder.display()))?;
    if !folder.join(".git").exists() {
        git(folder, &["init", "--quiet", "--initial-branch=main"]).await?;
        name_author(folder).await?;
    }
    match git(folder, &["remote", "get-url", "origin"]).await {
        Err(_) => git(folder, &["remote", "add", "origin", remote]).await.map(drop),
        Ok(url) if url == remote => Ok(()),
        Ok(url) => {
            Err(Failure::new(format!("{} pushes to {url} already; nothing was changed", folder.display()))
                .next("name another folder with --folder"))
        }
    }
}

/// Gives the repository an author if git knows none: without one, git refuses to commit.
async fn name_author(folder: &Path) -> Result<(), Failure> {
    for (key, value) in [("user.name", "Ada Lovelace"), ("user.email", "ada@example.com")] {
        if git(folder, &["config", key]).await.is_err() {
            git(folder, &["config", key, value]).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_with_another_origin_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let shop = folder.path().join("shop");
        connect(&shop, "/git/acme/shop.git").await.unwrap();
        connect(&shop, "/git/acme/shop.git").await.unwrap();
        assert_eq!(git(&shop, &["remote", "get-url", "origin"]).await.unwrap(), "/git/acme/shop.git");
        let refusal = connect(&shop, "/git/acme/other.git").await.unwrap_err();
        assert!(refusal.what.contains("pushes to /git/acme/shop.git already"), "{refusal}");
        assert!(refusal.next.contains("--folder"), "{refusal}");
    }

    #[tokio::test]
    async fn a_folder_with_files_keeps_them_and_gets_an_origin() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes"), "mine").unwrap();
        connect(folder.path(), "/git/acme/shop.git").await.unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("notes")).unwrap(), "mine");
        assert!(!git(folder.path(), &["config", "user.email"]).await.unwrap().is_empty());
    }

    #[test]
    fn a_repository_is_named_by_owner_and_name() {
        assert_eq!(id("acme/shop").unwrap().full_name(), "acme/shop");
        for text in ["shop", "", "acme/", "/shop", "acme/shop/queue", "../shop"] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
