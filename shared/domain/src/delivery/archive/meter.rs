//! Counts entries and bytes during unpacking.

use super::{ArchiveError, Limits};
use std::cell::RefCell;
use std::io::{self, Read};

/// Smallest unpacked size at which the ratio applies: small archives of repetitive text compress better than any
/// sensible ratio.
const RATIO_FLOOR_BYTES: u64 = 1 << 20;

/// Counts entries and unpacked bytes against the limits.
pub(super) struct Meter<'a> {
    limits: &'a Limits,
    compressed: u64,
    entries: u32,
    bytes: u64,
}

impl<'a> Meter<'a> {
    /// Returns a meter for an archive of `compressed` bytes, or an error if that exceeds the limit.
    pub(super) fn new(limits: &'a Limits, compressed: usize) -> Result<Self, ArchiveError> {
        let compressed = compressed as u64;
        within("compressed bytes", compressed, limits.compressed_bytes)?;
        Ok(Self { limits, compressed, entries: 0, bytes: 0 })
    }

    /// Returns the number of unpacked bytes so far.
    pub(super) fn read(&self) -> u64 {
        self.bytes
    }

    /// Counts one more entry.
    pub(super) fn entry(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        within("entries", self.entries.into(), self.limits.files.into())
    }

    /// Counts `count` more unpacked bytes.
    pub(super) fn bytes(&mut self, count: u64) -> Result<(), ArchiveError> {
        self.bytes = self.bytes.saturating_add(count);
        within("unpacked bytes", self.bytes, self.limits.bytes)?;
        let allowed = self.compressed.saturating_mul(self.limits.ratio).max(RATIO_FLOOR_BYTES);
        if self.bytes > allowed {
            return Err(ArchiveError::TooLarge {
                what: "unpacked bytes per compressed byte",
                limit: self.limits.ratio,
            });
        }
        Ok(())
    }

    /// Refuses a file that claims `size` bytes, before any memory is allocated for it.
    pub(super) fn file(&self, size: u64) -> Result<(), ArchiveError> {
        within("bytes in one file", size, self.limits.file_bytes)
    }
}

/// Refuses `count` of `what` beyond `limit`.
pub(super) fn within(what: &'static str, count: u64, limit: u64) -> Result<(), ArchiveError> {
    if count > limit { Err(ArchiveError::TooLarge { what, limit }) } else { Ok(()) }
}

/// A reader that counts its bytes. The first exceeded limit ends the reading. The reader keeps that error, because
/// readers on top of it wrap or replace it.
pub(super) struct Metered<'m, 'a, R> {
    inner: R,
    meter: &'m RefCell<Meter<'a>>,
    breach: &'m RefCell<Option<ArchiveError>>,
}

impl<'m, 'a, R: Read> Metered<'m, 'a, R> {
    /// Counts the bytes of `inner` in `meter` and stores the first exceeded limit in `breach`.
    pub(super) fn new(
        inner: R,
        meter: &'m RefCell<Meter<'a>>,
        breach: &'m RefCell<Option<ArchiveError>>,
    ) -> Self {
        Self { inner, meter, breach }
    }

    /// Returns the inner reader.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Metered<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let counted = self.meter.borrow_mut().bytes(count as u64);
        counted.map_err(|breach| {
            let message = breach.to_string();
            self.breach.borrow_mut().get_or_insert(breach);
            io::Error::other(message)
        })?;
        Ok(count)
    }
}
