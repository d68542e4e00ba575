//! Splits the usual form of a request line 16 bytes at once: an absolute URL of `http` or `https` with a port.

use super::processor::equal;
use super::value::{self, bytes};
use crate::ecs::parts::{Request, Span};

/// Maximum number of bytes of a host.
const HOST_MAX: usize = 64;

/// Returns the same as [`Request::split`] of the first `length` bytes of `text`. [`value::BEHIND`] bytes of any content
/// must follow them.
#[inline(always)]
pub(super) fn split(text: &[u8], length: usize) -> Option<Request> {
    usual(text, length).or_else(|| Request::split(&text[..length]))
}

/// Returns the parts of a line of the usual form.
#[inline(always)]
fn usual(text: &[u8], length: usize) -> Option<Request> {
    // ` HTTP/1.1`
    let url_end = length.checked_sub(9)?;
    let version: &[u8; 8] = text.get(url_end + 1..)?.first_chunk()?;
    let [b'H', b'T', b'T', b'P', b'/', major, _, minor] = *version else { return None };
    let method_end = equal(bytes(text, 0), b' ').trailing_zeros() as usize;
    if text[url_end] != b' '
        || major == b' '
        || version[6] == b' '
        || minor == b' '
        || !(1..16).contains(&method_end)
    {
        return None;
    }
    let url_start = method_end + 1;
    let begin: &[u8; 8] = text.get(url_start..)?.first_chunk()?;
    let scheme = match begin {
        b"https://" => 5,
        [b'h', b't', b't', b'p', b':', b'/', b'/', _] => 4,
        _ => return None,
    };
    if text[..method_end] == *b"-" {
        return None;
    }
    let host = url_start + scheme + 3;
    let colon = host + find(&text[host..], b':')?;
    let path = colon + 1 + equal(bytes(text, colon + 1), b'/').trailing_zeros() as usize;
    let is_usual = host < colon && path < url_end && value::is_port(&text[colon + 1..], path - colon - 1);
    if !is_usual
        || text[host..colon].iter().any(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'.'))
    {
        return None;
    }
    let path_end = memchr::memchr(b'?', &text[path..url_end]).map_or(url_end, |at| path + at);
    let span = |start: usize, end: usize| Span { start: start as u32, length: (end - start) as u32 };
    Some(Request {
        method: span(0, method_end),
        url: span(url_start, url_end),
        version: span(length - 3, length),
        scheme: span(url_start, url_start + scheme),
        domain: span(host, colon),
        port: span(colon + 1, path),
        path: span(path, path_end),
        query: span((path_end + 1).min(url_end), url_end),
    })
}

/// Returns the position of the first such byte among the first [`HOST_MAX`].
#[inline(always)]
fn find(text: &[u8], byte: u8) -> Option<usize> {
    let mut start = 0;
    while start < HOST_MAX {
        let found = equal(text.get(start..)?.first_chunk()?, byte);
        if found != 0 {
            return Some(start + found.trailing_zeros() as usize);
        }
        start += 16;
    }
    None
}
