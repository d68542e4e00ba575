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
/// Number of bytes of the longest [`Suffix`].
pub(super) const SUFFIX_BYTES: usize = 4;

/// Maximum number of digits of a number.
const DIGITS: usize = 20;

/// Constant text, such as the name of a field with its punctuation.
pub(super) struct Name {
    bytes: [u8; NAME_BYTES],
    length: usize,
    /// Text behind the value of a member.
    suffix: Suffix,
}

impl Name {
    /// Returns `,"name":"`: the comma comes before the field.
    pub const fn of_text(name: &str) -> Self {
        Self::new(",\"").and(name).and("\":\"")
    }

    /// Returns `,"name":`.
    pub const fn of_number(name: &str) -> Self {
        Self::new(",\"").and(name).and("\":")
    }

    /// Returns a text.
    pub const fn new(text: &str) -> Self {
        Self { bytes: [0; NAME_BYTES], length: 0, suffix: Suffix::NONE }.and(text)
    }

    /// Returns the name of a member with what stands behind its value.
    pub const fn with(mut self, suffix: Suffix) -> Self {
        self.suffix = suffix;
        self
    }

    /// Returns the number of bytes.
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Writes the text.
    ///
    /// # Safety
    /// [`NAME_BYTES`] can be written.
    #[inline(always)]
    #[expect(unsafe_code)]
    unsafe fn write(&self, to: *mut u8) {
        // SAFETY: no name is longer than that.
        unsafe {
            match self.bytes.first_chunk::<STEP>() {
                Some(most) if self.length <= STEP => to.cast::<[u8; STEP]>().write(*most),
                _ => to.cast::<[u8; NAME_BYTES]>().write(self.bytes),
            }
        }
    }

    /// Returns the text with another one behind it.
    pub const fn and(mut self, text: &str) -> Self {
        let mut at = 0;
        while at < text.len() {
            self.bytes[self.length] = text.as_bytes()[at];
            self.length += 1;
            at += 1;
        }
        self
    }
}

/// Bytes behind a value.
#[derive(Clone, Copy)]
pub(super) struct Suffix {
    bytes: [u8; SUFFIX_BYTES],
    length: usize,
}

impl Suffix {
    const NONE: Self = Self { bytes: [0; SUFFIX_BYTES], length: 0 };
    /// Suffix of a text: the comma comes behind the member.
    pub const TEXT: Self = Self { bytes: *b"\",  ", length: 2 };
    /// Suffix of a number.
    pub const NUMBER: Self = Self { bytes: *b",   ", length: 1 };
    /// Suffix of a time that lacks its `Z`.
    pub const TIME: Self = Self { bytes: *b"Z\", ", length: 3 };
}

/// Object that has begun.
#[derive(Clone, Copy, Default)]
pub(super) struct Opened {
    /// Address behind its brace.
    inside: usize,
    /// Number of bytes of its name.
    name: usize,
}

/// Destination of an event: the spare capacity of a vector. Functions that are not inlined take and return it by value, so
/// that its position is in a register: through a reference, each write would store and load it.
pub(super) struct Out<'v> {
    next: *mut u8,
    /// End of the usable capacity, [`SLACK`] bytes before its real end; never before `next`.
    last: *mut u8,
    /// Address of the first byte of the event.
    first: usize,
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
        Self { next, last, first: next.addr(), vector }
    }

    /// Adds the `length` bytes at `start` of `from`.
    #[inline(always)]
    pub fn put(&mut self, from: &[u8], start: u32, length: u32) {
        self.check(from, start, length, 0);
        // SAFETY: checked just now.
        unsafe { self.copy(from, start, length) };
    }

    /// Adds a field: its name, and the `length` bytes at `start` of `from`. A text gets a quote.
    #[inline(always)]
    pub fn put_field(&mut self, name: &Name, from: &[u8], start: u32, length: u32, is_text: bool) {
        self.check(from, start, length, NAME_BYTES + 1);
        // SAFETY: the call above checked the bounds with the name and the quote. No name is longer than
        // `NAME_BYTES`.
        unsafe {
            self.name(name);
            self.copy(from, start, length);
            if is_text {
                self.add(b'"');
            }
        }
    }

    /// Adds a member of an object: its name, the `length` bytes at `start` of `from`, and what is behind the value.
    #[inline(always)]
    pub fn put_member(&mut self, name: &'static Name, from: &[u8], start: u32, length: u32) {
        let range = u64::from(start) | u64::from(length) << 32;
        // SAFETY: these are the bounds of this destination.
        self.next = unsafe { member(self.next, self.last, name, from, range) };
    }

    /// Adds a constant text.
    #[inline(always)]
    pub fn put_name(&mut self, name: &Name) {
        self.check_room(name.length);
        // SAFETY: checked just now.
        unsafe { self.name(name) };
    }

    /// Adds a member with a number.
    #[inline(always)]
    pub fn put_number(&mut self, name: &Name, number: u64) {
        self.check_room(name.length + DIGITS + 1);
        // The digits end at `DIGITS`, with a comma behind them. A whole vector can be read from the first one.
        let mut text = [b','; DIGITS + STEP];
        let (mut at, mut rest) = (DIGITS, number);
        // Most durations are whole milliseconds.
        while rest != 0 && rest % 1000 == 0 {
            at -= 3;
            text[at..at + 3].copy_from_slice(b"000");
            rest /= 1000;
        }
        loop {
            at -= 1;
            text[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let from: &[u8; STEP] = text[at..].first_chunk().expect("a vector stands behind each digit");
        // SAFETY: the call above checked the room for name, digits and comma. Surplus bytes are within `SLACK`.
        unsafe {
            self.name(name);
            self.next.cast::<[u8; STEP]>().write(*from);
            self.next = self.next.add(DIGITS + 1 - at);
        }
    }

    /// Adds the first `length` bytes of `from`, with a backslash before each quote. Each bit of `quotes` is a quote; the
    /// lowest bit of the first block is the first byte's.
    #[inline(always)]
    pub fn put_escaped(&mut self, from: &[u8], length: u32, quotes: &[u64]) {
        self.check(from, 0, length, length as usize);
        let (mut start, mut block_start) = (0, 0);
        for &block in quotes {
            let mut block = block;
            while block != 0 {
                let quote = block_start + block.trailing_zeros();
                block &= block - 1;
                assert!(quote < length, "a quote is within the line");
                // SAFETY: the call above checked the bounds of the whole line, with a backslash for each byte.
                unsafe {
                    self.copy(from, start, quote - start);
                    self.add(b'\\');
                }
                start = quote;
            }
            block_start += u64::BITS;
        }
        // SAFETY: as above. No quote is behind the line.
        unsafe { self.copy(from, start, length - start) };
    }

    /// Begins an object.
    #[inline(always)]
    pub fn open(&mut self, name: &Name) -> Opened {
        self.put_name(name);
        Opened { inside: self.next.addr(), name: name.length }
    }

    /// Ends the object that is `opened`. Removes it if it has no members.
    #[inline(always)]
    pub fn close(&mut self, opened: Opened) {
        if self.next.addr() != opened.inside {
            return self.end();
        }
        assert!(opened.name <= self.next.addr() - self.first, "an object began before its event");
        // SAFETY: so many bytes are written before `next`.
        self.next = unsafe { self.next.sub(opened.name) };
    }

    /// Ends an object that has members: a brace replaces the comma behind the last one.
    #[inline(always)]
    pub fn end(&mut self) {
        self.check_room(1);
        assert!(self.next.addr() > self.first, "an object ends behind a member");
        // SAFETY: the byte before `next` was written, and there is room for one more.
        unsafe {
            self.next.sub(1).write(b'}');
            self.add(b',');
        }
    }

    /// Writes a constant text.
    ///
    /// # Safety
    /// `name.length` bytes can be written.
    #[inline(always)]
    unsafe fn name(&mut self, name: &Name) {
        // SAFETY: the caller guarantees the room.
        unsafe {
            name.write(self.next);
            self.next = self.next.add(name.length);
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
        self.check_room(length as usize + more);
    }

    /// Checks that `bytes` are writable, with [`SLACK`] bytes behind them.
    #[inline(always)]
    fn check_room(&self, bytes: usize) {
        assert!(bytes <= self.last.addr() - self.next.addr(), "an event is larger than its room");
    }

    /// # Safety
    /// `length` bytes and [`SLACK`] more can be read at `start` of `from`, and written.
    #[inline(always)]
    unsafe fn copy(&mut self, from: &[u8], start: u32, length: u32) {
        // SAFETY: the caller guarantees both sides.
        unsafe {
            copy(self.next, from.as_ptr().add(start as usize), length as usize);
            self.next = self.next.add(length as usize);
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

/// Adds a member behind `next`, and returns the position behind it. The lower half of `range` is the start of the value in
/// `from`, the upper one its length. It is one function for all members: so much code for each would not fit a processor's
/// cache for instructions.
///
/// # Safety
/// All bytes from `next` to [`SLACK`] bytes behind `last` can be written.
#[inline(never)]
#[expect(unsafe_code)]
unsafe fn member(next: *mut u8, last: *mut u8, name: &'static Name, from: &[u8], range: u64) -> *mut u8 {
    let (start, length) = (range as u32 as usize, (range >> 32) as usize);
    assert!(start + length + SLACK <= from.len(), "bytes must stand behind what is copied");
    let bytes = name.length + length + name.suffix.length;
    assert!(bytes <= last.addr() - next.addr(), "an event is larger than its room");
    // SAFETY: the lines above checked the bounds with name and suffix. Surplus bytes are within `SLACK`.
    unsafe {
        name.write(next);
        let next = next.add(name.length);
        copy(next, from.as_ptr().add(start), length);
        let next = next.add(length);
        next.cast::<[u8; SUFFIX_BYTES]>().write(name.suffix.bytes);
        next.add(name.suffix.length)
    }
}

/// Copies `length` bytes and up to [`SLACK`] more.
///
/// # Safety
/// So many bytes can be read and written.
#[inline(always)]
#[expect(unsafe_code)]
unsafe fn copy(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: of the bytes that are read and written, `STEP` bytes are within `SLACK`. The others begin
    // before `length` and end at most `STRIDE`, which is `SLACK`, behind it.
    unsafe {
        to.cast::<[u8; STEP]>().write(from.cast::<[u8; STEP]>().read());
        let mut done = STEP;
        while done < length {
            to.add(done).cast::<[u8; STRIDE]>().write(from.add(done).cast::<[u8; STRIDE]>().read());
            done += STRIDE;
        }
    }
}
