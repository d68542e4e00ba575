//! Bare repositories in a folder, and git commands in them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Folder of push notes, beside the owners' folders. No owner may have this name.
const SPOOL: &str = ".pushes";
/// Maximum number of commits in GitHub's comparison.
const COMPARED_MAX: usize = 250;
/// Hook that writes one note for each push. It needs only `sh` and coreutils, and does nothing that delays
/// the push.
const POST_RECEIVE: &str = r#"#!/bin/sh
# Tells the git host what was pushed: it watches this folder. The note appears complete, by renaming.
here=$(pwd -P)
spool="$here/../../.pushes"
note=$(mktemp "$spool/.note-XXXXXXXX") || exit 0
{
    echo "$(basename "$(dirname "$here")")/$(basename "$here" .git)"
    cat
} > "$note"
mv "$note" "$spool/push-${note##*/.note-}"
"#;

/// A bare repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Owner of the repository.
    pub owner: String,
    /// Name of the repository, without `.git`.
    pub name: String,
    /// Path of the repository, for clones and pushes.
    pub path: PathBuf,
}

impl Repository {
    /// Returns `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns a stable number for the repository, as GitHub has one.
    pub(super) fn id(&self) -> u64 {
        // FNV-1a over the name, within the integers of JavaScript.
        let hash = self.full_name().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        hash % (1 << 31)
    }

    /// Runs git in the repository and returns its output.
    pub(super) async fn git(&self, arguments: &[&str]) -> Result<Vec<u8>, RepositoryError> {
        git(&self.path, arguments).await
    }

    /// Runs git and returns its output as text without the last line break.
    pub(super) async fn git_text(&self, arguments: &[&str]) -> Result<String, RepositoryError> {
        let printed = self.git(arguments).await?;
        Ok(String::from_utf8_lossy(&printed).trim_end_matches('\n').to_owned())
    }

    /// Returns the commit of a branch, tag or id; `None` if there is none.
    pub(super) async fn commit(&self, reference: &str) -> Option<String> {
        let commit = format!("{reference}^{{commit}}");
        let found =
            self.git_text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).await.ok()?;
        // Old versions of git do not know --end-of-options and echo it.
        found.lines().last().filter(|line| line.len() == 40).map(str::to_owned)
    }

    /// Compares two commits; `None` if they have no common ancestor.
    pub(super) async fn compare(&self, base: &str, head: &str) -> Option<Comparison> {
        let merge_base = self.git_text(&["merge-base", base, head]).await.ok()?;
        let sides = format!("{base}...{head}");
        let counts = self.git_text(&["rev-list", "--left-right", "--count", &sides, "--"]).await.ok()?;
        let (behind, ahead) = counts.trim().split_once('\t')?;
        let (behind, ahead) = (behind.parse().ok()?, ahead.parse().ok()?);
        Some(Comparison { merge_base: merge_base.trim().to_owned(), behind, ahead })
    }

    /// Returns the ids of the commits that `head` has and `base` has not, oldest first, at most as many as GitHub lists.
    pub(super) async fn commits_since(&self, base: &str, head: &str) -> Result<Vec<String>, RepositoryError> {
        let listed = self.git_text(&["rev-list", "--reverse", head, "--not", base, "--"]).await?;
        Ok(listed.lines().take(COMPARED_MAX).map(str::to_owned).collect())
    }

    /// Returns the branch of HEAD.
    pub(super) async fn default_branch(&self) -> String {
        self.git_text(&["symbolic-ref", "--short", "HEAD"]).await.unwrap_or_else(|_| "main".to_owned())
    }
}

/// A commit compared with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    /// The newest common ancestor.
    pub(super) merge_base: String,
    /// Number of commits that only the base has.
    pub(super) behind: u64,
    /// Number of commits that only the other one has.
    pub(super) ahead: u64,
}

/// Reason why a repository could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepositoryError {
    #[error("'{0}' is not a name: letters, digits, '-', '_' and '.' only, and not beginning with '.' or '-'")]
    Name(String),
    #[error("git could not be run; check that it is installed")]
    Run(#[from] io::Error),
    #[error("git {command} failed: {message}")]
    Git { command: String, message: String },
}

/// All repositories below a folder: `<root>/<owner>/<name>.git`.
#[derive(Debug)]
pub(super) struct Repositories {
    root: PathBuf,
}

impl Repositories {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root.join(SPOOL))?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// Returns the folder of the notes of pushes.
    pub(super) fn spool(&self) -> PathBuf {
        self.root.join(SPOOL)
    }

    /// Returns the repository of this name; `None` if there is none, or the name is invalid.
    pub(super) fn find(&self, owner: &str, name: &str) -> Option<Repository> {
        let repository = self.named(owner, name).ok()?;
        repository.path.join("HEAD").is_file().then_some(repository)
    }

    pub(super) async fn create(&self, owner: &str, name: &str) -> Result<Repository, RepositoryError> {
        let repository = self.named(owner, name)?;
        if self.find(owner, name).is_some() {
            return Ok(repository);
        }
        tokio::fs::create_dir_all(&repository.path).await?;
        git(&repository.path, &["init", "--bare", "--quiet", "--initial-branch=main"]).await?;
        // Allow fetches of a commit by its id, as GitHub does.
        git(&repository.path, &["config", "uploadpack.allowAnySHA1InWant", "true"]).await?;
        install_hook(&repository.path).await?;
        Ok(repository)
    }

    fn named(&self, owner: &str, name: &str) -> Result<Repository, RepositoryError> {
        for part in [owner, name] {
            if !is_name(part) {
                return Err(RepositoryError::Name(part.to_owned()));
            }
        }
        let path = self.root.join(owner).join(format!("{name}.git"));
        Ok(Repository { owner: owner.to_owned(), name: name.to_owned(), path })
    }
}

async fn install_hook(repository: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let hook = repository.join("hooks/post-receive");
    tokio::fs::create_dir_all(repository.join("hooks")).await?;
    tokio::fs::write(&hook, POST_RECEIVE).await?;
    tokio::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).await
}

fn is_name(text: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    !text.is_empty() && text.len() <= 100 && text.chars().all(allowed) && !text.starts_with(['.', '-'])
}

async fn git(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>, RepositoryError> {
    let output = command(folder, arguments).output().await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(RepositoryError::Git {
        command: arguments.first().copied().unwrap_or_default().to_owned(),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// Returns a git command in a folder, without the variables of a surrounding git command (a hook, a rebase).
pub(super) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.arg("-C").arg(folder).args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for bad in ["", ".", "..", ".pushes", "-x", "a/b", "a b", "a\0"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert!(is_name("log-stack.2_x"));
    }

    #[tokio::test]
    async fn a_repository_is_found_after_its_creation() {
        let root = tempfile::tempdir().expect("a folder");
        let repositories = Repositories::open(root.path()).expect("opened");
        assert_eq!(repositories.find("acme", "logs"), None);
        let created = repositories.create("acme", "logs").await.expect("created");
        assert_eq!(repositories.find("acme", "logs"), Some(created.clone()));
        assert_eq!(repositories.create("acme", "logs").await.expect("still there"), created);
        assert_eq!(created.default_branch().await, "main");
        assert_eq!(created.commit("main").await, None);
        assert_eq!(created.commit("--help").await, None);
        assert!(repositories.create("acme", "../logs").await.is_err());
    }
}
