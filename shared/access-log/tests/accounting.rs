//! Tests that every line is accounted for once, in objects that are split, compressed or damaged in any way,
//! and that the fast path writes the same as the plain path.

use flate2::{Decompress, FlushDecompress};
use lockstep_access_log::synthetic::{Synthetic, gzip};
use lockstep_access_log::{Batch, Fields, Format, Malformed, Quarantined, Reader, Settings, Source, Why};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn source() -> Source {
    Source {
        bucket: "logs".into(),
        key: "lb/\"app\"/day.log.gz".into(),
        version: "3/L4kqtJ".into(),
        written: None,
    }
}

/// Reads an object into one batch. Checks the invariants of each batch on its way.
fn read<'o>(settings: &Settings, chunks: impl IntoIterator<Item = &'o [u8]>) -> Batch {
    read_after(0, settings, chunks)
}

fn read_after<'o>(lines: u64, settings: &Settings, chunks: impl IntoIterator<Item = &'o [u8]>) -> Batch {
    let mut reader = Reader::new(&source(), settings).after(lines);
    let mut all = Batch { lines: 1..1, ..Batch::default() };
    let mut first = None;
    let mut add = |batch: Batch| {
        assert!(!batch.is_empty());
        assert!(all.unreadable.is_none() || batch.lines.is_empty(), "lines come before what cannot be read");
        assert_eq!(batch.event_count + batch.quarantined_count, batch.lines.end - batch.lines.start);
        assert_eq!(batch.events.iter().filter(|&&byte| byte == b'\n').count() as u64, batch.event_count);
        assert!(first.is_none() || all.lines.end == batch.lines.start, "no line is left out");
        all.lines.start = *first.get_or_insert(batch.lines.start);
        all.lines.end = batch.lines.end;
        all.events.extend_from_slice(&batch.events);
        all.event_count += batch.event_count;
        all.quarantined_count += batch.quarantined_count;
        all.quarantined.extend(batch.quarantined);
        match (&mut all.unreadable, batch.unreadable) {
            (Some(all), Some(next)) => {
                assert_eq!((next.offset, next.why), (all.offset + all.bytes.len() as u64, all.why));
                all.bytes.extend(next.bytes);
            }
            (all, next) => *all = all.take().or(next),
        }
    };
    for mut chunk in chunks {
        while let Some(batch) = reader.read(&mut chunk) {
            add(batch);
        }
        assert!(chunk.is_empty(), "everything is taken");
    }
    while let Some(batch) = reader.finish() {
        add(batch);
    }
    let kept: BTreeSet<u64> = all.quarantined.iter().map(|part| part.line).collect();
    assert_eq!(kept.len() as u64, all.quarantined_count);
    assert_eq!(reader.finish(), None);
    assert_eq!(reader.lines(), all.lines.end.max(lines + 1) - 1);
    all
}

fn small_batches() -> Settings {
    Settings { batch_bytes: 900, ..Settings::default() }
}

/// Returns the ids of the events, which end in their lines' numbers.
fn ids(batch: &Batch) -> Vec<String> {
    let lines = batch.events.split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| {
            serde_json::from_slice::<serde_json::Value>(line).unwrap()["event"]["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn an_object_without_lines_gives_no_batch() {
    for object in [Vec::new(), gzip(b"")] {
        let all = read(&Settings::default(), [&object[..]]);
        assert!(all.is_empty(), "{all:?}");
    }
}

#[test]
fn a_last_line_needs_no_line_feed_and_a_carriage_return_is_dropped() {
    let (text, _) = Synthetic::new(Format::Alb, 1).lines(3);
    let unix = read(&Settings::default(), [&text[..]]);
    let without_last = read(&Settings::default(), [text.strip_suffix(b"\n").unwrap()]);
    let windows = str::from_utf8(&text).unwrap().replace('\n', "\r\n");
    assert_eq!((unix.event_count, unix.quarantined_count), (3, 0));
    assert_eq!(without_last, unix);
    assert_eq!(read(&Settings::default(), [windows.as_bytes()]), unix);
}

#[test]
fn a_line_that_is_too_long_is_quarantined_in_parts() {
    let settings = Settings { line_bytes_max: 1000, ..Settings::default() };
    let (line, _) = Synthetic::new(Format::Classic, 1).lines(1);
    for long in [1001, 2000, 2001, 1_000_000] {
        let long = vec![b'x'; long];
        let object = [&line[..], &long, b"\n", &line].concat();
        for chunk in [7, 1000, 300_000, object.len()] {
            let all = read(&settings, object.chunks(chunk));
            assert_eq!((all.event_count, all.quarantined_count, all.lines.clone()), (2, 1, 1..4));
            let parts: Vec<u8> = all.quarantined.iter().flat_map(|part| part.bytes.clone()).collect();
            assert!(
                parts == long
                    && all.quarantined.iter().all(|part| part.bytes.len() <= 1000 && part.line == 2)
            );
            assert_eq!(all.quarantined[0].reason, Malformed::TooLong { limit: 1000 });
        }
    }
}

#[test]
fn blank_lines_fill_batches_too() {
    let object = gzip(&vec![b'\n'; 1_000_000]);
    let mut reader = Reader::new(&source(), &Settings::default());
    let (mut lines, mut most) = (0, 0);
    let mut bytes = &object[..];
    while let Some(batch) = reader.read(&mut bytes).or_else(|| reader.finish()) {
        lines += batch.quarantined_count;
        most = most.max(batch.quarantined.len());
    }
    assert_eq!(lines, 1_000_000);
    assert!(most < 10_000, "{most} at once");
}

#[test]
fn a_malformed_line_is_quarantined_unchanged_with_number_and_reason() {
    let (good, _) = Synthetic::new(Format::Alb, 1).lines(1);
    let good = str::from_utf8(&good).unwrap().trim_end();
    let settings = Settings { format: Some(Format::Alb), ..Settings::default() };
    for (line, reason) in [
        (String::new(), "the line is blank"),
        ("\r".into(), "the line is blank"),
        ("half a line".into(), "time is not a time in ISO 8601"),
        (
            good.split(' ').take(9).collect::<Vec<_>>().join(" "),
            "the line has 9 columns, and a line of format alb has at least 17",
        ),
        (
            good.replacen("203.0.", "203.300.", 1),
            "client is not an IP address, or has no port where one belongs",
        ),
        (good.replacen("2026-11-26", "2026-11-31", 1), "time is not a time in ISO 8601"),
        (good.strip_suffix('"').unwrap().to_owned(), "column 33 begins with a quote that is not closed"),
    ] {
        let object = format!("{good}\n{line}\n{good}\n");
        let all = read(&settings, [object.as_bytes()]);
        let [Quarantined { line: 2, part: 0, bytes, reason: found }] = &all.quarantined[..] else {
            panic!("{line}: {:?}", all.quarantined)
        };
        assert_eq!((bytes, &found.to_string()[..]), (&line.into_bytes(), reason));
        assert_eq!((all.event_count, all.lines), (2, 1..4));
    }
}

#[test]
fn a_truncated_object_is_read_to_its_end_and_the_rest_is_kept() {
    let (text, _) = Synthetic::new(Format::Alb, 7).lines(400);
    let object = gzip(&text);
    for cut in [1, 9, 10, 11, 300, object.len() / 2, object.len() - 9, object.len() - 1] {
        let all = read(&small_batches(), object[..cut].chunks(37));
        let unreadable = all.unreadable.expect("it is reported");
        assert_eq!(
            (unreadable.why, unreadable.offset as usize, &unreadable.bytes[..]),
            (Why::Truncated, cut, &[][..])
        );
        let whole = text.iter().filter(|&&byte| byte == b'\n').take(all.event_count as usize).count() as u64;
        assert_eq!(all.event_count, whole);
        assert!(
            all.quarantined.len() <= 1 && all.quarantined.iter().all(|line| line.reason == Malformed::CutOff)
        );
        // The readable lines are the beginning of the text.
        let read: usize =
            text.split_inclusive(|&byte| byte == b'\n').take(all.event_count as usize).map(<[u8]>::len).sum();
        if let Some(fragment) = all.quarantined.first() {
            assert!(text[read..].starts_with(&fragment.bytes));
        }
    }
}

#[test]
fn no_text_remains_in_the_decompressor() {
    // Few bytes become more text than the reader takes at once.
    let text = [vec![b'a'; 999], vec![b'\n']].concat().repeat(300);
    let object = gzip(&text);
    for cut in 11..object.len() - 8 {
        let mut expected = Vec::with_capacity(text.len());
        Decompress::new_gzip(15)
            .decompress_vec(&object[..cut], &mut expected, FlushDecompress::None)
            .unwrap();
        let all = read(&Settings::default(), [&object[..cut]]);
        let read: Vec<&[u8]> = all.quarantined.iter().map(|line| &line.bytes[..]).collect();
        assert!(read.join(&b'\n') == expected.strip_suffix(b"\n").unwrap_or(&expected), "cut after {cut}");
    }
}

#[test]
fn bytes_after_the_damage_are_kept_unchanged() {
    let (text, _) = Synthetic::new(Format::Alb, 7).lines(400);
    let object = gzip(&text);
    let damage = object.len() / 2;
    let mut damaged = object.clone();
    damaged[damage..damage + 40].fill(0xff);
    let all = read(&small_batches(), damaged.chunks(64));
    let unreadable = all.unreadable.expect("it is reported");
    assert_eq!(unreadable.why, Why::Corrupt);
    assert!(unreadable.offset as usize >= damage && all.event_count > 150);
    assert_eq!(unreadable.bytes, damaged[unreadable.offset as usize..]);
}

#[test]
fn a_wrong_checksum_and_trailing_bytes_are_reported_after_the_lines() {
    let (text, _) = Synthetic::new(Format::Nlb, 7).lines(20);
    let object = gzip(&text);
    let mut wrong = object.clone();
    let checksum = wrong.len() - 8;
    wrong[checksum] ^= 1;
    let all = read(&Settings::default(), wrong.chunks(64));
    assert_eq!((all.event_count, all.unreadable.map(|rest| rest.why)), (20, Some(Why::Corrupt)));

    let followed = [&object[..], b"garbage"].concat();
    let all = read(&Settings::default(), followed.chunks(3));
    let rest = all.unreadable.expect("it is reported");
    assert_eq!(
        (all.event_count, rest.why, &rest.bytes[..], rest.offset as usize),
        (20, Why::NotGzip, &b"garbage"[..], object.len())
    );
}

#[test]
fn a_line_has_the_same_id_in_the_same_object_version_only() {
    let (text, _) = Synthetic::new(Format::Alb, 7).lines(3);
    let all = ids(&read(&Settings::default(), [&text[..]]));
    assert_eq!(all, ids(&read(&small_batches(), gzip(&text).chunks(5))));
    let mut reader = Reader::new(&Source { version: "another".into(), ..source() }, &Settings::default());
    assert_eq!(reader.read(&mut &text[..]), None);
    let others = ids(&reader.finish().unwrap());
    assert!(all.iter().all(|id| !others.contains(id)) && all[2].ends_with("-3"), "{all:?} {others:?}");
}

#[test]
fn a_line_that_is_not_utf8_is_an_event_that_carries_its_bytes() {
    let (mut text, _) = Synthetic::new(Format::Nlb, 7).lines(1);
    text.truncate(text.len() - 1);
    text.extend_from_slice(b" \xff\xfeend");
    let all = read(&Settings::default(), [&text[..]]);
    let event: serde_json::Value = serde_json::from_slice(&all.events).unwrap();
    assert_eq!(event["aws"]["elb"]["extra"][0], "\u{fffd}\u{fffd}end");
    assert_eq!(event["message"], String::from_utf8_lossy(&text).into_owned());
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(event["aws"]["elb"]["message_base64"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes, text);
}

fn any_format() -> impl Strategy<Value = Format> {
    prop::sample::select(Format::ALL)
}

/// Returns lines of any format, many of them odd, and some damaged byte by byte.
fn any_text() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20);
    (any_format(), any::<u64>(), 1..40_u64, edits).prop_map(|(format, seed, count, edits)| {
        let (mut text, _) = Synthetic::new(format, seed).odd(300).lines(count);
        for (at, byte) in edits {
            let at = at.index(text.len());
            // The first byte of gzip would make the text an object of another kind.
            text[at] = if byte == 0x1f { b'x' } else { byte };
        }
        (format, text)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_fast_path_writes_the_same_as_the_plain_path(
        (format, text) in any_text(),
        configured in any::<bool>(),
        fields in prop::sample::select(vec![Fields::Ecs, Fields::Plain]),
    ) {
        let settings = Settings { format: configured.then_some(format), fields, ..Settings::default() };
        let plain = Settings { plainly: true, ..settings.clone() };
        prop_assert_eq!(read(&settings, [&text[..]]), read(&plain, [&text[..]]));
    }

    #[test]
    fn every_line_is_an_event_or_quarantined_in_any_split(
        (format, text) in any_text(),
        chunk in 1..2000_usize,
        batch_bytes in 1..5000_usize,
        members in 1..4_usize,
    ) {
        let settings = Settings { format: Some(format), batch_bytes, ..Settings::default() };
        let plain = read(&settings, text.chunks(chunk));
        let feeds = text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        prop_assert_eq!(plain.lines.end - 1, feeds + u64::from(text.last() != Some(&b'\n')));
        prop_assert_eq!(&plain.unreadable, &None);
        for event in plain.events.split_inclusive(|&byte| byte == b'\n') {
            let event: serde_json::Value = serde_json::from_slice(event).unwrap();
            let line = event["event"]["sequence"].as_u64().unwrap() as usize;
            let original = text.split(|&byte| byte == b'\n').nth(line - 1).unwrap();
            let original = original.strip_suffix(b"\r").unwrap_or(original);
            prop_assert_eq!(event["message"].as_str().unwrap(), &String::from_utf8_lossy(original));
        }
        for line in &plain.quarantined {
            let original = text.split(|&byte| byte == b'\n').nth(line.line as usize - 1).unwrap();
            prop_assert_eq!(&line.bytes, original);
        }
        let packed: Vec<u8> = text.chunks(text.len().div_ceil(members)).flat_map(gzip).collect();
        prop_assert_eq!(read(&settings, packed.chunks(chunk)), plain);
    }

    #[test]
    fn a_reader_resumed_after_a_line_gets_exactly_the_lines_behind_it((format, text) in any_text(), part in 0.0..1.0) {
        let settings = Settings { format: Some(format), batch_bytes: 700, ..Settings::default() };
        let all = read(&settings, [&text[..]]);
        let done = (part * (all.lines.end - 1) as f64) as u64;
        let rest = read_after(done, &settings, [&text[..]]);
        let expected: Vec<String> = ids(&all).into_iter().filter(|id| id.rsplit('-').next().unwrap().parse::<u64>().unwrap() > done).collect();
        prop_assert_eq!(ids(&rest), expected);
        let quarantined: Vec<Quarantined> = all.quarantined.into_iter().filter(|line| line.line > done).collect();
        prop_assert_eq!(rest.quarantined, quarantined);
    }

    #[test]
    fn the_names_of_fields_change_neither_ids_nor_messages((format, text) in any_text()) {
        let with = |fields| read(&Settings { format: Some(format), fields, ..Settings::default() }, [&text[..]]);
        let (ecs, plain) = (with(Fields::Ecs), with(Fields::Plain));
        let events = |batch: &Batch, id: &str, number: &str| -> Vec<[serde_json::Value; 4]> {
            let lines = batch.events.split_inclusive(|&byte| byte == b'\n');
            let parsed = lines.map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap());
            parsed
                .map(|event| {
                    let part = |path: &str| event.pointer(path).cloned().unwrap();
                    [part(id), part(number), part("/message"), part("/@timestamp")]
                })
                .collect()
        };
        prop_assert_eq!(events(&ecs, "/event/id", "/event/sequence"), events(&plain, "/id", "/source/line"));
        prop_assert_eq!(ecs.quarantined, plain.quarantined);
    }

    #[test]
    fn the_generator_counts_malformed_lines_correctly(format in any_format(), seed in any::<u64>()) {
        let (text, malformed) = Synthetic::new(format, seed).odd(400).lines(30);
        let all = read(&Settings { format: Some(format), ..Settings::default() }, [&text[..]]);
        prop_assert_eq!((all.event_count, all.quarantined_count), (30 - malformed, malformed), "{:?}", all.quarantined);
    }

    #[test]
    fn any_bytes_are_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..3000), gz in any::<bool>(), chunk in 1..500_usize) {
        // A gzip header in front feeds garbage to the decompressor too.
        let object = if gz { [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &bytes[..]].concat() } else { bytes };
        let settings = Settings { line_bytes_max: 100, ..small_batches() };
        let all = read(&settings, object.chunks(chunk));
        if let Some(rest) = all.unreadable {
            prop_assert_eq!(&rest.bytes[..], &object[rest.offset as usize..]);
        }
    }
}
