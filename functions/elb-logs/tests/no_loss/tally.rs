//! Counts the lines of an object that were taken or put into quarantine.

use crate::account::FakeAccount;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockstep_domain::logs::shipping::Protocol;
use lockstep_sim::broker::{Broker, BrokerBehavior, Sink};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Number of times that the broker took each line of each object, by the first part of the events' ids.
#[derive(Clone, Default)]
pub struct Tally(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

/// Account of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Lines that the broker took, each counted once.
    pub taken: u64,
    /// Lines in quarantine, each counted once.
    pub quarantined: u64,
    /// Number of events that were taken again.
    pub duplicates: u64,
}

impl Tally {
    /// Returns a sink that counts every event that a broker takes. It calls `then` with the number so far.
    pub fn sink(&self, mut then: impl FnMut(u64) + Send + 'static) -> Sink {
        let (tally, mut count) = (Arc::clone(&self.0), 0);
        Box::new(move |event| {
            let (object, line) = id(event);
            let mut tally = tally.lock().unwrap();
            let lines = match tally.get_mut(object) {
                Some(lines) => lines,
                None => tally.entry(object.to_owned()).or_default(),
            };
            lines.resize(lines.len().max(line), 0);
            lines[line - 1] = lines[line - 1].saturating_add(1);
            drop(tally);
            count += 1;
            then(count);
        })
    }

    /// Starts a broker with a counted sink.
    pub fn broker(&self, protocol: Protocol, manners: &[BrokerBehavior]) -> Broker {
        Broker::start(protocol, None, manners.iter().copied(), self.sink(|_| ()))
    }

    /// Returns the account of the only object.
    ///
    /// # Panics
    /// If events of one line had several ids, because duplicates would then double.
    pub fn account(&self, cloud: &FakeAccount) -> Account {
        let tally = self.0.lock().unwrap();
        assert!(tally.len() <= 1, "one object has ids of {} objects", tally.len());
        let lines = tally.values().next().cloned().unwrap_or_default();
        Account {
            taken: lines.iter().filter(|times| **times > 0).count() as u64,
            quarantined: quarantined(cloud).len() as u64,
            duplicates: lines.iter().map(|times| u64::from(times.saturating_sub(1))).sum(),
        }
    }

    /// Checks that every line of `text` was either taken or is in quarantine with its bytes, and returns the account.
    ///
    /// # Panics
    /// If a line is lost, changed, or both taken and in quarantine.
    pub fn expect_all(&self, cloud: &FakeAccount, text: &[u8], what: &str) -> Account {
        let kept = quarantined(cloud);
        let lines: Vec<&[u8]> =
            text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n').collect();
        let taken = self.0.lock().unwrap().values().next().cloned().unwrap_or_default();
        for (index, line) in lines.iter().enumerate() {
            let times = taken.get(index).copied().unwrap_or(0);
            match kept.get(&(index as u64 + 1)) {
                None => assert!(times > 0, "{what}: line {} of {} is lost", index + 1, lines.len()),
                Some(bytes) => {
                    assert_eq!(times, 0, "{what}: line {} was shipped and quarantined", index + 1);
                    assert_eq!(bytes, line, "{what}: line {} was changed", index + 1);
                }
            }
        }
        let account = self.account(cloud);
        assert_eq!(account.taken + account.quarantined, lines.len() as u64, "{what}");
        account
    }
}

/// Returns the object and the line of an event, from its id.
fn id(event: &[u8]) -> (&str, usize) {
    let text = std::str::from_utf8(event).expect("events are UTF-8");
    // Plain events have the id at their beginning.
    let rest = text.split_once(r#""event":{"#).map_or(text, |(_, rest)| rest);
    let (_, rest) = rest.split_once(r#""id":""#).expect("every event has an id");
    let (id, _) = rest.split_once('"').expect("it ends");
    let (object, line) = id.split_once('-').expect("it names object and line");
    (object, line.parse().expect("a line is a number"))
}

/// Returns the lines in quarantine, with their parts joined.
fn quarantined(cloud: &FakeAccount) -> BTreeMap<u64, Vec<u8>> {
    let mut parts = BTreeMap::new();
    for (key, bytes) in cloud.quarantine() {
        if !key.ends_with(".ndjson") {
            continue;
        }
        for record in bytes.split(|byte| *byte == b'\n').filter(|record| !record.is_empty()) {
            let record: Value = serde_json::from_slice(record).unwrap();
            assert!(!record["reason"].as_str().unwrap().is_empty());
            let bytes = STANDARD.decode(record["bytes"].as_str().unwrap()).unwrap();
            let part = (record["line"].as_u64().unwrap(), record["part"].as_u64().unwrap());
            if let Some(before) = parts.insert(part, bytes.clone()) {
                assert_eq!(before, bytes, "{part:?} was stored twice with different bytes");
            }
        }
    }
    let lines: BTreeSet<u64> = parts.keys().map(|(line, _)| *line).collect();
    let whole =
        |line: u64| parts.range((line, 0)..=(line, u64::MAX)).flat_map(|(_, bytes)| bytes.clone()).collect();
    lines.into_iter().map(|line| (line, whole(line))).collect()
}
