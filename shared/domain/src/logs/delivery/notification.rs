//! Parsing of an invocation: S3's notifications, in any known envelope.
//!
//! S3 may notify a queue, a topic, EventBridge or the function itself, and a topic may feed a queue. Shapes:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>.

use super::{Continuation, Object};
use serde::Deserialize as _;
use serde_json::Value;

/// Maximum depth of envelopes: a queue's message holds a topic's, which holds S3's.
const DEPTH_MAX: u32 = 3;

/// The messages of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// True if a queue invokes the function and needs an answer for each message.
    pub by_queue: bool,
    /// Messages. An invocation by another service has one.
    pub messages: Vec<Message>,
}

/// A message of a queue, or the whole of another invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Id of the message; empty without a queue.
    pub id: String,
    /// Objects to ship.
    pub objects: Vec<Object>,
    /// Number of times that the message was handed on.
    pub hops: u32,
    /// Parts of the message that need no work, each with the reason, as sentences for the log.
    pub ignored: Vec<String>,
    /// Reason why the message, or a part of it, cannot be parsed. Such a message must remain in its queue.
    pub malformed: Option<String>,
}

/// Returns true for a check of the component, which tests if the function can work
/// ([`crate::delivery::checks::Check`], kind `lambda`).
pub fn is_check(payload: &Value) -> bool {
    ["component", "version", "stage", "stack"].iter().all(|field| payload[*field].is_string())
}

/// Parses an invocation's payload. It returns no error: a message that cannot be parsed carries the reason.
pub fn read(payload: &Value) -> Asked {
    let records = payload["Records"].as_array();
    let by_queue = records.is_some_and(|records| {
        !records.is_empty() && records.iter().all(|record| record["eventSource"] == "aws:sqs")
    });
    if let Some(records) = records.filter(|_| by_queue) {
        let messages = records.iter().map(|record| {
            let id = record["messageId"].as_str().unwrap_or_default().to_owned();
            let mut message = Message { id, ..Message::default() };
            message.read_text(&record["body"], DEPTH_MAX);
            message
        });
        return Asked { by_queue, messages: messages.collect() };
    }
    let mut message = Message::default();
    message.read(payload, DEPTH_MAX);
    Asked { by_queue, messages: vec![message] }
}

impl Message {
    fn read_text(&mut self, text: &Value, depth: u32) {
        match text.as_str().map(serde_json::from_str) {
            Some(Ok(value)) => self.read(&value, depth),
            _ => self.malformed("it holds no JSON"),
        }
    }

    fn read(&mut self, value: &Value, depth: u32) {
        if depth == 0 {
            self.malformed("it has too many envelopes");
        } else if let Some(records) = value["Records"].as_array() {
            records.iter().for_each(|record| self.record(record, depth));
        } else if let Some(continuation) = value.get("lockstep") {
            self.continuation(continuation);
        } else if value["Event"] == "s3:TestEvent" {
            self.ignored.push("S3 sent a test notification".to_owned());
        } else if value["source"] == "aws.s3" && value["detail-type"].is_string() {
            self.event(value);
        } else if value["Type"] == "Notification" && value["Message"].is_string() {
            self.read_text(&value["Message"], depth - 1);
        } else {
            self.malformed("it is no notification of S3 in a known envelope");
        }
    }

    fn record(&mut self, record: &Value, depth: u32) {
        if record["EventSource"] == "aws:sns" {
            return self.read_text(&record["Sns"]["Message"], depth - 1);
        }
        if record["eventSource"] != "aws:s3" {
            return self.malformed("it has a record of a service other than S3");
        }
        let name = record["eventName"].as_str().unwrap_or_default();
        let (bucket, object) = (&record["s3"]["bucket"], &record["s3"]["object"]);
        let key = object["key"].as_str().map(decoded);
        match name.starts_with("ObjectCreated:") {
            true => self.object(&bucket["name"], key, &object["versionId"], &object["eTag"]),
            false => self.ignored.push(format!("{name} creates no object")),
        }
    }

    fn event(&mut self, event: &Value) {
        let kind = event["detail-type"].as_str().unwrap_or_default();
        let (bucket, object) = (&event["detail"]["bucket"], &event["detail"]["object"]);
        // EventBridge gets the key without URL encoding.
        let key = object["key"].as_str().map(str::to_owned);
        match kind {
            "Object Created" => self.object(&bucket["name"], key, &object["version-id"], &object["etag"]),
            other => self.ignored.push(format!("{other} creates no object")),
        }
    }

    fn object(&mut self, bucket: &Value, key: Option<String>, version: &Value, etag: &Value) {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let (Some(bucket), Some(key)) = (text(bucket), key.filter(|key| !key.is_empty())) else {
            return self.malformed("it names no bucket, or no key");
        };
        let etag = text(etag).map(|etag| etag.trim_matches('"').to_owned());
        self.objects.push(Object {
            bucket,
            key,
            version: text(version),
            etag,
            acknowledged: 0,
            quarantined: 0,
        });
    }

    fn continuation(&mut self, value: &Value) {
        match Continuation::deserialize(value) {
            Ok(continuation) => {
                self.objects.extend(continuation.objects);
                self.hops = continuation.hops;
            }
            Err(error) => self.malformed(&format!("`lockstep` in it cannot be read: {error}")),
        }
    }

    fn malformed(&mut self, why: &str) {
        self.malformed.get_or_insert_with(|| why.to_owned());
    }
}

/// Decodes a key in a notification of S3. It is URL-encoded as in a form, with `+` for a space.
fn decoded(key: &str) -> String {
    let form = format!("key={}", key.replace('&', "%26"));
    let mut pairs = url::form_urlencoded::parse(form.as_bytes());
    pairs.next().map(|(_, key)| key.into_owned()).unwrap_or_default()
}
