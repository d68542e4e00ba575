//! Replies of the webhook, and the calls before each reply.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use lockstep_aws::function_url::UrlResponse;
use lockstep_domain::delivery::webhook::MAX_BODY_BYTES;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{Repository, WebhookDelivery, WebhookDeliveryState};
use lockstep_sim::context::{RELEASE, SimContext};
use lockstep_sim::faults::{Fault, Faults, Kind};
use lockstep_sim::faulty::{FaultyAccount, FaultyContext, NoMistake};
use lockstep_sim::logged::Logged;
use lockstep_webhook::decide::PROVIDER;
use lockstep_webhook::handler::handle;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

const SECRET: &str = "a secret that signs";
const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
/// The calls of a push that arrives for the first time.
const CALLS: [&str; 6] = [
    "GetSecretValue",
    "GetItem REPOSITORY",
    "PutItem EVENT",
    "StartExecution",
    "GetItem EVENT",
    "PutItem EVENT",
];

const COMMIT: &str = "0123456789012345678901234567890123456789";

/// Two registered repositories, and a secret for each repository of the owner `acme`.
struct Fixture {
    sim: SimContext,
    faults: Arc<Faults>,
    context: FaultyContext,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&[])
    }

    /// A fixture whose calls are struck by these faults.
    fn with(faults: &[Fault]) -> Self {
        let sim = SimContext::new();
        for name in ["logs", "other", "gone"] {
            let id = RepositoryId::github("acme", name).unwrap();
            sim.account.set_secret(&id.webhook_secret(), SECRET);
            if name != "gone" {
                sim.account.put(&repository(id));
            }
        }
        let faults = Faults::of(faults);
        let account = Arc::new(FaultyAccount::new(&faults));
        let context = FaultyContext::new(&sim, &faults, account, Rc::new(NoMistake));
        Self { sim, faults, context }
    }

    /// Returns the calls since the last time, in order.
    fn calls(&self) -> Vec<String> {
        let crossed = self.faults.crossed();
        crossed.iter().map(|call| call.name.trim_start_matches(": ").to_owned()).collect()
    }

    fn delivery(&self) -> WebhookDelivery {
        self.sim.account.find(&WebhookDelivery::key_of(PROVIDER, DELIVERY)).unwrap()
    }

    fn state(&self) -> WebhookDeliveryState {
        self.delivery().state
    }

    /// Returns the executions of `release` that were started, each with its input.
    fn started(&self) -> Vec<(String, Value)> {
        self.sim.account.started()
    }
}

fn repository(id: RepositoryId) -> Repository {
    Repository {
        id,
        base_url: "https://api.github.com".to_owned(),
        branch: "main".to_owned(),
        components: BTreeMap::new(),
        commit: None,
        added_by: "arn".to_owned(),
        added_at: Timestamp::UNIX_EPOCH,
    }
}

/// A request that a test changes.
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
        "pusher": { "name": "ada-l" }, "sender": { "login": "ada-l", "type": "User" }, "head_commit": { "message": "a message", "author": { "name": "Ada" } },
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
        handle(&fixture.context, serde_json::from_value(request).unwrap(), now).await.unwrap()
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
async fn refusals_come_in_order_and_before_any_read_or_write() {
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
        ("an id without a secret", unsigned().at("/hooks/github.evil.logs"), 404, &CALLS[..1]),
        ("too large, and unsigned", Post { body: large.clone(), ..unsigned() }, 413, &CALLS[..1]),
        ("too large once decoded", large_base64, 413, &CALLS[..1]),
        ("no signature", unsigned(), 401, &CALLS[..1]),
        ("a truncated signature", good().with("x-hub-signature-256", &truncated), 401, &CALLS[..1]),
        ("a wrong signature", good().with("x-hub-signature-256", &other), 401, &CALLS[..1]),
        ("the old signature only", unsigned().with("x-hub-signature", &old), 401, &CALLS[..1]),
        ("a body that is not what was signed", Post { body: "{}".to_owned(), ..good() }, 401, &CALLS[..1]),
        ("a body that is no base64", no_base64, 401, &CALLS[..1]),
        (
            "unsigned nonsense without a delivery",
            Post { body: "x".to_owned(), ..unsigned() },
            401,
            &CALLS[..1],
        ),
        ("no delivery", good().without("x-github-delivery"), 400, &CALLS[..1]),
        ("a malformed delivery", good().with("x-github-delivery", "../../x y"), 400, &CALLS[..1]),
        ("no event", good().without("x-github-event"), 400, &CALLS[..1]),
        ("a signed body that is no JSON", good().saying("x"), 422, &CALLS[..1]),
        ("a signed form", good().saying("payload=%7B%7D"), 422, &CALLS[..1]),
        ("a ping", good().with("x-github-event", "ping"), 200, &CALLS[..1]),
        ("an event of no interest", good().with("x-github-event", "star"), 200, &CALLS[..1]),
        ("a push to another repository", post(&push("acme/other")), 422, &CALLS[..2]),
        (
            "a repository with a secret that is not subscribed",
            post(&push("acme/gone")).at("/hooks/github.acme.gone"),
            404,
            &CALLS[..2],
        ),
        ("a good push", good(), 202, &CALLS),
    ];
    for (what, request, status, calls) in table {
        let fixture = Fixture::new();
        let response = request.to(&fixture).await;
        assert_eq!(response.status_code, status, "{what}: {}", response.body);
        assert_eq!(fixture.calls(), calls, "{what}");
    }
}

#[tokio::test]
async fn the_reply_to_a_push_names_its_release() {
    let fixture = Fixture::new();
    let response = good().to(&fixture).await;
    let [(execution, input)] = fixture.started().try_into().unwrap();
    let delivery = fixture.delivery();
    assert_eq!(execution, execution_arn(RELEASE, &delivery.execution));
    let body: Value = serde_json::from_str(&response.body).unwrap();
    assert_eq!(body, json!({ "delivery": DELIVERY, "execution": delivery.execution }));
    assert_eq!(
        input,
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
        assert_eq!(fixture.started().len(), usize::from(status == 202), "{change}");
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
    assert_eq!(fixture.delivery().repository.as_str(), "github.acme.logs");
}

#[tokio::test]
async fn the_same_delivery_twice_has_the_same_reply_and_one_execution() {
    let fixture = Fixture::new();
    let first = good().to(&fixture).await;
    let calls = fixture.calls().len();
    assert_eq!(good().to(&fixture).await, first);
    assert_eq!(fixture.calls()[calls..], CALLS[1..3], "the secret is remembered");
    assert_eq!(fixture.started().len(), 1);
}

#[tokio::test]
async fn a_delivery_that_failed_at_any_call_continues_with_its_next_copy() {
    let fault_free = Fixture::new();
    good().to(&fault_free).await;
    let sites = fault_free.faults.crossed().into_iter().map(|call| call.site);
    for (at, kind) in
        sites.enumerate().flat_map(|(at, site)| site.kinds().iter().map(move |kind| (at, *kind)))
    {
        if !matches!(kind, Kind::Before | Kind::Lost | Kind::Throttled) {
            continue;
        }
        let (fault, case) = (Fault { at, kind }, format!("{} {kind}", CALLS[at]));
        let fixture = Fixture::with(&[fault]);
        assert_eq!(good().to(&fixture).await.status_code, 503, "{case}");
        assert_eq!(fixture.faults.struck(), [fault], "{case}");
        let response = good().to(&fixture).await;
        assert_eq!(response.status_code, 202, "{case}");
        assert_eq!(fixture.started().len(), 1, "{case}");
        assert_eq!(fixture.state(), WebhookDeliveryState::Started, "{case}");
        assert_eq!(good().to(&fixture).await, response, "{case}");
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
    assert_eq!(fixture.started().len(), 1);
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
    assert_eq!(fixture.started().len(), 1);
}

#[tokio::test]
async fn a_finished_delivery_gets_its_reply_and_remains_finished() {
    let fixture = Fixture::new();
    let first = good().to(&fixture).await;
    let finished = WebhookDelivery { state: WebhookDeliveryState::Finished, ..fixture.delivery() };
    fixture.sim.account.put(&finished);
    assert_eq!(good().to(&fixture).await, first);
    assert_eq!(fixture.state(), WebhookDeliveryState::Finished);
}

#[tokio::test]
async fn no_secret_signature_or_body_reaches_log_or_reply() {
    let log = Logged::hear(tracing::Level::TRACE);
    let fixture = Fixture::new();
    let mut said = String::new();
    let wrong = good().with("x-hub-signature-256", "sha256=wrong-signature");
    for request in
        [good(), wrong, good().saying("{\"ref\": \"a message\"}"), good().saying("payload=a message")]
    {
        said.push_str(&request.to(&fixture).await.body);
    }
    let struck = Fixture::with(&[Fault { at: 2, kind: Kind::Before }]);
    said.push_str(&good().to(&struck).await.body);
    // The SDK writes bodies at the level TRACE; the other levels, and all lines of Lockstep, are judged.
    let text = log.text();
    let judged = text.lines().filter(|line| !(line.contains(" TRACE ") && line.contains(": aws_")));
    let logged = judged.collect::<Vec<_>>().join("\n");
    assert!(logged.contains("202") && logged.contains("struck"), "{logged}");
    for kept in [SECRET, "a message", "wrong-signature", &sign(good().body.as_bytes())] {
        assert!(!logged.contains(kept), "{kept} in {logged}");
        assert!(!said.contains(kept), "{kept} in {said}");
    }
}

#[tokio::test]
async fn the_record_names_the_account_that_pushed() {
    let fixture = Fixture::new();
    good().to(&fixture).await;
    assert_eq!(fixture.delivery().pusher, Some("ada-l".parse().unwrap()));
}
