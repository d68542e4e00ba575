//! The call log and the event log of the local cloud: calls with their callers, executions of functions,
//! published events.

use crate::cloud::CONTROL_DEADLINE;
use crate::http::{Client, HttpError, NOTHING};
use axum::http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// One AWS call, or one execution of a Lambda function.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct CallRecord {
    /// Number of the entry; later entries have higher ones.
    pub sequence: u64,
    /// `call` for an API call, `invocation` for an execution of a function, however it was started.
    pub kind: String,
    /// Start time, in seconds since 1970.
    pub time: f64,
    /// Duration, in milliseconds.
    pub duration_ms: u64,
    /// Service, such as `ec2` or `states`.
    pub service: String,
    /// Action, such as `CopyImage`; `Execute` for an invocation.
    pub action: String,
    /// Account that received the call, twelve digits.
    pub account: String,
    /// ARN of the caller; `anonymous` for an unsigned call; the execution role for an invocation.
    pub principal: String,
    /// HTTP status for the caller; 0 if its connection was closed without a response.
    pub status: u16,
    /// Fault that applied, if any.
    #[serde(default)]
    pub fault: Option<String>,
    /// Name of the function, for an invocation.
    #[serde(default)]
    pub function: Option<String>,
}

impl CallRecord {
    /// Returns true if the caller was the root of an account.
    pub fn is_by_root(&self) -> bool {
        self.kind == "call" && self.principal.ends_with(":root")
    }
}

/// One event, as it was published on its first bus.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventRecord {
    /// Number of the entry; later entries have higher ones.
    pub sequence: u64,
    /// Time of publication, in seconds since 1970.
    pub time: f64,
    /// Id of the event.
    pub id: String,
    /// Account of the event.
    pub account: String,
    /// Region of the event.
    pub region: String,
    /// Bus that the event was published on.
    pub bus: String,
    /// Source, such as `aws.cloudformation`.
    pub source: String,
    /// Detail type.
    pub detail_type: String,
    /// Detail.
    pub detail: Value,
    /// ARNs of the event's resources.
    pub resources: Vec<String>,
    /// `deliver`, or the fault that applied: `lose`, `duplicate`, `delay`, `hold`.
    pub outcome: String,
}

/// Filter of calls: each condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Lower limit: only entries after this number.
    pub after: u64,
    /// Service.
    pub service: Option<String>,
    /// Action.
    pub action: Option<String>,
    /// Account.
    pub account: Option<String>,
    /// `call` or `invocation`.
    pub kind: Option<String>,
}

/// Filter of events: each condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Lower limit: only entries after this number.
    pub after: u64,
    /// Source.
    pub source: Option<String>,
    /// Detail type.
    pub detail_type: Option<String>,
    /// Account.
    pub account: Option<String>,
}

/// A kind of log entry, with its query.
pub trait Entry: DeserializeOwned {
    /// Filter for entries of this kind.
    type Filter: Default;
    /// Path below `/_lockstep/`, also the name of the list in the response.
    const PATH: &'static str;
    /// Returns the query of a filter.
    fn query(filter: &Self::Filter) -> Vec<(&'static str, String)>;
}

impl Entry for CallRecord {
    type Filter = CallFilter;
    const PATH: &'static str = "calls";

    fn query(filter: &CallFilter) -> Vec<(&'static str, String)> {
        let named = [
            ("service", &filter.service),
            ("action", &filter.action),
            ("account", &filter.account),
            ("kind", &filter.kind),
        ];
        query(filter.after, named)
    }
}

impl Entry for EventRecord {
    type Filter = EventFilter;
    const PATH: &'static str = "events";

    fn query(filter: &EventFilter) -> Vec<(&'static str, String)> {
        let named =
            [("source", &filter.source), ("detail_type", &filter.detail_type), ("account", &filter.account)];
        query(filter.after, named)
    }
}

fn query<const N: usize>(
    after: u64,
    named: [(&'static str, &Option<String>); N],
) -> Vec<(&'static str, String)> {
    let mut query = vec![("after", after.to_string())];
    query.extend(named.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    query
}

/// Entries of a log.
#[derive(Clone, Debug)]
pub struct CallLogPage<T> {
    /// Entries, oldest first.
    pub entries: Vec<T>,
    /// Number of older entries that were dropped: the log keeps the last 20 000.
    pub forgotten: u64,
}

impl<T> CallLogPage<T> {
    /// Returns the entries if none before them was dropped, for exact counts.
    pub fn complete(self) -> Option<Vec<T>> {
        (self.forgotten == 0).then_some(self.entries)
    }
}

/// Reader of one of the logs.
#[derive(Clone, Debug)]
pub struct CallLog<T> {
    client: Client,
    endpoint: String,
    entry: PhantomData<fn() -> T>,
}

impl<T: Entry> CallLog<T> {
    pub(crate) fn new(client: Client, endpoint: &str) -> Self {
        Self { client, endpoint: endpoint.to_owned(), entry: PhantomData }
    }

    /// Returns the log of a cloud at `endpoint`, in this process or another one.
    pub fn at(endpoint: &str) -> Self {
        Self::new(Client::new(CONTROL_DEADLINE), endpoint)
    }

    fn url(&self) -> String {
        format!("{}/_lockstep/{}", self.endpoint, T::PATH)
    }

    /// Returns the entries that a filter selects.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn read(&self, filter: &T::Filter) -> Result<CallLogPage<T>, HttpError> {
        let query: Vec<String> =
            T::query(filter).into_iter().map(|(name, value)| format!("{name}={}", escape(&value))).collect();
        let url = format!("{}?{}", self.url(), query.join("&"));
        let mut answer: BTreeMap<String, Value> = self.client.json(Method::GET, &url, NOTHING).await?;
        let entries = serde_json::from_value(answer.remove(T::PATH).unwrap_or_default())
            .map_err(|source| HttpError::Unreadable { method: Method::GET, url, source })?;
        let forgotten = answer.get("forgotten").and_then(Value::as_u64).unwrap_or(0);
        Ok(CallLogPage { entries, forgotten })
    }

    /// Deletes every entry so far. Numbers continue to rise.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn clear(&self) -> Result<(), HttpError> {
        self.client.json::<Value>(Method::DELETE, &self.url(), NOTHING).await.map(drop)
    }
}

impl CallLog<CallRecord> {
    /// Returns the number of the newest entry. Read `after` it for later entries.
    ///
    /// # Errors
    ///
    /// [`HttpError`] if the emulator does not answer.
    pub async fn last(&self) -> Result<u64, HttpError> {
        let page = self.read(&CallFilter::default()).await?;
        Ok(page.entries.last().map_or(0, |entry| entry.sequence))
    }
}

/// Escapes a query value.
fn escape(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_an_escaped_query() {
        let filter = EventFilter { detail_type: Some("EC2 AMI State Change".into()), ..Default::default() };
        let query = EventRecord::query(&filter);
        assert_eq!(query, [("after", "0".to_owned()), ("detail_type", "EC2 AMI State Change".to_owned())]);
        assert_eq!(escape("EC2 AMI/ä"), "EC2%20AMI%2F%C3%A4");
    }

    #[test]
    fn only_calls_and_not_executions_count_as_roots() {
        let record = |kind: &str, principal: &str| CallRecord {
            sequence: 1,
            kind: kind.into(),
            time: 0.0,
            duration_ms: 0,
            service: "sts".into(),
            action: "x".into(),
            account: "1".into(),
            principal: principal.into(),
            status: 200,
            fault: None,
            function: None,
        };
        assert!(record("call", "arn:aws:iam::111111111111:root").is_by_root());
        assert!(!record("call", "arn:aws:iam::111111111111:user/ada").is_by_root());
        assert!(!record("invocation", "arn:aws:iam::111111111111:root").is_by_root());
    }
}
