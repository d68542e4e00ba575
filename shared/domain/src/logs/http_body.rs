//! The body of a request from a function URL: text, or base64 of bytes.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// A body before decoding.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// Text of the body.
    pub text: &'a str,
    /// True if the text is base64 of the sent bytes.
    pub base64: bool,
}

impl<'a> Body<'a> {
    /// Returns the number of sent bytes without decoding them.
    pub fn sent_bytes(&self) -> usize {
        if !self.base64 {
            return self.text.len();
        }
        let padding = self.text.bytes().rev().take_while(|b| *b == b'=').count();
        (self.text.len() / 4 * 3).saturating_sub(padding)
    }

    /// Returns the sent bytes. `None` if the text is not valid base64 although it is marked as such.
    pub fn bytes(&self) -> Option<Cow<'a, [u8]>> {
        match self.base64 {
            true => STANDARD.decode(self.text).ok().map(Cow::Owned),
            false => Some(Cow::Borrowed(self.text.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_body_is_that_of_the_sent_bytes_without_decoding() {
        for sent in [&b""[..], b"a", b"ab", b"abc", b"abcd", &[0xff; 1000]] {
            let text = STANDARD.encode(sent);
            let body = Body { text: &text, base64: true };
            assert_eq!((body.sent_bytes(), body.bytes().as_deref()), (sent.len(), Some(sent)));
        }
        let plain = Body { text: "abc", base64: false };
        assert_eq!((plain.sent_bytes(), plain.bytes().as_deref()), (3, Some(&b"abc"[..])));
    }

    #[test]
    fn invalid_base64_has_no_bytes() {
        assert_eq!(Body { text: "!", base64: true }.bytes(), None);
    }
}
