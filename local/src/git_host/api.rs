//! The HTTP API, with GitHub's paths and names.

use super::deliveries::{self, ContentType, Hook, NewHook};
use super::repositories::{Repository, RepositoryError};
use super::{Shared, payload, pushes, tarball};
use crate::http::chain;
use axum::Json;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Statuses and comments of clients about commits and pull requests, stored and returned unchanged.
#[derive(Debug, Default)]
pub(super) struct Notes {
    statuses: BTreeMap<(String, String), Vec<Value>>,
    comments: BTreeMap<(String, u64), Vec<Value>>,
    last_id: u64,
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_lockstep/repositories", post(create_repository))
        .route("/repos/{owner}/{name}", get(show_repository))
        .route("/repos/{owner}/{name}/tarball/{*reference}", get(redirect_to_archive))
        .route("/codeload/{owner}/{name}/{commit}", get(archive))
        .route("/repos/{owner}/{name}/commits/{*reference}", get(show_commit))
        .route("/repos/{owner}/{name}/statuses/{commit}", post(create_status))
        .route("/repos/{owner}/{name}/issues/{number}/comments", get(list_comments).post(create_comment))
        .route("/repos/{owner}/{name}/branches/{*branch}", get(show_branch))
        .route("/repos/{owner}/{name}/compare/{*sides}", get(compare))
        .route("/repos/{owner}/{name}/git/ref/{*reference}", get(show_reference))
        .route("/repos/{owner}/{name}/hooks", get(list_hooks).post(create_hook))
        .route("/repos/{owner}/{name}/hooks/{hook}", get(show_hook).delete(delete_hook))
        .route("/repos/{owner}/{name}/hooks/{hook}/deliveries", get(list_deliveries))
        .route("/repos/{owner}/{name}/hooks/{hook}/deliveries/{delivery}", get(show_delivery))
        .route("/repos/{owner}/{name}/hooks/{hook}/deliveries/{delivery}/attempts", post(redeliver))
        .fallback(|| async { Refused::not_found() })
        .with_state(shared)
}

/// A refusal in GitHub's form.
pub(super) struct Refused(pub(super) StatusCode, pub(super) String);

impl Refused {
    fn not_found() -> Self {
        Self(StatusCode::NOT_FOUND, "Not Found".into())
    }

    fn unprocessable(message: impl Into<String>) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, message.into())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = json!({
            "message": self.1,
            "documentation_url": "https://docs.github.com/rest",
            "status": self.0.as_u16().to_string(),
        });
        (self.0, Json(body)).into_response()
    }
}

impl From<RepositoryError> for Refused {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Name(_) => Self::unprocessable(chain(&error)),
            other => Self(StatusCode::INTERNAL_SERVER_ERROR, chain(&other)),
        }
    }
}

/// Proof that the request carried the token.
struct Authorized;

impl FromRequestParts<Arc<Shared>> for Authorized {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Refused> {
        let refused = |message: &str| Refused(StatusCode::UNAUTHORIZED, message.to_owned());
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.ok_or_else(|| refused("Requires authentication"))?;
        let token = given.strip_prefix("Bearer ").or_else(|| given.strip_prefix("token "));
        if token == Some(shared.token.as_str()) { Ok(Self) } else { Err(refused("Bad credentials")) }
    }
}

impl Shared {
    fn repository(&self, owner: &str, name: &str) -> Result<Repository, Refused> {
        self.repositories.find(owner, name).ok_or_else(Refused::not_found)
    }
}

async fn commit_of(repository: &Repository, reference: &str) -> Result<String, Refused> {
    repository.commit(reference).await.ok_or_else(Refused::not_found)
}

#[derive(Deserialize)]
struct RepositoryRequest {
    owner: String,
    name: String,
}

async fn create_repository(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Json(request): Json<RepositoryRequest>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repositories.create(&request.owner, &request.name).await?;
    let mut shown = payload::described(&repository, &shared.base_url).await;
    shown["path"] = json!(repository.path);
    Ok((StatusCode::CREATED, Json(shown)))
}

async fn show_repository(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    Ok(Json(payload::described(&repository, &shared.base_url).await))
}

async fn redirect_to_archive(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, reference)): Path<(String, String, String)>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let commit = commit_of(&repository, &reference).await?;
    let ticket = shared.tickets().issue(&repository, &commit, Instant::now());
    let location = format!("{}/codeload/{}/{commit}?token={ticket}", shared.base_url, repository.full_name());
    Ok((StatusCode::FOUND, [(header::LOCATION, location)]))
}

#[derive(Deserialize)]
struct ArchiveQuery {
    #[serde(default)]
    token: String,
}

async fn archive(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, commit)): Path<(String, String, String)>,
    Query(query): Query<ArchiveQuery>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repository(&owner, &name)?;
    if !shared.tickets().admits(&query.token, &repository, &commit, Instant::now()) {
        return Err(Refused::not_found());
    }
    let body = tarball::stream(&repository, &commit).map_err(RepositoryError::from)?;
    let name = format!("attachment; filename={}.tar.gz", tarball::top_folder(&repository, &commit));
    Ok(([(header::CONTENT_TYPE, "application/x-gzip".to_owned()), (header::CONTENT_DISPOSITION, name)], body))
}

async fn show_commit(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, reference)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    // A reference may contain slashes, so the router cannot distinguish these two.
    if let Some(commit) = reference.strip_suffix("/statuses") {
        return list_statuses(&shared, &repository, commit).await;
    }
    let Some(commit) = repository.commit(&reference).await else {
        return Err(Refused::unprocessable(format!("No commit found for SHA: {reference}")));
    };
    Ok(Json(payload::api_commit(&repository, &shared.base_url, &commit).await?))
}

async fn show_branch(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, branch)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let Some(commit) = repository.commit(&format!("refs/heads/{branch}")).await else {
        return Err(Refused(StatusCode::NOT_FOUND, "Branch not found".into()));
    };
    let commit = payload::api_commit(&repository, &shared.base_url, &commit).await?;
    Ok(Json(json!({"name": branch, "commit": commit, "protected": false})))
}

async fn show_reference(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, reference)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let reference = format!("refs/{reference}");
    let commit = commit_of(&repository, &reference).await?;
    Ok(Json(json!({"ref": reference, "object": {"type": "commit", "sha": commit}})))
}

async fn compare(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, sides)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let (base, head) = sides.split_once("...").ok_or_else(Refused::not_found)?;
    let (base, head) = (commit_of(&repository, base).await?, commit_of(&repository, head).await?);
    // Without a common ancestor, GitHub answers 404.
    let compared = repository.compare(&base, &head).await.ok_or_else(Refused::not_found)?;
    let status = match (compared.ahead, compared.behind) {
        (0, 0) => "identical",
        (0, _) => "behind",
        (_, 0) => "ahead",
        (_, _) => "diverged",
    };
    let mut commits = Vec::new();
    for id in repository.commits_since(&base, &head).await? {
        commits.push(payload::api_commit(&repository, &shared.base_url, &id).await?);
    }
    Ok(Json(json!({
        "status": status, "commits": commits, "ahead_by": compared.ahead, "behind_by": compared.behind, "total_commits": compared.ahead,
        "base_commit": payload::api_commit(&repository, &shared.base_url, &base).await?,
        "merge_base_commit": payload::api_commit(&repository, &shared.base_url, &compared.merge_base).await?,
    })))
}

async fn create_status(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, commit)): Path<(String, String, String)>,
    Json(mut status): Json<Value>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let known = ["error", "failure", "pending", "success"];
    if !status.get("state").and_then(Value::as_str).is_some_and(|state| known.contains(&state)) {
        return Err(Refused::unprocessable(format!("state must be one of {}", known.join(", "))));
    }
    let commit = commit_of(&repository, &commit).await?;
    let mut notes = shared.notes();
    notes.last_id += 1;
    status["id"] = json!(notes.last_id);
    notes.statuses.entry((repository.full_name(), commit)).or_default().insert(0, status.clone());
    Ok((StatusCode::CREATED, Json(status)))
}

async fn list_statuses(
    shared: &Shared,
    repository: &Repository,
    commit: &str,
) -> Result<Json<Value>, Refused> {
    let commit = commit_of(repository, commit).await?;
    let statuses = shared.notes().statuses.get(&(repository.full_name(), commit)).cloned();
    Ok(Json(json!(statuses.unwrap_or_default())))
}

async fn create_comment(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, u64)>,
    Json(mut comment): Json<Value>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repository(&owner, &name)?;
    if comment.get("body").and_then(Value::as_str).is_none() {
        return Err(Refused::unprocessable("body is required"));
    }
    let mut notes = shared.notes();
    notes.last_id += 1;
    comment["id"] = json!(notes.last_id);
    notes.comments.entry((repository.full_name(), number)).or_default().push(comment.clone());
    Ok((StatusCode::CREATED, Json(comment)))
}

async fn list_comments(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, u64)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let comments = shared.notes().comments.get(&(repository.full_name(), number)).cloned();
    Ok(Json(json!(comments.unwrap_or_default())))
}

#[derive(Deserialize)]
struct HookRequest {
    config: HookConfig,
    #[serde(default = "push_only")]
    events: Vec<String>,
    #[serde(default = "yes")]
    active: bool,
}

#[derive(Deserialize)]
struct HookConfig {
    url: Option<String>,
    secret: Option<String>,
    content_type: Option<String>,
}

fn push_only() -> Vec<String> {
    vec!["push".to_owned()]
}

fn yes() -> bool {
    true
}

async fn create_hook(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
    Json(request): Json<HookRequest>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let new = new_hook(request)?;
    pushes::take_notes(&shared).await;
    if shared.hooks().of(&repository).iter().any(|hook| hook.url == new.url && hook.events == new.events) {
        return Err(Refused::unprocessable("Validation Failed: Hook already exists on this repository"));
    }
    let hook = shared.hooks().add(&repository, new);
    let shown = hook.shown(&shared.base_url);
    let ping = payload::ping(&repository, &shared.base_url, &shown).await;
    // GitHub pings a new webhook and does not wait for it.
    tokio::spawn(async move { deliveries::deliver_event(&shared, &[hook], "ping", ping).await });
    Ok((StatusCode::CREATED, Json(shown)))
}

fn new_hook(request: HookRequest) -> Result<NewHook, Refused> {
    let Some(url) = request.config.url.filter(|url| url.starts_with("http")) else {
        return Err(Refused::unprocessable(
            "Validation Failed: config.url is missing or not an http address",
        ));
    };
    let content_type = match request.config.content_type.as_deref() {
        Some("json") => ContentType::Json,
        None | Some("form") => ContentType::Form,
        Some(other) => {
            return Err(Refused::unprocessable(format!("Validation Failed: config.content_type '{other}'")));
        }
    };
    let secret = request.config.secret.filter(|secret| !secret.is_empty());
    Ok(NewHook {
        events: request.events,
        active: request.active,
        url,
        content_type,
        secret: secret.map(Into::into),
    })
}

async fn list_hooks(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name)): Path<(String, String)>,
) -> Result<Json<Value>, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let hooks: Vec<Value> =
        shared.hooks().of(&repository).iter().map(|hook| hook.shown(&shared.base_url)).collect();
    Ok(Json(json!(hooks)))
}

impl Shared {
    /// Returns a view of a webhook, if it exists.
    fn of_hook(
        &self,
        (owner, name, id): (&str, &str, u64),
        show: impl FnOnce(&Hook) -> Option<Value>,
    ) -> Result<Json<Value>, Refused> {
        let repository = self.repository(owner, name)?;
        let hooks = self.hooks();
        let shown = hooks.get(&repository, id).and_then(show);
        shown.map(Json).ok_or_else(Refused::not_found)
    }
}

async fn show_hook(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Json<Value>, Refused> {
    shared.of_hook((&owner, &name, id), |hook| Some(hook.shown(&shared.base_url)))
}

async fn delete_hook(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<StatusCode, Refused> {
    let repository = shared.repository(&owner, &name)?;
    let removed = shared.hooks().remove(&repository, id);
    if removed { Ok(StatusCode::NO_CONTENT) } else { Err(Refused::not_found()) }
}

async fn list_deliveries(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, id)): Path<(String, String, u64)>,
) -> Result<Json<Value>, Refused> {
    shared.of_hook((&owner, &name, id), |hook| {
        Some(hook.deliveries().map(|delivery| delivery.summary(hook.repository_id)).collect())
    })
}

async fn show_delivery(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, id, delivery)): Path<(String, String, u64, u64)>,
) -> Result<Json<Value>, Refused> {
    shared.of_hook((&owner, &name, id), |hook| Some(hook.delivery(delivery)?.shown(hook)))
}

async fn redeliver(
    _: Authorized,
    State(shared): State<Arc<Shared>>,
    Path((owner, name, id, delivery)): Path<(String, String, u64, u64)>,
) -> Result<impl IntoResponse, Refused> {
    let repository = shared.repository(&owner, &name)?;
    match deliveries::redeliver(&shared, &repository, id, delivery).await {
        Some(_) => Ok((StatusCode::ACCEPTED, Json(json!({})))),
        None => Err(Refused::not_found()),
    }
}
