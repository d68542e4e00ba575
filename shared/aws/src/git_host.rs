//! State of a registered repository on its git host, read with the repository's token.
//!
//! GitHub's API (<https://docs.github.com/en/rest>), at the base URL of the repository's record.

use crate::aws::Aws;
use crate::fetch::{FetchError, FetchResponse, Host};
use crate::secrets::{ExposeSecret as _, SecretString, Secrets};
use jiff::SignedDuration;
use lockstep_domain::delivery::commits;
use lockstep_domain::delivery::host_token::for_host;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::records::{ReleaseCommits, Repository};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Lifetime of a cached token, or of its absence.
const TOKEN_AGE: SignedDuration = SignedDuration::from_secs(60);

/// Maximum number of bytes to read of a host's response about a branch or a repository.
const ABOUT_BYTES_MAX: u64 = 1 << 20;

/// Maximum number of bytes to read of a comparison of two commits, which describes both with their messages.
const COMPARISON_BYTES_MAX: u64 = 4 << 20;

/// The git hosts of the registered repositories.
pub struct GitHosts {
    secrets: Secrets,
    is_local: bool,
}

impl GitHosts {
    /// Creates the hosts, with the tokens in the account of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { secrets: Secrets::new(aws, TOKEN_AGE), is_local: aws.is_local() }
    }

    /// Returns the host of `repository`, with its token if it has one. A token for another host is not sent.
    ///
    /// # Errors
    /// `Rejected` if base URL or token cannot be used, and the refusals of Secrets Manager.
    pub async fn of(&self, repository: &Repository) -> Result<Host, Failure> {
        let secret = self.secrets.find(&repository.id.token_secret()).await?;
        let token = secret.map(|secret| token_of(repository, &secret)).transpose()?;
        let token = token.as_ref().map(|token| token.expose_secret());
        Ok(Host::new(&repository.base_url, token, self.is_local)?)
    }

    /// Returns the commit that `branch` of `repository` points to; `None` if the branch certainly does not exist.
    ///
    /// # Errors
    /// Those of [`of`](Self::of) and [`judge`]: every failure that leaves the branch unknown.
    pub async fn head(&self, repository: &Repository, branch: &str) -> Result<Option<CommitSha>, Failure> {
        head(&self.of(repository).await?, repository, branch).await
    }

    /// Returns true if `commit` is on `branch` of `repository` now: it is the branch's head or an ancestor of it. The
    /// host also has commits that are on no branch, such as those of forks and those that a force-push removed.
    ///
    /// # Errors
    /// Those of [`of`](Self::of) and [`judge`]: every failure that leaves the answer unknown.
    pub async fn is_on_branch(
        &self,
        repository: &Repository,
        branch: &str,
        commit: &CommitSha,
    ) -> Result<bool, Failure> {
        is_on_branch(&self.of(repository).await?, repository, branch, commit).await
    }

    /// Returns the commits that `commit` of `repository` has and `base` has not, as the host lists them.
    ///
    /// # Errors
    /// Those of [`of`](Self::of) and [`judge`], and `Transient` if the host's list cannot be read.
    pub async fn commits_since(
        &self,
        repository: &Repository,
        base: &CommitSha,
        commit: &CommitSha,
    ) -> Result<ReleaseCommits, Failure> {
        commits_since(&self.of(repository).await?, repository, base, commit).await
    }
}

/// Lists commits by the same comparison, with the other side first: it names the commits that the right side alone has.
async fn commits_since(
    host: &Host,
    repository: &Repository,
    base: &CommitSha,
    commit: &CommitSha,
) -> Result<ReleaseCommits, Failure> {
    let what = format!("list of the commits from {} to {}", base.short(), commit.short());
    let sides = format!("{base}...{commit}");
    let path = ["repos", repository.id.owner(), repository.id.name(), "compare", sides.as_str()];
    let answer = host.get(&path, COMPARISON_BYTES_MAX).await?;
    commits::read(base, commit, &judge(answer, host, repository, &what)?).ok_or_else(|| {
        let message = format!("{} gives a {what} that Lockstep cannot read", host.name());
        Failure::new(FailureKind::Transient, message)
    })
}

/// Compares the commit with the head of the branch:
/// <https://docs.github.com/en/rest/commits/commits#compare-two-commits>
///
/// Both sides are ids of commits, so no name of a branch or of a fork takes part.
async fn is_on_branch(
    host: &Host,
    repository: &Repository,
    branch: &str,
    commit: &CommitSha,
) -> Result<bool, Failure> {
    let head = match head(host, repository, branch).await? {
        Some(head) if head == *commit => return Ok(true),
        Some(head) => head,
        None => return Ok(false),
    };
    let what = format!("comparison of {} with {branch}", commit.short());
    let sides = format!("{head}...{commit}");
    let path = ["repos", repository.id.owner(), repository.id.name(), "compare", sides.as_str()];
    match host.get(&path, COMPARISON_BYTES_MAX).await {
        // The head is visible, so the host has no such commit, or one without a common ancestor.
        Ok(answer) if answer.status == 404 => Ok(false),
        Ok(answer) => relation_of(&judge(answer, host, repository, &what)?, host, &what),
        // An ancestor adds neither commits nor files to the branch, so its comparison is short.
        Err(FetchError::TooLarge { .. }) => Ok(false),
        Err(failure) => Err(failure.into()),
    }
}

/// Returns true if the comparison says that the right side is an ancestor of the left one, or the same commit.
fn relation_of(body: &[u8], host: &Host, what: &str) -> Result<bool, Failure> {
    // A struct would also be read from an array.
    let comparison: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    match comparison.as_ref().and_then(|comparison| comparison.get("status")?.as_str()) {
        Some("identical" | "behind") => Ok(true),
        Some("ahead" | "diverged") => Ok(false),
        Some(_) | None => {
            let message = format!("{} gives a {what} that Lockstep cannot read", host.name());
            Err(Failure::new(FailureKind::Transient, message))
        }
    }
}

/// Returns the token in the secret of `repository`.
fn token_of(repository: &Repository, secret: &SecretString) -> Result<SecretString, Failure> {
    for_host(secret, &repository.base_url).map_err(|withheld| {
        Failure::rejected(format!(
            "the secret {} {withheld}; store the token again: `lockstep secrets set github:{} token --stdin`",
            repository.id.token_secret(),
            repository.id.full_name()
        ))
    })
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
            branches: Vec::new(),
            added_by: "ada".to_owned(),
            added_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn host(with_token: bool) -> Host {
        Host::new("https://api.github.com", with_token.then_some("t0ken"), false).unwrap()
    }

    #[test]
    fn a_token_follows_no_changed_base_url() {
        let github = repository("https://api.github.com");
        let secret =
            lockstep_domain::delivery::host_token::stored(&"t0ken".into(), &github.base_url).unwrap();
        assert_eq!(token_of(&github, &secret).unwrap().expose_secret(), "t0ken");
        let failure = token_of(&repository("https://evil.example"), &secret).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(
            failure.message.contains("https://evil.example") && !failure.message.contains("t0ken"),
            "{failure}"
        );
        assert!(token_of(&github, &"t0ken".into()).is_err(), "the secret names no host");
    }

    #[test]
    fn a_function_on_aws_asks_no_host_on_its_own_machine() {
        for here in ["http://127.0.0.1:9001", "https://localhost", "http://[::1]:1", "https://127.0.0.1"] {
            assert!(Host::new(here, None, false).is_err(), "{here}");
        }
        assert!(Host::new("http://127.0.0.1:9001", None, true).is_ok());
        assert!(Host::new("http://git.acme.example", None, true).is_err());
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
        let host = Host::new(&repository.base_url, None, true).unwrap();
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

    const HEAD: &str = r#"{"object": {"sha": "abcdefabcdefabcdefabcdefabcdefabcdefabcd"}}"#;
    const COMPARED: &str = "/repos/acme/logs/compare/abcdefabcdefabcdefabcdefabcdefabcdefabcd...0123456789012345678901234567890123456789";

    /// Returns the answer of a host whose branch `fix/x` has another head, and whose comparison answers this.
    async fn compared(status: u16, body: &'static str) -> Result<bool, Failure> {
        let head = ("/repos/acme/logs/git/ref/heads/fix/x", 200, HEAD);
        let repository = served(vec![head, (COMPARED, status, body)].leak()).await;
        on_branch(&repository).await
    }

    async fn on_branch(repository: &Repository) -> Result<bool, Failure> {
        let host = Host::new(&repository.base_url, None, true).unwrap();
        is_on_branch(&host, repository, "fix/x", &COMMIT.parse().unwrap()).await
    }

    #[tokio::test]
    async fn only_an_ancestor_of_the_head_is_on_the_branch() {
        assert!(compared(200, r#"{"status": "behind", "behind_by": 3}"#).await.unwrap());
        assert!(compared(200, r#"{"status": "identical"}"#).await.unwrap());
        assert!(!compared(200, r#"{"status": "ahead"}"#).await.unwrap());
        assert!(!compared(200, r#"{"status": "diverged"}"#).await.unwrap());
        assert!(!compared(404, "").await.unwrap(), "the host has no such commit");
    }

    #[tokio::test]
    async fn commits_are_those_that_the_host_lists() {
        const LISTED: &str = "/repos/acme/logs/compare/abcdefabcdefabcdefabcdefabcdefabcdefabcd...0123456789012345678901234567890123456789";
        let list = async |status, body: &'static str| {
            let repository = served(vec![(LISTED, status, body)].leak()).await;
            let host = Host::new(&repository.base_url, None, true).unwrap();
            let base = "abcdefabcdefabcdefabcdefabcdefabcdefabcd".parse().unwrap();
            commits_since(&host, &repository, &base, &COMMIT.parse().unwrap()).await
        };
        let body = r#"{"total_commits": 3, "commits": [{"sha": "0123456789012345678901234567890123456789",
            "commit": {"message": "Fix it\n\nwell", "author": {"name": "Ada"}}}]}"#;
        let found = list(200, body).await.unwrap();
        let subjects: Vec<&str> = found.listed.iter().map(|listed| listed.subject.as_str()).collect();
        assert_eq!((subjects, found.more), (vec!["Fix it"], 2));
        assert_eq!(list(200, "{}").await.unwrap_err().kind, FailureKind::Transient);
        assert_eq!(list(404, "").await.unwrap_err().kind, FailureKind::Rejected);
    }

    #[tokio::test]
    async fn the_head_itself_needs_no_comparison() {
        let head = r#"{"object": {"sha": "0123456789012345678901234567890123456789"}}"#;
        let repository = served(vec![("/repos/acme/logs/git/ref/heads/fix/x", 200, head)].leak()).await;
        assert!(on_branch(&repository).await.unwrap());
    }

    #[tokio::test]
    async fn no_commit_is_on_a_branch_that_is_gone() {
        assert!(!on_branch(&served(&[("/repos/acme/logs", 200, "{}")]).await).await.unwrap());
        assert_eq!(on_branch(&served(&[]).await).await.unwrap_err().kind, FailureKind::Rejected);
    }

    #[tokio::test]
    async fn an_unknown_comparison_is_no_success() {
        for body in ["", "<html>", "{}", r#"{"status": "unknown"}"#, r#"{"status": null}"#, r#"["behind"]"#] {
            assert_eq!(compared(200, body).await.unwrap_err().kind, FailureKind::Transient, "{body}");
        }
        for (status, kind) in [
            (401, FailureKind::AccessDenied),
            (403, FailureKind::AccessDenied),
            (422, FailureKind::Rejected),
            (429, FailureKind::Throttled),
            (500, FailureKind::Transient),
            (503, FailureKind::Transient),
        ] {
            assert_eq!(compared(status, r#"{"status": "behind"}"#).await.unwrap_err().kind, kind, "{status}");
        }
    }

    #[tokio::test]
    async fn a_comparison_too_large_for_an_ancestor_is_none() {
        let large = format!(r#"{{"status": "behind", "files": "{}"}}"#, "x".repeat(5 << 20));
        assert!(!compared(200, large.leak()).await.unwrap());
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
