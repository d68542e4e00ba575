use super::*;

/// Returns the lines of documents that are sent with the key shop.1.
fn sent(documents: Vec<Value>, request: &str, received_at: Timestamp) -> Vec<Value> {
    sent_with(Fields::Ecs, "shop.1", documents, request, received_at)
}

fn sent_with(
    fields: Fields,
    key: &str,
    documents: Vec<Value>,
    request: &str,
    received_at: Timestamp,
) -> Vec<Value> {
    let key: KeyId = key.parse().unwrap();
    let events = events(documents, received_at).unwrap();
    let lines = lines(&events, fields, &labels(), Origin { key: &key, request, received_at }).unwrap();
    assert!(lines.ends_with(b"\n"));
    let lines = std::str::from_utf8(&lines).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns a document with every field.
fn full() -> Value {
    json!({
        "message": "hello", "@timestamp": "2026-02-28T23:30:00-01:00", "id": "7f-1", "level": "warn",
        "logger": "checkout", "version": "3.1.4", "fields": {"order": 7},
    })
}

#[test]
fn an_event_has_the_same_envelope_as_a_load_balancers_line() {
    let [line] = &sent(vec![full()], "r-1", now())[..] else { panic!() };
    let expected = json!({
        "@timestamp": "2026-03-01T00:30:00Z", "ecs": {"version": ECS_VERSION},
        "event": {"kind": "event", "dataset": "desktop", "created": "2026-03-01T12:00:00Z",
                  "id": line["event"]["id"], "sequence": 1},
        "service": {"name": "shop", "environment": "ci", "version": "3.1.4"}, "labels": {"component": "desktop"},
        "http": {"request": {"id": "r-1"}}, "lockstep": {"key_id": "shop.1"},
        "log": {"level": "warn", "logger": "checkout"}, "fields": {"order": 7}, "message": "hello",
    });
    assert_eq!(*line, expected);
    assert_eq!(line["event"]["id"].as_str().unwrap().len(), 32);
    let [plain] = &sent(vec![json!({"message": "m"})], "r-1", now())[..] else { panic!() };
    let names: BTreeSet<&str> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(!names.contains("log") && !names.contains("fields"), "{names:?}");
    assert_eq!(plain["@timestamp"], plain["event"]["created"]);
}

#[test]
fn a_plain_event_has_our_own_names_and_the_same_id() {
    let [ecs] = &sent(vec![full()], "r-1", now())[..] else { panic!() };
    let [line] = &sent_with(Fields::Plain, "shop.1", vec![full()], "r-1", now())[..] else { panic!() };
    let expected = json!({
        "@timestamp": "2026-03-01T00:30:00Z", "id": ecs["event"]["id"], "index_date": "2026.03.01", "type": "desktop",
        "component": "desktop", "application": "shop", "environment": "ci",
        "source": {"key_id": "shop.1", "request": "r-1", "number": 1}, "received_at": "2026-03-01T12:00:00Z",
        "level": "warn", "logger": "checkout", "version": "3.1.4", "fields": {"order": 7}, "message": "hello",
    });
    assert_eq!(*line, expected);
}

/// Adds each field below `value` with its value, down to the applications' own fields.
fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if path != "fields" => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(&path, member, found);
            }
        }
        other => found.push((path.to_owned(), other.clone())),
    }
}

#[test]
fn every_field_is_of_the_published_schema_with_its_type_or_is_ours() {
    let table = include_str!("../../../../../ecs/fields.tsv");
    assert_eq!(table.lines().next().unwrap().split('\t').nth(1), Some(ECS_VERSION));
    for document in [full(), json!({"message": "m"})] {
        let mut found = Vec::new();
        leaves("", &sent(vec![document], "r-1", now())[0], &mut found);
        for (field, value) in found {
            let published = table.lines().find_map(|line| line.strip_prefix(&format!("{field}\t")));
            let fits = match published.map(|rest| rest.split('\t').collect::<Vec<_>>()).as_deref() {
                Some(["keyword" | "match_only_text"]) => value.is_string(),
                Some(["keyword", "", values]) => values.split(',').any(|allowed| value == allowed),
                Some(["long"]) => value.is_i64() || value.is_u64(),
                Some(["date"]) => value.as_str().unwrap().parse::<Timestamp>().is_ok(),
                Some(other) => panic!("{field} is {other:?}"),
                None => ["fields", "labels.component", "lockstep.key_id"].contains(&field.as_str()),
            };
            assert!(fits, "{field}: {value}");
        }
    }
}

#[test]
fn an_event_sent_again_has_the_same_document_id_and_no_other_has_it() {
    let event = || json!({"message": "m", "id": "1", "@timestamp": "2026-03-01T11:59:00Z"});
    // The indexer stores an event under its id, in the index of its day.
    let place = |line: &Value| {
        [&line["event"]["id"], &line["@timestamp"]].map(|text| text.as_str().unwrap().to_owned())
    };
    let first = place(&sent(vec![event()], "r-1", now())[0]);
    // After a rotation, at another position of another request, on another day.
    assert_eq!(
        place(
            &sent_with(Fields::Ecs, "shop.2", vec![json!({"message": "x"}), event()], "r-2", later(86400))[1]
        ),
        first
    );
    assert_ne!(place(&sent_with(Fields::Ecs, "bank.1", vec![event()], "r-1", now())[0]), first);
    let nameless = || json!({"message": "m"});
    let ids: BTreeSet<_> =
        [sent(vec![nameless(), nameless()], "r-1", now()), sent(vec![nameless()], "r-2", now())]
            .concat()
            .iter()
            .map(place)
            .collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn an_event_with_every_field_at_its_maximum_is_still_bounded() {
    let fields: Map<String, Value> =
        (0..10).map(|n| (format!("n{n}"), json!("x".repeat(VALUE_BYTES_MAX)))).collect();
    let events =
        events(vec![json!({"message": "m"}), event("fields", Value::Object(fields))], now()).unwrap();
    let key = "shop.1".parse().unwrap();
    let wrong =
        lines(&events, Fields::Ecs, &labels(), Origin { key: &key, request: "r", received_at: now() })
            .unwrap_err();
    assert_eq!((wrong.event, wrong.fault.why), (2, Why::EventTooLong(EVENT_BYTES_MAX)));
}
