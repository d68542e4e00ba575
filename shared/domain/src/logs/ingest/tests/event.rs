use super::*;

#[test]
fn an_event_needs_a_message_only() {
    let plain = read(json!({"message": "hello"})).unwrap();
    assert_eq!((plain.message.as_str(), plain.at, plain.id), ("hello", None, None));
    let full = json!({
        "message": "hello", "@timestamp": "2026-03-01T13:00:00.5+01:00", "id": "7f-1", "level": "warn",
        "logger": "checkout", "version": "3.1.4", "fields": {"user": {"name": "ada"}, "items": [1, 2.5, null, true]},
    });
    let read = read(full.clone()).unwrap();
    assert_eq!(read.at, Some("2026-03-01T12:00:00.5Z".parse().unwrap()));
    assert_eq!((read.level, read.id.as_deref()), (Some(Level::Warn), Some("7f-1")));
    assert_eq!(Value::Object(read.fields), full["fields"]);
}

#[test]
fn a_fault_of_an_event_is_reported_with_its_field() {
    let deep = json!({"a": {"b": {"c": {"d": {"e": 1}}}}});
    let many: Map<String, Value> = (0..=FIELDS_MAX).map(|n| (format!("n{n}"), json!(n))).collect();
    for (document, field, why) in [
        (json!([]), "", Why::NoObject),
        (json!({}), "message", Why::Missing),
        (event("message", ""), "message", Why::Missing),
        (event("message", Value::Null), "message", Why::Missing),
        (event("message", 7), "message", Why::NoText),
        (event("message", "x".repeat(MESSAGE_BYTES_MAX + 1)), "message", Why::TooLong(MESSAGE_BYTES_MAX)),
        (event("application", "bank"), "application", Why::Reserved),
        (event("type", Value::Null), "type", Why::Reserved),
        (event("@metadata", json!({"index": "x"})), "@metadata", Why::Reserved),
        (event("user", "ada"), "user", Why::NotKnown),
        (event("level", "WARN"), "level", Why::NoLevel),
        (event("level", 3), "level", Why::NoLevel),
        (event("logger", "x".repeat(TEXT_BYTES_MAX + 1)), "logger", Why::TooLong(TEXT_BYTES_MAX)),
        (event("id", "1"), "id", Why::NeedsTime),
        (event("id", "a b"), "id", Why::NoId),
        (event("id", "\u{0}"), "id", Why::NoId),
        (event("id", 1), "id", Why::NoText),
        (event("id", "x".repeat(ID_BYTES_MAX + 1)), "id", Why::TooLong(ID_BYTES_MAX)),
        (event("fields", json!([1])), "fields", Why::NoObject),
        (event("fields", json!({"": 1})), "fields.", Why::NoName),
        (event("fields", json!({"a": {"[b]": 1}})), "fields.a.[b]", Why::NoName),
        (event("fields", json!({"ü": 1})), "fields.ü", Why::NoName),
        (event("fields", deep), "fields.a.b.c.d.e", Why::TooDeep),
        (event("fields", json!({"a": [[[[1]]]]})), "fields.a", Why::TooDeep),
        (event("fields", Value::Object(many)), "fields", Why::TooMany),
        (event("fields", json!({"a": vec![0; FIELDS_MAX]})), "fields", Why::TooMany),
        (
            event("fields", json!({"a": ["x".repeat(VALUE_BYTES_MAX + 1)]})),
            "fields.a",
            Why::TooLong(VALUE_BYTES_MAX),
        ),
    ] {
        assert_eq!(read(document.clone()), Err(Fault { field: field.to_owned(), why }), "{document}");
    }
}

#[test]
fn a_time_is_rfc_3339_and_neither_far_ahead_nor_too_old() {
    for (time, expected) in [
        ("2026-03-01T12:00:00Z", Ok(())),
        ("2026-03-01T12:00:00.123456789Z", Ok(())),
        ("2026-03-01T23:00:00+11:00", Ok(())),
        ("2026-03-01T13:00:00Z", Ok(())),
        ("2026-02-15T12:00:00Z", Ok(())),
        ("2026-03-01T13:00:01Z", Err(Why::Ahead)),
        ("9999-01-01T00:00:00Z", Err(Why::Ahead)),
        ("2026-02-15T11:59:59Z", Err(Why::TooOld)),
        ("0000-01-01T00:00:00Z", Err(Why::TooOld)),
        ("2026-03-01", Err(Why::NoTime)),
        ("2026-03-01T12:00Z", Err(Why::NoTime)),
        ("2026-03-01 12:00:00Z", Err(Why::NoTime)),
        ("2026-03-01T12:00:00", Err(Why::NoTime)),
        ("2026-03-01T12:00:00z", Err(Why::NoTime)),
        ("2026-03-01T12:00:00.Z", Err(Why::NoTime)),
        ("2026-03-01T12:00:00.1234567890Z", Err(Why::NoTime)),
        ("2026-03-01T12:00:00+01", Err(Why::NoTime)),
        ("2026-03-01T12:00:00+01:00[Europe/Berlin]", Err(Why::NoTime)),
        ("2026-02-29T12:00:00Z", Err(Why::NoTime)),
        ("2026-03-01T25:00:00Z", Err(Why::NoTime)),
        ("20260301T120000Z", Err(Why::NoTime)),
    ] {
        let read = read(event("@timestamp", time)).map(drop).map_err(|fault| fault.why);
        assert_eq!(read, expected, "{time}");
    }
    assert_eq!(read(event("@timestamp", 1)).unwrap_err().why, Why::NoText);
}

#[test]
fn a_request_is_accepted_as_a_whole_or_not_at_all() {
    let good = || json!({"message": "m", "id": "a", "@timestamp": NOW});
    let wrong = events(vec![good(), event("level", "loud")], now()).unwrap_err();
    assert_eq!(wrong.to_string(), "event 2: `level` must be trace, debug, info, warn, error or fatal");
    let again = events(vec![good(), json!({"message": "m"}), good()], now()).unwrap_err();
    assert_eq!((again.event, again.fault.why), (3, Why::Again(1)));
    let body = IngestResponse::Refused(Refused::Invalid(wrong)).body();
    assert_eq!((&body["event"], &body["field"]), (&json!(2), &json!("level")));
}
