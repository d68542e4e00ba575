//! The log lines of each function's binary, which runs as in Lambda.
//!
//! One server plays Lambda's runtime API and AWS. Its ledger is the engine of the other tests. It denies every other
//! call, so that each function also logs a failure.

use crate::operations::{FUNCTIONS, binaries};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use lockstep_aws::config::Setting;
use lockstep_cli::functions::SHIPPED;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{DeploymentId, Digest};
use lockstep_domain::model::location::Location;
use lockstep_domain::model::metric::Metric;
use lockstep_domain::records::{
    BuildImageBody, Callback, CallbackState, DeployBody, Deployment, DeploymentStart, PromoteImageBody,
    StackRun, Table,
};
use lockstep_sim::{FakeAws, Request};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::Notify;

const EXECUTION: &str = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-delivery-deploy:4f1c-2.1.0";
const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";
const OPERATION: &str = "arn:aws:cloudformation:eu-west-1:222222222222:stack/lockstep-ci-web/1#token";

/// Texts that no log line may hold: settings, credentials, tokens and what a caller sends to prove who it is.
const SECRETS: [&str; 7] = [
    "secret-external-id",
    "secret-access-key",
    "secret-session-token",
    "secret-task-token",
    "secret-signature",
    "secret-body",
    "c2VjcmV0LWtleQ",
];

/// Returns one request for a function, and the fields that its log lines carry beside the request id.
fn request(function: &str) -> (Value, Value) {
    let deployment = DeploymentId::of_execution(EXECUTION);
    let task = json!({
        "token": "secret-task-token", "execution": EXECUTION, "entered_at": "2026-01-01T00:00:00Z", "retry": 0,
    });
    let of_record = |action: &str| {
        json!({
            "action": action, "deployment": deployment, "execution": EXECUTION, "component": "web", "stage": "ci",
        })
    };
    let of_image = |action: &str| {
        json!({
            "action": action, "deployment": deployment, "execution": EXECUTION, "image": "logstash", "stage": "ci",
        })
    };
    let url = |headers: Value| {
        json!({
            "version": "2.0", "rawPath": "/hooks/github.acme.logs", "headers": headers,
            "requestContext": {"timeEpoch": 0, "http": {"method": "POST", "path": "/hooks/github.acme.logs"}},
            "body": "secret-body", "isBase64Encoded": false,
        })
    };
    match function {
        "ledger" => (json!({"action": "complete", "deployment": deployment}), of_record("complete")),
        "stack" => {
            (json!({"action": "execute", "deployment": deployment, "task": task}), of_record("execute"))
        }
        "verify" => {
            let mut fields = of_record("");
            fields.as_object_mut().unwrap().remove("action");
            (json!({"deployment": deployment, "since": "2026-01-02T03:04:05Z", "retry": 0}), fields)
        }
        "drift" => (
            json!({"action": "look", "stage": "ci", "environment": "web"}),
            json!({"action": "look", "stage": "ci"}),
        ),
        "image" => (json!({"action": "copy", "promotion": deployment, "task": task}), of_image("copy")),
        "bake" => (json!({"action": "build", "build": deployment, "task": task}), of_image("build")),
        "package" => {
            let commit = "0".repeat(40);
            let request = json!({
                "action": "commit", "repository": "github.acme.logs", "ref": "refs/heads/main", "commit": commit,
                "execution": EXECUTION,
            });
            let fields = json!({
                "action": "commit", "repository": "github.acme.logs", "commit": commit, "execution": EXECUTION,
            });
            (request, fields)
        }
        "resume" => (json!({ "wake": OPERATION }), json!({"execution": EXECUTION, "deployment": deployment})),
        "sweep" => (json!({}), json!({})),
        "webhook" => (url(json!({"x-hub-signature-256": "sha256=secret-signature"})), json!({})),
        "elb-logs" => (
            json!({"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": "secret-body"}]}),
            json!({}),
        ),
        "log-intake" => (url(json!({"authorization": "Bearer lsk_shop.1_c2VjcmV0LWtleQ"})), json!({})),
        other => panic!("no request for {other}"),
    }
}

/// Returns the deployment that the request of a function names.
fn deployment(function: &str) -> Deployment {
    let at =
        |account: &str| Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() };
    let start = DeploymentStart {
        id: DeploymentId::of_execution(EXECUTION),
        execution: EXECUTION.to_owned(),
        version: "2.1.0".parse().unwrap(),
        stage: "ci".parse().unwrap(),
        location: at("222222222222"),
        path: DeploymentPath::Delivery,
        at: Timestamp::UNIX_EPOCH,
    };
    let image = "logstash".parse().unwrap();
    match function {
        "image" => Deployment::new(start, PromoteImageBody { image, source: at("333333333333"), plan: None }),
        "bake" => {
            let build = BuildImageBody {
                artifact: "recipes/logstash/d.zip".into(),
                before: None,
                image,
                base: "ami-0123456789abcdef0".parse().unwrap(),
                commit: "0".repeat(40).parse().unwrap(),
                repository: "acme/logs".into(),
                built_at: Timestamp::UNIX_EPOCH,
                recipe_version: None,
            };
            Deployment::new(start, build)
        }
        _ => {
            let stack =
                StackRun::new("web".parse().unwrap(), "web".into(), "lockstep-ci-web".parse().unwrap());
            let digest = Digest::of(b"release");
            let repository = "github.acme.logs".parse().unwrap();
            Deployment::new(start, DeployBody::new(stack, digest.clone(), digest, repository))
        }
    }
}

/// State of the server.
struct Lambda {
    aws: FakeAws,
    event: Mutex<Option<Value>>,
    ended: Notify,
}

/// Plays the runtime API for paths of its version, and AWS for the rest.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
async fn serve(
    State(lambda): State<Arc<Lambda>>,
    _: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(call) = uri.path().strip_prefix("/2018-06-01/runtime/") {
        if call != "invocation/next" {
            lambda.ended.notify_one();
            return StatusCode::ACCEPTED.into_response();
        }
        let event = lambda.event.lock().unwrap().take();
        let Some(event) = event else { return std::future::pending().await };
        let deadline = (Timestamp::now().as_millisecond() + 20_000).to_string();
        let arn = "arn:aws:lambda:eu-west-1:111111111111:function:lockstep";
        let headers = [
            ("lambda-runtime-aws-request-id", REQUEST_ID),
            ("lambda-runtime-deadline-ms", deadline.as_str()),
            ("lambda-runtime-invoked-function-arn", arn),
            ("lambda-runtime-trace-id", "Root=1"),
        ];
        return (headers, event.to_string()).into_response();
    }
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    match target.strip_prefix("DynamoDB_20120810.") {
        Some(operation) => {
            let body = String::from_utf8(body.to_vec()).unwrap();
            let request = Request { operation: operation.to_owned(), function: String::new(), body };
            let (status, reply) = lambda.aws.serve(&request);
            (StatusCode::from_u16(status).unwrap(), reply).into_response()
        }
        None => {
            let denied = json!({"__type": "AccessDeniedException", "message": "denied"});
            (StatusCode::BAD_REQUEST, denied.to_string()).into_response()
        }
    }
}

fn environment(function: &str, address: &str) -> BTreeMap<&'static str, String> {
    let mut variables: BTreeMap<&'static str, String> = Setting::ALL
        .iter()
        .chain(&Setting::OF_LOGS)
        .chain(&Setting::OF_INTAKE)
        .map(|setting| (setting.variable(), "x".to_owned()))
        .collect();
    variables.extend([
        (Setting::Table.variable(), Table::Applications.name().to_owned()),
        (Setting::Path.variable(), "delivery".to_owned()),
        (Setting::Callers.variable(), "delivery".to_owned()),
        (Setting::Administrators.variable(), "many".to_owned()),
        (Setting::ExternalId.variable(), "secret-external-id".to_owned()),
        (Setting::Output.variable(), "beats://127.0.0.1:9".to_owned()),
        (Setting::LogFormat.variable(), "detect".to_owned()),
        (Setting::LogFields.variable(), "ecs".to_owned()),
        (Setting::EventsPerSecond.variable(), "1".to_owned()),
        (Setting::Burst.variable(), "1".to_owned()),
        ("AWS_LAMBDA_RUNTIME_API", address.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", format!("lockstep-{function}")),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret-access-key".to_owned()),
        ("AWS_SESSION_TOKEN", "secret-session-token".to_owned()),
    ]);
    variables.remove(Setting::OutputAuthority.variable());
    variables
}

/// Runs one invocation of a function's binary, and returns what it prints.
async fn printed(function: &str, event: Value) -> String {
    let aws = FakeAws::new();
    let state = CallbackState::Open {
        token: "secret-task-token".into(),
        execution: EXECUTION.into(),
        entered_at: Timestamp::UNIX_EPOCH,
        retry: 0,
    };
    aws.put(&Callback { operation: OPERATION.into(), state, at: Timestamp::UNIX_EPOCH });
    aws.put(&deployment(function));
    let lambda = Arc::new(Lambda { aws, event: Mutex::new(Some(event)), ended: Notify::new() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().fallback(serve).with_state(Arc::clone(&lambda));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let mut child = Command::new(&binaries()[function])
        .env_clear()
        .envs(environment(function, &address))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), lambda.ended.notified()).await;
    child.kill().await.unwrap();
    server.abort();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
    assert!(ended.is_ok(), "{function} did not answer: {out}\n{err}");
    assert_eq!(err, "", "{function}");
    out
}

/// Checks that each metric of a line is a row of the table, and that the line has a value for it and each dimension.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
fn assert_is_in_the_table(line: &Value) {
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        let (namespace, name) = (&directive["Namespace"], &directive["Metrics"][0]["Name"]);
        let row = Metric::ALL.iter().map(|metric| metric.definition());
        let mut rows = row.filter(|row| *namespace == row.namespace && *name == row.name);
        let row = rows.next().unwrap_or_else(|| panic!("{line}"));
        let sets = row.dimensions.iter().map(|set| set.iter().map(|d| d.as_str()).collect::<Vec<_>>());
        assert_eq!(directive["Dimensions"], json!(sets.collect::<Vec<_>>()), "{line}");
        assert!(line[row.name].is_u64(), "{line}");
        for dimension in row.dimensions.iter().copied().flatten() {
            let value = line[dimension.as_str()].as_str();
            assert!(value.is_some_and(|value| !value.is_empty()), "{line}");
        }
    }
}

#[test]
fn the_log_lines_of_each_function_carry_the_fields_and_no_secret() {
    binaries();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for function in FUNCTIONS.into_iter().chain(SHIPPED) {
        let (event, fields) = request(function);
        let out = runtime.block_on(printed(function, event));
        for secret in SECRETS {
            assert!(!out.contains(secret), "{function} logs {secret}: {out}");
        }
        let lines = out.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{function} logs {line}"))
        });
        let (metrics, lines): (Vec<Value>, Vec<Value>) = lines.partition(|line| line.get("_aws").is_some());
        for line in &metrics {
            assert_is_in_the_table(line);
        }
        for line in &lines {
            assert_eq!(line["span"]["request_id"], REQUEST_ID, "{function}: {line}");
        }
        let last = lines.last().unwrap_or_else(|| panic!("{function} logs no line"));
        assert!(last["elapsed_ms"].is_u64() && last["level"].is_string(), "{last}");
        let mut span = last["span"].as_object().unwrap().clone();
        span.retain(|name, _| name != "request_id" && name != "name");
        assert_eq!(Value::Object(span), fields, "{function}: {out}");
    }
}
