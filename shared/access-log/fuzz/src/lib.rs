//! Common code of the fuzz targets.

use lockstep_access_log::{Batch, Reader, Settings, Source};

/// Reads an object into one batch. Checks that every line is accounted for and that every event is JSON.
pub fn read(settings: &Settings, object: &[u8], chunk: usize) -> Batch {
    let source = Source { bucket: "logs".into(), key: "renamed".into(), version: "1".into(), written: None };
    let mut reader = Reader::new(&source, settings);
    let mut all = Batch { lines: 1..1, ..Batch::default() };
    let mut chunks = object.chunks(chunk.max(1));
    let mut bytes: &[u8] = &[];
    loop {
        let batch = match reader.read(&mut bytes) {
            Some(batch) => batch,
            None => {
                assert!(bytes.is_empty());
                match chunks.next() {
                    Some(next) => {
                        bytes = next;
                        continue;
                    }
                    None => match reader.finish() {
                        Some(batch) => batch,
                        None => break,
                    },
                }
            }
        };
        assert_eq!(batch.event_count + batch.quarantined_count, batch.lines.end - batch.lines.start);
        assert_eq!(batch.lines.start, all.lines.end);
        all.lines.end = batch.lines.end;
        all.event_count += batch.event_count;
        all.quarantined_count += batch.quarantined_count;
        all.events.extend(batch.events);
        all.quarantined.extend(batch.quarantined);
        match (&mut all.unreadable, batch.unreadable) {
            (Some(all), Some(next)) => all.bytes.extend(next.bytes),
            (all, next) => *all = all.take().or(next),
        }
    }
    let events = all.events.split_inclusive(|&byte| byte == b'\n');
    assert_eq!(events.map(|event| serde_json::from_slice::<serde_json::Value>(event).unwrap()).count() as u64, all.event_count);
    all
}
