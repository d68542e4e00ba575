//! A fake of S3, SQS and Lambda's Runtime API on one loopback port, with the operations that the function needs.

use aws_credential_types::Credentials;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::body::Frame;
use lockstep_aws::aws::Aws;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

pub const BUCKET: &str = "logs";
pub const QUARANTINE: &str = "quarantined";

/// Response or error of a function.
pub type Outcome = Result<Value, Value>;

/// Fake account. Clones share one state.
#[derive(Clone)]
pub struct FakeAccount {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<Inner>,
    offered: Notify,
    answers: mpsc::UnboundedSender<Outcome>,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Bytes>,
    /// Bytes that each of the next GetObject calls omits at the end of the body.
    cuts: VecDeque<usize>,
    /// Messages that were sent to the queue.
    sent: Vec<Value>,
    /// Number of the next PutObject calls that fail.
    put_failures: u32,
    /// Payload and time limit of the next invocation.
    next: Option<(Value, Duration)>,
}

impl FakeAccount {
    /// Starts the account. The receiver gets the responses of the functions that poll it.
    pub async fn start() -> (Self, mpsc::UnboundedReceiver<Outcome>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answers, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared { state: Mutex::default(), offered: Notify::new(), answers });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Self { address, shared }, receiver)
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn queue_url(&self) -> String {
        format!("http://{}/111111111111/logs", self.address)
    }

    pub fn aws(&self) -> Aws {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        Aws::at("eu-west-1", &self.endpoint(), credentials).unwrap()
    }

    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        self.state().objects.insert(format!("/{BUCKET}/{key}"), bytes.into());
    }

    /// Cuts so many bytes from the bodies of the next GetObject calls.
    pub fn cut(&self, cuts: impl IntoIterator<Item = usize>) {
        self.state().cuts.extend(cuts);
    }

    /// Makes the next `count` PutObject calls fail.
    pub fn fail_puts(&self, count: u32) {
        self.state().put_failures = count;
    }

    /// Returns the objects in quarantine, by key.
    pub fn quarantine(&self) -> BTreeMap<String, Bytes> {
        let prefix = format!("/{QUARANTINE}/");
        let state = self.state();
        let found =
            state.objects.iter().filter_map(|(path, bytes)| Some((path.strip_prefix(&prefix)?, bytes)));
        found.map(|(key, bytes)| (key.to_owned(), bytes.clone())).collect()
    }

    /// Returns the messages that were sent to the queue since the last call.
    pub fn take_sent(&self) -> Vec<Value> {
        std::mem::take(&mut self.state().sent)
    }

    /// Offers an invocation to the function that polls.
    pub fn offer(&self, payload: Value, left: Duration) {
        self.state().next = Some((payload, left));
        self.shared.offered.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, Inner> {
        self.shared.state.lock().unwrap()
    }
}

/// Returns a notification of S3 for `key`, as the queue delivers it.
pub fn by_queue(key: &str) -> Value {
    let record = json!({
        "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}},
    });
    message(&json!({"Records": [record]}))
}

/// Returns a message as the queue delivers it.
pub fn message(body: &Value) -> Value {
    json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": body.to_string()}]})
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (method, path, headers) = (parts.method, decoded(parts.uri.path()), parts.headers);
    if let Some(path) = path.strip_prefix("/2018-06-01/runtime/invocation/") {
        return if path == "next" { next(&shared).await } else { answered(&shared, path, body).await };
    }
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if headers.contains_key("x-amz-target") {
        let sent: Value = serde_json::from_slice(&bytes).unwrap();
        let body = serde_json::from_str(sent["MessageBody"].as_str().unwrap()).unwrap();
        shared.state.lock().unwrap().sent.push(body);
        return reply(StatusCode::OK, json!({"MessageId": "m"}).to_string());
    }
    let mut state = shared.state.lock().unwrap();
    match method {
        Method::GET => get(&mut state, &path, &headers),
        Method::PUT => put(&mut state, path, &headers, &bytes),
        _ => reply(StatusCode::NOT_IMPLEMENTED, ""),
    }
}

/// Decodes the percent encoding of a path.
fn decoded(path: &str) -> String {
    let form = format!("path={}", path.replace('+', "%2B"));
    url::form_urlencoded::parse(form.as_bytes()).next().unwrap().1.into_owned()
}

fn reply(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
}

fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    reply(status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

/// Returns an ETag. Length and checksum are enough of a hash here.
fn etag(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    format!("\"{:x}-{sum:x}\"", bytes.len())
}

fn get(state: &mut Inner, path: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(bytes) = state.objects.get(path).cloned() else {
        return refusal(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    if headers.get(header::IF_MATCH).is_some_and(|wanted| *wanted != etag(&bytes)[..]) {
        return refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let range = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let rest = bytes.slice(from.unwrap_or(0)..);
    let cut = state.cuts.pop_front().unwrap_or(0).min(rest.len());
    Response::builder()
        .status(if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK })
        .header(header::ETAG, etag(&bytes))
        .header(header::LAST_MODIFIED, "Thu, 26 Nov 2026 00:00:00 GMT")
        .header(header::CONTENT_LENGTH, rest.len())
        .body(Body::new(Broken {
            bytes: Some(rest.slice(..rest.len() - cut)),
            breaks: cut > 0,
            waited: false,
        }))
        .unwrap()
}

/// A body that may end with a fault.
struct Broken {
    bytes: Option<Bytes>,
    breaks: bool,
    waited: bool,
}

impl HttpBody for Broken {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.breaks {
            return Poll::Ready(None);
        }
        // The bytes before the fault are sent first.
        if !std::mem::replace(&mut self.waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(std::io::Error::other("the connection broke"))))
    }
}

fn put(state: &mut Inner, path: String, headers: &HeaderMap, bytes: &Bytes) -> Response<Body> {
    assert_eq!(headers.get(header::IF_NONE_MATCH).unwrap(), "*");
    assert!(!headers.contains_key(header::CONTENT_ENCODING), "bytes are stored as they are");
    if state.put_failures > 0 {
        state.put_failures -= 1;
        return refusal(StatusCode::FORBIDDEN, "AccessDenied");
    }
    if state.objects.contains_key(&path) {
        return refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    state.objects.insert(path, bytes.clone());
    reply(StatusCode::OK, "")
}

async fn next(shared: &Shared) -> Response<Body> {
    loop {
        if let Some((payload, left)) = shared.state.lock().unwrap().next.take() {
            let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + left;
            return Response::builder()
                .header("lambda-runtime-aws-request-id", "request")
                .header("lambda-runtime-deadline-ms", deadline.as_millis().to_string())
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:eu-west-1:111111111111:function:elb-logs",
                )
                .body(Body::from(payload.to_string()))
                .unwrap();
        }
        shared.offered.notified().await;
    }
}

async fn answered(shared: &Shared, path: &str, body: Body) -> Response<Body> {
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let value = serde_json::from_slice(&bytes).unwrap_or_default();
    let answer = if path.ends_with("/response") { Ok(value) } else { Err(value) };
    // A test that dropped the receiver needs no more responses.
    let _ = shared.answers.send(answer);
    reply(StatusCode::ACCEPTED, "")
}
