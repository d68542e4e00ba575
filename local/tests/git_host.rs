//! Tests of the git host, from the view of a GitHub client and of a webhook's receiver.

mod support;

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lockstep_local::{GitHost, GitHostOptions};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use support::{Api, Receiver, eventually};
use tempfile::TempDir;

struct Host {
    _host: GitHost,
    api: Api,
    _folder: TempDir,
    work: TempDir,
}

/// Starts a host with the repository `acme/logs` and a clone of it.
async fn host() -> Host {
    let folder = tempfile::tempdir().expect("a folder");
    let options = GitHostOptions { root: folder.path().join("repositories"), token: "secret-token".into() };
    let host = GitHost::start(options).await.expect("it starts");
    let repository = host.create_repository("acme", "logs").await.expect("created");
    let api = Api { base: host.base_url().to_owned(), token: Some("secret-token".into()) };
    let work = tempfile::tempdir().expect("a folder");
    git(work.path(), &["clone", "--quiet", repository.path.to_str().expect("a path"), "."]);
    git(work.path(), &["switch", "--quiet", "--orphan", "main"]);
    Host { _host: host, api, _folder: folder, work }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env_remove("GIT_DIR")
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Host {
    /// Commits files and pushes a branch. Returns the commit.
    fn push(&self, branch: &str, files: &[(&str, Option<&str>)], message: &str) -> String {
        for (name, content) in files {
            let path = self.work.path().join(name);
            match content {
                Some(content) => {
                    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
                    std::fs::write(path, content).expect("written");
                }
                None => std::fs::remove_file(path).expect("removed"),
            }
        }
        git(self.work.path(), &["add", "--all"]);
        git(self.work.path(), &["commit", "--quiet", "--message", message]);
        git(self.work.path(), &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]);
        git(self.work.path(), &["rev-parse", "HEAD"])
    }

    async fn hook(&self, receiver: &Receiver, secret: &str) -> u64 {
        let config = json!({"url": receiver.url, "secret": secret, "content_type": "json"});
        let body = json!({"name": "web", "active": true, "events": ["push"], "config": config});
        let (status, hook) = self.api.json(Method::POST, "/repos/acme/logs/hooks", Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{hook}");
        let shown = if secret.is_empty() { Value::Null } else { json!("********") };
        assert_eq!(hook["config"]["secret"], shown, "a secret is never shown");
        hook["id"].as_u64().expect("an id")
    }
}

async fn pushes(receiver: &Receiver, count: usize) -> Vec<Value> {
    eventually("the pushes were delivered", || async {
        let found = receiver.of("push");
        (found.len() >= count)
            .then(|| found.iter().map(|(_, body)| serde_json::from_slice(body).expect("JSON")).collect())
    })
    .await
}

#[tokio::test]
async fn a_tarball_is_fetched_through_a_redirect_and_has_one_top_folder() {
    let host = host().await;
    let commit = host.push("main", &[("lockstep.toml", Some("x")), ("a/b.txt", Some("y"))], "first");
    let (status, headers, _) =
        host.api.send(Method::GET, &format!("/repos/acme/logs/tarball/{commit}"), None).await;
    assert_eq!(status, StatusCode::FOUND);
    let location = headers["location"].to_str().expect("text").to_owned();
    assert!(location.contains(&format!("/codeload/acme/logs/{commit}?token=")), "{location}");
    let anonymous = Api { base: host.api.base.clone(), token: None };
    let (status, _, body) = anonymous.send(Method::GET, &location, None).await;
    assert_eq!(status, StatusCode::OK);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&body[..]));
    let mut names = BTreeSet::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        if path.ends_with("b.txt") {
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            assert_eq!(text, "y");
        }
        names.insert(path.split('/').next().expect("a name").to_owned());
    }
    names.remove("pax_global_header");
    assert_eq!(names, BTreeSet::from([format!("acme-logs-{}", &commit[..7])]));
    let (status, _, _) = anonymous.send(Method::GET, &location.replace("token=", "token=0"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn unknown_things_are_not_found_and_bad_tokens_are_unauthorized() {
    let host = host().await;
    host.push("main", &[("a", Some("1"))], "first");
    for path in [
        "/repos/acme/nothing",
        "/repos/acme/logs/tarball/nothing",
        "/repos/acme/logs/branches/nothing",
        "/repos/acme/logs/git/ref/heads/nothing",
        "/x",
    ] {
        let (status, body) = host.api.get(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(body["message"].is_string(), "{path}: {body}");
    }
    let (status, _) = host.api.get("/repos/acme/logs/commits/nothing").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    for token in [None, Some("wrong".to_owned())] {
        let api = Api { base: host.api.base.clone(), token };
        let (status, body) = api.get("/repos/acme/logs").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    }
}

#[tokio::test]
async fn commits_and_branches_are_shown_also_with_a_slash_in_their_name() {
    let host = host().await;
    host.push("main", &[("a", Some("1"))], "first");
    let commit = host.push("feature/x", &[("b", Some("2"))], "second\n\nwith a body");
    for path in [format!("commits/{commit}"), "commits/feature/x".to_owned()] {
        let (status, shown) = host.api.get(&format!("/repos/acme/logs/{path}")).await;
        assert_eq!(status, StatusCode::OK, "{shown}");
        assert_eq!(shown["sha"], json!(commit));
        assert_eq!(shown["commit"]["message"], "second\n\nwith a body");
        assert_eq!(shown["commit"]["author"]["name"], "Ada");
        assert_eq!(shown["files"], json!([{"filename": "b", "status": "added"}]));
    }
    let (_, reference) = host.api.get("/repos/acme/logs/git/ref/heads/feature/x").await;
    let expected = json!({"ref": "refs/heads/feature/x", "object": {"type": "commit", "sha": commit}});
    assert_eq!(reference, expected);
    let (_, branch) = host.api.get("/repos/acme/logs/branches/feature/x").await;
    assert_eq!((&branch["name"], &branch["commit"]["sha"]), (&json!("feature/x"), &json!(commit)));
    let (_, repository) = host.api.get("/repos/acme/logs").await;
    assert_eq!(repository["default_branch"], "main");
}

#[tokio::test]
async fn commits_are_compared_as_github_does() {
    let host = host().await;
    let first = host.push("main", &[("a", Some("1"))], "first");
    let second = host.push("main", &[("a", Some("2"))], "second");
    git(host.work.path(), &["reset", "--quiet", "--hard", &first]);
    let other = host.push("fix", &[("b", Some("1"))], "other");
    git(host.work.path(), &["switch", "--quiet", "--orphan", "alone"]);
    let alone = host.push("alone", &[("c", Some("1"))], "alone");
    let compare = async |base: &str, head: &str| {
        host.api.get(&format!("/repos/acme/logs/compare/{base}...{head}")).await
    };
    for (base, head, status) in [
        (&second, &second, "identical"),
        (&second, &first, "behind"),
        (&first, &second, "ahead"),
        (&second, &other, "diverged"),
    ] {
        let (code, body) = compare(base, head).await;
        assert_eq!((code, &body["status"]), (StatusCode::OK, &json!(status)), "{body}");
        let listed = body["commits"].as_array().unwrap();
        assert_eq!(json!(listed.len()), body["total_commits"], "{body}");
        assert!(listed.last().is_none_or(|last| last["sha"] == json!(head)), "{body}");
    }
    for (base, head) in [(&second, &alone), (&second, &"0".repeat(40)), (&"0".repeat(40), &second)] {
        assert_eq!(compare(base, head).await.0, StatusCode::NOT_FOUND, "{base} {head}");
    }
}

#[tokio::test]
async fn a_push_is_delivered_signed_with_its_changed_files() {
    let (host, receiver) = (host().await, Receiver::start().await);
    let first = host.push("main", &[("keep", Some("1")), ("gone", Some("1"))], "first");
    let id = host.hook(&receiver, "hush").await;
    eventually("the ping came", || async { (!receiver.of("ping").is_empty()).then_some(()) }).await;
    let second = host.push("main", &[("keep", Some("2")), ("gone", None), ("new", Some("3"))], "second");
    let payload = pushes(&receiver, 1).await.remove(0);
    assert_eq!(payload["ref"], "refs/heads/main");
    assert_eq!((&payload["before"], &payload["after"]), (&json!(first), &json!(second)));
    assert_eq!(
        (&payload["created"], &payload["deleted"], &payload["forced"]),
        (&json!(false), &json!(false), &json!(false))
    );
    assert_eq!(payload["repository"]["full_name"], "acme/logs");
    assert_eq!(payload["repository"]["default_branch"], "main");
    assert_eq!(payload["pusher"], json!({"name": "Ada", "email": "ada@example.com"}));
    let head = &payload["head_commit"];
    assert_eq!(head["id"], json!(second));
    assert_eq!(
        (&head["added"], &head["removed"], &head["modified"]),
        (&json!(["new"]), &json!(["gone"]), &json!(["keep"]))
    );
    assert_eq!(payload["commits"], json!([head]));

    let (headers, body) = receiver.of("push").remove(0);
    let signature = headers["x-hub-signature-256"].to_str().expect("text");
    assert_eq!(signature, format!("sha256={}", hmac_of("hush", &body)));
    assert_eq!(headers["x-github-hook-id"], id.to_string().as_str());
    assert!(headers["user-agent"].to_str().expect("text").starts_with("GitHub-Hookshot/"));
    uuid::Uuid::parse_str(headers["x-github-delivery"].to_str().expect("text")).expect("a UUID");
}

fn hmac_of(secret: &str, body: &[u8]) -> String {
    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[tokio::test]
async fn new_deleted_and_forced_branches_are_distinguished() {
    let (host, receiver) = (host().await, Receiver::start().await);
    host.push("main", &[("a", Some("1"))], "first");
    host.hook(&receiver, "").await;
    let second = host.push("topic", &[("a", Some("2"))], "second");
    git(host.work.path(), &["commit", "--quiet", "--amend", "--message", "another"]);
    git(host.work.path(), &["push", "--quiet", "--force", "origin", "HEAD:refs/heads/topic"]);
    git(host.work.path(), &["push", "--quiet", "origin", ":refs/heads/topic"]);
    let payloads = pushes(&receiver, 3).await;
    let flags =
        |payload: &Value| (payload["created"] == true, payload["deleted"] == true, payload["forced"] == true);
    assert_eq!(
        payloads.iter().map(flags).collect::<Vec<_>>(),
        [(true, false, false), (false, false, true), (false, true, false)]
    );
    assert_eq!(payloads[0]["commits"].as_array().expect("commits").len(), 1, "main's commit is not new");
    assert_eq!(payloads[0]["commits"][0]["id"], json!(second));
    assert_eq!(payloads[2]["head_commit"], Value::Null);
    assert!(!receiver.of("push")[0].0.contains_key("x-hub-signature-256"), "no secret, no signature");
}

#[tokio::test]
async fn a_delivery_is_recorded_and_can_be_repeated_under_its_id() {
    let (host, receiver) = (host().await, Receiver::start().await);
    let id = host.hook(&receiver, "hush").await;
    *receiver.answer.lock().expect("not poisoned") = StatusCode::INTERNAL_SERVER_ERROR;
    host.push("main", &[("a", Some("1"))], "first");
    let list = format!("/repos/acme/logs/hooks/{id}/deliveries");
    let recorded = eventually("the failure was recorded", || async {
        let (_, all) = host.api.get(&list).await;
        all.as_array()?.iter().find(|one| one["event"] == "push").cloned()
    })
    .await;
    assert_eq!((&recorded["status_code"], &recorded["redelivery"]), (&json!(500), &json!(false)));
    let (_, whole) = host.api.get(&format!("{list}/{}", recorded["id"])).await;
    assert_eq!(whole["response"]["payload"], "noted");
    assert_eq!(whole["request"]["payload"]["ref"], "refs/heads/main");

    *receiver.answer.lock().expect("not poisoned") = StatusCode::OK;
    let attempts = format!("{list}/{}/attempts", recorded["id"]);
    let (status, _) = host.api.json(Method::POST, &attempts, None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (_, all) = host.api.get(&list).await;
    let repeated = &all[0];
    assert_eq!((&repeated["guid"], &repeated["redelivery"]), (&recorded["guid"], &json!(true)));
    assert_eq!(repeated["status_code"], 200);
    let sent = receiver.of("push");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].1, sent[1].1, "the very same bytes");
    assert_eq!(sent[0].0["x-github-delivery"], sent[1].0["x-github-delivery"]);
    let (status, _) = host.api.json(Method::POST, &format!("{list}/99999/attempts"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_webhook_receives_only_pushes_after_its_creation() {
    let (host, receiver) = (host().await, Receiver::start().await);
    host.push("main", &[("a", Some("1"))], "before");
    host.hook(&receiver, "hush").await;
    let after = host.push("main", &[("a", Some("2"))], "after");
    let delivered = pushes(&receiver, 1).await;
    assert_eq!(delivered.iter().map(|payload| &payload["after"]).collect::<Vec<_>>(), [&json!(after)]);
}

#[tokio::test]
async fn a_webhook_without_an_address_is_refused_and_one_can_be_removed() {
    let (host, receiver) = (host().await, Receiver::start().await);
    let (status, _) =
        host.api.json(Method::POST, "/repos/acme/logs/hooks", Some(json!({"config": {}}))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let id = host.hook(&receiver, "hush").await;
    let (_, hooks) = host.api.get("/repos/acme/logs/hooks").await;
    assert_eq!(hooks.as_array().expect("a list").len(), 1);
    let (status, _) = host.api.json(Method::DELETE, &format!("/repos/acme/logs/hooks/{id}"), None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, hooks) = host.api.get("/repos/acme/logs/hooks").await;
    assert_eq!(hooks, json!([]));
}

#[tokio::test]
async fn commit_statuses_and_comments_are_kept() {
    let host = host().await;
    let commit = host.push("main", &[("a", Some("1"))], "first");
    let status = json!({"state": "success", "context": "lockstep/logs", "description": "1.0.1", "target_url": "http://x"});
    let (code, _) =
        host.api.json(Method::POST, &format!("/repos/acme/logs/statuses/{commit}"), Some(status)).await;
    assert_eq!(code, StatusCode::CREATED);
    let (_, statuses) = host.api.get(&format!("/repos/acme/logs/commits/{commit}/statuses")).await;
    assert_eq!(statuses[0]["context"], "lockstep/logs");
    let bad = json!({"state": "great"});
    let (code, _) =
        host.api.json(Method::POST, &format!("/repos/acme/logs/statuses/{commit}"), Some(bad)).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let comments = "/repos/acme/logs/issues/7/comments";
    host.api.json(Method::POST, comments, Some(json!({"body": "plan"}))).await;
    assert_eq!(host.api.get(comments).await.1[0]["body"], "plan");
}

#[tokio::test]
async fn a_repository_is_created_over_http_and_its_path_can_be_cloned() {
    let host = host().await;
    let body = json!({"owner": "acme", "name": "second"});
    let (status, made) = host.api.json(Method::POST, "/_lockstep/repositories", Some(body)).await;
    assert_eq!(status, StatusCode::CREATED);
    let clone = tempfile::tempdir().expect("a folder");
    git(clone.path(), &["clone", "--quiet", made["path"].as_str().expect("a path"), "."]);
    let bad = json!({"owner": "acme", "name": "../up"});
    let (status, _) = host.api.json(Method::POST, "/_lockstep/repositories", Some(bad)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// Sends a request to create a repository with exactly these headers. Returns the status.
async fn create_with(host: &Host, method: Method, name: &str, headers: &[(&str, &str)]) -> StatusCode {
    let mut request =
        Request::builder().method(method).uri(format!("{}/_lockstep/repositories", host.api.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::from(json!({"owner": "acme", "name": name}).to_string()));
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(body).expect("a request")).await.expect("a response");
    assert!(response.headers().keys().all(|name| !name.as_str().starts_with("access-control-")));
    response.status()
}

#[tokio::test]
async fn a_web_page_and_a_caller_without_the_token_create_nothing() {
    let host = host().await;
    let authorized = ("authorization", "Bearer secret-token");
    let json = ("content-type", "application/json");
    let port = host.api.base.rsplit(':').next().expect("a port");
    let (rebound, below) = (format!("evil.example:{port}"), format!("evil.localhost:{port}"));
    let signs = [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", host.api.base.as_str()),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("host", rebound.as_str()),
        ("host", below.as_str()),
        ("host", "127.0.0.1"),
        ("host", "127.0.0.1:1"),
    ];
    for sign in signs {
        let status = create_with(&host, Method::POST, "page", &[authorized, json, sign]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{sign:?}");
    }
    let simple = [("content-type", "text/plain"), ("origin", "https://evil.example")];
    assert_eq!(create_with(&host, Method::POST, "page", &simple).await, StatusCode::FORBIDDEN);
    let preflight = [("access-control-request-method", "POST"), authorized];
    assert_eq!(create_with(&host, Method::OPTIONS, "page", &preflight).await, StatusCode::FORBIDDEN);
    for token in [None, Some(("authorization", "Bearer another")), Some(("authorization", "secret-token"))] {
        let headers: Vec<_> = token.into_iter().chain([json]).collect();
        let status = create_with(&host, Method::POST, "page", &headers).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{token:?}");
    }
    assert_eq!(host.api.get("/repos/acme/page").await.0, StatusCode::NOT_FOUND);

    let localhost = format!("localhost:{port}");
    for (name, sign) in [("one", ("host", localhost.as_str())), ("two", ("sec-fetch-site", "none"))] {
        let status = create_with(&host, Method::POST, name, &[authorized, json, sign]).await;
        assert_eq!(status, StatusCode::CREATED, "{sign:?}");
    }
}
