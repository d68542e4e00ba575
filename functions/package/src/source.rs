//! Where a commit comes from: the API of its git host.

use lockstep_domain::archive::Limits;
use lockstep_domain::error::{Failure, FailureKind};
use lockstep_domain::ids::{CommitSha, RepositoryId};
use lockstep_domain::records::Repository;
use lockstep_platform::fetch::{Answer, Host};
use serde::Deserialize;

/// What stands for an author who cannot be read.
pub const UNKNOWN_AUTHOR: &str = "unknown";

/// The most characters of an author's name that are kept.
const AUTHOR_CHARS: usize = 100;

/// The most bytes of a commit's description that are read; GitHub lists the changed files in it.
const COMMIT_BYTES_MAX: u64 = 4 << 20;

/// A commit as its host gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The gzipped tarball.
    pub tarball: Vec<u8>,
    /// Who wrote the commit, for display.
    pub author: String,
}

/// Fetches `commit` of `repository` with its token, if it has one.
///
/// <https://docs.github.com/en/rest/repos/contents#download-a-repository-archive-tar>
///
/// # Errors
/// `Rejected` or `AccessDenied` with what to set right, `Throttled` and `Transient` for what passes by itself.
pub async fn fetch(
    repository: &Repository,
    token: Option<&str>,
    commit: &CommitSha,
) -> Result<Fetched, Failure> {
    let host = Host::new(&repository.base_url, token)?;
    let (owner, name) = (repository.id.owner(), repository.id.name());
    let path = ["repos", owner, name, "tarball", commit.as_str()];
    let answer = host.get(&path, Limits::DEFAULT.compressed_bytes).await?;
    let tarball = judge(answer, &host.name(), host.has_token(), &repository.id, commit)?;
    let author = author(&host, &repository.id, commit).await;
    Ok(Fetched { tarball, author })
}

/// The tarball, or what is wrong and what to do about it.
fn judge(
    answer: Answer,
    host: &str,
    with_token: bool,
    repository: &RepositoryId,
    commit: &CommitSha,
) -> Result<Vec<u8>, Failure> {
    use FailureKind::{AccessDenied, Rejected, Throttled, Transient};
    let (name, secret) = (repository.full_name(), repository.token_secret());
    let set = format!("`lockstep secrets set github:{name} token --stdin`, which stores {secret}");
    let (kind, message) = match answer.status {
        200 => return Ok(answer.body),
        _ if answer.throttled => (Throttled, format!("{host} says that we ask too often")),
        401 | 403 if with_token => (
            AccessDenied,
            format!(
                "{host} refuses the token in {secret}; store one that may read the contents of {name}: {set}"
            ),
        ),
        401 | 403 => (AccessDenied, format!("{host} wants a token to read {name}: {set}")),
        404 if with_token => (
            Rejected,
            format!("{host} has no commit {commit} of {name}, or the token in {secret} may not read it"),
        ),
        404 => (
            Rejected,
            format!(
                "{host} has no commit {commit} of {name}; if the repository is private, store a token: {set}"
            ),
        ),
        408 | 500.. => (Transient, format!("{host} answers with status {}", answer.status)),
        other => (Rejected, format!("{host} answers with status {other}, which Lockstep does not expect")),
    };
    Err(Failure::new(kind, message))
}

/// Who wrote the commit. It is only shown, so not knowing it stops nothing.
///
/// <https://docs.github.com/en/rest/commits/commits#get-a-commit>
async fn author(host: &Host, repository: &RepositoryId, commit: &CommitSha) -> String {
    let path = ["repos", repository.owner(), repository.name(), "commits", commit.as_str()];
    match host.get(&path, COMMIT_BYTES_MAX).await {
        Ok(answer) if answer.status == 200 => author_of(&answer.body),
        Ok(answer) => {
            tracing::warn!(status = answer.status, "the author of {commit} is not known");
            UNKNOWN_AUTHOR.to_owned()
        }
        Err(error) => {
            tracing::warn!("the author of {commit} is not known: {error}");
            UNKNOWN_AUTHOR.to_owned()
        }
    }
}

fn author_of(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
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
        .map_or_else(|_| String::new(), |answer: Answer| answer.commit.author.name);
    let shown: String = name.chars().filter(|c| !c.is_control()).take(AUTHOR_CHARS).collect();
    if shown.trim().is_empty() { UNKNOWN_AUTHOR.to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, throttled: bool, with_token: bool) -> Result<Vec<u8>, Failure> {
        let answer = Answer { status, throttled, body: b"tar".to_vec() };
        let commit = "0123456789012345678901234567890123456789".parse().unwrap();
        judge(answer, "api.github.com", with_token, &"github.acme.logs".parse().unwrap(), &commit)
    }

    #[test]
    fn every_refusal_of_the_host_has_its_kind() {
        let table = [
            (401, false, true, FailureKind::AccessDenied),
            (401, false, false, FailureKind::AccessDenied),
            (403, false, true, FailureKind::AccessDenied),
            (403, true, true, FailureKind::Throttled),
            (404, false, true, FailureKind::Rejected),
            (404, false, false, FailureKind::Rejected),
            (408, false, true, FailureKind::Transient),
            (422, false, true, FailureKind::Rejected),
            (429, true, false, FailureKind::Throttled),
            (500, false, true, FailureKind::Transient),
            (503, false, true, FailureKind::Transient),
        ];
        for (status, throttled, with_token, kind) in table {
            assert_eq!(judged(status, throttled, with_token).unwrap_err().kind, kind, "{status}");
        }
        assert_eq!(judged(200, false, true).unwrap(), b"tar");
    }

    #[test]
    fn what_a_token_would_mend_names_the_secret_that_holds_it() {
        for (status, with_token) in [(401, true), (403, false), (404, true), (404, false)] {
            let message = judged(status, false, with_token).unwrap_err().message;
            assert!(message.contains("lockstep/repositories/github.acme.logs/token"), "{message}");
        }
    }

    #[test]
    fn an_author_is_one_bounded_line_or_unknown() {
        let named = |name: &str| {
            author_of(serde_json::json!({"commit": {"author": {"name": name}}}).to_string().as_bytes())
        };
        assert_eq!(named("Ada Lovelace"), "Ada Lovelace");
        assert_eq!(named("Ada\n\u{1b}[31mEve"), "Ada[31mEve");
        assert_eq!(named(&"x".repeat(1000)).len(), AUTHOR_CHARS);
        for nobody in [named(" "), author_of(b"{}"), author_of(b"<html>")] {
            assert_eq!(nobody, UNKNOWN_AUTHOR);
        }
    }
}
