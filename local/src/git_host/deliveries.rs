//! Webhooks and their deliveries: signed as by GitHub, recorded, and repeatable.

use super::Shared;
use super::repositories::Repository;
use crate::http::chain;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use uuid::Uuid;

/// Maximum number of recorded deliveries of a webhook.
const MOST_REMEMBERED: usize = 1000;
/// Maximum size of a recorded response, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// A webhook of a repository.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    pub(super) id: u64,
    pub(super) repository: String,
    pub(super) repository_id: u64,
    pub(super) events: Vec<String>,
    pub(super) active: bool,
    pub(super) url: String,
    pub(super) content_type: ContentType,
    pub(super) secret: Option<SecretString>,
    pub(super) created_at: SystemTime,
    deliveries: VecDeque<Delivery>,
}

/// Content type of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ContentType {
    Json,
    Form,
}

/// One attempt to deliver an event, with its result.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    id: u64,
    guid: Uuid,
    event: String,
    payload: Arc<Value>,
    redelivery: bool,
    delivered_at: SystemTime,
    duration_seconds: f64,
    request_headers: Map<String, Value>,
    outcome: Outcome,
}

#[derive(Clone, Debug)]
enum Outcome {
    Answered { status: u16, reason: String, headers: Map<String, Value>, body: String },
    Failed(String),
}

/// Request to register a webhook.
#[derive(Clone, Debug)]
pub(super) struct NewHook {
    pub(super) events: Vec<String>,
    pub(super) active: bool,
    pub(super) url: String,
    pub(super) content_type: ContentType,
    pub(super) secret: Option<SecretString>,
}

/// Every webhook of every repository.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    last_id: u64,
    hooks: BTreeMap<u64, Hook>,
}

impl Hooks {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn add(&mut self, repository: &Repository, new: NewHook) -> Hook {
        let hook = Hook {
            id: self.next_id(),
            repository: repository.full_name(),
            repository_id: repository.id(),
            events: new.events,
            active: new.active,
            url: new.url,
            content_type: new.content_type,
            secret: new.secret,
            created_at: SystemTime::now(),
            deliveries: VecDeque::new(),
        };
        self.hooks.insert(hook.id, hook.clone());
        hook
    }

    pub(super) fn of(&self, repository: &Repository) -> Vec<Hook> {
        let name = repository.full_name();
        self.hooks.values().filter(|hook| hook.repository == name).cloned().collect()
    }

    pub(super) fn get(&self, repository: &Repository, id: u64) -> Option<&Hook> {
        self.hooks.get(&id).filter(|hook| hook.repository == repository.full_name())
    }

    pub(super) fn remove(&mut self, repository: &Repository, id: u64) -> bool {
        self.get(repository, id).is_some() && self.hooks.remove(&id).is_some()
    }

    fn record(&mut self, hook: u64, mut delivery: Delivery) -> u64 {
        delivery.id = self.next_id();
        let id = delivery.id;
        if let Some(hook) = self.hooks.get_mut(&hook) {
            hook.deliveries.push_front(delivery);
            hook.deliveries.truncate(MOST_REMEMBERED);
        }
        id
    }
}

impl Hook {
    /// Returns the API's view of the webhook, without its secret.
    pub(super) fn shown(&self, base_url: &str) -> Value {
        let url = format!("{base_url}/repos/{}/hooks/{}", self.repository, self.id);
        let time = timestamp(self.created_at);
        json!({
            "type": "Repository",
            "id": self.id,
            "name": "web",
            "active": self.active,
            "events": self.events,
            "config": {
                "url": self.url,
                "content_type": match self.content_type { ContentType::Json => "json", ContentType::Form => "form" },
                "insecure_ssl": "0",
                "secret": self.secret.as_ref().map(|_| "********"),
            },
            "url": url,
            "test_url": format!("{url}/test"),
            "ping_url": format!("{url}/pings"),
            "deliveries_url": format!("{url}/deliveries"),
            "created_at": time,
            "updated_at": time,
            "last_response": {"code": null, "status": "unused", "message": null},
        })
    }

    /// Returns the deliveries, newest first.
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter()
    }

    pub(super) fn delivery(&self, id: u64) -> Option<&Delivery> {
        self.deliveries.iter().find(|delivery| delivery.id == id)
    }

    fn wants(&self, event: &str) -> bool {
        self.active && (event == "ping" || self.events.iter().any(|wanted| wanted == event || wanted == "*"))
    }
}

impl Delivery {
    /// Returns the delivery as an entry of the list of deliveries.
    pub(super) fn summary(&self, repository_id: u64) -> Value {
        let (status, code) = match &self.outcome {
            Outcome::Answered { status, reason, .. } => (reason.clone(), *status),
            Outcome::Failed(reason) => (reason.clone(), 0),
        };
        json!({
            "id": self.id,
            "guid": self.guid,
            "delivered_at": timestamp(self.delivered_at),
            "redelivery": self.redelivery,
            "duration": self.duration_seconds,
            "status": status,
            "status_code": code,
            "event": self.event,
            "action": null,
            "installation_id": null,
            "repository_id": repository_id,
            "throttled_at": null,
        })
    }

    /// Returns the delivery with its request and its response.
    pub(super) fn shown(&self, hook: &Hook) -> Value {
        let mut shown = self.summary(hook.repository_id);
        let response = match &self.outcome {
            Outcome::Answered { headers, body, .. } => json!({"headers": headers, "payload": body}),
            Outcome::Failed(_) => json!({"headers": {}, "payload": null}),
        };
        shown["url"] = json!(hook.url);
        shown["request"] = json!({"headers": self.request_headers, "payload": *self.payload});
        shown["response"] = response;
        shown
    }
}

/// Delivers an event to each of the webhooks that subscribe to it, and waits for the responses.
pub(super) async fn deliver_event(shared: &Arc<Shared>, hooks: &[Hook], event: &str, payload: Value) {
    let payload = Arc::new(payload);
    let wanting = hooks.iter().filter(|hook| hook.wants(event)).cloned();
    let attempts: Vec<_> = wanting
        .map(|hook| {
            let (shared, event, payload) = (shared.clone(), event.to_owned(), payload.clone());
            tokio::spawn(async move { attempt(&shared, &hook, &event, payload, Uuid::new_v4(), false).await })
        })
        .collect();
    for one in attempts {
        // It only fails when the runtime shuts down.
        let _ = one.await;
    }
}

/// Repeats an earlier delivery under the same id. Returns `None` if there is no such delivery.
pub(super) async fn redeliver(
    shared: &Arc<Shared>,
    repository: &Repository,
    hook: u64,
    id: u64,
) -> Option<u64> {
    let (hook, delivery) = {
        let hooks = shared.hooks();
        let hook = hooks.get(repository, hook)?;
        (hook.clone(), hook.delivery(id)?.clone())
    };
    Some(attempt(shared, &hook, &delivery.event, delivery.payload, delivery.guid, true).await)
}

async fn attempt(
    shared: &Arc<Shared>,
    hook: &Hook,
    event: &str,
    payload: Arc<Value>,
    guid: Uuid,
    redelivery: bool,
) -> u64 {
    let body = packed(&payload, hook.content_type);
    let headers = headers(hook, event, guid, &body);
    let (delivered_at, start) = (SystemTime::now(), Instant::now());
    let sent = shared.client.send(Method::POST, &hook.url, headers.clone(), body).await;
    let outcome = match sent {
        Ok(answer) => Outcome::Answered {
            status: answer.status.as_u16(),
            reason: answer.status.canonical_reason().unwrap_or_default().to_owned(),
            headers: shown_headers(&answer.headers),
            body: String::from_utf8_lossy(&answer.body[..answer.body.len().min(LONGEST_ANSWER)]).into_owned(),
        },
        Err(error) => Outcome::Failed(chain(&error)),
    };
    let delivery = Delivery {
        id: 0,
        guid,
        event: event.to_owned(),
        payload,
        redelivery,
        delivered_at,
        duration_seconds: (start.elapsed().as_secs_f64() * 100.0).round() / 100.0,
        request_headers: shown_headers(&headers),
        outcome,
    };
    shared.hooks().record(hook.id, delivery)
}

fn packed(payload: &Value, content_type: ContentType) -> Bytes {
    let json = payload.to_string();
    match content_type {
        ContentType::Json => json.into(),
        ContentType::Form => format!("payload={}", form_encoded(&json)).into(),
    }
}

fn form_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                char::from(byte).to_string()
            }
            b' ' => "+".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn headers(hook: &Hook, event: &str, guid: Uuid, body: &[u8]) -> HeaderMap {
    let content_type = match hook.content_type {
        ContentType::Json => "application/json",
        ContentType::Form => "application/x-www-form-urlencoded",
    };
    let mut named = vec![
        ("accept", "*/*".to_owned()),
        ("content-type", content_type.to_owned()),
        ("user-agent", "GitHub-Hookshot/10c4573".to_owned()),
        ("x-github-delivery", guid.to_string()),
        ("x-github-event", event.to_owned()),
        ("x-github-hook-id", hook.id.to_string()),
        ("x-github-hook-installation-target-id", hook.repository_id.to_string()),
        ("x-github-hook-installation-target-type", "repository".to_owned()),
    ];
    if let Some(secret) = &hook.secret {
        named.push(("x-hub-signature-256", format!("sha256={}", signature(secret.expose_secret(), body))));
    }
    let entry = |(name, value): (&'static str, String)| {
        Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?))
    };
    named.into_iter().filter_map(entry).collect()
}

/// Returns the hex HMAC-SHA-256 of a body, for `X-Hub-Signature-256`.
fn signature(secret: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        unreachable!("HMAC takes a key of any length")
    };
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn shown_headers(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect()
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_equals_that_of_githubs_documentation() {
        // GitHub's example for the validation of webhook deliveries.
        assert_eq!(
            signature("It's a Secret to Everybody", b"Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn a_webhook_does_not_print_its_secret() {
        let hook = NewHook {
            events: vec!["push".into()],
            active: true,
            url: "http://localhost".into(),
            content_type: ContentType::Json,
            secret: Some("hunter2".into()),
        };
        assert!(!format!("{hook:?}").contains("hunter2"));
    }

    #[test]
    fn a_form_payload_is_escaped() {
        let packed = packed(&json!({"a": "b c&ä"}), ContentType::Form);
        assert_eq!(packed, "payload=%7B%22a%22%3A%22b+c%26%C3%A4%22%7D");
    }
}
