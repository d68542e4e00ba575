//! Between the functions and DynamoDB, Lambda and Step Functions: faults, and a record of every write.

use crate::bugs::Bug;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::faults::Faults;
use lockstep_sim::faulty::cross;
use lockstep_sim::{FakeAws, Interceptor, Reply, Request, TABLE};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a call takes.
const CALL_TIME: Duration = Duration::from_millis(20);

/// A record as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// When.
    pub at: jiff::Timestamp,
    /// The kind of record.
    pub kind: String,
    /// Its partition key.
    pub pk: String,
    /// Its body, as DynamoDB JSON.
    pub body: Value,
}

/// The interceptor of one case.
pub struct Wire {
    /// What strikes.
    pub faults: Arc<Faults>,
    /// The time.
    pub clock: VirtualClock,
    /// The mistake that is planted.
    pub bug: Option<Bug>,
    /// Everything that was written, in order.
    pub written: Arc<Mutex<Vec<Written>>>,
    /// Items before their last write, and when that was: what a read that is not consistent may show.
    pub past: Mutex<BTreeMap<String, (jiff::Timestamp, Reply)>>,
}

impl Wire {
    /// Serves a request, and remembers what it wrote.
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

    /// What an inconsistent read shows for a moment after a write.
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
}

/// The items that a request would write.
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
            let mut reply = cross(&self.faults, &request, || self.serve(&request, account)).await;
            if let (Some(bug), Some(reply)) = (self.bug, &mut reply) {
                bug.twist_reply(&request, reply);
            }
            reply
        })
    }
}
