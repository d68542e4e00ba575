//! Configuration that administrators write over the function's URL.

use super::fixture::{Fixture, KEY, stages_text};
use lockstep_aws::ledger::Order;
use lockstep_domain::delivery::hook::HookId;
use lockstep_domain::records::{Config, ConfigKind, Repository};
use serde_json::{Value, json};

fn stages(text: &str) -> Value {
    json!({"action": "apply_stages", "text": text})
}

fn repository(base_url: &str, branch: &str) -> Value {
    json!({"action": "add_repository", "id": "github.acme.logs", "base_url": base_url, "branch": branch})
}

// FAILURES 85: access is denied by default. `interventions.rs` and `approvals.rs` check that each action
// records its caller.
#[tokio::test]
async fn an_unsigned_request_is_refused_before_it_is_read() {
    let fixture = Fixture::new().await;
    fixture.cloud.take_calls();
    for authorizer in [json!(null), json!({}), json!({"iam": {"userArn": ""}})] {
        let (status, body) = fixture.http(&stages(&stages_text()).to_string(), authorizer).await;
        assert_eq!((status, &body["error"]), (403, &json!("AccessDenied")));
    }
    assert!(fixture.cloud.take_calls().is_empty());
}

#[tokio::test]
async fn the_same_text_is_no_new_version_and_another_text_is_the_next() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.ask(stages(&stages_text())).await, (200, json!({"version": 1, "changed": false})));
    let other = format!("# the same stages\n{}", stages_text());
    assert_eq!(fixture.ask(stages(&other)).await, (200, json!({"version": 2, "changed": true})));
    let partition = ConfigKind::Stages.versions();
    let all = fixture.ledger.list::<Config>(&partition, Order::Newest, 9).await.unwrap();
    assert_eq!(all.iter().map(|c| c.record.version).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(all[0].record.text, other);
}

#[tokio::test]
async fn a_file_that_does_not_parse_is_refused_with_its_line() {
    let fixture = Fixture::new().await;
    let (status, body) = fixture.ask(stages(&stages_text().replace("eu-west-1", "Europe"))).await;
    assert_eq!((status, &body["error"]), (400, &json!("Rejected")));
    assert!(body["message"].as_str().unwrap().contains("stages.toml:4:"), "{body}");
    assert_eq!(fixture.ask(stages(&stages_text())).await.1["version"], 1);
}

#[tokio::test]
async fn parameters_are_accepted_only_for_existing_stages() {
    let fixture = Fixture::new().await;
    let parameters = |text: &str| json!({"action": "apply_parameters", "text": text});
    assert_eq!(fixture.ask(parameters("[nowhere]\nSize = \"1\"\n")).await.0, 400);
    assert_eq!(
        fixture.ask(parameters("[ci]\nSize = \"1\"\n")).await,
        (200, json!({"version": 1, "changed": true}))
    );
}

#[tokio::test]
async fn a_repository_is_subscribed_once_and_changed_after() {
    let fixture = Fixture::new().await;
    let api = "https://api.github.com";
    assert_eq!(fixture.ask(repository(api, "main")).await, (200, json!({"version": 1, "changed": true})));
    assert_eq!(fixture.ask(repository(api, "main")).await, (200, json!({"version": 1, "changed": false})));
    assert_eq!(fixture.ask(repository(api, "trunk")).await, (200, json!({"version": 2, "changed": true})));
    let key = Repository::key_of(&"github.acme.logs".parse().unwrap());
    assert_eq!(fixture.versioned::<Repository>(&key).await.record.branch, "trunk");
}

#[tokio::test]
async fn other_branches_are_released_only_if_an_administrator_lists_them() {
    let fixture = Fixture::new().await;
    let add = |branches: Value| {
        let mut request = repository("https://api.github.com", "main");
        request["branches"] = branches;
        request
    };
    let key = Repository::key_of(&"github.acme.logs".parse().unwrap());
    fixture.ask(repository("https://api.github.com", "main")).await;
    assert!(fixture.versioned::<Repository>(&key).await.record.branches.is_empty());
    assert_eq!(fixture.ask(add(json!(["feature/*", "fix"]))).await.1["changed"], true);
    assert_eq!(fixture.ask(repository("https://api.github.com", "main")).await.1["changed"], false);
    let stored = fixture.versioned::<Repository>(&key).await.record;
    assert!(stored.releases("feature/x") && stored.releases("fix") && !stored.releases("fix2"));
    assert_eq!(fixture.ask(add(json!(["refs/heads/*"]))).await.0, 400);
    assert_eq!(fixture.ask(add(json!([]))).await.1["changed"], true);
    assert!(!fixture.versioned::<Repository>(&key).await.record.releases("fix"));
}

#[tokio::test]
async fn the_address_of_a_hook_is_bound_to_its_repository() {
    let fixture = Fixture::new().await;
    let hook = |id: &str| json!({"action": "show_hook", "id": id});
    assert_eq!(fixture.ask(hook("github.acme.logs")).await.0, 404, "it is not registered");
    fixture.ask(repository("https://api.github.com", "main")).await;
    let (status, body) = fixture.ask(hook("github.acme.logs")).await;
    assert_eq!(status, 200, "{body}");
    let hook = HookId::claimed(body["path"].as_str().unwrap()).unwrap();
    assert_eq!((hook.repository().as_str(), hook.fits(KEY.as_bytes())), ("github.acme.logs", Ok(true)));
    assert!(!body.to_string().contains(KEY));
}

#[tokio::test]
async fn a_base_url_without_tls_or_on_this_machine_is_refused() {
    let fixture = Fixture::new().await;
    for bad in ["http://git.acme.example", "http://127.0.0.1:9001", "https://localhost", "http://[::1]:1"] {
        assert_eq!(fixture.ask(repository(bad, "main")).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_base_url_changes_only_with_a_new_registration() {
    let fixture = Fixture::new().await;
    let (github, other) = ("https://api.github.com", "https://git.acme.example");
    let key = Repository::key_of(&"github.acme.logs".parse().unwrap());
    let remove = json!({"action": "remove_repository", "id": "github.acme.logs"});
    fixture.ask(repository(github, "main")).await;
    for elsewhere in [other, "https://api.github.com:8443", "https://api.github.com/api"] {
        let (status, body) = fixture.ask(repository(elsewhere, "main")).await;
        assert_eq!((status, &body["error"]), (400, &json!("Rejected")), "{elsewhere}");
    }
    assert_eq!(fixture.versioned::<Repository>(&key).await.record.base_url, github);
    assert_eq!(fixture.ask(remove.clone()).await.1["changed"], true);
    assert_eq!(fixture.ask(remove).await.1["changed"], false);
    assert_eq!(fixture.ask(repository(other, "main")).await.0, 200);
    assert_eq!(fixture.versioned::<Repository>(&key).await.record.base_url, other);
}

#[tokio::test]
async fn malformed_oversized_and_unknown_requests_have_a_status() {
    let fixture = Fixture::new().await;
    let signed = json!({"iam": {"userArn": super::fixture::ADA}});
    for malformed in ["", "{", "{\"action\":\"drop_table\"}", "{\"action\":\"apply_stages\"}"] {
        assert_eq!(fixture.http(malformed, signed.clone()).await.0, 400, "{malformed}");
    }
    assert_eq!(fixture.http(&"x".repeat(800_000), signed).await.0, 400);
    let unknown = json!({
        "action": "decide", "deployment": "2f1e4fc0-5b1f-5c8a-9d4e-2f1e4fc05b1f", "subject": "arn",
        "digest": "0".repeat(64), "shown": "0".repeat(64), "decision": "approve",
    });
    assert_eq!(fixture.ask(unknown).await.0, 404);
}
