//! Common code of the integration tests: the folder of the emulator's installation, a client, waiting, a
//! webhook receiver.

#![allow(dead_code, reason = "each test file uses a part of it")]

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lockstep_local::{CloudOptions, LocalCloud};
use serde_json::Value;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Returns the folder of one installation for all tests, kept between runs: an installation takes longer than
/// the tests.
pub fn state_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("local")
}

/// Starts a cloud.
pub async fn cloud() -> LocalCloud {
    LocalCloud::start(CloudOptions::new(state_dir()), |step| eprintln!("{step}"))
        .await
        .expect("the cloud starts")
}

/// Repeats `look` until it returns a value. Panics with `what` after half a minute.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 seconds: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the Python that has the emulator's packages.
pub fn emulator_python() -> PathBuf {
    state_dir().join("emulator-venv/bin/python")
}

/// Runs a Python with the overlay's source.
pub fn run(python: &Path, cloud: &LocalCloud, arguments: &[&str]) -> std::process::Output {
    run_with(python, cloud, arguments, &[])
}

/// Runs a Python with the overlay's source and more variables of the environment.
pub fn run_with(
    python: &Path,
    cloud: &LocalCloud,
    arguments: &[&str],
    variables: &[(&str, &Path)],
) -> std::process::Output {
    Command::new(python)
        .args(arguments)
        .env("PYTHONPATH", env!("CARGO_MANIFEST_DIR"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LOCKSTEP_TEST_ENDPOINT", cloud.endpoint())
        .env("LOCKSTEP_TEST_ROOT_SECRETS", cloud.root_secrets().to_json())
        .envs(variables.iter().copied())
        .output()
        .expect("python runs")
}

/// A client of an HTTP API with a token.
pub struct Api {
    pub base: String,
    pub token: Option<String>,
}

/// Status, headers and body of a response.
pub type HttpResponse = (StatusCode, HeaderMap, Bytes);

impl Api {
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> HttpResponse {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let mut request =
            Request::builder().method(method).uri(url).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let (parts, body) = client.request(request).await.expect("an answer").into_parts();
        (parts.status, parts.headers, body.collect().await.expect("a body").to_bytes())
    }

    pub async fn json(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, _, body) = self.send(method, path, body).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.json(Method::GET, path, None).await
    }
}

/// Receiver of webhook deliveries that answers with a status.
pub struct Receiver {
    pub url: String,
    pub received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    pub answer: Arc<Mutex<StatusCode>>,
}

impl Receiver {
    pub async fn start() -> Self {
        type Shared = (Arc<Mutex<Vec<(HeaderMap, Bytes)>>>, Arc<Mutex<StatusCode>>);
        async fn take(
            State((received, answer)): State<Shared>,
            request: Request<Body>,
        ) -> (StatusCode, String) {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            received.lock().expect("not poisoned").push((parts.headers, body));
            (*answer.lock().expect("not poisoned"), "noted".to_owned())
        }
        let received = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(StatusCode::OK));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let router = axum::Router::new()
            .route("/hook", axum::routing::post(take))
            .with_state((received.clone(), answer.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, received, answer }
    }

    /// Returns the deliveries of an event so far: headers and payload.
    pub fn of(&self, event: &str) -> Vec<(HeaderMap, Bytes)> {
        let received = self.received.lock().expect("not poisoned");
        received.iter().filter(|(headers, _)| headers["x-github-event"] == event).cloned().collect()
    }
}
