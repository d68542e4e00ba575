use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| json!(f64::from(eighths) / 8.0)),
        "[ -~]{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!(NOW)),
        Just(json!("info")),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any_name(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("message".to_owned()),
        Just("@timestamp".to_owned()),
        Just("id".to_owned()),
        Just("level".to_owned()),
        Just("fields".to_owned()),
        Just("application".to_owned()),
        "[a-z.\\[\\]]{0,6}",
        any::<String>(),
    ]
}

/// Returns documents that are valid events more often than by chance.
fn any_document() -> impl Strategy<Value = Value> {
    let likely = (
        any::<String>(),
        prop::collection::btree_map("[a-z][a-z0-9_.-]{0,8}", any_json(), 0..4),
        any::<bool>(),
    );
    let likely = likely.prop_map(|(message, fields, named)| {
        let fields: Map<String, Value> = fields.into_iter().collect();
        match named {
            true => json!({"message": message, "fields": fields, "id": "x", "@timestamp": NOW}),
            false => json!({"message": message, "fields": fields}),
        }
    });
    prop_oneof![likely, any_json()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_request_makes_the_reader_panic(
        path in prop_oneof![Just(PATH.to_owned()), any::<String>()],
        content_type in prop_oneof![Just("application/json".to_owned()), Just("application/x-ndjson".to_owned()), any::<String>()],
        encoding in prop_oneof![Just(String::new()), Just("gzip".to_owned()), any::<String>()],
        authorization in any::<String>(),
        body in prop_oneof![any::<String>(), prop::collection::vec(any::<u8>(), 0..200).prop_map(|b| gzip(&b)), any_json().prop_map(|v| v.to_string())],
        base64 in any::<bool>(),
    ) {
        let body = Body { text: &body, base64 };
        let request = Request { method: "POST", path: &path, content_type: Some(&content_type), content_encoding: Some(&encoding), body };
        prop_assert!(authenticate(Some(&authorization)).is_err());
        if let Ok(form) = form(&request) && let Ok(documents) = documents(form, body) {
            prop_assert!((1..=EVENTS_MAX).contains(&documents.len()));
            let _ = events(documents, now());
        }
    }

    #[test]
    fn an_accepted_event_parses_back_and_sets_no_field_of_the_log_intake(document in any_document()) {
        let Ok(taken) = read(document.clone()) else { return Ok(()) };
        let key: KeyId = "shop.1".parse().unwrap();
        let line = lines(&[taken], Fields::Ecs, &labels(), Origin { key: &key, request: "r", received_at: now() }).unwrap();
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let back: Value = serde_json::from_slice(&line).unwrap();
        prop_assert_eq!(&back["message"], &document["message"]);
        prop_assert_eq!(&back["service"]["name"], "shop");
        prop_assert_eq!(&back["event"]["dataset"], "desktop");
        let fields = document["fields"].as_object().filter(|fields| !fields.is_empty());
        prop_assert_eq!(back["fields"].as_object(), fields);
        // Beside the envelope, only fields that the schema names remain.
        let mut rest = back.as_object().unwrap().clone();
        for name in ["@timestamp", "ecs", "event", "service", "labels", "http", "lockstep", "log", "fields", "message"] {
            rest.remove(name);
        }
        prop_assert!(rest.is_empty(), "{:?}", rest);
    }
}
