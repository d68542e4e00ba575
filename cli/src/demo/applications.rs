//! The last scenario of the log stack's demo: desktop applications, outside of any AWS network, post their logs to the log
//! intake.

use super::log_stack::{Brokers, PATIENCE, PAUSE, STAGES, until};
use super::{Demo, ensure};
use crate::failure::{Exit, Failure, at};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use lockstep_aws::operator::signed::post_unsigned;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Instant;

/// The component of the log intake.
pub(super) const DOOR: &str = "log-intake";

/// The sending application.
const APPLICATION: &str = "shop-desktop";

/// Number of events in a batch.
const BATCH: u64 = 500;

/// The result of a post.
struct Posted {
    stage: &'static str,
    what: &'static str,
    events: u64,
    status: u16,
    /// Number of the application's events at the broker, and the number of distinct ones.
    arrived: (u64, u64),
}

impl Demo {
    /// Issues a key in each stage, posts, rotates the key, posts again, and prints the counts.
    pub async fn applications(&mut self, brokers: &Brokers) -> Result<(), Failure> {
        let mut posted = Vec::new();
        for (stage, alias) in STAGES {
            let url = self.output_of(alias, &format!("{stage}-{DOOR}"), "EventsUrl").await?;
            let key = self.key("add", stage).await?;
            let broker = brokers.of(stage);
            let batch = batch();
            let mut sent = async |what, key: &str, events: &[Value], expected, wanted| {
                let status = post(&url, key, events).await?;
                ensure(status == expected, format!("{what} gets the status {expected}, not {status}"))?;
                let arrived = until(|| broker.count(APPLICATION), |arrived| arrived >= wanted).await;
                ensure(
                    arrived == wanted,
                    format!("after {what} the broker has {wanted:?}, not {arrived:?}"),
                )?;
                let events = events.len() as u64;
                posted.push(Posted { stage, what, events, status, arrived });
                Ok::<(), Failure>(())
            };
            let one = [json!({ "message": "started", "level": "info", "version": "3.1.4" })];
            sent("an event", &key, &one, 202, (1, 1)).await?;
            sent("a batch", &key, &batch, 202, (BATCH + 1, BATCH + 1)).await?;
            let now = (2 * BATCH + 1, BATCH + 1);
            sent("the same batch again", &key, &batch, 202, now).await?;
            let wrong = [json!({ "message": "m" }), json!({ "message": "m", "application": "bank" })];
            sent("an event that sets application", &key, &wrong, 400, now).await?;
            sent("an event without a key", "", &one, 401, now).await?;
            let next = self.key("rotate", stage).await?;
            // A running function caches for two seconds that a key does not exist.
            until_admitted(&url, &next).await?;
            sent("an event with the next key", &next, &one, 202, (now.0 + 1, now.1 + 1)).await?;
            sent("an event with the previous key", &key, &one, 202, (now.0 + 2, now.1 + 2)).await?;
            self.type_in(&["logs", "keys", "list", APPLICATION, "--in", stage], Exit::Done).await?;
        }
        self.show(&posted);
        Ok(())
    }

    /// Runs a command of `logs keys` that issues a key, and returns the key. The demo's output does not show it.
    async fn key(&self, command: &str, stage: &str) -> Result<String, Failure> {
        let arguments = ["logs", "keys", command, APPLICATION, "--in", stage];
        self.say(&format!("$ lockstep {}", arguments.join(" ")));
        let issued = self.type_quietly(&arguments).await?;
        let (id, key) = (issued["key_id"].as_str(), issued["key"].as_str());
        let key = key.ok_or_else(|| Failure::new(format!("no key was issued: {issued}")))?;
        self.output().indented().line(format!("lsk_{}_…", id.unwrap_or_default()));
        Ok(key.to_owned())
    }

    fn show(&self, posted: &[Posted]) {
        self.say("");
        let row = |p: &Posted| {
            let numbers = [p.events, p.arrived.1, p.arrived.0 - p.arrived.1].map(|n| n.to_string());
            let [events, distinct, again] = numbers;
            [p.stage.to_owned(), p.what.to_owned(), events, p.status.to_string(), distinct, again]
        };
        let header = ["stage", "posted", "events", "status", "acknowledged so far", "sent twice"];
        self.output().indented().table(header, posted.iter().map(row));
    }
}

/// Returns events in the form in which an application retains them until their acknowledgement: each with an id and the
/// time of the event.
fn batch() -> Vec<Value> {
    let at = Timestamp::now().to_string();
    let event = |n| json!({ "message": format!("step {n}"), "id": format!("{at}-{n}"), "@timestamp": at });
    (0..BATCH).map(event).collect()
}

/// Waits until a key is admitted. It posts an empty object, which is no event and is not counted.
async fn until_admitted(url: &str, key: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while post(url, key, &[json!({})]).await? == 401 {
        ensure(Instant::now() < deadline, "an issued key is admitted")?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Posts events as a client does, each on a line and compressed. Returns the status.
async fn post(url: &str, key: &str, events: &[Value]) -> Result<u16, Failure> {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let compressed =
        gzip.write_all(lines.as_bytes()).and_then(|()| gzip.finish()).map_err(at("the events"))?;
    let mut headers = vec![
        ("content-type".to_owned(), "application/x-ndjson".to_owned()),
        ("content-encoding".to_owned(), "gzip".to_owned()),
    ];
    if !key.is_empty() {
        headers.push(("authorization".to_owned(), format!("Bearer {key}")));
    }
    Ok(post_unsigned(url, &headers, compressed).await?.status)
}
