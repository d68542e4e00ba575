//! Copies of fixed size: a few surplus bytes cost less to move than to count.
//!
//! Each call checks the bounds of both sides once, and panics if one is too short. Within these bounds it
//! copies without further checks. No caller can make it read or write outside of them.

/// Number of bytes in the first copy.
const STEP: usize = 32;
/// Number of bytes in each further copy.
const STRIDE: usize = 4 * STEP;
/// Padding: readable bytes required behind the source, and writable bytes behind the destination, so that
/// copies use whole vectors. The next copy overwrites surplus bytes.
pub(super) const SLACK: usize = STRIDE;
/// Number of bytes of the longest [`Name`].
pub(super) const NAME_BYTES: usize = 48;

/// `,"name":`, with a quote before a text.
pub(super) struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
}

impl Name {
    /// Returns the name of a text field.
    pub const fn of_text(name: &str) -> Self {
        Self { bytes: [0; NAME_BYTES], length: 0 }.and(",\"").and(name).and("\":\"")
    }

    /// Returns the name of a number field.
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

/// Destination of an event: the spare capacity of a vector.
pub(super) struct Out<'v> {
    next: *mut u8,
    /// End of the usable capacity, [`SLACK`] bytes before its real end; never before `next`.
    last: *mut u8,
    /// The vector. Its length does not change while its capacity is in use: no other code writes to it.
    vector: &'v mut Vec<u8>,
}

#[expect(unsafe_code)]
impl<'v> Out<'v> {
    /// Returns the destination behind the content of `vector`, with room for so many bytes. [`Out::keep`]
    /// adds the written bytes to the vector.
    #[inline(always)]
    pub fn behind(vector: &'v mut Vec<u8>, bytes: usize) -> Self {
        if vector.capacity() - vector.len() < bytes + SLACK {
            vector.reserve_exact(bytes + SLACK);
        }
        let room = vector.spare_capacity_mut();
        let next = room.as_mut_ptr().cast::<u8>();
        // SAFETY: the vector has room for `SLACK` bytes, so the pointer is within it.
        let last = unsafe { next.add(room.len() - SLACK) };
        Self { next, last, vector }
    }

    /// Adds the `length` bytes at `start` of `from`.
    #[inline(always)]
    pub fn put(&mut self, from: &[u8], start: u32, length: u32) {
        self.check(from, start, length, 0);
        // SAFETY: checked just now.
        unsafe { self.copy(from, start, length) };
    }

    /// Adds the same, and then `byte`.
    #[inline(always)]
    pub fn put_and(&mut self, from: &[u8], start: u32, length: u32, byte: u8) {
        self.check(from, start, length, 1);
        // SAFETY: checked just now, with the byte.
        unsafe {
            self.copy(from, start, length);
            self.add(byte);
        }
    }

    /// Adds a field: its name, and the `length` bytes at `start` of `from`. A text gets a quote.
    #[inline(always)]
    pub fn put_field(&mut self, name: &Name, from: &[u8], start: u32, length: u32, is_text: bool) {
        self.check(from, start, length, NAME_BYTES + 1);
        // SAFETY: the call above checked the bounds with the name and the quote. No name is longer than
        // `NAME_BYTES`.
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

    /// Checks that `length` bytes are readable at `start` of `from`, that they and `more` are writable, and
    /// that both sides have [`SLACK`] bytes behind that.
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
        // SAFETY: of the bytes that are read and written, `STEP` bytes are within `SLACK`. The others begin
        // before `length` and end at most `STRIDE`, which is `SLACK`, behind it.
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
        // SAFETY: the caller guarantees the room.
        unsafe {
            self.next.write(byte);
            self.next = self.next.add(1);
        }
    }

    /// Adds the written bytes to the vector.
    #[inline(always)]
    pub fn keep(self) {
        let length = self.next.addr() - self.vector.as_ptr().addr();
        // SAFETY: `next` is within the vector's capacity, and every byte before it was written.
        unsafe { self.vector.set_len(length) };
    }
}
