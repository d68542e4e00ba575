//! Repositories on the git host of the local cloud.

use crate::commands::repositories::{webhook_secret, webhook_url};
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::local::Session;
use lockstep_aws::operator::signed;
use lockstep_aws::secrets::ExposeSecret as _;
use lockstep_domain::model::ids::RepositoryId;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Creates a bare repository, unless it exists. Returns its path, which git takes as a remote.
pub async fn create(session: &Session, id: &RepositoryId) -> Result<PathBuf, Failure> {
    let body = json!({ "owner": id.owner(), "name": id.name() });
    let answer = post(session, "_lockstep/repositories", &body).await?;
    let path = answer["path"].as_str().map(PathBuf::from);
    path.ok_or_else(|| Failure::new(format!("the git host created no repository: {answer}")))
}

/// Registers the webhook of a registered repository, as a person does in the settings of a repository. Returns false if it
/// was registered.
pub async fn register_hook(
    session: &Session,
    plane: &ControlPlane,
    id: &RepositoryId,
) -> Result<bool, Failure> {
    let secret = webhook_secret(plane, id).await?;
    let url = webhook_url(plane, id).await?;
    let config = json!({ "url": url, "content_type": "json", "secret": secret.expose_secret() });
    let hook = json!({ "name": "web", "events": ["push"], "config": config });
    let answer = post(session, &format!("repos/{}/hooks", id.full_name()), &hook).await?;
    let message = answer["message"].as_str().unwrap_or_default();
    match (answer["id"].is_number(), message.contains("Hook already exists")) {
        (true, _) => Ok(true),
        (false, true) => Ok(false),
        (false, false) => Err(Failure::new(format!("the git host registered no webhook: {answer}"))),
    }
}

async fn post(session: &Session, path: &str, body: &Value) -> Result<Value, Failure> {
    let headers = [
        ("authorization".to_owned(), format!("Bearer {}", session.git_token)),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("user-agent".to_owned(), "lockstep".to_owned()),
    ];
    let url = format!("{}/{path}", session.git_host);
    let answer = signed::post_unsigned(&url, &headers, body.to_string().into_bytes()).await?;
    serde_json::from_slice(&answer.body).map_err(at(format!("the git host responded with {}", answer.status)))
}
