//! Commits from the API of their git host.

use lockstep_aws::fetch::Host;
use lockstep_aws::git_host::judge;
use lockstep_domain::delivery::archive::Limits;
use lockstep_domain::model::error::{Failure, chain};
use lockstep_domain::model::ids::{CommitSha, RepositoryId};
use lockstep_domain::records::Repository;
use lockstep_runtime::CommitArchive;
use serde::Deserialize;

/// Author of a commit whose author cannot be read.
pub const UNKNOWN_AUTHOR: &str = "unknown";

/// Length to which the name of an author is cut.
const AUTHOR_CHARS: usize = 100;

/// Maximal size of the description of a commit in bytes; GitHub lists the changed files in it.
const COMMIT_BYTES_MAX: u64 = 4 << 20;

/// Fetches `commit` of `repository` from its host.
///
/// <https://docs.github.com/en/rest/repos/contents#download-a-repository-archive-tar>
///
/// # Errors
/// See [`judge`]; every failure to reach the host.
pub async fn fetch(
    host: &Host,
    repository: &Repository,
    commit: &CommitSha,
) -> Result<CommitArchive, Failure> {
    let (owner, name) = (repository.id.owner(), repository.id.name());
    let path = ["repos", owner, name, "tarball", commit.as_str()];
    let answer = host.get(&path, Limits::DEFAULT.compressed_bytes).await?;
    let tarball = judge(answer, host, repository, &format!("commit {commit}"))?;
    let author = author(host, &repository.id, commit).await;
    Ok(CommitArchive { tarball, author })
}

/// Returns the author of the commit. The name is only shown, so a failed read stops nothing.
///
/// <https://docs.github.com/en/rest/commits/commits#get-a-commit>
async fn author(host: &Host, repository: &RepositoryId, commit: &CommitSha) -> String {
    let path = ["repos", repository.owner(), repository.name(), "commits", commit.as_str()];
    match host.get(&path, COMMIT_BYTES_MAX).await {
        Ok(answer) if answer.status == 200 => author_of(&answer.body),
        Ok(answer) => {
            tracing::warn!(status = answer.status, "the author of {commit} is unknown");
            UNKNOWN_AUTHOR.to_owned()
        }
        Err(error) => {
            tracing::warn!("the author of {commit} is unknown: {}", chain(&error));
            UNKNOWN_AUTHOR.to_owned()
        }
    }
}

fn author_of(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Description {
        commit: Commit,
    }
    #[derive(Deserialize)]
    struct Commit {
        author: Person,
    }
    #[derive(Deserialize)]
    struct Person {
        name: String,
    }
    let name = serde_json::from_slice(body)
        .map_or_else(|_| String::new(), |read: Description| read.commit.author.name);
    let shown: String = name.chars().filter(|c| !c.is_control()).take(AUTHOR_CHARS).collect();
    if shown.trim().is_empty() { UNKNOWN_AUTHOR.to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_one_bounded_line_or_unknown() {
        let named = |name: &str| {
            author_of(serde_json::json!({"commit": {"author": {"name": name}}}).to_string().as_bytes())
        };
        assert_eq!(named("Ada Lovelace"), "Ada Lovelace");
        assert_eq!(named("Ada\n\u{1b}[31mEve"), "Ada[31mEve");
        assert_eq!(named(&"x".repeat(1000)).len(), AUTHOR_CHARS);
        for unknown in [named(" "), author_of(b"{}"), author_of(b"<html>")] {
            assert_eq!(unknown, UNKNOWN_AUTHOR);
        }
    }
}
