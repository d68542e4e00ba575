//! The common shell of every Lambda function: `main` wires, the shell handles invocations.

use crate::{clock, logging, metrics, scope};
use futures_util::FutureExt as _;
use lambda_runtime::{Diagnostic, LambdaEvent};
use lockstep_domain::messages::ping;
use lockstep_domain::model::error::{Failure, chain};
use lockstep_domain::model::metric::{Dimension, Metric};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tracing::Instrument as _;

/// Handles invocations until Lambda stops the process.
///
/// `init` wires the function once. If it fails, every invocation returns that failure, so that the state machine
/// receives a known name instead of `Runtime.ExitError`. A failure has the `errorType` of its kind, an unreadable
/// payload `Rejected` with the field, a panic `Bug`. The shell answers a ping without the handler.
pub fn serve<S, E, R, H>(init: impl FnOnce() -> Result<S, Failure>, handler: H) -> ExitCode
where
    S: 'static,
    E: DeserializeOwned,
    R: Serialize,
    H: AsyncFn(&S, E) -> Result<R, Failure>,
{
    serve_until(init, async move |state: &S, event, _| handler(state, event).await)
}

/// Handles invocations as [`serve`] does, after `start`, which may call AWS and logs nothing.
pub fn serve_started<S, E, R, H>(
    init: impl FnOnce() -> Result<S, Failure>,
    start: impl AsyncFnOnce(&S),
    handler: H,
) -> ExitCode
where
    S: 'static,
    E: DeserializeOwned,
    R: Serialize,
    H: AsyncFn(&S, E) -> Result<R, Failure>,
{
    run(init, start, async move |state: &S, event, _| handler(state, event).await)
}

/// Handles invocations as [`serve`] does, for a function that needs the deadline of an invocation, from its start.
pub fn serve_until<S, E, R, H>(init: impl FnOnce() -> Result<S, Failure>, handler: H) -> ExitCode
where
    S: 'static,
    E: DeserializeOwned,
    R: Serialize,
    H: AsyncFn(&S, E, Duration) -> Result<R, Failure>,
{
    run(init, async |_: &S| (), handler)
}

fn run<S, E, R, H>(
    init: impl FnOnce() -> Result<S, Failure>,
    start: impl AsyncFnOnce(&S),
    handler: H,
) -> ExitCode
where
    S: 'static,
    E: DeserializeOwned,
    R: Serialize,
    H: AsyncFn(&S, E, Duration) -> Result<R, Failure>,
{
    logging::start();
    let shared = Rc::new((init(), handler));
    let started = Rc::clone(&shared);
    let service = lambda_runtime::service_fn(move |event: LambdaEvent<Value>| {
        let shared = Rc::clone(&shared);
        async move {
            let (state, handler) = &*shared;
            let span = scope::span(&event.context.request_id, &event.payload);
            let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or_default();
            let handler = async |state: &S, event: E| handler(state, event, left).await;
            let outcome = observe(invoke(state, &handler, event.payload)).instrument(span).await;
            outcome.map_err(|failure| Diagnostic {
                error_type: failure.kind.error_type().to_owned(),
                error_message: failure.chain(),
            })
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            if let Ok(state) = &started.0 {
                start(state).await;
            }
            lambda_runtime::Runtime::new(service).run().await
        }),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the runtime ended: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Logs the end of an invocation with its time, and counts a failure.
async fn observe(work: impl Future<Output = Result<Value, Failure>>) -> Result<Value, Failure> {
    let began = Instant::now();
    let outcome = work.await;
    let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &outcome {
        Ok(_) => tracing::info!(elapsed_ms, "the invocation succeeded"),
        Err(failure) => {
            let error = failure.kind.error_type();
            tracing::error!(elapsed_ms, error, "{}", failure.chain());
            metrics::emit(&[(Dimension::Error, error)], &[(Metric::Failures, 1)], clock::now());
        }
    }
    outcome
}

async fn invoke<S, E, R, H>(state: &Result<S, Failure>, handler: &H, payload: Value) -> Result<Value, Failure>
where
    E: DeserializeOwned,
    R: Serialize,
    H: AsyncFn(&S, E) -> Result<R, Failure>,
{
    let state = state.as_ref().map_err(Clone::clone)?;
    // Before the handler, which may call AWS: a ping only asks if the function starts.
    if let Some(answer) = ping::answer(&payload, env!("CARGO_PKG_VERSION")) {
        return Ok(answer);
    }
    let event = parse(payload)?;
    let answer = caught(async { handler(state, event).await }).await?;
    serde_json::to_value(answer)
        .map_err(|error| Failure::bug("the answer cannot be written as JSON").caused_by(&error))
}

/// Parses the payload as the function's own type.
fn parse<E: DeserializeOwned>(payload: Value) -> Result<E, Failure> {
    serde_path_to_error::deserialize(payload).map_err(|error| {
        let field = error.path().to_string();
        let at = if field == "." { String::new() } else { format!(" at {field}") };
        Failure::rejected(format!("the payload is malformed{at}")).caused_by(error.inner())
    })
}

/// Returns the outcome of `work`, including a panic within it.
async fn caught<R>(work: impl Future<Output = Result<R, Failure>>) -> Result<R, Failure> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|panic| Err(Failure::bug(panic_message(&*panic))))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("Lockstep panicked: {}; see the function's log", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::model::error::FailureKind;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize)]
    struct Event {
        stage: lockstep_domain::model::ids::StageName,
    }

    async fn run(init: Result<(), Failure>, payload: Value) -> Result<Value, Failure> {
        let handler = async |(): &(), event: Event| match event.stage.as_str() {
            "panic" => panic!("broken invariant"),
            "fail" => Err(Failure::not_found("no such stage")),
            stage => Ok(json!({ "stage": stage })),
        };
        invoke(&init, &handler, payload).await
    }

    #[tokio::test]
    async fn an_answer_is_the_handlers() {
        assert_eq!(run(Ok(()), json!({"stage": "ci"})).await, Ok(json!({"stage": "ci"})));
        assert_eq!(run(Ok(()), json!({"stage": "fail"})).await.unwrap_err().kind, FailureKind::NotFound);
    }

    #[tokio::test]
    async fn a_malformed_payload_is_rejected_with_its_field() {
        let wrong = run(Ok(()), json!({"stage": "Not A Stage"})).await.unwrap_err();
        assert_eq!(wrong.kind, FailureKind::Rejected);
        let text = wrong.chain();
        assert!(text.starts_with("the payload is malformed at stage: 'Not A Stage'"), "{text}");
        let missing = run(Ok(()), json!({})).await.unwrap_err();
        assert!(missing.chain().contains("missing field `stage`"), "{missing}");
    }

    #[tokio::test]
    async fn a_panic_is_a_bug_and_the_process_continues() {
        let bug = run(Ok(()), json!({"stage": "panic"})).await.unwrap_err();
        assert_eq!(bug.kind, FailureKind::Bug);
        assert!(bug.message.contains("broken invariant"), "{bug}");
        assert!(run(Ok(()), json!({"stage": "ci"})).await.is_ok());
    }

    #[tokio::test]
    async fn a_ping_is_answered_with_the_version_and_does_not_reach_the_handler() {
        let answer = run(Ok(()), ping::question()).await.unwrap();
        assert_eq!(answer, json!({"lockstep": "pong", "version": env!("CARGO_PKG_VERSION")}));
    }

    #[tokio::test]
    async fn a_ping_does_not_hide_that_a_function_could_not_start() {
        let failure = Failure::bug("the function's environment lacks LOCKSTEP_TABLE");
        assert_eq!(run(Err(failure.clone()), ping::question()).await, Err(failure));
    }

    #[tokio::test]
    async fn a_request_to_the_functions_url_is_never_a_ping() {
        let asked = ping::question().to_string();
        let encoded = "eyJsb2Nrc3RlcCI6InBpbmcifQ==";
        // All parts of a request that its sender chooses: path, query, headers, cookies, body.
        let request = |body: &str, base64: bool| {
            json!({
                "version": "2.0", "rawPath": asked, "rawQueryString": "lockstep=ping", "cookies": ["lockstep=ping"],
                "headers": {"lockstep": "ping"}, "queryStringParameters": {"lockstep": "ping"},
                "requestContext": {"timeEpoch": 0, "http": {"method": "POST", "path": asked}},
                "body": body, "isBase64Encoded": base64,
            })
        };
        let handler = async |(): &(), _: crate::function_url::UrlRequest| Ok(json!({"by": "the handler"}));
        for request in [request(&asked, false), request(encoded, true)] {
            let answer = invoke(&Ok(()), &handler, request).await;
            assert_eq!(answer, Ok(json!({"by": "the handler"})));
        }
    }

    #[tokio::test]
    async fn a_function_that_could_not_start_fails_every_invocation() {
        let failure = Failure::bug("the function's environment lacks LOCKSTEP_TABLE");
        assert_eq!(run(Err(failure.clone()), json!({"stage": "ci"})).await, Err(failure));
    }
}
