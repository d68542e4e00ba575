//! Copies of fixed size: a few bytes more are cheaper to move than to count.
//!
//! Each call asks once whether both sides have room, and panics if one has not; within that room it copies without
//! asking again. So no caller, whatever it asks for, makes it read or write elsewhere.

/// Bytes that are copied first.
const STEP: usize = 32;
/// Bytes that are copied at once of what is longer.
const STRIDE: usize = 4 * STEP;
/// Bytes that must stand behind what is copied, whatever they are, and that may be written behind it. What is written
/// too much is overwritten by what follows.
pub(super) const SLACK: usize = STRIDE;
/// Bytes of the longest [`Name`].
pub(super) const NAME_BYTES: usize = 48;

/// `,"name":`, with a quote before a text.
pub(super) struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl Name {
    /// The name of a text.
    pub const fn of_text(name: &str) -> Self {
        Self { bytes: [0; NAME_BYTES], length: 0 }.and(",\"").and(name).and("\":\"")
    }

    /// The name of a number.
    pub const fn of_number(name: &str) -> Self {
        Self { bytes: [0; NAME_BYTES], length: 0 }.and(",\"").and(name).and("\":")
    }

    const fn and(mut self, text: &str) -> Self {
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.length] = text.as_bytes()[at];
            self.length += 1;
            at += 1;
        }
        self
    }
}

/// Where an event is written to: the room behind what a vector holds.
pub(super) struct Out<'v> {
    next: *mut u8,
    /// Where the room ends, but for [`SLACK`] bytes; never before `next`.
    last: *mut u8,
    /// Its length is that of what was written when the room was made: nothing else writes to it meanwhile.
    vector: &'v mut Vec<u8>,
}

#[expect(unsafe_code)]
impl<'v> Out<'v> {
    /// Behind what `vector` holds, with room for so many bytes. They are the vector's once [`Out::keep`] says so.
    #[inline(always)]
    pub fn behind(vector: &'v mut Vec<u8>, bytes: usize) -> Self {
        if vector.capacity() - vector.len() < bytes + SLACK {
            vector.reserve_exact(bytes + SLACK);
        }
        let room = vector.spare_capacity_mut();
        let next = room.as_mut_ptr().cast::<u8>();
        // SAFETY: the vector has room for `SLACK` bytes, so this is within it.
        let last = unsafe { next.add(room.len() - SLACK) };
        Self { next, last, vector }
    }

    /// Adds `length` bytes that stand at `start` of `from`.
    #[inline(always)]
    pub fn put(&mut self, from: &[u8], start: u32, length: u32) {
        self.check(from, start, length, 0);
        // SAFETY: checked just now.
        unsafe { self.copy(from, start, length) };
    }

    /// The same, and then `byte`.
    #[inline(always)]
    pub fn put_and(&mut self, from: &[u8], start: u32, length: u32, byte: u8) {
        self.check(from, start, length, 1);
        // SAFETY: checked just now, with the byte.
        unsafe {
            self.copy(from, start, length);
            self.add(byte);
        }
    }

    /// Adds a field: its name, and the `length` bytes that stand at `start` of `from`; for a text, a quote.
    #[inline(always)]
    pub fn put_field(&mut self, name: &Name, from: &[u8], start: u32, length: u32, is_text: bool) {
        self.check(from, start, length, NAME_BYTES + 1);
        // SAFETY: checked just now, with the name and the quote; no name is longer than `NAME_BYTES`.
        unsafe {
            match name.bytes.first_chunk::<STEP>() {
                Some(most) if name.length <= STEP => self.next.cast::<[u8; STEP]>().write(*most),
                _ => self.next.cast::<[u8; NAME_BYTES]>().write(name.bytes),
            }
            self.next = self.next.add(name.length);
            self.copy(from, start, length);
            if is_text {
                self.add(b'"');
            }
        }
    }

    /// That `length` bytes can be read at `start` of `from`, that they and `more` can be written, and on both sides
    /// [`SLACK`] bytes behind that.
    #[inline(always)]
    fn check(&self, from: &[u8], start: u32, length: u32, more: usize) {
        const { assert!(usize::BITS >= 64, "sums of two u32 are computed") };
        assert!(
            start as usize + length as usize + SLACK <= from.len(),
            "bytes must stand behind what is copied"
        );
        assert!(
            length as usize + more <= self.last.addr() - self.next.addr(),
            "an event is larger than its room"
        );
    }

    /// # Safety
    /// `length` bytes and [`SLACK`] more can be read at `start` of `from`, and written.
    #[inline(always)]
    unsafe fn copy(&mut self, from: &[u8], start: u32, length: u32) {
        let length = length as usize;
        // SAFETY: of what is read and written, `STEP` bytes are within `SLACK`, and the others begin before `length`
        // and end `STRIDE`, that is `SLACK`, behind it at most.
        unsafe {
            let from = from.as_ptr().add(start as usize);
            self.next.cast::<[u8; STEP]>().write(from.cast::<[u8; STEP]>().read());
            let mut done = STEP;
            while done < length {
                self.next
                    .add(done)
                    .cast::<[u8; STRIDE]>()
                    .write(from.add(done).cast::<[u8; STRIDE]>().read());
                done += STRIDE;
            }
            self.next = self.next.add(length);
        }
    }

    /// # Safety
    /// One more byte can be written.
    #[inline(always)]
    unsafe fn add(&mut self, byte: u8) {
        // SAFETY: the caller's.
        unsafe {
            self.next.write(byte);
            self.next = self.next.add(1);
        }
    }

    /// Makes what was added the vector's.
    #[inline(always)]
    pub fn keep(self) {
        let length = self.next.addr() - self.vector.as_ptr().addr();
        // SAFETY: `next` is within the vector's room, and every byte before it was written.
        unsafe { self.vector.set_len(length) };
    }
}
