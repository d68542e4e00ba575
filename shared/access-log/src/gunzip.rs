//! Decompression in pieces: gzip of any number of members, or plain text unchanged.

use flate2::{Decompress, FlushDecompress, Status};

/// A window of 32 KiB, which is large enough for every gzip file.
const WINDOW_BITS: u8 = 15;
/// First byte of a gzip member ([RFC 1952](https://www.rfc-editor.org/rfc/rfc1952)); no log line begins with
/// it.
const GZIP: u8 = 0x1f;

/// Reason why the rest of an object cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The bytes are not valid gzip, or a checksum does not match the decompressed text.
    #[error("the gzip data is corrupt")]
    Corrupt,
    /// The object ends within a gzip member.
    #[error("the gzip data breaks off")]
    Truncated,
    /// Bytes that are not gzip follow a complete gzip member.
    #[error("bytes that are no gzip follow the gzip data")]
    NotGzip,
}

/// Bytes of an object that could not be decompressed: consecutive, up to the end of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Offset of the bytes in the stored object. The decompressor stopped here; the damage may be in the
    /// bytes that it took last.
    pub offset: u64,
    /// The bytes; empty if the object only ends too early.
    pub bytes: Vec<u8>,
    /// Reason why they cannot be decompressed.
    pub why: Why,
}

/// Decompressor from the bytes of an object to its text.
pub(crate) struct Gunzip {
    state: State,
    /// Number of bytes of the object that were taken.
    consumed: u64,
}

enum State {
    /// Before the first byte.
    Start,
    Plain,
    /// Within a member.
    Member(Box<Decompress>),
    /// Between members, or at the end.
    Between,
    Failed(Why),
}

impl Gunzip {
    pub fn new() -> Self {
        Self { state: State::Start, consumed: 0 }
    }

    /// Takes bytes as they are, because of `why`.
    pub fn give_up(&mut self, why: Why, bytes: &[u8]) -> Unreadable {
        let offset = self.consumed;
        self.consumed += bytes.len() as u64;
        Unreadable { offset, bytes: bytes.to_vec(), why }
    }

    /// Takes bytes from the front of `input`, and writes text to the front of `text`. Returns the length of
    /// the text. Returns zero when `input` is used up.
    ///
    /// # Errors
    ///
    /// Fails once the rest cannot be decompressed. All text before it was written by then.
    pub fn read(&mut self, input: &mut &[u8], text: &mut [u8]) -> Result<usize, Why> {
        loop {
            let put = match (&mut self.state, *input) {
                (State::Failed(why), _) => return Err(*why),
                (_, []) => return self.flush(text),
                (State::Start, [GZIP, ..]) | (State::Between, [GZIP, ..]) => {
                    self.state = State::Member(Box::new(Decompress::new_gzip(WINDOW_BITS)));
                    continue;
                }
                (State::Start, _) => {
                    self.state = State::Plain;
                    continue;
                }
                (State::Between, _) => {
                    self.state = State::Failed(Why::NotGzip);
                    continue;
                }
                (State::Plain, _) => {
                    let put = input.len().min(text.len());
                    text[..put].copy_from_slice(&input[..put]);
                    self.consumed += put as u64;
                    *input = &input[put..];
                    put
                }
                (State::Member(_), _) => self.inflate(input, text),
            };
            if put > 0 {
                return Ok(put);
            }
        }
    }

    /// Writes text that the decompressor still holds from earlier bytes.
    fn flush(&mut self, text: &mut [u8]) -> Result<usize, Why> {
        match self.state {
            State::Member(_) => Ok(self.inflate(&mut &[][..], text)),
            _ => Ok(0),
        }
    }

    fn inflate(&mut self, input: &mut &[u8], text: &mut [u8]) -> usize {
        let State::Member(member) = &mut self.state else { return 0 };
        let (in_before, out_before) = (member.total_in(), member.total_out());
        let result = member.decompress(input, text, FlushDecompress::None);
        let taken = (member.total_in() - in_before) as usize;
        let put = (member.total_out() - out_before) as usize;
        let stuck = taken == 0 && put == 0 && !input.is_empty();
        match result {
            Ok(Status::Ok | Status::BufError) if stuck => self.state = State::Failed(Why::Corrupt),
            Ok(Status::Ok | Status::BufError) => {}
            Ok(Status::StreamEnd) => self.state = State::Between,
            Err(_) => self.state = State::Failed(Why::Corrupt),
        }
        self.consumed += taken as u64;
        *input = &input[taken..];
        put
    }

    /// Checks that the object may end here.
    ///
    /// # Errors
    ///
    /// Fails if it ends too early.
    pub fn finish(&mut self) -> Result<(), Why> {
        match self.state {
            State::Start | State::Plain | State::Between => Ok(()),
            State::Member(_) => {
                self.state = State::Failed(Why::Truncated);
                Err(Why::Truncated)
            }
            State::Failed(why) => Err(why),
        }
    }
}
