//! What the webhook answers, and what it reads and writes before it does.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use lockstep_domain::delivery::webhook::MAX_BODY_BYTES;
use lockstep_domain::messages::inputs;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::records::{Repository, WebhookDelivery, WebhookDeliveryState};
use lockstep_platform::function_url::UrlResponse;
use lockstep_platform::secrets::Secret;
use lockstep_sim::logged::Logged;
use lockstep_webhook::context::WebhookContext;
use lockstep_webhook::handler::handle;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

const SECRET: &str = "a secret that signs";
const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
const COMMIT: &str = "0123456789012345678901234567890123456789";

/// A fixture in memory. Every call notes its name and lets others go first.
#[derive(Default)]
struct Fixture {
    repositories: BTreeMap<String, Repository>,
    events: RefCell<BTreeMap<String, WebhookDelivery>>,
    executions: RefCell<BTreeMap<String, inputs::Release>>,
    calls: RefCell<Vec<&'static str>>,
    /// The call that fails next, once.
    breaks: Cell<Option<&'static str>>,
}

impl Fixture {
    fn new() -> Self {
        let mut fixture = Self::default();
        for id in ["github.acme.logs", "github.acme.other"] {
            let repository = Repository {
                id: id.parse().unwrap(),
                base_url: "https://api.github.com".to_owned(),
                branch: "main".to_owned(),
                components: BTreeMap::new(),
                commit: None,
                added_by: "arn".to_owned(),
                added_at: Timestamp::UNIX_EPOCH,
            };
            fixture.repositories.insert(id.to_owned(), repository);
        }
        fixture
    }

    async fn called(&self, name: &'static str) -> Result<(), Failure> {
        self.calls.borrow_mut().push(name);
        tokio::task::yield_now().await;
        match self.breaks.get() {
            Some(broken) if broken == name => {
                self.breaks.set(None);
                Err(Failure::new(FailureKind::Transient, "the network broke"))
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> WebhookDeliveryState {
        self.events.borrow()[DELIVERY].state
    }
}

impl WebhookContext for Fixture {
    async fn webhook_secret(&self, id: &RepositoryId) -> Result<Option<Secret>, Failure> {
        self.called("secret").await?;
        Ok((id.owner() == "acme").then(|| Secret::new(SECRET)))
    }

    async fn repository(&self, id: &RepositoryId) -> Result<Option<Repository>, Failure> {
        self.called("repository").await?;
        Ok(self.repositories.get(id.as_str()).cloned())
    }

    async fn insert(&self, event: &WebhookDelivery) -> Result<WebhookDelivery, Failure> {
        self.called("insert").await?;
        Ok(self.events.borrow_mut().entry(event.delivery.clone()).or_insert_with(|| event.clone()).clone())
    }

    async fn start(&self, name: &str, input: &inputs::Release) -> Result<(), Failure> {
        // The reply is lost, not the request: the worse of the two.
        self.executions.borrow_mut().insert(name.to_owned(), input.clone());
        self.called("start").await
    }

    async fn mark_started(&self, event: &WebhookDelivery) -> Result<(), Failure> {
        self.called("mark").await?;
        self.events.borrow_mut().insert(event.delivery.clone(), event.clone());
        Ok(())
    }
}

/// A request that differs from a good one in what the test says.
#[derive(Clone)]
struct Post {
    method: &'static str,
    path: String,
    headers: BTreeMap<&'static str, String>,
    body: String,
    base64: bool,
}

fn push(repository: &str) -> Value {
    json!({
        "ref": "refs/heads/main", "before": "0".repeat(40), "after": COMMIT,
        "repository": { "full_name": repository, "default_branch": "main" },
        "pusher": { "name": "ada" }, "head_commit": { "message": "a message", "author": { "name": "Ada" } },
    })
}

fn post(body: &Value) -> Post {
    let headers = [("x-github-event", "push".to_owned()), ("x-github-delivery", DELIVERY.to_owned())];
    let post = Post {
        method: "POST",
        path: "/hooks/github.acme.logs".to_owned(),
        headers: headers.into(),
        body: body.to_string(),
        base64: false,
    };
    post.signed()
}

impl Post {
    fn signed(self) -> Self {
        let signature = format!("sha256={}", sign(self.body.as_bytes()));
        self.with("x-hub-signature-256", &signature)
    }

    fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.insert(header, value.to_owned());
        self
    }

    fn without(mut self, header: &str) -> Self {
        self.headers.remove(header);
        self
    }

    fn at(mut self, path: &str) -> Self {
        self.path = path.to_owned();
        self
    }

    fn saying(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self.signed()
    }

    async fn to(&self, fixture: &Fixture) -> UrlResponse {
        let request = json!({
            "version": "2.0", "rawPath": self.path, "headers": self.headers, "body": self.body,
            "isBase64Encoded": self.base64,
            "requestContext": { "timeEpoch": 0, "http": { "method": self.method, "path": self.path } },
        });
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        handle(fixture, serde_json::from_value(request).unwrap(), now).await.unwrap()
    }
}

fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn good() -> Post {
    post(&push("acme/logs"))
}

#[tokio::test]
async fn refusals_come_in_their_order_and_before_anything_is_read_or_written() {
    let large = "x".repeat(MAX_BODY_BYTES + 1);
    let unsigned = || good().without("x-hub-signature-256");
    let truncated = format!("sha256={}", &sign(good().body.as_bytes())[..40]);
    let old = format!("sha1={}", "0".repeat(40));
    let other = format!("sha256={}", "0".repeat(64));
    let mut get = unsigned().at("/hooks/nonsense");
    get.method = "GET";
    let mut large_base64 = unsigned();
    (large_base64.body, large_base64.base64) = (encoded(large.as_bytes()), true);
    let mut no_base64 = good();
    no_base64.base64 = true;
    let nothing: &[&str] = &[];
    let table = [
        ("another method", get, 405, nothing),
        ("no path", unsigned().at("/"), 404, nothing),
        ("a malformed id", unsigned().at("/hooks/github.acme"), 404, nothing),
        ("another provider", good().at("/hooks/gitlab.acme.logs"), 404, nothing),
        ("a path that climbs", good().at("/hooks/github.acme.logs/../x"), 404, nothing),
        ("an id without a secret", unsigned().at("/hooks/github.evil.logs"), 404, &["secret"]),
        ("too large, and unsigned", Post { body: large.clone(), ..unsigned() }, 413, &["secret"]),
        ("too large once decoded", large_base64, 413, &["secret"]),
        ("no signature", unsigned(), 401, &["secret"]),
        ("a truncated signature", good().with("x-hub-signature-256", &truncated), 401, &["secret"]),
        ("a wrong signature", good().with("x-hub-signature-256", &other), 401, &["secret"]),
        ("the old signature only", unsigned().with("x-hub-signature", &old), 401, &["secret"]),
        ("a body that is not what was signed", Post { body: "{}".to_owned(), ..good() }, 401, &["secret"]),
        ("a body that is no base64", no_base64, 401, &["secret"]),
        (
            "unsigned nonsense without a delivery",
            Post { body: "x".to_owned(), ..unsigned() },
            401,
            &["secret"],
        ),
        ("no delivery", good().without("x-github-delivery"), 400, &["secret"]),
        ("a malformed delivery", good().with("x-github-delivery", "../../x y"), 400, &["secret"]),
        ("no event", good().without("x-github-event"), 400, &["secret"]),
        ("a signed body that is no JSON", good().saying("x"), 422, &["secret"]),
        ("a signed form", good().saying("payload=%7B%7D"), 422, &["secret"]),
        ("a ping", good().with("x-github-event", "ping"), 200, &["secret"]),
        ("an event of no interest", good().with("x-github-event", "star"), 200, &["secret"]),
        ("a push to another repository", post(&push("acme/other")), 422, &["secret", "repository"]),
        (
            "a repository with a secret that is not subscribed",
            post(&push("acme/gone")).at("/hooks/github.acme.gone"),
            404,
            &["secret", "repository"],
        ),
        ("a good push", good(), 202, &["secret", "repository", "insert", "start", "mark"]),
    ];
    for (what, request, status, calls) in table {
        let fixture = Fixture::new();
        let response = request.to(&fixture).await;
        assert_eq!(response.status_code, status, "{what}: {}", response.body);
        assert_eq!(*fixture.calls.borrow(), calls, "{what}");
    }
}

#[tokio::test]
async fn a_push_starts_its_release_and_is_answered_with_it() {
    let fixture = Fixture::new();
    let response = good().to(&fixture).await;
    let executions = fixture.executions.borrow();
    let (name, input) = executions.first_key_value().unwrap();
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body, json!({ "delivery": DELIVERY, "execution": name }));
    assert_eq!(
        serde_json::to_value(input).unwrap(),
        json!({
            "repository": "github.acme.logs", "ref": "refs/heads/main", "commit": COMMIT, "delivery": DELIVERY,
        })
    );
    assert_eq!(fixture.state(), WebhookDeliveryState::Started);
}

#[tokio::test]
async fn other_branches_are_released_and_tags_and_deletions_are_not() {
    let table = [
        (json!({ "ref": "refs/heads/feature/x" }), 202),
        (json!({ "ref": "refs/tags/v1" }), 200),
        (json!({ "deleted": true, "after": "0".repeat(40) }), 200),
    ];
    for (change, status) in table {
        let mut body = push("acme/logs");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let fixture = Fixture::new();
        assert_eq!(post(&body).to(&fixture).await.status_code, status, "{change}");
        assert_eq!(fixture.executions.borrow().len(), usize::from(status == 202), "{change}");
    }
}

#[tokio::test]
async fn a_base64_body_is_verified_as_it_was_sent() {
    let mut request = good();
    (request.body, request.base64) = (encoded(request.body.as_bytes()), true);
    assert_eq!(request.to(&Fixture::new()).await.status_code, 202);
}

#[tokio::test]
async fn github_may_write_owner_and_name_in_other_cases() {
    let fixture = Fixture::new();
    assert_eq!(post(&push("ACME/Logs")).to(&fixture).await.status_code, 202);
    assert_eq!(fixture.events.borrow()[DELIVERY].repository.as_str(), "github.acme.logs");
}

#[tokio::test]
async fn the_same_delivery_twice_has_the_same_answer_and_one_execution() {
    let fixture = Fixture::new();
    let first = good().to(&fixture).await;
    fixture.calls.borrow_mut().clear();
    assert_eq!(good().to(&fixture).await, first);
    assert_eq!(*fixture.calls.borrow(), ["secret", "repository", "insert"]);
    assert_eq!(fixture.executions.borrow().len(), 1);
}

#[tokio::test]
async fn a_delivery_whose_first_copy_died_anywhere_is_driven_on_by_the_next() {
    for broken in ["secret", "repository", "insert", "start", "mark"] {
        let fixture = Fixture::new();
        fixture.breaks.set(Some(broken));
        assert_eq!(good().to(&fixture).await.status_code, 503, "{broken}");
        let response = good().to(&fixture).await;
        assert_eq!(response.status_code, 202, "{broken}");
        assert_eq!(fixture.executions.borrow().len(), 1, "{broken}");
        assert_eq!(fixture.state(), WebhookDeliveryState::Started, "{broken}");
        assert_eq!(good().to(&fixture).await, response, "{broken}");
    }
}

#[tokio::test]
async fn twenty_concurrent_copies_of_a_delivery_start_one_execution() {
    let fixture = Rc::new(Fixture::new());
    let local = tokio::task::LocalSet::new();
    let copies: Vec<_> = (0..20)
        .map(|_| {
            let fixture = Rc::clone(&fixture);
            local.spawn_local(async move { good().to(&fixture).await })
        })
        .collect();
    local.await;
    let mut answers = Vec::new();
    for copy in copies {
        answers.push(copy.await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.status_code == 202 && *answer == answers[0]), "{answers:?}");
    assert_eq!(fixture.executions.borrow().len(), 1);
    assert_eq!(fixture.state(), WebhookDeliveryState::Started);
}

#[tokio::test]
async fn a_known_delivery_with_other_content_is_refused() {
    let fixture = Fixture::new();
    good().to(&fixture).await;
    let mut other = push("acme/logs");
    other["after"] = json!("f".repeat(40));
    assert_eq!(post(&other).to(&fixture).await.status_code, 409);
    let elsewhere = post(&push("acme/other")).at("/hooks/github.acme.other");
    assert_eq!(elsewhere.to(&fixture).await.status_code, 409);
    assert_eq!(fixture.executions.borrow().len(), 1);
}

#[tokio::test]
async fn a_finished_event_is_answered_and_stays_finished() {
    let fixture = Fixture::new();
    let first = good().to(&fixture).await;
    fixture.events.borrow_mut().get_mut(DELIVERY).unwrap().state = WebhookDeliveryState::Finished;
    assert_eq!(good().to(&fixture).await, first);
    assert_eq!(fixture.state(), WebhookDeliveryState::Finished);
}

#[tokio::test]
async fn neither_secret_nor_signature_nor_body_reaches_log_or_answer() {
    let log = Logged::hear(tracing::Level::TRACE);
    let fixture = Fixture::new();
    let mut said = String::new();
    let wrong = good().with("x-hub-signature-256", "sha256=wrong-signature");
    for request in
        [good(), wrong, good().saying("{\"ref\": \"a message\"}"), good().saying("payload=a message")]
    {
        said.push_str(&request.to(&fixture).await.body);
    }
    fixture.breaks.set(Some("insert"));
    said.push_str(&good().to(&fixture).await.body);
    let logged = log.text();
    assert!(logged.contains("202") && logged.contains("the network broke"), "{logged}");
    for kept in [SECRET, "a message", "wrong-signature", &sign(good().body.as_bytes())] {
        assert!(!logged.contains(kept), "{kept} in {logged}");
        assert!(!said.contains(kept), "{kept} in {said}");
    }
}
