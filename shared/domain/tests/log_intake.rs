//! Tests that docs/log-intake.md lists every limit and every status, and no others.

use lockstep_domain::logs::ingest::{
    AGE_MAX, AHEAD_MAX, BODY_BYTES_MAX, EVENT_BYTES_MAX, EVENTS_MAX, FIELDS_DEPTH_MAX, FIELDS_MAX,
    ID_BYTES_MAX, INFLATED_BYTES_MAX, IngestResponse, Level, MESSAGE_BYTES_MAX, Malformed, NAME_BYTES_MAX,
    PATH, Reason, Refused, TEXT_BYTES_MAX, TooLarge, VALUE_BYTES_MAX,
};
use std::collections::BTreeSet;

/// Text of the page in this checkout.
const DOCUMENT: &str = include_str!("../../../docs/log-intake.md");

/// Returns the row of a table that begins with `first`.
fn row(first: &str) -> &'static str {
    let begins = format!("| {first} |");
    DOCUMENT.lines().find(|line| line.starts_with(&begins)).unwrap_or_else(|| panic!("no row {first}"))
}

#[test]
fn every_limit_is_documented_correctly() {
    let holds = |first: &str, wanted: String| {
        let row = row(first);
        assert!(row.contains(&wanted), "{row}\ndoes not say: {wanted}");
    };
    let kib = |bytes: usize| format!("{} KiB", bytes >> 10);
    let mib = |bytes: usize| format!("{} MiB", bytes >> 20);
    holds("`message`", kib(MESSAGE_BYTES_MAX));
    holds("`id`", format!("{ID_BYTES_MAX} bytes"));
    holds("`logger`", format!("{TEXT_BYTES_MAX} bytes"));
    holds("`version`", format!("{TEXT_BYTES_MAX} bytes"));
    let fields = format!(
        "{FIELDS_MAX} values, {FIELDS_DEPTH_MAX} levels deep, {NAME_BYTES_MAX} bytes a name, {} a text",
        kib(VALUE_BYTES_MAX)
    );
    holds("`fields`", fields);
    let body = format!(
        "{} as it is sent, {} decompressed, {EVENTS_MAX} events",
        mib(BODY_BYTES_MAX),
        mib(INFLATED_BYTES_MAX)
    );
    holds("body", body);
    holds(
        "`level`",
        Level::ALL[..5].iter().map(|level| format!("`{}`", level.name())).collect::<Vec<_>>().join(", "),
    );
    assert_eq!((AHEAD_MAX.as_hours(), AGE_MAX.as_hours()), (1, 14 * 24));
    holds("`@timestamp`", "an hour ahead, fourteen days ago".to_owned());
    holds("404, 405, 415", format!("`{PATH}`"));
    assert!(DOCUMENT.contains(&format!("has at most {}.", kib(EVENT_BYTES_MAX))));
}

#[test]
fn every_status_and_every_reason_is_documented() {
    let documented: BTreeSet<u16> = DOCUMENT
        .lines()
        .skip_while(|line| !line.starts_with("| answer |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .flat_map(|line| {
            line.split('|').nth(1).unwrap().split(',').filter_map(|word| word.trim().parse().ok())
        })
        .collect();
    let refused = [
        Refused::NoSuchPath,
        Refused::Method,
        Refused::MediaType,
        Refused::TooLarge(TooLarge::Body),
        Refused::Unknown,
        Refused::Revoked,
        Refused::TooMany { seconds: 1 },
        Refused::Malformed(Malformed::Empty),
        Refused::NotAcknowledged,
    ];
    let mut given: BTreeSet<u16> = refused.iter().map(Refused::status).collect();
    given.insert(IngestResponse::Accepted { events: 1 }.status());
    // Lambda's own statuses for a function that did not answer.
    given.extend([502, 504]);
    assert_eq!(documented, given);
    for reason in Reason::ALL {
        let name = format!("`{}`", reason.metric().name());
        assert!(*reason == Reason::Request || DOCUMENT.contains(&name), "{name}");
    }
}
