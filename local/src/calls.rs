//! The journals of the local cloud: who called what, which functions ran, which events were published.

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
    /// Its number; later entries have higher ones.
    pub sequence: u64,
    /// `call` for an API call, `invocation` for an execution of a function, however it was started.
    pub kind: String,
    /// When it began, in seconds since 1970.
    pub time: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The service, such as `ec2` or `states`.
    pub service: String,
    /// The action, such as `CopyImage`; `Execute` for an invocation.
    pub action: String,
    /// The account the call was made in, twelve digits.
    pub account: String,
    /// The ARN of the caller; `anonymous` for an unsigned call; an invocation's execution role.
    pub principal: String,
    /// The HTTP status the caller saw; 0 if its connection was closed without an answer.
    pub status: u16,
    /// The fault that struck, if one did.
    #[serde(default)]
    pub fault: Option<String>,
    /// The function's name, for an invocation.
    #[serde(default)]
    pub function: Option<String>,
}

impl CallRecord {
    /// Whether the caller was the root of an account.
    pub fn is_by_root(&self) -> bool {
        self.kind == "call" && self.principal.ends_with(":root")
    }
}

/// One event, as it was published on the bus where it began.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct EventRecord {
    /// Its number; later entries have higher ones.
    pub sequence: u64,
    /// When it was published, in seconds since 1970.
    pub time: f64,
    /// The event's own id.
    pub id: String,
    /// The account it happened in.
    pub account: String,
    /// The region it happened in.
    pub region: String,
    /// The bus it was published on.
    pub bus: String,
    /// Its source, such as `aws.cloudformation`.
    pub source: String,
    /// Its detail type.
    pub detail_type: String,
    /// Its detail.
    pub detail: Value,
    /// The ARNs it is about.
    pub resources: Vec<String>,
    /// `deliver`, or the fault that struck: `lose`, `duplicate`, `delay`, `hold`.
    pub outcome: String,
}

/// Which calls to read: each condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Only entries after this number.
    pub after: u64,
    /// The service.
    pub service: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// `call` or `invocation`.
    pub kind: Option<String>,
}

/// Which events to read: each condition that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only entries after this number.
    pub after: u64,
    /// The source.
    pub source: Option<String>,
    /// The detail type.
    pub detail_type: Option<String>,
    /// The account.
    pub account: Option<String>,
}

/// A kind of journal entry and how it is asked for.
pub trait Entry: DeserializeOwned {
    /// What selects entries of this kind.
    type Filter: Default;
    /// The path below `/_lockstep/`, also the name of the list in the answer.
    const PATH: &'static str;
    /// The query that a filter means.
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

/// What a journal holds.
#[derive(Clone, Debug)]
pub struct JournalPage<T> {
    /// The entries, oldest first.
    pub entries: Vec<T>,
    /// How many older entries were forgotten: the journal keeps the last 20 000.
    pub forgotten: u64,
}

impl<T> JournalPage<T> {
    /// The entries, if none before them was forgotten; for counting exactly.
    pub fn complete(self) -> Option<Vec<T>> {
        (self.forgotten == 0).then_some(self.entries)
    }
}

/// Reads one of the journals.
#[derive(Clone, Debug)]
pub struct Journal<T> {
    client: Client,
    endpoint: String,
    entry: PhantomData<fn() -> T>,
}

impl<T: Entry> Journal<T> {
    pub(crate) fn new(client: Client, endpoint: &str) -> Self {
        Self { client, endpoint: endpoint.to_owned(), entry: PhantomData }
    }

    /// The journal of a cloud that runs at `endpoint`, in this process or another one.
    pub fn at(endpoint: &str) -> Self {
        Self::new(Client::new(CONTROL_DEADLINE), endpoint)
    }

    fn url(&self) -> String {
        format!("{}/_lockstep/{}", self.endpoint, T::PATH)
    }

    /// The entries a filter selects.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn read(&self, filter: &T::Filter) -> Result<JournalPage<T>, HttpError> {
        let query: Vec<String> =
            T::query(filter).into_iter().map(|(name, value)| format!("{name}={}", escape(&value))).collect();
        let url = format!("{}?{}", self.url(), query.join("&"));
        let mut answer: BTreeMap<String, Value> = self.client.json(Method::GET, &url, NOTHING).await?;
        let unreadable =
            |reason: String| HttpError::Unreadable { method: Method::GET, url: url.clone(), reason };
        let entries = serde_json::from_value(answer.remove(T::PATH).unwrap_or_default())
            .map_err(|error| unreadable(error.to_string()))?;
        let forgotten = answer.get("forgotten").and_then(Value::as_u64).unwrap_or(0);
        Ok(JournalPage { entries, forgotten })
    }

    /// Forget every entry so far; numbers go on rising.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn clear(&self) -> Result<(), HttpError> {
        self.client.json::<Value>(Method::DELETE, &self.url(), NOTHING).await.map(drop)
    }
}

impl Journal<CallRecord> {
    /// The number of the newest entry: read `after` it to see what came since.
    ///
    /// # Errors
    /// [`HttpError`] if the emulator does not answer.
    pub async fn last(&self) -> Result<u64, HttpError> {
        let page = self.read(&CallFilter::default()).await?;
        Ok(page.entries.last().map_or(0, |entry| entry.sequence))
    }
}

/// Escape a query value.
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
    fn only_calls_count_as_roots_not_executions() {
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
