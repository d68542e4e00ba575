use super::lumberjack::Acks;
use super::*;
use flate2::read::ZlibDecoder;
use proptest::prelude::*;
use std::io::Read as _;

/// Returns `count` events, numbered from `first`.
fn batch(first: u32, count: u32) -> Batch {
    let lines: String = (first..first + count).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    Batch::new(lines.into_bytes()).unwrap()
}

/// A Lumberjack peer that parses windows as they arrive.
#[derive(Default)]
struct BeatsPeer {
    bytes: Vec<u8>,
    /// Events of every complete window, oldest first.
    windows: Vec<Vec<Vec<u8>>>,
}

impl BeatsPeer {
    fn hears(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while let Some((events, length)) = read_window(&self.bytes) {
            self.windows.push(events);
            self.bytes.drain(..length);
        }
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().take(4).fold(0, |sum, byte| sum << 8 | usize::from(*byte))
}

/// Returns the events of the window at the beginning of `bytes`, and its length; `None` if it is incomplete.
fn read_window(bytes: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    if bytes.len() < 12 {
        return None;
    }
    assert_eq!((&bytes[..2], &bytes[6..8]), (&b"2W"[..], &b"2C"[..]));
    let (count, length) = (number(&bytes[2..]), number(&bytes[8..]));
    let compressed = bytes.get(12..12 + length)?;
    let mut frames = Vec::new();
    ZlibDecoder::new(compressed).read_to_end(&mut frames).unwrap();
    let (mut events, mut rest) = (Vec::new(), frames.as_slice());
    while !rest.is_empty() {
        assert_eq!((&rest[..2], number(&rest[2..])), (&b"2J"[..], events.len() + 1));
        let length = number(&rest[6..]);
        events.push(rest[10..10 + length].to_vec());
        rest = &rest[10 + length..];
    }
    assert_eq!(events.len(), count);
    Some((events, 12 + length))
}

fn ack(number: u32) -> Vec<u8> {
    [&b"2A"[..], &number.to_be_bytes()].concat()
}

fn beats() -> Conversation {
    Conversation::new(Protocol::Beats).unwrap()
}

fn lines() -> Conversation {
    Conversation::new(Protocol::JsonLines).unwrap()
}

/// Writes all output, and answers it.
fn write_all(conversation: &mut Conversation, window: &mut Window, goal: Goal) -> Vec<u8> {
    let mut all = Vec::new();
    while let Next::Write(bytes) = conversation.next(window, goal) {
        all.extend_from_slice(bytes);
        let length = bytes.len();
        conversation.written(length);
    }
    all
}

#[test]
fn a_batch_consists_of_complete_lines_only() {
    assert_eq!(Batch::new(Vec::new()), None);
    assert_eq!(Batch::new(b"{}".to_vec()), None);
    let batch = batch(1, 3);
    assert_eq!((batch.events(), batch.bytes()), (3, 24));
    assert_eq!(batch.rest(1), b"{\"n\":2}\n{\"n\":3}\n");
    assert_eq!(batch.events_after(1).collect::<Vec<_>>(), [b"{\"n\":2}", b"{\"n\":3}"]);
    assert_eq!(batch.events_after(3).count(), 0);
}

#[test]
fn a_lumberjack_window_is_numbered_from_one_and_compressed() {
    let (mut peer, mut window, mut conversation) = (BeatsPeer::default(), Window::new(100), beats());
    window.take(batch(7, 2));
    peer.hears(&write_all(&mut conversation, &mut window, Goal::Settled));
    assert_eq!(peer.windows, [[b"{\"n\":7}".to_vec(), b"{\"n\":8}".to_vec()]]);
}

#[test]
fn lumberjack_counts_no_event_before_the_peer_acknowledges_it() {
    let (mut window, mut conversation) = (Window::new(100), beats());
    window.take(batch(1, 3));
    write_all(&mut conversation, &mut window, Goal::Settled);
    assert_eq!(window.take_acknowledged(), 0);
    assert_eq!(conversation.next(&mut window, Goal::Settled), Next::Listen);
    for keep_alive in [0, 0] {
        conversation.received(&ack(keep_alive), &mut window).unwrap();
        assert_eq!(window.progress(), 0);
    }
    conversation.received(&ack(2), &mut window).unwrap();
    assert_eq!((window.progress(), window.take_acknowledged()), (2, 0));
    conversation.received(&ack(3), &mut window).unwrap();
    assert_eq!((window.progress(), window.take_acknowledged()), (3, 1));
    assert_eq!(conversation.next(&mut window, Goal::Settled), Next::Reached);
}

#[test]
fn after_a_partial_acknowledgement_only_the_rest_is_sent_again() {
    let (mut window, mut conversation) = (Window::new(1000), beats());
    window.take(batch(1, 3));
    window.take(batch(4, 1));
    write_all(&mut conversation, &mut window, Goal::Settled);
    conversation.received(&ack(2), &mut window).unwrap();
    assert_eq!(conversation.peer_closed(&mut window), Err(Lost::Closed));
    window.rewind();
    let (mut conversation, mut peer) = (beats(), BeatsPeer::default());
    peer.hears(&write_all(&mut conversation, &mut window, Goal::Settled));
    assert_eq!(peer.windows, [[b"{\"n\":3}".to_vec()], [b"{\"n\":4}".to_vec()]]);
    conversation.received(&[ack(1), ack(1)].concat(), &mut window).unwrap();
    assert!(window.is_empty());
    assert_eq!(window.take_acknowledged(), 2);
}

#[test]
fn an_acknowledgement_of_an_unsent_event_ends_the_connection() {
    let (mut window, mut conversation) = (Window::new(100), beats());
    window.take(batch(1, 2));
    assert!(conversation.received(&ack(1), &mut window).is_err(), "before anything was sent");
    write_all(&mut conversation, &mut window, Goal::Settled);
    assert!(matches!(conversation.received(&ack(3), &mut window), Err(Lost::Violation(_))));
    assert!(matches!(conversation.received(b"HTTP/1.1 400", &mut window), Err(Lost::Violation(_))));
    assert_eq!(window.progress(), 0);
}

#[test]
fn acknowledgements_are_parsed_in_any_pieces() {
    let bytes = [ack(0), ack(1), ack(70_000)].concat();
    for size in 1..bytes.len() {
        let (mut acks, mut heard) = (Acks::default(), Vec::new());
        for piece in bytes.chunks(size) {
            acks.read(piece, |number| heard.push(number)).unwrap();
        }
        assert_eq!(heard, [0, 1, 70_000]);
    }
}

#[test]
fn lines_count_only_after_the_peer_closed_after_us() {
    let (mut window, mut conversation) = (Window::new(100), lines());
    window.take(batch(1, 2));
    assert_eq!(write_all(&mut conversation, &mut window, Goal::Settled), b"{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(conversation.next(&mut window, Goal::Settled), Next::HalfClose);
    conversation.half_closed();
    assert_eq!(conversation.next(&mut window, Goal::Settled), Next::Listen);
    conversation.received(b"whatever it says", &mut window).unwrap();
    assert_eq!(window.take_acknowledged(), 0);
    conversation.peer_closed(&mut window).unwrap();
    assert_eq!(window.take_acknowledged(), 1);
    assert_eq!(conversation.next(&mut window, Goal::Settled), Next::Reached);
    window.take(batch(3, 1));
    assert_eq!(conversation.next(&mut window, Goal::Settled), Next::Reconnect);
}

#[test]
fn lines_do_not_count_if_the_peer_closes_before_us() {
    let (mut window, mut conversation) = (Window::new(100), lines());
    window.take(batch(1, 2));
    write_all(&mut conversation, &mut window, Goal::Settled);
    assert_eq!(conversation.peer_closed(&mut window), Err(Lost::Closed));
    window.rewind();
    assert_eq!(write_all(&mut lines(), &mut window, Goal::Settled), b"{\"n\":1}\n{\"n\":2}\n");
}

#[test]
fn only_a_full_window_of_lines_is_closed_so_that_it_can_count() {
    let (mut window, mut conversation) = (Window::new(20), lines());
    window.take(batch(1, 1));
    write_all(&mut conversation, &mut window, Goal::Room);
    assert_eq!(conversation.next(&mut window, Goal::Room), Next::Reached);
    window.take(batch(2, 2));
    write_all(&mut conversation, &mut window, Goal::Room);
    assert_eq!(conversation.next(&mut window, Goal::Room), Next::HalfClose);
}

#[test]
fn a_window_holds_at_most_its_capacity_and_one_batch() {
    let mut window = Window::new(24);
    window.take(batch(1, 2));
    assert!(window.has_room());
    window.take(batch(3, 1));
    assert!(!window.has_room());
    assert_eq!(window.acknowledge(1), 1, "nothing is on the wire");
    window.sent();
    assert_eq!(window.acknowledge(5), 3);
    assert!(window.has_room());
}

#[test]
fn an_http_status_means_accepted_later_or_never() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(judge(status, None), Answered::Taken);
    }
    for status in [408, 425, 429, 500, 502, 503, 599] {
        assert_eq!(judge(status, None), Answered::Later(Lost::Busy { status, after_seconds: None }));
    }
    for status in [100, 301, 307, 400, 401, 403, 404, 413] {
        assert_eq!(judge(status, None), Answered::Refused(status));
    }
    let later = |text| match judge(429, Some(text)) {
        Answered::Later(Lost::Busy { after_seconds, .. }) => after_seconds,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (later("7"), later("99999999"), later("Wed, 21 Oct 2026 07:28:00 GMT")),
        (Some(7), Some(30), None)
    );
}

#[test]
fn an_http_body_is_an_array_or_lines_of_the_remaining_events() {
    assert_eq!(body(&batch(1, 3), 1, BodyShape::Array), b"[{\"n\":2},{\"n\":3}]");
    assert_eq!(body(&batch(1, 2), 1, BodyShape::Ndjson), b"{\"n\":2}\n");
}

#[test]
fn patience_ends_after_eight_fruitless_connections_in_a_row() {
    let mut patience = Patience::default();
    let mut fruitless = |progress| (1..=FRUITLESS_MAX).map(|_| patience.lost(progress)).collect::<Vec<_>>();
    let first = fruitless(0);
    assert_eq!(first[6..], [Verdict::Again(7), Verdict::GiveUp]);
    let second = fruitless(1);
    assert_eq!((second[0], second[7]), (Verdict::Again(0), Verdict::Again(7)));
}

#[test]
fn a_target_is_written_as_a_url() {
    let table = [
        ("beats://broker", Protocol::Beats, false, "broker:5044"),
        ("beats+tls://broker:5045/", Protocol::Beats, true, "broker:5045"),
        ("tcp://10.0.0.1:5000", Protocol::JsonLines, false, "10.0.0.1:5000"),
        ("tcp+tls://[::1]:5000", Protocol::JsonLines, true, "[::1]:5000"),
        (
            "https://broker.example.com/logs?x=1",
            Protocol::Http(BodyShape::Array),
            true,
            "broker.example.com:443",
        ),
        ("http+ndjson://broker:8080", Protocol::Http(BodyShape::Ndjson), false, "broker:8080"),
    ];
    for (text, protocol, tls, shown) in table {
        let target: Target = text.parse().unwrap();
        assert_eq!(
            (target.protocol, target.tls, target.to_string().as_str()),
            (protocol, tls, shown),
            "{text}"
        );
    }
    assert_eq!("https://b/logs?x=1".parse::<Target>().unwrap().path, "/logs?x=1");
    assert_eq!("http+ndjson://b".parse::<Target>().unwrap().path, "/");
}

#[test]
fn an_invalid_target_is_refused_and_a_password_is_not_repeated() {
    for (text, expected) in [
        ("", InvalidTarget::NoUrl),
        ("broker:5044", InvalidTarget::Scheme("broker".to_owned())),
        ("udp://broker:5044", InvalidTarget::Scheme("udp".to_owned())),
        ("tcp://broker", InvalidTarget::NoPort("tcp")),
        ("tcp://broker:0", InvalidTarget::NoPort("tcp")),
        ("beats:///x", InvalidTarget::NoHost),
        ("beats://broker/x", InvalidTarget::Path("beats")),
        ("https://me:hunter2@broker/", InvalidTarget::Credentials),
    ] {
        let error = text.parse::<Target>().unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

/// An event of a connection.
#[derive(Clone, Debug)]
enum Happening {
    Take(u32),
    Write(usize),
    /// The peer acknowledges the number of events of its oldest window, divided by this.
    Acknowledge(u32),
    KeepAlive,
    Break,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (1u32..5).prop_map(Happening::Take),
        6 => (1usize..60).prop_map(Happening::Write),
        4 => (1u32..4).prop_map(Happening::Acknowledge),
        1 => Just(Happening::KeepAlive),
        1 => Just(Happening::Break),
    ]
}

proptest! {
    /// Checks the guarantee for any sequence of writes, acknowledgements, repetitions and losses: each
    /// counted event was acknowledged by the peer, in order, and every other one is sent again.
    #[test]
    fn no_event_is_lost_for_any_behaviour_of_the_peer(script in proptest::collection::vec(happening(), 1..80)) {
        let (mut window, mut conversation, mut peer) = (Window::new(64), beats(), BeatsPeer::default());
        // Events acknowledged of the peer's oldest window; bytes acknowledged ever; events taken.
        let (mut heard, mut acknowledged, mut taken) = (0u32, Vec::<u8>::new(), 0u32);
        for happening in script {
            match happening {
                Happening::Take(count) => {
                    window.take(batch(taken, count));
                    taken += count;
                }
                Happening::Write(most) => {
                    if let Next::Write(bytes) = conversation.next(&mut window, Goal::Settled) {
                        let length = bytes.len().min(most);
                        peer.hears(&bytes[..length]);
                        conversation.written(length);
                    }
                }
                Happening::Acknowledge(part) => {
                    let Some(oldest) = peer.windows.first() else { continue };
                    let count = oldest.len() as u32;
                    let upto = (count / part).max(heard + 1).min(count);
                    for event in &oldest[heard as usize..upto as usize] {
                        acknowledged.extend_from_slice(event);
                        acknowledged.push(b'\n');
                    }
                    conversation.received(&ack(upto), &mut window).unwrap();
                    heard = upto;
                    if heard == count {
                        peer.windows.remove(0);
                        heard = 0;
                    }
                }
                Happening::KeepAlive => conversation.received(&ack(0), &mut window).unwrap(),
                Happening::Break => {
                    window.rewind();
                    (conversation, peer, heard) = (beats(), BeatsPeer::default(), 0);
                }
            }
            let events = acknowledged.iter().filter(|byte| **byte == b'\n').count() as u64;
            prop_assert_eq!(window.progress(), events);
        }
        // A peer that behaves in the end gets the rest, each event once.
        window.rewind();
        let (mut conversation, mut peer) = (beats(), BeatsPeer::default());
        peer.hears(&write_all(&mut conversation, &mut window, Goal::Settled));
        for events in peer.windows {
            conversation.received(&ack(events.len() as u32), &mut window).unwrap();
            events.iter().for_each(|event| { acknowledged.extend_from_slice(event); acknowledged.push(b'\n') });
        }
        prop_assert!(window.is_empty());
        let all = if taken > 0 { batch(0, taken).rest(0).to_vec() } else { Vec::new() };
        prop_assert_eq!(acknowledged, all);
    }
}
