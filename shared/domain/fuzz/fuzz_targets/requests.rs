//! Whatever is posted to the front door, it is refused with a reason, or becomes as many lines as it has events, each an
//! event in an envelope that says whose it is.
#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use lockstep_domain::logs::http_body::Body;
use lockstep_domain::logs::Fields;
use lockstep_domain::logs::ingest::{
    ApiKey, EVENT_BYTES_MAX, EVENTS_MAX, KeyId, Labels, Origin, PATH, Request, documents, events, form,
    lines, authenticate,
};
use serde_json::Value;

fuzz_target!(|posted: (bool, bool, bool, &str, &str)| {
    let (ndjson, gzip, base64, body, authorization) = posted;
    if let Ok(key) = authenticate(Some(authorization)) {
        assert_eq!(authorization.split_once(' ').expect("a scheme").1.trim(), key.expose());
    }
    let request = Request {
        method: "POST",
        path: PATH,
        content_type: Some(if ndjson { "application/x-ndjson" } else { "application/json" }),
        content_encoding: gzip.then_some("gzip"),
        body: Body { text: body, base64 },
    };
    let Ok(form) = form(&request) else { return };
    let Ok(documents) = documents(form, request.body) else { return };
    assert!((1..=EVENTS_MAX).contains(&documents.len()));
    let now = "2026-03-01T12:00:00Z".parse::<Timestamp>().expect("a time");
    let Ok(events) = events(documents.clone(), now) else { return };
    let key: KeyId = ApiKey::new("shop.1".parse().expect("a key's id"), [0; 32]).id;
    let labels = Labels { event_type: Some("desktop".into()), ..Labels::default() };
    let Ok(lines) = lines(&events, Fields::Ecs, &labels, Origin { key: &key, request: "r", received_at: now }) else {
        return;
    };
    let lines: Vec<&[u8]> = lines.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), documents.len());
    for (line, document) in lines.iter().zip(&documents) {
        assert!(line.len() <= EVENT_BYTES_MAX + 1);
        let event: Value = serde_json::from_slice(line).expect("an event is JSON on a line of its own");
        assert_eq!((&event["service"]["name"], &event["event"]["dataset"]), (&"shop".into(), &"desktop".into()));
        assert_eq!(event["message"], document["message"]);
    }
});
