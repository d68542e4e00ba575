//! GitHub's webhooks: verifies a webhook delivery and parses its push.
//!
//! A webhook delivery is a hint to look at the repository. Its statements about a commit are only displayed, never
//! trusted. The body is not parsed before the signature over its raw bytes proves the sender.
//! <https://docs.github.com/en/webhooks/webhook-events-and-payloads>

use crate::model::error::Problem;
use crate::model::ids::{CommitSha, RepositoryId};
use crate::model::person::GithubLogin;
use crate::model::text::{InvalidText, checked_text};
use crate::model::visible::first_line;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// Maximum bytes of a body.
///
/// GitHub sends up to 25 MB, but a Lambda function URL accepts 6 MB, the request around the body included. A larger
/// webhook delivery never arrives there; the sweep finds its push by looking at the branch. Other front ends refuse it
/// by this limit.
pub const MAX_BODY_BYTES: usize = 6 * 1024 * 1024;

/// The header with the signature. The older `X-Hub-Signature` (SHA-1) is ignored.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

/// The header with the event's type.
pub const EVENT_HEADER: &str = "x-github-event";

/// The header with the id of the webhook delivery.
pub const DELIVERY_HEADER: &str = "x-github-delivery";

/// Maximum characters of a user's or a commit's text that is stored for display.
const SHOWN_CHARS: usize = 200;

/// Reason to refuse a webhook delivery. The message repeats neither the secret nor the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The repository has no secret, so no signature can be verified.
    #[error("no webhook secret is configured; every delivery is refused")]
    NoSecret,
    /// The body is larger than [`MAX_BODY_BYTES`].
    #[error("the body is larger than {} MiB", MAX_BODY_BYTES / (1024 * 1024))]
    TooLarge,
    /// The webhook delivery is not signed.
    #[error("the delivery is not signed; set the webhook's secret on GitHub")]
    Missing,
    /// The signature is not `sha256=` and 64 lower-case hexadecimal digits, as GitHub writes it.
    #[error("the signature is not one of GitHub's")]
    Malformed,
    /// The signature was made with another secret or over another body.
    #[error("the signature does not match; the secret here and on GitHub may differ")]
    Mismatch,
}

/// Verifies that `header`, the value of [`SIGNATURE_HEADER`], signs the raw bytes of `body` with `secret`.
///
/// The comparison takes constant time.
/// <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>
pub fn verify_signature(secret: &[u8], header: Option<&str>, body: &[u8]) -> Result<(), Unverified> {
    if secret.is_empty() {
        return Err(Unverified::NoSecret);
    }
    if body.len() > MAX_BODY_BYTES {
        return Err(Unverified::TooLarge);
    }
    Signature::parse(header)?.verify(secret, body)
}

/// A well-formed signature, which proves nothing yet.
#[derive(Clone, Copy)]
pub struct Signature([u8; 32]);

impl Signature {
    /// Reads the value of [`SIGNATURE_HEADER`].
    pub fn parse(header: Option<&str>) -> Result<Self, Unverified> {
        let digits =
            header.ok_or(Unverified::Missing)?.strip_prefix("sha256=").ok_or(Unverified::Malformed)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(Unverified::Malformed);
        }
        let mut signature = [0; 32];
        hex::decode_to_slice(digits, &mut signature).map_err(|_| Unverified::Malformed)?;
        Ok(Self(signature))
    }

    /// Verifies that `secret` signed the raw bytes of `body`, in constant time.
    pub fn verify(&self, secret: &[u8], body: &[u8]) -> Result<(), Unverified> {
        if secret.is_empty() {
            return Err(Unverified::NoSecret);
        }
        // HMAC accepts keys of any length, but the type of the constructor does not say so.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Unverified::NoSecret)?;
        mac.update(body);
        mac.verify_slice(&self.0).map_err(|_| Unverified::Mismatch)
    }
}

checked_text! {
    /// GitHub's id of a webhook delivery, a GUID; a redelivery has the same one.
    DeliveryId,
    InvalidText("not a delivery id (8 to 64 letters, digits and hyphens)"),
    |id| (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

checked_text! {
    /// A branch's name by git's rules (<https://git-scm.com/docs/git-check-ref-format>), at most 244 bytes.
    ///
    /// The name is safe to compare. It may hold characters that a terminal does not show (`model::visible`), quotes,
    /// dollars and slashes, and never reaches a shell, an ARN or a template.
    BranchName,
    InvalidText("not a branch name that git allows"),
    is_branch_name
}

fn is_branch_name(name: &str) -> bool {
    // git forbids spaces and control characters of ASCII alone.
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let part = |p: &str| !p.is_empty() && !p.starts_with('.') && !p.ends_with(".lock");
    name.len() <= 244
        && name != "@"
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(forbidden)
        && name.split('/').all(part)
}

impl BranchName {
    /// Returns the full name of the ref.
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

/// Content of a webhook delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// GitHub tests the webhook.
    Ping,
    /// A branch has a new head.
    Push(Push),
    /// The event starts nothing.
    Ignored {
        /// The reason, as a sentence.
        reason: String,
    },
}

/// A push to a branch that exists afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The repository of the branch.
    pub repository: RepositoryId,
    /// The repository's default branch, according to the payload.
    pub default_branch: BranchName,
    /// The branch.
    pub branch: BranchName,
    /// Head before the push; `None` if the push created the branch.
    pub before: Option<CommitSha>,
    /// Head after the push.
    pub after: CommitSha,
    /// True if the push created the branch.
    pub created: bool,
    /// True if the push rewrote history.
    pub forced: bool,
    /// Name of the pusher; for display only.
    pub pusher: String,
    /// Account that the git host authenticated as the pusher. `None` for an app, a bot or a deploy key.
    pub account: Option<GithubLogin>,
    /// The first line of the head commit's message; for display only.
    pub message: String,
    /// The head commit's author; for display only.
    pub author: String,
}

impl Push {
    /// Returns the full name of the ref, `refs/heads/…`.
    pub fn reference(&self) -> String {
        self.branch.reference()
    }

    /// Returns true if releases come from this branch.
    pub fn is_default_branch(&self) -> bool {
        self.branch == self.default_branch
    }
}

/// The fields of GitHub's push payload that are read; all others are ignored.
/// <https://docs.github.com/en/webhooks/webhook-events-and-payloads#push>
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    #[serde(default)]
    created: bool,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    forced: bool,
    repository: Repository,
    pusher: Option<Person>,
    sender: Option<Sender>,
    head_commit: Option<HeadCommit>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
    default_branch: String,
}

#[derive(Deserialize)]
struct Person {
    name: Option<String>,
}

/// The account that GitHub authenticated.
#[derive(Deserialize)]
struct Sender {
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct HeadCommit {
    message: Option<String>,
    author: Option<Person>,
}

/// Parses a verified webhook delivery: `event` is the value of [`EVENT_HEADER`].
///
/// A problem names the unreadable field without repeating the payload; such a webhook delivery is recorded as rejected.
pub fn parse_push(event: &str, body: &[u8]) -> Result<WebhookEvent, Problem> {
    match event {
        "ping" => Ok(WebhookEvent::Ping),
        "push" => push(body),
        other => Ok(ignored(format!("events of type {} start nothing", shown(other)))),
    }
}

fn push(body: &[u8]) -> Result<WebhookEvent, Problem> {
    if body.len() > MAX_BODY_BYTES {
        return Err(unreadable("the body is too large"));
    }
    if body.starts_with(b"payload=") {
        return Err(unreadable("it is form-encoded; set the webhook's content type to application/json"));
    }
    let payload: Payload = serde_json::from_slice(body).map_err(|e| {
        unreadable(format!("it is not GitHub's JSON (line {}, column {})", e.line(), e.column()))
    })?;
    let Some(branch) = payload.reference.strip_prefix("refs/heads/") else {
        let what =
            if payload.reference.starts_with("refs/tags/") { "a tag" } else { "a ref that is no branch" };
        return Ok(ignored(format!("{what} was pushed; only branches are released")));
    };
    if payload.deleted || is_nothing(&payload.after) {
        return Ok(ignored("a branch was deleted; its releases remain".to_owned()));
    }
    let field = |name: &str, error: &dyn fmt::Display| unreadable(format!("`{name}`: {error}"));
    let account = account(payload.sender.as_ref(), payload.pusher.as_ref());
    Ok(WebhookEvent::Push(Push {
        repository: repository(&payload.repository.full_name)?,
        default_branch: (payload.repository.default_branch.parse())
            .map_err(|e| field("default_branch", &e))?,
        branch: branch.parse().map_err(|e| field("ref", &e))?,
        before: commit("before", &payload.before)?,
        after: payload.after.parse().map_err(|e| field("after", &e))?,
        created: payload.created,
        forced: payload.forced,
        account,
        pusher: shown(&payload.pusher.and_then(|p| p.name).unwrap_or_default()),
        message: shown(payload.head_commit.as_ref().and_then(|c| c.message.as_deref()).unwrap_or_default()),
        author: shown(&payload.head_commit.and_then(|c| c.author).and_then(|a| a.name).unwrap_or_default()),
    }))
}

/// Returns the account of the pusher if GitHub authenticated a user and names the same one as the pusher.
///
/// A deploy key authenticates no user: its payload has no sender of type `User`, or another one than the pusher.
fn account(sender: Option<&Sender>, pusher: Option<&Person>) -> Option<GithubLogin> {
    let sender = sender.filter(|sender| sender.kind.as_deref() == Some("User"))?;
    let (login, name) = (sender.login.as_deref()?, pusher?.name.as_deref()?);
    login.parse().ok().filter(|_| login.eq_ignore_ascii_case(name))
}

fn repository(full_name: &str) -> Result<RepositoryId, Problem> {
    let parsed = full_name.split_once('/').and_then(|(owner, name)| RepositoryId::github(owner, name).ok());
    parsed.ok_or_else(|| {
        unreadable("`repository.full_name` is not <owner>/<name> in characters that Lockstep takes")
    })
}

/// Returns the commit in field `name`; `None` for git's null id, which stands for no commit.
fn commit(name: &str, text: &str) -> Result<Option<CommitSha>, Problem> {
    if is_nothing(text) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| unreadable(format!("`{name}`: {error}")))
}

fn is_nothing(commit: &str) -> bool {
    commit.len() == 40 && commit.bytes().all(|b| b == b'0')
}

fn ignored(reason: String) -> WebhookEvent {
    WebhookEvent::Ignored { reason }
}

fn unreadable(why: impl fmt::Display) -> Problem {
    Problem::at("", None, format!("the push cannot be read: {why}"))
}

/// Returns the first line of `text` without hidden characters, cut to [`SHOWN_CHARS`].
fn shown(text: &str) -> String {
    first_line(text, SHOWN_CHARS)
}
