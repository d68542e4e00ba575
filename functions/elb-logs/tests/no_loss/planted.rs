//! Repeats known mistakes of senders on purpose. The account finds each of them.

use crate::account::FakeAccount;
use crate::delivery::log;
use crate::tally::Tally;
use lockstep_access_log::{Reader, Settings, Source};
use lockstep_domain::logs::shipping::Protocol;
use lockstep_sim::broker::{Broker, BrokerBehavior};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

/// Mistake of a careless sender.
#[derive(Clone, Copy, Debug)]
enum Careless {
    /// Counts bytes that the socket accepted, without an acknowledgement of the peer.
    CountsWhatWasWritten,
    /// Counts the batch before it connects; the function has ended by then.
    WritesBeforeItConnects,
    /// Counts the bytes of a buffer before it flushes them.
    CountsBeforeItFlushes,
    /// Counts a batch as taken by a peer that closed early.
    BelievesEveryClose,
}

/// Sends events with the given mistake. Returns true if the sender counts them.
fn send(broker: &Broker, events: &[u8], mistake: Careless) -> bool {
    match mistake {
        Careless::WritesBeforeItConnects => {
            let waiting: Vec<u8> = events.to_vec();
            // In the original, the connection was made in the background, and Lambda froze the process before that.
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
async fn account_finds_each_mistake_of_a_careless_sender() {
    for (mistake, manner) in [
        (Careless::WritesBeforeItConnects, BrokerBehavior::Honest),
        (Careless::CountsBeforeItFlushes, BrokerBehavior::Honest),
        (Careless::CountsWhatWasWritten, BrokerBehavior::ClosesAfter(10_000)),
        (Careless::BelievesEveryClose, BrokerBehavior::ResetsAfter(10_000)),
    ] {
        let ((cloud, _), tally) = (FakeAccount::start().await, Tally::default());
        let broker = tally.broker(Protocol::JsonLines, &[manner]);
        let source =
            Source { bucket: "b".to_owned(), key: "k".to_owned(), version: "v".to_owned(), written: None };
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
            "{mistake:?}: {counted} events count, {taken} were taken, and the account does not show it"
        );
    }
}
