//! The control plane's account, struck where the case says so.

use crate::faults::{Faults, Kind, Pause, Site};
use crate::{FakeAws, Interceptor, Reply, Request};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;

/// An interceptor that strikes requests, and gives other tasks a turn before each request, as a network does.
pub struct FaultyAccount(Arc<Faults>);

impl FaultyAccount {
    /// Returns an interceptor that strikes with `faults`.
    pub fn new(faults: &Arc<Faults>) -> Self {
        Self(Arc::clone(faults))
    }
}

impl Interceptor for FaultyAccount {
    fn intercept<'a>(
        &'a self,
        request: Request,
        account: &'a FakeAws,
    ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            cross(&self.0, &request, || account.serve(&request)).await
        })
    }
}

/// Serves a request, or does what the case makes of it. Returns `None` if the reply is lost.
pub async fn cross(faults: &Faults, request: &Request, serve: impl Fn() -> Reply + Send) -> Option<Reply> {
    let name = format!("{} {}", request.operation, subject(request));
    let refusal =
        |status: u16, error: &str| Some((status, json!({"__type": error, "message": "struck"}).to_string()));
    match faults.meet(name.trim(), site(request)) {
        None | Some(Kind::Stale) => Some(serve()),
        Some(Kind::Before) => refusal(500, "InternalServerError"),
        Some(Kind::Throttled) => refusal(400, "ThrottlingException"),
        Some(Kind::Lost) => {
            serve();
            None
        }
        Some(Kind::Twice) => {
            serve();
            Some(serve())
        }
        Some(Kind::Crash) => {
            serve();
            faults.pause(Pause::Crash).await;
            None
        }
        Some(kind @ (Kind::Superseded | Kind::Slow)) => {
            faults.pause(if kind == Kind::Slow { Pause::Slow } else { Pause::Superseded }).await;
            Some(serve())
        }
    }
}

fn site(request: &Request) -> Site {
    match request.operation.as_str() {
        "GetItem" | "Query" | "DescribeExecution" | "GetSecretValue" => Site::Consistent,
        _ => Site::Write,
    }
}

/// Returns the kinds or the partition that a request is about, in a word.
fn subject(request: &Request) -> String {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let kind = |item: &Value| item["kind"]["S"].as_str().unwrap_or_default().to_owned();
    match request.operation.as_str() {
        "PutItem" => kind(&body["Item"]),
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().into_iter().flatten();
            items.map(|item| kind(&item["Put"]["Item"])).collect::<Vec<_>>().join("+")
        }
        "GetItem" | "DeleteItem" => {
            let pk = body["Key"]["pk"]["S"].as_str().unwrap_or_default();
            pk.split('#').next().unwrap_or_default().to_owned()
        }
        _ => String::new(),
    }
}
