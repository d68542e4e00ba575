//! The body of a request as a function URL hands it over: text, or base64 of bytes.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// A body, not looked at yet.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The text.
    pub text: &'a str,
    /// Whether the text is base64 of what was sent.
    pub base64: bool,
}

impl<'a> Body<'a> {
    /// How many bytes were sent, found without decoding them.
    pub fn sent_bytes(&self) -> usize {
        if !self.base64 {
            return self.text.len();
        }
        let padding = self.text.bytes().rev().take_while(|b| *b == b'=').count();
        (self.text.len() / 4 * 3).saturating_sub(padding)
    }

    /// The bytes that were sent; nothing if the text is not the base64 that it is said to be.
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
    fn the_size_of_a_body_is_that_of_what_was_sent_and_needs_no_decoding() {
        for sent in [&b""[..], b"a", b"ab", b"abc", b"abcd", &[0xff; 1000]] {
            let text = STANDARD.encode(sent);
            let body = Body { text: &text, base64: true };
            assert_eq!((body.sent_bytes(), body.bytes().as_deref()), (sent.len(), Some(sent)));
        }
        let plain = Body { text: "abc", base64: false };
        assert_eq!((plain.sent_bytes(), plain.bytes().as_deref()), (3, Some(&b"abc"[..])));
    }

    #[test]
    fn what_is_no_base64_has_no_bytes() {
        assert_eq!(Body { text: "!", base64: true }.bytes(), None);
    }
}
