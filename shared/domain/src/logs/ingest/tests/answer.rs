use super::*;

/// Returns one refusal of each kind.
fn refusals() -> Vec<Refused> {
    let invalid = events(vec![json!({})], now()).unwrap_err();
    vec![
        Refused::NoSuchPath,
        Refused::Method,
        Refused::MediaType,
        Refused::Encoding,
        Refused::TooLarge(TooLarge::Burst { burst: 7 }),
        Refused::Unknown,
        Refused::Retired(now()),
        Refused::Revoked,
        Refused::TooMany { seconds: 7 },
        Refused::Malformed(Malformed::Gzip),
        Refused::Invalid(invalid),
        Refused::NotAcknowledged,
        Refused::Unavailable,
    ]
}

#[test]
fn only_a_refusal_that_may_be_retried_has_a_time() {
    let statuses: Vec<u16> = refusals().iter().map(Refused::status).collect();
    assert_eq!(statuses, [404, 405, 415, 415, 413, 401, 403, 403, 429, 400, 400, 503, 503]);
    for refused in refusals() {
        let again = matches!(refused.status(), 429 | 503);
        assert_eq!(refused.retry_after().is_some(), again, "{refused:?}");
        let headers: BTreeMap<&str, String> =
            IngestResponse::Refused(refused.clone()).headers().into_iter().collect();
        assert_eq!(headers.contains_key("retry-after"), again, "{refused:?}");
        assert!(IngestResponse::Refused(refused).body()["error"].as_str().is_some_and(|said| said.len() > 5));
    }
    assert_eq!(IngestResponse::Accepted { events: 3 }.status(), 202);
    let reasons: BTreeSet<Reason> = refusals().iter().map(Refused::reason).collect();
    assert_eq!(reasons, Reason::ALL.iter().copied().collect());
}
