use super::*;
use crate::ecs::parts::{Request, TLS_VERSIONS, scaled, tls_version};
use crate::event::{self, Fields, Labels, Source};
use crate::line;
use crate::synthetic::Synthetic;
use proptest::prelude::*;
use strum::VariantArray;

fn template(fields: Fields) -> Template {
    let source =
        Source { bucket: "b".into(), key: "k\"".into(), version: "v".into(), written: Some("t".into()) };
    Template::new(fields, &source, &Labels { application: Some("Größe".into()), ..Labels::default() })
}

/// Returns the event of a line on the fast path, and the event or the reason against it on the plain path.
fn both_ways(
    fields: Fields,
    format: Format,
    number: u64,
    line: &[u8],
) -> (Option<Vec<u8>>, Result<Vec<u8>, line::Malformed>) {
    let template = template(fields);
    // Bytes behind a line are not part of it.
    let text = [line, b"\n", &[b'"'; BEHIND]].concat();
    let mut fast = None;
    // With every variant, and behind an event that must not change.
    for has_avx2 in [false, true] {
        let mut writer = Writer::new(&template, format);
        #[cfg(target_arch = "x86_64")]
        {
            writer.has_avx2 &= has_avx2;
        }
        let mut events = b"before\n".to_vec();
        let next = writer.event(number, &text, &mut events);
        assert!(next.is_none_or(|next| next == line.len() + 1));
        let event = events.strip_prefix(b"before\n").expect("what was there is kept").to_vec();
        assert_eq!(event.is_empty(), next.is_none());
        let event = next.map(|_| event);
        assert!(!has_avx2 || fast == event, "both ways come to the same");
        fast = event;
    }
    let plain = line::parse(line, format).map(|parsed| {
        let mut out = Vec::new();
        event::write(&mut out, &template, format, number, line, &parsed);
        out
    });
    (fast, plain)
}

#[test]
fn lines_of_load_balancers_take_the_fast_path() {
    for (&format, &fields) in
        Format::ALL.iter().flat_map(|format| Fields::VARIANTS.iter().map(move |f| (format, f)))
    {
        let (text, _) = Synthetic::new(format, 3).lines(300);
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let taken = lines.filter(|line| both_ways(fields, format, 1, line).0.is_some()).count();
        // Half of the connections of NLB report their preferences, in quotes.
        assert!(taken >= if format == Format::Nlb { 100 } else { 300 }, "{format:?}: {taken}");
    }
}

/// Returns lines at the limits of the fast path: quotes, spaces, numbers, addresses.
fn tricky(format: Format) -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        3 => prop::sample::select(vec![
            "-", "", "-1", "0", "00", "007", "1.5", "1.", ".5", "1.5.2", "-0.5", "1e3", "123456789012345",
            "1234567890123456", "0.00000000000001", "10.0.0.1:80", "10.0.0.1:080", "010.0.0.1:80", "256.0.0.1:1", "10.0.0.256:80", "10.0.0.1.2:80", "1.2.3.4567:80",
            "10.0.0.1:65536", "1.2.3:4", "::1:443", "[::1]:443", "10.0.0.1", ":", "2026-11-26T10:11:12.5Z",
            "2026-11-26T10:11:12", "2026-02-30T10:11:12Z", "\"\"", "\"-\"", "\"-1\"", "\"a b\"", "\"a\"b\"", "a\"b",
            "GET http://h:80/a?b HTTP/1.1", "\"GET http://h:80/a?b HTTP/1.1\"", "\"GET  HTTP/1.1\"", "\"- - - \"", "\"* x HTTP/2\"",
            "TLSv1.2", "tlsv13", "TLSv9", "9999999999", "999999999.999999999", "0.0000000001", "2026-01-31T10:11:12Z",
            "NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z", "NotBefore=;NotAfter=",
            "\"", "\"12\"", "\"10.0.0.1:80\"", "\"a\\\" b\"", "\"2026-11-26T10:11:12Z\"",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,70}",
    ];
    let (text, _) = Synthetic::new(format, 5).lines(1);
    let original = String::from_utf8(text).expect("no odd ones").trim_end().to_owned();
    prop::collection::vec((any::<prop::sample::Index>(), value), 0..4).prop_map(move |edits| {
        let mut values: Vec<&str> = original.split(' ').collect();
        for (at, value) in &edits {
            let at = at.index(values.len());
            values[at] = value;
        }
        values.join(" ").into_bytes()
    })
}

fn any_tricky() -> impl Strategy<Value = (Format, Vec<u8>)> {
    prop::sample::select(Format::ALL).prop_flat_map(|format| (Just(format), tricky(format)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn both_paths_give_the_same_result((format, line) in any_tricky(), number in any::<u64>()) {
        for &fields in Fields::VARIANTS {
            if let (Some(fast), plain) = both_ways(fields, format, number, &line) {
                prop_assert_eq!(Ok(String::from_utf8(fast).unwrap()), plain.map(|plain| String::from_utf8(plain).unwrap()));
            }
        }
    }
}

#[test]
fn a_line_ends_anywhere_in_a_block_and_may_be_long() {
    let (text, _) = Synthetic::new(Format::Alb, 7).lines(1);
    let line = String::from_utf8(text).expect("no odd ones").trim_end().to_owned();
    for more in (0..300).chain([1000, 4000, 7000, 8000, 9000]) {
        for (quoted, filler) in [(true, 'x'), (true, ' '), (false, 'x')] {
            let filler = filler.to_string().repeat(more);
            // Within the request, which is in quotes, or within the name of the load balancer, which is not.
            let line = if quoted {
                line.replacen("HTTP/", &format!("{filler}HTTP/"), 1)
            } else {
                line.replacen("app/", &format!("app/{filler}"), 1)
            };
            let fields = if more % 2 == 0 { Fields::Ecs } else { Fields::Plain };
            let (fast, plain) = both_ways(fields, Format::Alb, 9, line.as_bytes());
            // The fast path takes at most eight KiB.
            assert_eq!(fast.is_some(), more < 7500, "{more}");
            if fast.is_some() {
                assert_eq!(fast, plain.ok(), "{more}");
            }
        }
    }
}

#[test]
fn dates_and_tls_versions_equal_those_of_the_plain_path() {
    for date in [
        "2026-11-26",
        "2026-01-31",
        "2026-02-29",
        "2024-02-29",
        "2026-00-10",
        "2026-13-10",
        "2026-10-00",
        "2026-10-32",
        "20a6-10-10",
        "2026/10-10",
        "2026-1a-10",
        "2026-10-1:",
        "2026-10_10",
        "12026-10-1",
    ] {
        for rest in ["T10:11:12Z", "T10:11:12.5Z", "T10:11:12", "T24:11:12Z", "T10:11:12.Z", "Z", ""] {
            let time = format!("{date}{rest}");
            let text = format!("{time}{}", "7".repeat(value::BEHIND));
            let found = value::is_time(text.as_bytes(), time.len());
            assert_eq!(found, crate::time::parse(time.as_bytes()).is_some(), "{time}");
        }
    }
    let names = TLS_VERSIONS.iter().map(|(name, _, _)| *name);
    for name in names.chain(["", "TLSv1.", "TLSv1.22", "TLSv1.2345", "tlsv", "x"]) {
        let text = format!("{name} {}", "7".repeat(value::BEHIND));
        assert_eq!(value::tls_version(text.as_bytes(), name.len()), tls_version(name.as_bytes()), "{name}");
    }
}

#[test]
fn request_lines_are_split_as_on_the_plain_path() {
    let methods = ["GET", "-", "", "G T", "A_METHOD_WITH_MORE_BYTES"];
    let urls = [
        "http://h:80/",
        "https://www.example.com:443/a/b?c=d&e",
        "https://h:443/?",
        "https://h:443",
        "http://h/",
        "wss://h:1/",
        "http://h:080/",
        "http://h:65536/",
        "http://h:/",
        "http://:80/",
        "http://u@h:80/",
        "http://[::1]:80/",
        "http://h?x:80/",
        "*",
        "",
        "http://a-host-with-a-name-that-is-far-longer-than-others.subdomain.example.com:8080/path?q",
        "http://h:80/a b?c?d",
    ];
    let versions = [
        "HTTP/1.1",
        "HTTP/2.0",
        "HTTP/ .1",
        "HTTP/1 1",
        "HTTP/1. ",
        "HTTP/2",
        "HTTP/10.0",
        "http/1.1",
        "-",
        "",
    ];
    let mut lines = Vec::new();
    for method in methods {
        for url in urls {
            lines.extend(versions.iter().map(|version| format!("{method} {url} {version}")));
        }
    }
    for line in lines {
        let text = format!("{line}{}", "/".repeat(value::BEHIND));
        assert_eq!(request::split(text.as_bytes(), line.len()), Request::split(line.as_bytes()), "{line}");
    }
}

#[test]
fn values_of_every_length_are_copied_completely() {
    let from: Vec<u8> = (0..=255).cycle().take(2000).collect();
    for length in 0..1500 {
        let mut vector = vec![b'-'];
        let mut out = Out::behind(&mut vector, length + 600);
        out.put(&from, 5, length as u32);
        let quotes = [1 << 3 | 1 << 63, 0, 1];
        let escaped = length.clamp(129, 150);
        out.put_escaped(&from, escaped as u32, &quotes);
        out.put_field(&out::Name::of_text("n"), &from, 9, 1, true);
        out.put_field(&out::Name::of_number("a_name_that_is_longer_than_the_others"), &from, 9, 1, false);
        out.put_member(const { &out::Name::new("<").with(out::Suffix::TIME) }, &from, 9, 1);
        let empty = out.open(&out::Name::new("empty"));
        out.close(empty);
        let object = out.open(&out::Name::new("{"));
        out.put_number(&out::Name::new("n"), u64::MAX);
        out.put_number(&out::Name::new("m"), 0);
        out.close(object);
        out.keep();
        let wanted: Vec<u8> = [
            b"-",
            &from[5..5 + length],
            &[&from[..3], b"\\", &from[3..63], b"\\", &from[63..128], b"\\", &from[128..escaped]].concat(),
            b",\"n\":\"\x09\",\"a_name_that_is_longer_than_the_others\":\x09",
            b"<\x09Z\",{n18446744073709551615,m0},",
        ]
        .concat();
        assert_eq!(vector, wanted, "{length}");
    }
}

#[test]
#[should_panic(expected = "bytes must stand behind what is copied")]
fn no_byte_is_read_behind_the_source() {
    Out::behind(&mut Vec::new(), 1000).put(&[0; 10 + SLACK], 1, 10);
}

#[test]
#[should_panic(expected = "an event is larger than its room")]
fn no_byte_is_written_behind_the_destination() {
    let mut vector = Vec::new();
    let mut out = Out::behind(&mut vector, 100);
    for _ in 0..20 {
        out.put(&[0; 10 + SLACK], 0, 10);
    }
}

#[test]
fn numbers_addresses_and_times_equal_those_of_the_plain_path() {
    let edges = [
        "0",
        "9",
        "00",
        "01",
        "10",
        "99",
        "100",
        "255",
        "256",
        "260",
        "299",
        "300",
        "999",
        "1000",
        "65535",
        "65536",
        "99999",
        "100000",
        "",
        "a",
        "-1",
        "0.5",
        "0.",
        ".5",
        "1.5",
        "12.25",
        "1..2",
        "1.2.3",
        "123456789012345",
        "1234567890123456",
        "0.1234567890123",
        "0.12345678901234",
        "12345678901234567",
        "123456789012345678901234567890123456789",
        "1234567890123456789.1",
        "1.2a",
        "01.5",
        "/",
        ":",
    ];
    let behind = "7".repeat(value::BEHIND);
    for value in edges {
        let text = format!("{value}{behind}");
        let is_plain = |value: &str| {
            // The plain path takes such a value unchanged.
            !value.starts_with('-')
                && serde_json::from_str::<f64>(value).is_ok()
                && value.len() <= line::DIGITS_MAX
        };
        if !value.is_empty() {
            assert_eq!(value::is_number(text.as_bytes(), value.len()), is_plain(value), "{value}");
            let is_integer = is_plain(value) && !value.contains('.');
            assert_eq!(value::is_integer(text.as_bytes(), value.len()), is_integer, "{value}");
            if let Some(found) = value::nanoseconds(text.as_bytes(), value.len()) {
                assert_eq!(Some(found), scaled(value.as_bytes(), 9), "{value}");
            }
        }
    }
    for [a, b, c, d] in edges.iter().flat_map(|edge| {
        (0..4).map(move |at| {
            let mut groups = ["10", "0", "255", "7"];
            groups[at] = edge;
            groups
        })
    }) {
        let address = format!("{a}.{b}.{c}.{d}");
        let is_ip = address.parse::<std::net::Ipv4Addr>().is_ok();
        let with = |behind: &str| format!("{address}{behind}{}", " ".repeat(value::BEHIND));
        if !address.starts_with('-') {
            assert_eq!(value::is_ipv4(with(" ").as_bytes(), address.len()), is_ip, "{address}");
        }
        for port in edges {
            let length = address.len() + 1 + port.len();
            let is_port = port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
            let wanted = (is_ip && is_port).then_some(address.len());
            assert_eq!(
                value::colon(with(&format!(":{port}")).as_bytes(), length),
                wanted,
                "{address}:{port}"
            );
        }
    }
    for clock in [
        "T00:00:00",
        "T23:59:60",
        "T24:00:00",
        "T12:60:00",
        "T12:00:61",
        "T1a:00:00",
        "T12-00:00",
        "t12:00:00",
        "T:2:00:00",
        "T12:00:0/",
    ] {
        let time = format!("2026-11-26{clock}");
        assert_eq!(
            value::is_clock(clock.as_bytes()),
            crate::time::parse(time.as_bytes()).is_some(),
            "{clock}"
        );
    }
    for fraction in ["", ".", ".1", ".123456", ".123456789", ".1234567890", "1", ".12a", "..1"] {
        let time = format!("2026-11-26T00:00:00{fraction}");
        let text = format!("{fraction}{behind}");
        let found = value::is_fraction(text.as_bytes(), fraction.len());
        assert_eq!(found, crate::time::parse(time.as_bytes()).is_some(), "{fraction}");
    }
}
