//! Batches of events.

/// One or more events, each a JSON document on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    ndjson: Vec<u8>,
    events: u32,
}

impl Batch {
    /// Returns the batch of the events in `ndjson`, each of which ends with a newline. `None` if there are no
    /// events.
    ///
    /// A newline never occurs within an event: JSON writes it as `\n`.
    pub fn new(ndjson: Vec<u8>) -> Option<Self> {
        let events = u32::try_from(ndjson.iter().filter(|byte| **byte == b'\n').count()).ok()?;
        (events > 0 && ndjson.ends_with(b"\n")).then_some(Self { ndjson, events })
    }

    /// Returns the number of events, at least one.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// Returns the size in bytes, newlines included.
    pub fn bytes(&self) -> usize {
        self.ndjson.len()
    }

    /// Returns the lines after the first `skip` events.
    pub fn rest(&self, skip: u32) -> &[u8] {
        let mut rest = self.ndjson.as_slice();
        for _ in 0..skip {
            let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
            rest = &rest[end..];
        }
        rest
    }

    /// Returns the events after the first `skip`, each without its newline.
    pub fn events_after(&self, skip: u32) -> impl Iterator<Item = &[u8]> {
        let rest = self.rest(skip);
        let rest = rest.strip_suffix(b"\n").unwrap_or(rest);
        let lines = (!rest.is_empty()).then(|| rest.split(|byte| *byte == b'\n'));
        lines.into_iter().flatten()
    }
}
