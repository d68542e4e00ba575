//! State of a registered repository on its git host, read with the repository's token.
//!
//! GitHub's API (<https://docs.github.com/en/rest>), at the base URL of the repository's record.

use crate::aws::Aws;
use crate::fetch::{FetchResponse, Host};
use crate::secrets::{ExposeSecret as _, Secrets};
use jiff::SignedDuration;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::records::Repository;
use serde::Deserialize;

/// Lifetime of a cached token, or of its absence.
const TOKEN_AGE: SignedDuration = SignedDuration::from_secs(60);

/// Maximum number of bytes to read of a host's response about a branch or a repository.
const ABOUT_BYTES_MAX: u64 = 1 << 20;

/// The git hosts of the registered repositories.
pub struct GitHosts {
    secrets: Secrets,
}

impl GitHosts {
    /// Creates the hosts, with the tokens in the account of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { secrets: Secrets::new(aws, TOKEN_AGE) }
    }

    /// Returns the host of `repository`, with its token if it has one.
    ///
    /// # Errors
    /// `Rejected` if base URL or token cannot be used, and the refusals of Secrets Manager.
    pub async fn of(&self, repository: &Repository) -> Result<Host, Failure> {
        let token = match self.secrets.get(&repository.id.token_secret()).await {
            // Secrets Manager does not distinguish an absent secret from a name outside the policy's pattern.
            Err(failure) if failure.kind == FailureKind::AccessDenied => {
                tracing::warn!("taken for a repository without a token: {}", failure.chain());
                None
            }
            read => read?,
        };
        Ok(Host::new(&repository.base_url, token.as_ref().map(|token| token.expose_secret()))?)
    }

    /// Returns the commit that `branch` of `repository` points to; `None` if the branch certainly does not exist.
    ///
    /// # Errors
    /// Those of [`of`](Self::of) and [`judge`]: every failure that leaves the branch unknown.
    pub async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        head(&self.of(repository).await?, repository, branch).await
    }
}

/// Reads the branch:
/// <https://docs.github.com/en/rest/git/refs#get-a-reference>
async fn head(host: &Host, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
    let what = format!("branch {branch}");
    let place = ["repos", repository.id.owner(), repository.id.name()];
    let reference: Vec<&str> =
        place.into_iter().chain(["git", "ref", "heads"]).chain(branch.split('/')).collect();
    let answer = host.get(&reference, ABOUT_BYTES_MAX).await?;
    if answer.status != 404 {
        return commit_of(&judge(answer, host, repository, &what)?, host, &what).map(Some);
    }
    // A repository that is not visible is "not found" too: the branch is gone only if the repository is visible.
    let about = host.get(&place, ABOUT_BYTES_MAX).await?;
    judge(about, host, repository, &what).map(|_| None)
}

fn commit_of(body: &[u8], host: &Host, what: &str) -> Result<CommitSha, Failure> {
    #[derive(Deserialize)]
    struct Reference {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        sha: CommitSha,
    }
    let read = serde_json::from_slice::<Reference>(body).map(|reference| reference.object.sha);
    read.map_err(|error| {
        let message = format!("{} says of {what} what Lockstep cannot read", host.name());
        Failure::new(FailureKind::Transient, message).caused_by(&error)
    })
}

/// Returns the body of a response about `what` (`commit …`, `branch …`) of `repository`.
///
/// # Errors
/// `Rejected` or `AccessDenied` with the setting to correct; `Throttled` and `Transient` for faults that pass.
pub fn judge(
    answer: FetchResponse,
    host: &Host,
    repository: &Repository,
    what: &str,
) -> Result<Vec<u8>, Failure> {
    use FailureKind::{AccessDenied, Rejected, Throttled, Transient};
    let (name, secret) = (repository.id.full_name(), repository.id.token_secret());
    let (host, with_token) = (host.name(), host.has_token());
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
        404 if with_token => {
            (Rejected, format!("{host} has no {what} of {name}, or the token in {secret} may not read it"))
        }
        404 => (
            Rejected,
            format!("{host} has no {what} of {name}; if the repository is private, store a token: {set}"),
        ),
        408 | 500.. => (Transient, format!("{host} answers with status {}", answer.status)),
        other => (Rejected, format!("{host} answers with status {other}, which Lockstep does not expect")),
    };
    Err(Failure::new(kind, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::http::{StatusCode, Uri};
    use jiff::Timestamp;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn repository(base_url: &str) -> Repository {
        Repository {
            id: "github.acme.logs".parse().unwrap(),
            base_url: base_url.to_owned(),
            branch: "main".to_owned(),
            components: Default::default(),
            commit: None,
            added_by: "ada".to_owned(),
            added_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn host(with_token: bool) -> Host {
        Host::new("https://api.github.com", with_token.then_some("t0ken")).unwrap()
    }

    fn judged(status: u16, throttled: bool, with_token: bool) -> Result<Vec<u8>, Failure> {
        let answer = FetchResponse { status, throttled, body: b"tar".to_vec() };
        judge(answer, &host(with_token), &repository("https://api.github.com"), "commit 0123")
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
    fn a_refusal_for_lack_of_a_token_names_its_secret() {
        for (status, with_token) in [(401, true), (403, false), (404, true), (404, false)] {
            let message = judged(status, false, with_token).unwrap_err().message;
            assert!(message.contains("lockstep/repositories/github.acme.logs/token"), "{message}");
        }
    }

    /// Starts a host that answers each path as the table says, and every other path with 404.
    async fn served(answers: &'static [(&'static str, u16, &'static str)]) -> Repository {
        let answer = move |uri: Uri| async move {
            let found = answers.iter().find(|(path, ..)| *path == uri.path());
            let (_, status, body) = found.copied().unwrap_or(("", 404, ""));
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        repository(&base)
    }

    async fn head_of(repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        let host = Host::new(&repository.base_url, None).unwrap();
        head(&host, repository, branch).await
    }

    #[tokio::test]
    async fn the_head_of_a_branch_is_the_hosts_current_commit() {
        let answer = r#"{"ref": "refs/heads/fix/x", "object": {"type": "commit", "sha": "0123456789012345678901234567890123456789"}}"#;
        let answers = vec![("/repos/acme/logs/git/ref/heads/fix/x", 200, answer)].leak();
        let found = head_of(&served(answers).await, "fix/x").await.unwrap();
        assert_eq!(found, Some(COMMIT.parse().unwrap()));
    }

    #[tokio::test]
    async fn a_branch_is_gone_only_if_its_repository_is_there() {
        let there = served(&[("/repos/acme/logs", 200, "{}")]).await;
        assert_eq!(head_of(&there, "main").await.unwrap(), None);
        let hidden = served(&[]).await;
        assert_eq!(head_of(&hidden, "main").await.unwrap_err().kind, FailureKind::Rejected);
    }

    #[tokio::test]
    async fn an_inconclusive_answer_is_unknown_and_retried() {
        for (status, body) in [(500, ""), (200, "<html>"), (200, r#"{"object": {"sha": "HEAD"}}"#)] {
            let answers = vec![("/repos/acme/logs/git/ref/heads/main", status, body)].leak();
            let failure = head_of(&served(answers).await, "main").await.unwrap_err();
            assert_eq!(failure.kind, FailureKind::Transient, "{status} {body}");
        }
    }
}
