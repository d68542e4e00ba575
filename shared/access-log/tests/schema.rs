//! Tests that events of every format follow the Elastic Common Schema: each field is one that it publishes
//! (`shared/ecs/fields.tsv`), with a value of its type, or is below `aws.elb`.

use lockstep_access_log::synthetic::Synthetic;
use lockstep_access_log::{Format, Labels, Reader, Settings, Source, ecs};
use serde_json::Value;
use std::collections::BTreeMap;

/// A field that the schema publishes.
struct Published {
    kind: &'static str,
    is_list: bool,
    /// The values that it allows; any if there are none.
    values: Vec<&'static str>,
}

const TABLE: &str = include_str!("../../ecs/fields.tsv");

fn published() -> BTreeMap<&'static str, Published> {
    let rows = TABLE.lines().skip(1).map(|line| {
        let mut parts = line.split('\t');
        let (name, kind) = (parts.next().unwrap(), parts.next().unwrap());
        let is_list = parts.next() == Some("array");
        let values = parts.next().map(|values| values.split(',').collect()).unwrap_or_default();
        (name, Published { kind, is_list, values })
    });
    rows.collect()
}

/// Returns the events of a text in the given format.
fn events(format: Format, text: &[u8]) -> Vec<Value> {
    let key = "AWSLogs/123456789012/elasticloadbalancing/eu-west-1/2026/11/26/x.log.gz";
    let source = Source {
        bucket: "logs".into(),
        key: key.into(),
        version: "v1".into(),
        written: Some("2026-11-26T12:00:00Z".into()),
    };
    let label = |text: &str| Some(text.to_owned());
    let labels = Labels {
        component: label("web"),
        application: label("shop"),
        environment: label("ci"),
        event_type: label("elb"),
    };
    let settings = Settings { format: Some(format), labels, ..Settings::default() };
    let mut reader = Reader::new(&source, &settings);
    let (mut bytes, mut events) = (text, Vec::new());
    while let Some(batch) = reader.read(&mut bytes).or_else(|| reader.finish()) {
        let lines = batch.events.split_inclusive(|&byte| byte == b'\n');
        events.extend(lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()));
    }
    events
}

/// Returns every line that the tests know: AWS's examples, synthetic ones, and odd ones.
fn corpus(format: Format) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{}.log", env!("CARGO_MANIFEST_DIR"), format.name());
    let mut text = std::fs::read(&path).unwrap();
    text.extend(Synthetic::new(format, 11).lines(500).0);
    text.extend(Synthetic::new(format, 12).odd(500).lines(500).0);
    text
}

/// Adds each field below `value` that is no object.
fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            assert!(!members.is_empty(), "{path} is empty");
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, member, found);
            }
        }
        other => found.push((path.to_owned(), other.clone())),
    }
}

fn is_of_kind(kind: &str, value: &Value) -> bool {
    match (kind, value) {
        ("keyword" | "wildcard" | "match_only_text" | "constant_keyword", Value::String(_)) => true,
        ("long", Value::Number(number)) => number.is_i64(),
        ("ip", Value::String(text)) => text.parse::<std::net::IpAddr>().is_ok(),
        ("date", Value::String(text)) => {
            let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
            let rest = shape.strip_prefix("0000-00-00T00:00:00").and_then(|rest| rest.strip_suffix('Z'));
            rest.is_some_and(|rest| {
                rest.is_empty() || rest.starts_with('.') && rest[1..].bytes().all(|b| b == b'0')
            })
        }
        _ => false,
    }
}

/// Checks one value of a field.
fn check(field: &str, published: &Published, value: &Value) -> Result<(), String> {
    let values = match (value, published.is_list) {
        (Value::Array(values), true) => values.as_slice(),
        (Value::Array(_), false) | (_, true) => {
            return Err(format!("{field}: {value} is no list where one belongs, or one"));
        }
        (value, false) => std::slice::from_ref(value),
    };
    for value in values {
        let is_allowed =
            published.values.is_empty() || published.values.iter().any(|allowed| value == allowed);
        if !is_of_kind(published.kind, value) || !is_allowed {
            return Err(format!("{field}: {value} is no {}", published.kind));
        }
    }
    Ok(())
}

/// Checks an event against the schema.
fn judge(schema: &BTreeMap<&str, Published>, event: &Value) -> Result<(), String> {
    let mut found = Vec::new();
    leaves("", event, &mut found);
    for (field, value) in &found {
        let label = field.strip_prefix("labels.").is_some_and(|name| !name.contains('.'));
        match schema.get(field.as_str()) {
            Some(published) => check(field, published, value)?,
            None if field.starts_with("aws.elb.") || label && value.is_string() => {}
            None => return Err(format!("{field} is no field of the schema")),
        }
    }
    let required = ["@timestamp", "ecs.version", "event.id", "message"];
    match required.iter().find(|field| found.iter().all(|(name, _)| name != *field)) {
        Some(absent) => Err(format!("{absent} is absent")),
        None => Ok(()),
    }
}

#[test]
fn every_event_of_every_format_follows_the_published_schema() {
    let schema = published();
    assert!(schema.len() > 2000);
    for &format in Format::ALL {
        let events = events(format, &corpus(format));
        assert!(events.len() > 800, "{}: {}", format.name(), events.len());
        for event in &events {
            assert_eq!(judge(&schema, event), Ok(()), "{event}");
        }
    }
}

#[test]
fn the_version_of_the_schema_is_that_of_the_published_fields() {
    assert_eq!(TABLE.lines().next().unwrap().split('\t').nth(1), Some(ecs::VERSION));
}

#[test]
fn a_field_of_ours_has_the_same_type_in_every_format() {
    let mut kinds: BTreeMap<String, &str> = BTreeMap::new();
    for &format in Format::ALL {
        for event in events(format, &corpus(format)) {
            let mut found = Vec::new();
            leaves("", &event["aws"]["elb"], &mut found);
            for (field, value) in found {
                let kind = if value.is_number() { "number" } else { "text" };
                assert_eq!(*kinds.entry(field.clone()).or_insert(kind), kind, "{field}");
            }
        }
    }
    assert!(kinds.len() > 25, "{kinds:?}");
}

/// No check of the schema is without effect.
#[test]
fn an_event_with_one_wrong_field_does_not_follow_the_schema() {
    let schema = published();
    let event = events(Format::Alb, &corpus(Format::Alb)).remove(0);
    for (field, value) in [
        ("/source/ip", "10.0.0.256".into()),
        ("/source/port", "80".into()),
        ("/source/port", 80.5.into()),
        ("/event/kind", "line".into()),
        ("/event/category", "web".into()),
        ("/event/id", Value::Array(vec!["1".into()])),
        ("/event/start", "2026-11-26 12:00:00".into()),
        ("/url/path", 1.into()),
        ("/labels/component", 1.into()),
    ] {
        let mut wrong = event.clone();
        *wrong.pointer_mut(field).unwrap() = value;
        assert!(judge(&schema, &wrong).is_err(), "{field}");
    }
    for (object, name) in [("/source", "name"), ("", "elb"), ("/http/request", "size")] {
        let mut wrong = event.clone();
        wrong.pointer_mut(object).unwrap()[name] = "x".into();
        assert!(judge(&schema, &wrong).is_err(), "{object}/{name}");
    }
    let mut wrong = event.clone();
    wrong.as_object_mut().unwrap().remove("ecs");
    assert!(judge(&schema, &wrong).is_err());
}
