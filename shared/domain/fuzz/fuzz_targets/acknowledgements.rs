//! Whatever a broker answers, in whatever pieces, no event counts that was not written, and none counts twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_domain::logs::shipping::{Batch, Conversation, Goal, Next, Protocol, Window};

/// Batches, and the events of each.
const BATCHES: usize = 3;
const EVENTS: usize = 4;

fuzz_target!(|answers: Vec<&[u8]>| {
    let mut window = Window::new(64);
    let mut conversation = Conversation::new(Protocol::Beats).expect("a stream");
    let (mut given, mut acknowledged) = (0, 0);
    for answer in answers {
        while given < BATCHES && window.has_room() {
            window.take(Batch::new("{\"n\":1}\n".repeat(EVENTS).into_bytes()).expect("lines"));
            given += 1;
        }
        while let Next::Write(bytes) = conversation.next(&mut window, Goal::Settled) {
            let length = bytes.len();
            conversation.written(length);
        }
        let lost = conversation.received(answer, &mut window).is_err();
        acknowledged += window.take_acknowledged();
        assert!(acknowledged <= given);
        assert_eq!(acknowledged == given, window.is_empty());
        if lost {
            window.rewind();
            conversation = Conversation::new(Protocol::Beats).expect("a stream");
        }
    }
});
