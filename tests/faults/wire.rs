//! The interceptor between the functions and DynamoDB, Lambda and Step Functions: injects faults, and records every
//! write.

use crate::bugs::Bug;
use crate::units::Units;
use lockstep_sim::clock::VirtualClock;
use lockstep_sim::faults::Faults;
use lockstep_sim::faulty::cross;
use lockstep_sim::{FakeAws, Interceptor, Reply, Request};
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
    /// Function and action that wrote it.
    pub by: String,
    /// Partition keys of the records that the same transaction checks and does not write.
    pub checked: Vec<String>,
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
    /// The write units, once they are counted: that costs a read for each write.
    pub units: Mutex<Option<Units>>,
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
        let units = self.units().map(|before| before.and(Units::of(request, account)));
        let reply = account.serve(request);
        if reply.0 == 200 {
            self.remember(request);
            *self.units.lock().unwrap_or_else(PoisonError::into_inner) = units;
        }
        reply
    }

    /// Counts write units from now on.
    pub fn count_units(&self) {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner) = Some(Units::default());
    }

    /// Returns the write units so far, if they are counted.
    pub fn units(&self) -> Option<Units> {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reply of an inconsistent read for a moment after a write.
    fn stale(&self, request: &Request) -> Option<Reply> {
        let body: Value = serde_json::from_str(&request.body).ok()?;
        let inconsistent = request.operation == "GetItem" && body["ConsistentRead"] != true;
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, reply) = past.get(&identity(&body["TableName"], &body["Key"])).filter(|_| inconsistent)?;
        (self.clock.now().duration_since(*at) < jiff::SignedDuration::from_secs(1)).then(|| reply.clone())
    }

    fn keep_what_was(&self, request: &Request, account: &FakeAws) {
        for put in puts(request) {
            let (table, item) = (&put["TableName"], &put["Item"]);
            let key = json!({"pk": item["pk"], "sk": item["sk"]});
            let get = json!({"TableName": table, "Key": key, "ConsistentRead": true}).to_string();
            let get = Request { operation: "GetItem".into(), function: String::new(), body: get };
            let was = (self.clock.now(), account.serve(&get));
            self.past.lock().unwrap_or_else(PoisonError::into_inner).insert(identity(table, &key), was);
        }
    }

    fn remember(&self, request: &Request) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |value: &Value| value["S"].as_str().unwrap_or_default().to_owned();
        let (by, checked) = (self.faults.caller(), checked(request));
        written.extend(puts(request).into_iter().map(|put| Written {
            at: self.clock.now(),
            kind: text(&put["Item"]["kind"]),
            pk: text(&put["Item"]["pk"]),
            body: put["Item"]["body"]["M"].clone(),
            by: by.clone(),
            checked: checked.clone(),
        }));
    }
}

/// Returns the text that identifies an item of a table.
fn identity(table: &Value, key: &Value) -> String {
    format!("{table} {key}")
}

/// Returns the writes of items in a request, each with its table.
fn puts(request: &Request) -> Vec<Value> {
    let mut body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let puts = match request.operation.as_str() {
        "PutItem" => vec![body],
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array_mut().into_iter().flatten();
            items.map(|item| item["Put"].take()).collect()
        }
        _ => Vec::new(),
    };
    puts.into_iter().filter(Value::is_object).collect()
}

/// Returns the partition keys of the records that a transaction checks and does not write.
fn checked(request: &Request) -> Vec<String> {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let items = body["TransactItems"].as_array().into_iter().flatten();
    items.filter_map(|item| item["ConditionCheck"]["Key"]["pk"]["S"].as_str().map(str::to_owned)).collect()
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
