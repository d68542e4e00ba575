//! Runs the `git` command, and reads the state of a folder for `push`.

use crate::failure::{Failure, at};
use lockstep_domain::model::ids::CommitSha;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Runs `git` in `folder` and returns its output without the last newline.
pub async fn git(folder: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let output = run(folder, arguments, &[]).await?;
    Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
}

async fn run(
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, OsString)],
) -> Result<Vec<u8>, Failure> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        // A prompt would wait for ever.
        .env("GIT_TERMINAL_PROMPT", "0")
        .kill_on_drop(true)
        .output()
        .await
        .map_err(at("git could not be started"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = without_credentials(String::from_utf8_lossy(&output.stderr).trim());
    Err(Failure::new(format!("git {} failed in {}: {said}", arguments.join(" "), folder.display())))
}

/// The archive of a working tree.
pub struct WorkingTreeArchive {
    /// The tarball, as a git host serves it.
    pub gzipped: Vec<u8>,
    /// The folder below the repository; empty, or with a `/` at its end.
    pub prefix: String,
}

/// Returns the archive that a commit of the whole working tree would give, or `None` outside a repository. The repository
/// and its index remain unchanged: the tree and its new objects are in a temporary folder.
pub async fn working_tree_archive(folder: &Path) -> Result<Option<WorkingTreeArchive>, Failure> {
    let Ok(root) = git(folder, &["rev-parse", "--show-toplevel"]).await else { return Ok(None) };
    let root = PathBuf::from(root);
    let prefix = git(folder, &["rev-parse", "--show-prefix"]).await?;
    let inside = |name: &'static str| async move {
        git(folder, &["rev-parse", "--path-format=absolute", "--git-path", name]).await.map(PathBuf::from)
    };
    let (index, objects) = (inside("index").await?, inside("objects").await?);
    let temporary = tempfile::tempdir().map_err(at("a temporary folder"))?;
    let own = |name: &str| temporary.path().join(name);
    // The copy spares git the digests of files that did not change. It also names ignored files that are tracked.
    if index.is_file() {
        copy_with_time(&index, &own("index")).map_err(at(index.display()))?;
    }
    std::fs::create_dir(own("objects")).map_err(at("a temporary folder"))?;
    let environment = [
        ("GIT_INDEX_FILE", own("index").into_os_string()),
        ("GIT_OBJECT_DIRECTORY", own("objects").into_os_string()),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects.into_os_string()),
    ];
    let run = async |arguments: &[&str]| run(&root, arguments, &environment).await;
    // A git host has no settings of this machine, and serves the pointers of large files instead of their contents.
    let as_hosted = [
        "core.autocrlf=false",
        "core.eol=lf",
        "core.attributesFile=/dev/null",
        "filter.lfs.smudge=",
        "filter.lfs.process=",
        "filter.lfs.required=false",
    ];
    let as_hosted: Vec<&str> = as_hosted.into_iter().flat_map(|setting| ["-c", setting]).collect();
    run(&["-c", "core.safecrlf=false", "add", "--all", "--", "."]).await?;
    let tree = String::from_utf8_lossy(&run(&["write-tree"]).await?).trim().to_owned();
    let archive = ["archive", "--format=tar.gz", "--prefix=repository/", &tree];
    let gzipped = run(&[as_hosted.as_slice(), &archive].concat()).await?;
    Ok(Some(WorkingTreeArchive { gzipped, prefix }))
}

/// A folder in a git repository without uncommitted changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clean {
    /// The root of the repository.
    pub root: PathBuf,
    /// The commit of `HEAD`.
    pub commit: CommitSha,
    /// The branch that is checked out.
    pub branch: String,
}

/// Reads the state of `folder`. Refuses a folder outside a repository, uncommitted changes, and a detached `HEAD`.
pub async fn clean(folder: &Path) -> Result<Clean, Failure> {
    let root = git(folder, &["rev-parse", "--show-toplevel"]).await.map_err(|_| {
        Failure::new(format!("{} is not inside a git repository", folder.display()))
            .next("run `git init`, commit the component and add a remote")
    })?;
    let changes = git(folder, &["status", "--porcelain", "--", "."]).await?;
    if !changes.is_empty() {
        return Err(Failure::new(format!(
            "{} has changes that are not committed:\n{changes}",
            folder.display()
        ))
        .next("commit them: a release contains only what is pushed"));
    }
    let commit = git(folder, &["rev-parse", "HEAD"])
        .await
        .map_err(|_| Failure::new(format!("{root} has no commit yet")).next("commit the component"))?;
    let branch = git(folder, &["symbolic-ref", "--quiet", "--short", "HEAD"])
        .await
        .map_err(|_| Failure::new(format!("{root} is not on a branch")).next("run `git switch <branch>`"))?;
    let commit = commit
        .parse()
        .map_err(|error| Failure::new("git printed an unexpected commit id").caused_by(&error))?;
    Ok(Clean { root: root.into(), commit, branch })
}

/// Returns the URL of a remote. Refuses a name that the repository does not have.
pub async fn remote_url(folder: &Path, remote: &str) -> Result<String, Failure> {
    git(folder, &["remote", "get-url", remote]).await.map_err(|_| {
        Failure::new(format!("{} has no remote called {remote}", folder.display()))
            .next(format!("run `git remote add {remote} <url>`, or name another with --remote"))
    })
}

/// Returns `owner` and `name` of a repository: the last two parts of the path of a remote's URL.
pub fn owner_and_name(url: &str) -> Option<(&str, &str)> {
    let path = url.trim_end_matches('/').trim_end_matches(".git");
    let (rest, name) = path.rsplit_once('/')?;
    let owner = rest.rsplit(['/', ':']).next()?;
    (!owner.is_empty() && !name.is_empty()).then_some((owner, name))
}

/// Removes passwords from git's messages, since a remote's URL may contain one (`https://user:password@host/`).
fn without_credentials(text: &str) -> String {
    let mut words = text.split("://");
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |clean, rest| {
        let authority_ends = rest.find(['/', '\'', '"', ' ', '\n']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_ends);
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        format!("{clean}://{host}{path}")
    })
}

/// Copies a file with the time of its last change. git compares files that are as new as its index by their content, and
/// takes an index with a later time for newer than they are (<https://git-scm.com/docs/racy-git>).
fn copy_with_time(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    let modified = std::fs::metadata(from)?.modified()?;
    std::fs::File::options().write(true).open(to)?.set_modified(modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for command in [
            ["init", "--quiet", "--initial-branch=main"].as_slice(),
            &["config", "user.name", "Ada"],
            &["config", "user.email", "ada@example.com"],
        ] {
            git(folder.path(), command).await.unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn a_committed_folder_is_clean() {
        let folder = repository().await;
        std::fs::write(folder.path().join("a"), "1").unwrap();
        assert!(clean(folder.path()).await.unwrap_err().what.contains("not committed"));
        git(folder.path(), &["add", "a"]).await.unwrap();
        git(folder.path(), &["commit", "--quiet", "-m", "a"]).await.unwrap();
        let clean = clean(folder.path()).await.unwrap();
        assert_eq!(clean.branch, "main");
        assert_eq!(clean.root.file_name(), folder.path().file_name());
    }

    #[tokio::test]
    async fn a_folder_outside_a_repository_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let failure = clean(folder.path()).await.unwrap_err();
        assert!(failure.next.contains("git init"), "{failure}");
    }

    #[tokio::test]
    async fn a_missing_remote_is_named() {
        let folder = repository().await;
        let failure = remote_url(folder.path(), "origin").await.unwrap_err();
        assert!(failure.what.contains("no remote called origin"));
    }

    #[test]
    fn owner_and_name_are_the_last_parts_of_a_remotes_url() {
        for url in [
            "https://github.com/acme/logs.git",
            "https://github.com/acme/logs/",
            "git@github.com:acme/logs.git",
            "ssh://git@github.com:22/acme/logs",
            "http://127.0.0.1:4000/acme/logs.git",
        ] {
            assert_eq!(owner_and_name(url), Some(("acme", "logs")), "{url}");
        }
        assert_eq!(owner_and_name("logs"), None);
    }

    #[test]
    fn a_password_in_a_remotes_url_is_never_printed() {
        let said = "fatal: unable to access 'https://ada:hunter2@github.com/acme/logs.git/': gone";
        assert_eq!(
            without_credentials(said),
            "fatal: unable to access 'https://github.com/acme/logs.git/': gone"
        );
        assert_eq!(without_credentials("https://t0ken@host"), "https://host");
    }
}
