use super::*;

#[test]
fn a_request_has_one_address_one_method_and_a_known_form() {
    let good = post(text("{}"));
    let with = |content_type, content_encoding| Request { content_type, content_encoding, ..good };
    for (request, expected) in [
        (good, Ok(JSON)),
        (Request { path: "/events/", ..good }, Ok(JSON)),
        (Request { path: "/", ..good }, Err(Refused::NoSuchPath)),
        (Request { path: "/events/1", ..good }, Err(Refused::NoSuchPath)),
        (Request { method: "GET", ..good }, Err(Refused::Method)),
        (Request { method: "post", ..good }, Err(Refused::Method)),
        (with(Some("Application/JSON; Charset=\"UTF-8\""), Some(" ")), Ok(JSON)),
        (with(Some("application/x-ndjson"), Some("identity")), Ok(NDJSON)),
        (with(Some("application/x-ndjson"), Some("GZIP")), Ok(Form::NdjsonGzip)),
        (with(Some("application/json"), Some("gzip")), Err(Refused::Encoding)),
        (with(Some("application/json; charset=utf-16"), None), Err(Refused::MediaType)),
        (with(Some("text/plain"), None), Err(Refused::MediaType)),
        (with(None, None), Err(Refused::MediaType)),
        (with(Some("application/x-ndjson"), Some("gzip, gzip")), Err(Refused::Encoding)),
        (with(Some("application/x-ndjson"), Some("br")), Err(Refused::Encoding)),
    ] {
        assert_eq!(form(&request), expected, "{request:?}");
    }
}

#[test]
fn a_body_is_capped_before_decoding_and_during_decompression() {
    let large = " ".repeat(BODY_BYTES_MAX + 1);
    assert_eq!(form(&post(text(&large))), Err(Refused::TooLarge(TooLarge::Body)));
    assert_eq!(form(&post(text(&large[1..]))), Ok(JSON));
    let encoded = STANDARD.encode(&large);
    let coded = |text| Body { text, base64: true };
    assert_eq!(form(&post(coded(&encoded))), Err(Refused::TooLarge(TooLarge::Body)));
    // A thousand times smaller than its decompressed form.
    let bomb = gzip(&vec![b' '; INFLATED_BYTES_MAX + 1]);
    assert!(bomb.len() < INFLATED_BYTES_MAX / 100);
    let form = Form::NdjsonGzip;
    assert_eq!(documents(form, coded(&bomb)), Err(Refused::TooLarge(TooLarge::Inflated)));
    let fits = gzip(&[&b"{}"[..], &vec![b' '; INFLATED_BYTES_MAX - 2]].concat());
    assert_eq!(documents(form, coded(&fits)), Ok(vec![json!({})]));
}

#[test]
fn a_body_is_an_event_an_array_of_events_or_an_event_a_line() {
    let (one, two) = (json!({"a": 1}), json!({"b": "\n"}));
    let both = Ok(vec![one.clone(), two.clone()]);
    assert_eq!(documents(JSON, text(&one.to_string())), Ok(vec![one.clone()]));
    assert_eq!(documents(JSON, text(&json!([one, two]).to_string())), both);
    assert_eq!(documents(NDJSON, text(&format!("{one}\n{two}"))), both);
    assert_eq!(documents(NDJSON, text(&format!("\n {one}\r\n\n{two}\n"))), both);
    let members = STANDARD.encode(
        [one.to_string(), format!("\n{two}")]
            .map(|text| STANDARD.decode(gzip(text.as_bytes())).unwrap())
            .concat(),
    );
    assert_eq!(documents(Form::NdjsonGzip, Body { text: &members, base64: true }), both);
}

#[test]
fn a_malformed_body_is_refused_with_line_and_column() {
    let malformed = |why| Err(Refused::Malformed(why));
    for (form, body, expected) in [
        (JSON, "", malformed(Malformed::Empty)),
        (JSON, " \n", malformed(Malformed::Empty)),
        (JSON, "[]", malformed(Malformed::Empty)),
        (NDJSON, "\n\n", malformed(Malformed::Empty)),
        (JSON, "7", malformed(Malformed::NoEvents)),
        (JSON, "{\n\"a\": }", malformed(Malformed::Json { line: 2, column: 6 })),
        (JSON, "{} {}", malformed(Malformed::Json { line: 1, column: 4 })),
        (JSON, "{\"a\": \"\\ud800\"}", malformed(Malformed::Json { line: 1, column: 14 })),
        (NDJSON, "{}\n{}\n{\"a\"", malformed(Malformed::Json { line: 3, column: 4 })),
        (Form::NdjsonGzip, "{}", malformed(Malformed::Gzip)),
    ] {
        assert_eq!(documents(form, text(body)), expected, "{body}");
    }
    assert_eq!(documents(JSON, Body { text: "!", base64: true }), malformed(Malformed::Base64));
    let many = format!("[{}{{}}]", "{},".repeat(EVENTS_MAX));
    assert_eq!(documents(JSON, text(&many)), Err(Refused::TooLarge(TooLarge::Events)));
    let many = "{}\n".repeat(EVENTS_MAX + 1);
    assert_eq!(documents(NDJSON, text(&many)), Err(Refused::TooLarge(TooLarge::Events)));
    assert_eq!(documents(NDJSON, text(&many[3..])).map(|events| events.len()), Ok(EVENTS_MAX));
    // Deeper than any parser's stack.
    assert!(documents(JSON, text(&"[".repeat(100_000))).is_err());
}
