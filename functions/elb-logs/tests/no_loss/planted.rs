//! Mistakes that were made before, made again on purpose: the account finds each.

use crate::cloud::Cloud;
use crate::delivery::log;
use crate::tally::Tally;
use lockstep_access_log::{Reader, Settings, Source};
use lockstep_domain::logs::shipping::Protocol;
use lockstep_sim::broker::{Broker, Manner};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

/// How a careless sender ends.
#[derive(Clone, Copy, Debug)]
enum Careless {
    /// What the socket accepted counts, and nobody waits for the peer.
    CountsWhatWasWritten,
    /// The connection is made after the batch counts, and the function has ended by then.
    WritesBeforeItConnects,
    /// What stands in a buffer counts before it is flushed.
    CountsBeforeItFlushes,
    /// A peer that closed early took everything.
    BelievesEveryClose,
}

/// Sends events carelessly; answers whether they count. What the sender does is what the mistake's name says.
fn send(broker: &Broker, events: &[u8], mistake: Careless) -> bool {
    match mistake {
        Careless::WritesBeforeItConnects => {
            let waiting: Vec<u8> = events.to_vec();
            // The original: connecting goes on behind, and the process is frozen before it is through.
            drop(waiting);
            true
        }
        Careless::CountsBeforeItFlushes => {
            let stream = TcpStream::connect(broker.address()).unwrap();
            let mut buffer = std::io::BufWriter::with_capacity(events.len() * 2, stream);
            let counts = buffer.write_all(events).is_ok();
            // A frozen process flushes nothing.
            let (stream, unflushed) = buffer.into_parts();
            drop((stream, unflushed));
            counts
        }
        Careless::CountsWhatWasWritten => {
            let mut stream = TcpStream::connect(broker.address()).unwrap();
            stream.write_all(events).is_ok()
        }
        Careless::BelievesEveryClose => {
            let mut stream = TcpStream::connect(broker.address()).unwrap();
            let _ = stream.write_all(events);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
            true
        }
    }
}

#[tokio::test]
async fn each_mistake_of_a_careless_sender_is_found_by_the_account() {
    for (mistake, manner) in [
        (Careless::WritesBeforeItConnects, Manner::Honest),
        (Careless::CountsBeforeItFlushes, Manner::Honest),
        (Careless::CountsWhatWasWritten, Manner::ClosesAfter(10_000)),
        (Careless::BelievesEveryClose, Manner::ResetsAfter(10_000)),
    ] {
        let ((cloud, _), tally) = (Cloud::start().await, Tally::default());
        let broker = tally.broker(Protocol::JsonLines, &[manner]);
        let source = Source { bucket: "b".to_owned(), key: "k".to_owned(), version: "v".to_owned() };
        let (mut reader, text) = (Reader::new(&source, &Settings::default()), log(200));
        let (mut bytes, mut counted) = (text.as_slice(), 0);
        while let Some(batch) = reader.read(&mut bytes).or_else(|| reader.finish()) {
            if send(&broker, &batch.events, mistake) {
                counted += batch.event_count;
            }
        }
        drop(broker);
        let taken = tally.account(&cloud).taken;
        assert!(
            counted > taken,
            "{mistake:?}: {counted} events count, {taken} were taken, and nobody noticed"
        );
    }
}
