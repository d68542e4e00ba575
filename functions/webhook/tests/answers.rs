//! Replies of the webhook, and the calls before each reply.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use lockstep_aws::function_url::UrlResponse;
use lockstep_domain::delivery::hook::{HookId, KEY_SECRET, LOG_MESSAGE};
use lockstep_domain::delivery::webhook::MAX_BODY_BYTES;
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{DeliveryEnd, Repository, WebhookDelivery, WebhookDeliveryState};
use lockstep_runtime::HasHookKey as _;
use lockstep_sim::context::{RELEASE, SimContext};
use lockstep_sim::faults::{Fault, Faults, Kind};
use lockstep_sim::faulty::{FaultyAccount, FaultyContext, NoMistake};
use lockstep_sim::logged::Logged;
use lockstep_webhook::context::WebhookContext;
use lockstep_webhook::decide::PROVIDER;
use lockstep_webhook::handler::handle;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

const SECRET: &str = "a secret that signs";
const KEY: &str = "the webhook key of an installation, which no request holds";
const REQUEST: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const DELIVERY: &str = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
/// The calls of a push that arrives for the first time.
const CALLS: [&str; 7] = [
    "GetSecretValue",
    "GetItem REPOSITORY",
    "PutItem BODY",
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
        sim.account.set_secret(KEY_SECRET, KEY);
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
        branches: vec!["feature/*".parse().unwrap()],
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
        path: hook("github.acme.logs"),
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
        self.sent(&fixture.context).await
    }

    async fn sent(&self, context: &impl WebhookContext) -> UrlResponse {
        let request = json!({
            "version": "2.0", "rawPath": self.path, "headers": self.headers, "body": self.body,
            "isBase64Encoded": self.base64,
            "requestContext": {
                "requestId": REQUEST, "timeEpoch": 0, "http": { "method": self.method, "path": self.path },
            },
        });
        let now = "2100-03-01T12:00:00Z".parse().unwrap();
        handle(context, serde_json::from_value(request).unwrap(), now).await.unwrap()
    }
}

/// Returns the path of the hook of a repository.
fn hook(repository: &str) -> String {
    format!("/hooks/{}", HookId::of(KEY.as_bytes(), &repository.parse().unwrap()).unwrap())
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

/// A request, its name, the word of its denial in the log and the calls before it.
type Denied = (&'static str, Post, &'static str, &'static [&'static str]);

/// Returns one request for each way to fail before the sender is proven.
fn denied() -> Vec<Denied> {
    let large = "x".repeat(MAX_BODY_BYTES + 1);
    let unsigned = || good().without("x-hub-signature-256");
    let truncated = format!("sha256={}", &sign(good().body.as_bytes())[..40]);
    let old = format!("sha1={}", "0".repeat(40));
    let other = format!("sha256={}", "0".repeat(64));
    let upper = format!("sha256={}", sign(good().body.as_bytes()).to_uppercase());
    let mac = hook("github.acme.logs")["/hooks/github.acme.logs/".len()..].to_owned();
    let mut get = good();
    get.method = "GET";
    let mut large_base64 = good();
    (large_base64.body, large_base64.base64) = (encoded(large.as_bytes()), true);
    let mut no_base64 = good();
    no_base64.base64 = true;
    let none: &[&str] = &[];
    vec![
        ("another method", get, "unknown_hook", none),
        ("no path", good().at("/"), "unknown_hook", none),
        ("a malformed id", good().at("/hooks/github.acme"), "unknown_hook", none),
        ("an id without a MAC", good().at("/hooks/github.acme.logs"), "unknown_hook", none),
        ("an empty MAC", good().at("/hooks/github.acme.logs/"), "unknown_hook", none),
        ("another provider", good().at(&format!("/hooks/gitlab.acme.logs/{mac}")), "unknown_hook", none),
        (
            "a path that climbs",
            good().at(&format!("{}/../x", hook("github.acme.logs"))),
            "unknown_hook",
            none,
        ),
        (
            "the MAC of another repository",
            good().at(&format!("/hooks/github.acme.other/{mac}")),
            "unknown_hook",
            none,
        ),
        (
            "a guessed MAC",
            good().at(&format!("/hooks/github.acme.logs/{}", "0".repeat(64))),
            "unknown_hook",
            none,
        ),
        ("too large, and signed", Post { body: large.clone(), ..good() }.signed(), "too_large", none),
        ("too large, and unsigned", Post { body: large, ..unsigned() }, "too_large", none),
        ("too large once decoded", large_base64, "too_large", none),
        ("no signature", unsigned(), "not_signed", none),
        ("the old signature only", unsigned().with("x-hub-signature", &old), "not_signed", none),
        (
            "an old signature in the new header",
            good().with("x-hub-signature-256", &old),
            "malformed_signature",
            none,
        ),
        (
            "a truncated signature",
            good().with("x-hub-signature-256", &truncated),
            "malformed_signature",
            none,
        ),
        (
            "a signature in upper case",
            good().with("x-hub-signature-256", &upper),
            "malformed_signature",
            none,
        ),
        ("a wrong signature", good().with("x-hub-signature-256", &other), "wrong_signature", &CALLS[..1]),
        (
            "a body that is not what was signed",
            Post { body: "{}".to_owned(), ..good() },
            "wrong_signature",
            &CALLS[..1],
        ),
        ("a body that is no base64", no_base64, "unreadable_body", &CALLS[..1]),
        ("a hook without a secret", good().at(&hook("github.evil.logs")), "no_secret", &CALLS[..1]),
        ("a push to another repository", post(&push("acme/other")), "other_repository", &CALLS[..2]),
        (
            "a repository that is not registered",
            post(&push("acme/gone")).at(&hook("github.acme.gone")),
            "not_registered",
            &CALLS[..2],
        ),
    ]
}

#[tokio::test]
async fn every_denial_has_the_same_reply_and_few_calls() {
    let mut replies = BTreeSet::new();
    for (what, request, _, calls) in denied() {
        let fixture = Fixture::new();
        let mut response = request.to(&fixture).await;
        assert_eq!(response.status_code, 401, "{what}: {}", response.body);
        assert_eq!(fixture.calls(), calls, "{what}");
        let body: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!(body["request"], REQUEST, "{what}");
        response.body = response.body.replace(REQUEST, "");
        replies.insert(format!("{response:?}"));
    }
    assert_eq!(replies.len(), 1, "{replies:?}");
}

#[tokio::test]
async fn three_hundred_invented_hooks_cost_no_call() {
    let fixture = Fixture::new();
    good().to(&fixture).await;
    let calls = fixture.calls().len();
    for number in 0..300 {
        let invented = format!("/hooks/github.x{number}.y/{:064x}", number);
        assert_eq!(good().at(&invented).to(&fixture).await.status_code, 401);
    }
    assert_eq!(fixture.calls().len(), calls);
    good().to(&fixture).await;
    assert!(!fixture.calls()[calls..].contains(&CALLS[0].to_owned()), "the secret is still remembered");
}

#[tokio::test]
async fn a_process_reads_the_webhook_key_once() {
    let sim = SimContext::new();
    assert!(sim.hook_key().load().await.is_err(), "there is no key");
    let absent = good().sent(&sim).await;
    assert_eq!(absent.status_code, 503, "{}", absent.body);
    let sim = SimContext::new();
    sim.account.set_secret(KEY_SECRET, KEY);
    sim.hook_key().load().await.unwrap();
    sim.account.set_secret(KEY_SECRET, "another key, which only the next process reads");
    assert_eq!(good().sent(&sim).await.status_code, 401);
    let hook = HookId::claimed(&hook("github.acme.logs")).unwrap();
    assert!(sim.hook_key().fits(&hook).await.unwrap());
}

#[tokio::test]
async fn replies_to_authentic_requests_name_their_reason() {
    let table = [
        ("no delivery", good().without("x-github-delivery"), 400, &CALLS[..1]),
        ("a malformed delivery", good().with("x-github-delivery", "../../x y"), 400, &CALLS[..1]),
        ("no event", good().without("x-github-event"), 400, &CALLS[..1]),
        ("a signed body that is no JSON", good().saying("x"), 422, &CALLS[..1]),
        ("a signed form", good().saying("payload=%7B%7D"), 422, &CALLS[..1]),
        ("a ping", good().with("x-github-event", "ping"), 200, &CALLS[..1]),
        ("an event of no interest", good().with("x-github-event", "star"), 200, &CALLS[..1]),
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
async fn listed_branches_are_released_and_others_tags_and_deletions_are_not() {
    let table = [
        (json!({ "ref": "refs/heads/feature/x" }), 202),
        (json!({ "ref": "refs/heads/fix" }), 200),
        (json!({ "ref": "refs/heads/mainly" }), 200),
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
    assert_eq!(fixture.calls()[calls..], CALLS[1..4], "the secret is remembered");
    assert_eq!(fixture.started().len(), 1);
}

#[tokio::test]
async fn a_push_to_an_unlisted_branch_ends_in_a_record_with_the_reason() {
    let fixture = Fixture::new();
    let mut body = push("acme/logs");
    body["ref"] = json!("refs/heads/fix");
    for _ in 0..2 {
        let response = post(&body).to(&fixture).await;
        assert!(response.status_code == 200 && response.body.contains("--branches"), "{}", response.body);
    }
    let delivery = fixture.delivery();
    let end = delivery.end.unwrap();
    assert_eq!((delivery.state, end.outcome), (WebhookDeliveryState::Finished, Outcome::Done));
    assert!(end.reason.contains("pushes to fix are not released"), "{}", end.reason);
    assert!(delivery.finished_at.is_some() && fixture.started().is_empty());
}

const COPY: &str = "ffffffff-cc78-11e3-81ab-4c9367dc0958";

/// Returns the same signed body under another delivery id.
fn copy() -> Post {
    good().with("x-github-delivery", COPY)
}

#[tokio::test]
async fn a_body_under_another_delivery_id_is_recorded_as_a_duplicate() {
    let fixture = Fixture::new();
    good().to(&fixture).await;
    for _ in 0..2 {
        let response = copy().to(&fixture).await;
        assert!(response.status_code == 200 && response.body.contains(DELIVERY), "{}", response.body);
    }
    let key = WebhookDelivery::key_of(PROVIDER, COPY);
    let end = fixture.sim.account.find::<WebhookDelivery>(&key).unwrap().end.unwrap();
    assert_eq!(end, DeliveryEnd::duplicate(DELIVERY));
    assert_eq!((end.outcome, fixture.started().len()), (Outcome::Superseded, 1));
}

#[tokio::test]
async fn thirty_copies_of_a_body_start_one_execution() {
    let fixture = Fixture::new();
    for number in 0..30 {
        let id = format!("{number:08x}-cc78-11e3-81ab-4c9367dc0958");
        good().with("x-github-delivery", &id).to(&fixture).await;
    }
    assert_eq!(fixture.started().len(), 1);
    assert_eq!(fixture.sim.account.records::<WebhookDelivery>().len(), 30, "each copy is recorded");
}

#[tokio::test]
async fn a_copy_of_a_body_without_a_release_is_processed() {
    for (end, times) in [
        (DeliveryEnd::superseded(), 2),
        (DeliveryEnd::rejected("a parameter is missing"), 2),
        (DeliveryEnd::quarantined("a quota"), 2),
        (DeliveryEnd::done(), 1),
    ] {
        let fixture = Fixture::new();
        good().to(&fixture).await;
        let first = WebhookDelivery {
            state: WebhookDeliveryState::Finished,
            end: Some(end.clone()),
            ..fixture.delivery()
        };
        fixture.sim.account.put(&first);
        copy().to(&fixture).await;
        assert_eq!(fixture.started().len(), times, "{end:?}");
        // While the copy is processed, a third one starts nothing.
        copy().with("x-github-delivery", "third-delivery").to(&fixture).await;
        assert_eq!(fixture.started().len(), times, "{end:?}");
    }
}

#[tokio::test]
async fn a_copy_starts_an_original_that_was_never_started() {
    let fixture = Fixture::with(&[Fault { at: 4, kind: Kind::Before }]);
    assert_eq!(good().to(&fixture).await.status_code, 503);
    assert_eq!((fixture.state(), fixture.started().len()), (WebhookDeliveryState::Accepted, 0));
    copy().to(&fixture).await;
    assert_eq!((fixture.state(), fixture.started().len()), (WebhookDeliveryState::Started, 1));
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
    let elsewhere = post(&push("acme/other")).at(&hook("github.acme.other"));
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
    for (what, request, denial, _) in denied() {
        let before = log.text().len();
        request.to(&Fixture::new()).await;
        let text = log.text();
        let mut lines = text[before..].lines().filter(|line| line.contains(LOG_MESSAGE));
        assert!(lines.any(|line| line.contains(denial) && line.contains(REQUEST)), "{what} is not logged");
    }
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
    let is_of_the_sdk =
        |line: &str| line.contains(" TRACE ") && [": aws_", "TRACE aws_"].iter().any(|of| line.contains(of));
    let judged = text.lines().filter(|line| !is_of_the_sdk(line));
    let logged = judged.collect::<Vec<_>>().join("\n");
    assert!(logged.contains("202") && logged.contains("struck"), "{logged}");
    let hook = hook("github.acme.logs");
    let mac = &hook["/hooks/github.acme.logs/".len()..];
    for kept in [SECRET, KEY, mac, "a message", "wrong-signature", &sign(good().body.as_bytes())] {
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
