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
        begin(folder, remote).await?;
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

/// Makes a clone of `remote` if it has commits, since a repository outlives the cloud; otherwise an empty repository.
/// Refuses a folder with files if there are commits.
async fn begin(folder: &Path, remote: &str) -> Result<(), Failure> {
    if git(folder, &["ls-remote", remote]).await?.is_empty() {
        return git(folder, &["init", "--quiet", "--initial-branch=main"]).await.map(drop);
    }
    if std::fs::read_dir(folder).map_err(at(folder.display()))?.next().is_some() {
        let what =
            format!("{} has files, and the repository has commits; nothing was changed", folder.display());
        return Err(Failure::new(what).next("name an empty folder with --folder: it becomes a clone"));
    }
    git(folder, &["clone", "--quiet", remote, "."]).await.map(drop)
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

    /// Returns a bare repository without commits, as the git host makes it.
    async fn bare(root: &Path) -> String {
        git(root, &["init", "--quiet", "--bare", "--initial-branch=main", "shop.git"]).await.unwrap();
        root.join("shop.git").display().to_string()
    }

    #[tokio::test]
    async fn a_folder_with_another_origin_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let (remote, shop) = (bare(root.path()).await, root.path().join("shop"));
        connect(&shop, &remote).await.unwrap();
        connect(&shop, &remote).await.unwrap();
        assert_eq!(git(&shop, &["remote", "get-url", "origin"]).await.unwrap(), remote);
        let refusal = connect(&shop, "/git/acme/other.git").await.unwrap_err();
        assert!(refusal.what.contains(&format!("pushes to {remote} already")), "{refusal}");
        assert!(refusal.next.contains("--folder"), "{refusal}");
    }

    #[tokio::test]
    async fn a_folder_with_files_keeps_them_and_gets_an_origin() {
        let root = tempfile::tempdir().unwrap();
        let (remote, shop) = (bare(root.path()).await, root.path().join("shop"));
        std::fs::create_dir(&shop).unwrap();
        std::fs::write(shop.join("notes"), "mine").unwrap();
        connect(&shop, &remote).await.unwrap();
        assert_eq!(std::fs::read_to_string(shop.join("notes")).unwrap(), "mine");
        assert!(!git(&shop, &["config", "user.email"]).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn commits_of_an_earlier_cloud_come_into_an_empty_folder_alone() {
        let root = tempfile::tempdir().unwrap();
        let (remote, first) = (bare(root.path()).await, root.path().join("first"));
        connect(&first, &remote).await.unwrap();
        std::fs::write(first.join("queue"), "1").unwrap();
        for command in [["add", "--all"].as_slice(), &["commit", "--quiet", "-m", "A queue"]] {
            git(&first, command).await.unwrap();
        }
        git(&first, &["push", "--quiet", "origin", "HEAD:refs/heads/main"]).await.unwrap();
        let (second, full) = (root.path().join("second"), root.path().join("full"));
        connect(&second, &remote).await.unwrap();
        assert_eq!(std::fs::read_to_string(second.join("queue")).unwrap(), "1");
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("notes"), "mine").unwrap();
        let refusal = connect(&full, &remote).await.unwrap_err();
        assert!(refusal.what.contains("nothing was changed") && !full.join(".git").exists(), "{refusal}");
    }

    #[test]
    fn a_repository_is_named_by_owner_and_name() {
        assert_eq!(id("acme/shop").unwrap().full_name(), "acme/shop");
        for text in ["shop", "", "acme/", "/shop", "acme/shop/queue", "../shop"] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
