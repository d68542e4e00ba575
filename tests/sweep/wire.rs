//! The interceptor between the functions and DynamoDB, Lambda and Step Functions: injects faults, and records every
//! write.

use crate::bugs::Bug;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::faults::{Faults, Kind, Pause, Site};
use lockstep_sim::{FakeAws, Interceptor, Reply, Request, TABLE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The duration of a call.
const CALL_TIME: Duration = Duration::from_millis(20);

/// A record that a function wrote.
#[derive(Clone, Debug)]
pub struct Written {
    /// The time of the write.
    pub at: jiff::Timestamp,
    /// The kind of record.
    pub kind: String,
    /// The partition key.
    pub pk: String,
    /// The body, as DynamoDB JSON.
    pub body: Value,
}

/// The interceptor of one case.
pub struct Wire {
    pub faults: Arc<Faults>,
    pub clock: VirtualClock,
    /// The planted mistake.
    pub bug: Option<Bug>,
    /// Every write, in order.
    pub written: Arc<Mutex<Vec<Written>>>,
    /// Each item before its last write, and the time of that write: an inconsistent read may return it.
    pub past: Mutex<BTreeMap<String, (jiff::Timestamp, Reply)>>,
}

impl Wire {
    /// Handles a request, and records its writes.
    fn serve(&self, request: &Request, account: &FakeAws) -> Reply {
        self.clock.advance(CALL_TIME);
        if let Some(reply) = self.bug.and_then(|bug| bug.swallows(request)) {
            return reply;
        }
        if self.bug == Some(Bug::StaleLedger) {
            if let Some(stale) = self.stale(request) {
                return stale;
            }
            self.keep_what_was(request, account);
        }
        let reply = account.serve(request);
        if reply.0 == 200 {
            self.remember(request);
        }
        reply
    }

    /// Returns the reply of an inconsistent read for a moment after a write.
    fn stale(&self, request: &Request) -> Option<Reply> {
        let body: Value = serde_json::from_str(&request.body).ok()?;
        let inconsistent = request.operation == "GetItem" && body["ConsistentRead"] != true;
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reply) = past.get(&body["Key"].to_string()).filter(|_| inconsistent)?;
        (self.clock.now().duration_since(*at) < jiff::SignedDuration::from_secs(1)).then(|| reply.clone())
    }

    fn keep_what_was(&self, request: &Request, account: &FakeAws) {
        for item in puts(request) {
            let key = json!({"pk": item["pk"], "sk": item["sk"]});
            let get = json!({"TableName": TABLE, "Key": key, "ConsistentRead": true}).to_string();
            let get = Request { operation: "GetItem".into(), function: String::new(), body: get };
            let was = (self.clock.now(), account.serve(&get));
            self.past.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_string(), was);
        }
    }

    fn remember(&self, request: &Request) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |value: &Value| value["S"].as_str().unwrap_or_default().to_owned();
        written.extend(puts(request).into_iter().map(|item| Written {
            at: self.clock.now(),
            kind: text(&item["kind"]),
            pk: text(&item["pk"]),
            body: item["body"]["M"].clone(),
        }));
    }

    async fn strike(&self, request: &Request, account: &FakeAws, kind: Kind) -> Option<Reply> {
        match kind {
            Kind::Before => {
                Some((500, json!({"__type": "InternalServerError", "message": "struck"}).to_string()))
            }
            Kind::Throttled => {
                Some((400, json!({"__type": "ThrottlingException", "message": "struck"}).to_string()))
            }
            Kind::Lost => {
                self.serve(request, account);
                None
            }
            Kind::Twice => {
                self.serve(request, account);
                Some(self.serve(request, account))
            }
            Kind::Crash => {
                self.serve(request, account);
                self.faults.pause(Pause::Crash).await;
                None
            }
            Kind::Superseded | Kind::Slow => {
                let why = if kind == Kind::Slow { Pause::Slow } else { Pause::Superseded };
                self.faults.pause(why).await;
                Some(self.serve(request, account))
            }
            Kind::Stale => Some(self.serve(request, account)),
        }
    }
}

/// Returns the items that a request would write.
fn puts(request: &Request) -> Vec<Value> {
    let mut body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let puts = match request.operation.as_str() {
        "PutItem" => vec![body["Item"].take()],
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array_mut().into_iter().flatten();
            items.map(|item| item["Put"]["Item"].take()).collect()
        }
        _ => Vec::new(),
    };
    puts.into_iter().filter(Value::is_object).collect()
}

/// Returns the subject of a request in a word.
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

impl Interceptor for Wire {
    fn intercept<'a>(
        &'a self,
        mut request: Request,
        account: &'a FakeAws,
    ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(bug) = self.bug {
                bug.twist_request(&mut request);
            }
            let site = match request.operation.as_str() {
                "GetItem" | "Query" | "DescribeExecution" => Site::Consistent,
                _ => Site::Write,
            };
            let name = format!("{} {}", request.operation, subject(&request));
            let mut reply = match self.faults.meet(name.trim(), site) {
                None => Some(self.serve(&request, account)),
                Some(kind) => self.strike(&request, account, kind).await,
            };
            if let (Some(bug), Some(reply)) = (self.bug, &mut reply) {
                bug.twist_reply(&request, reply);
            }
            reply
        })
    }
}
