//! Writes lines and bytes that cannot be shipped to the quarantine bucket.

use crate::AwsContext;
use lockstep_access_log::{Quarantined, Source, Unreadable};
use lockstep_domain::logs::delivery::{LINES_TYPE, UNREADABLE_TYPE, line_record, lines_key, unreadable_key};
use lockstep_domain::model::error::Failure;
use std::mem;

/// Bytes that are buffered before a write.
const BUFFER_BYTES: usize = 1 << 20;

/// Quarantine of one object.
pub(crate) struct Quarantine<'a> {
    context: &'a AwsContext,
    source: &'a Source,
    /// Malformed lines in order, each with its number and part.
    lines: Vec<((u64, u32), String)>,
    lines_bytes: usize,
    /// Bytes that cannot be decompressed. Their offset and the reason follow.
    unreadable: Vec<u8>,
    offset: u64,
    why: String,
    /// Number of stored bytes that cannot be decompressed.
    pub(crate) unreadable_bytes: u64,
}

impl<'a> Quarantine<'a> {
    pub(crate) fn new(context: &'a AwsContext, source: &'a Source) -> Self {
        Self {
            context,
            source,
            lines: Vec::new(),
            lines_bytes: 0,
            unreadable: Vec::new(),
            offset: 0,
            why: String::new(),
            unreadable_bytes: 0,
        }
    }

    /// Buffers malformed lines, and writes them when the buffer is full.
    pub(crate) async fn lines(&mut self, lines: Vec<Quarantined>) -> Result<(), Failure> {
        for line in lines {
            let record = line_record(line.line, line.part, &line.reason, &line.bytes);
            self.lines_bytes += record.len();
            self.lines.push(((line.line, line.part), record));
            if self.lines_bytes >= BUFFER_BYTES {
                self.store_lines(u64::MAX).await?;
            }
        }
        Ok(())
    }

    /// Buffers a piece that cannot be decompressed. Pieces arrive in order.
    pub(crate) async fn unreadable(&mut self, piece: Unreadable) -> Result<(), Failure> {
        if self.unreadable.is_empty() {
            self.offset = piece.offset;
            self.why = piece.why.to_string();
            let (bucket, key) = (&self.source.bucket, &self.source.key);
            tracing::warn!(bucket, key, offset = piece.offset, "{}; the rest is kept as it is", self.why);
        }
        self.unreadable.extend_from_slice(&piece.bytes);
        if self.unreadable.len() >= BUFFER_BYTES {
            self.store_unreadable().await?;
        }
        Ok(())
    }

    /// Writes the buffers, with lines up to `last` only. Later lines are read again.
    pub(crate) async fn store(&mut self, last: u64) -> Result<(), Failure> {
        self.store_lines(last).await?;
        self.store_unreadable().await
    }

    async fn store_lines(&mut self, last: u64) -> Result<(), Failure> {
        self.lines_bytes = 0;
        let mut lines = mem::take(&mut self.lines);
        lines.retain(|((line, _), _)| *line <= last);
        let (Some((first, _)), Some((last, _))) = (lines.first(), lines.last()) else { return Ok(()) };
        let key = lines_key(&self.source.bucket, &self.source.key, &self.source.version, *first, *last);
        let body: String = lines.into_iter().map(|(_, record)| record).collect();
        let objects = &self.context.objects;
        objects.put_once(&self.context.quarantine, &key, LINES_TYPE, None, body.into_bytes()).await
    }

    async fn store_unreadable(&mut self) -> Result<(), Failure> {
        let bytes = mem::take(&mut self.unreadable);
        if bytes.is_empty() {
            return Ok(());
        }
        let Source { bucket, key, version, .. } = self.source;
        let key = unreadable_key(bucket, key, version, self.offset, bytes.len());
        let length = bytes.len() as u64;
        let (objects, quarantine) = (&self.context.objects, &self.context.quarantine);
        objects.put_once(quarantine, &key, UNREADABLE_TYPE, Some(&self.why), bytes).await?;
        self.unreadable_bytes += length;
        Ok(())
    }
}
