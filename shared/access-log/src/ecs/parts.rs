//! Parts of values that the Elastic Common Schema has fields for: of request lines, TLS versions, validities and
//! durations.

use super::Part;
use crate::time;

/// Position of a part in its value. A part without bytes is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: u32,
    pub length: u32,
}

impl Span {
    #[inline(always)]
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, length: (end - start) as u32 }
    }

    /// Returns the bytes of the part.
    pub fn of(self, value: &[u8]) -> &[u8] {
        &value[self.start as usize..][..self.length as usize]
    }
}

/// Parts of a request line of the form `METHOD URL HTTP/version`. The parts of a URL that is not absolute are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub method: Span,
    pub url: Span,
    /// Version of HTTP, without `HTTP/`.
    pub version: Span,
    pub scheme: Span,
    pub domain: Span,
    pub port: Span,
    pub path: Span,
    /// Query, without `?`.
    pub query: Span,
}

impl Request {
    /// Returns the part of the request line that a field holds; an empty one for a field of another column.
    #[inline(always)]
    pub fn span(&self, part: Part) -> Span {
        match part {
            Part::Method => self.method,
            Part::HttpVersion => self.version,
            Part::Url => self.url,
            Part::Scheme => self.scheme,
            Part::Domain => self.domain,
            Part::UrlPort => self.port,
            Part::Path => self.path,
            Part::Query => self.query,
            _ => Span::default(),
        }
    }

    /// Splits a request line. `None` if it has another form.
    #[inline(always)]
    pub fn split(line: &[u8]) -> Option<Self> {
        const HTTP: &[u8] = b"HTTP/";
        let method_end = line.iter().position(|&byte| byte == b' ')?;
        let url_end = line.iter().rposition(|&byte| byte == b' ')?;
        let url_start = method_end + 1;
        let version_start = url_end + 1 + HTTP.len();
        let is_request = method_end > 0
            && line[..method_end] != *b"-"
            && url_start < url_end
            && version_start < line.len()
            && line[url_end + 1..version_start] == *HTTP;
        is_request.then(|| {
            let mut request = Self {
                method: Span::new(0, method_end),
                url: Span::new(url_start, url_end),
                version: Span::new(version_start, line.len()),
                ..Self::default()
            };
            request.split_url(&line[..url_end], url_start);
            request
        })
    }

    /// Splits the absolute URL from `start` to the end of `line`.
    #[inline(always)]
    fn split_url(&mut self, line: &[u8], start: usize) -> Option<()> {
        const BEHIND_SCHEME: &[u8] = b"://";
        let scheme = line[start..].iter().position(|byte| !byte.is_ascii_alphanumeric())?;
        let scheme_end = start + scheme;
        let authority = scheme_end + BEHIND_SCHEME.len();
        if scheme == 0 || !line[scheme_end..].starts_with(BEHIND_SCHEME) {
            return None;
        }
        let (mut end, mut port) = (authority, None);
        while let Some(&byte) = line.get(end) {
            match byte {
                b'/' | b'?' | b'#' => break,
                b':' => port = Some(end),
                // A colon within brackets belongs to an address.
                b']' => port = None,
                b'@' => return None,
                _ => {}
            }
            end += 1;
        }
        let domain_end = port.unwrap_or(end);
        if domain_end == authority {
            return None;
        }
        if let Some(colon) = port {
            if !is_port(&line[colon + 1..end]) {
                return None;
            }
            self.port = Span::new(colon + 1, end);
        }
        self.scheme = Span::new(start, scheme_end);
        self.domain = Span::new(authority, domain_end);
        let path_end = memchr::memchr(b'?', &line[end..]).map_or(line.len(), |at| end + at);
        self.path = Span::new(end, path_end);
        self.query = Span::new((path_end + 1).min(line.len()), line.len());
        Some(())
    }
}

/// Returns true for a port in the form of a JSON number.
#[inline(always)]
fn is_port(digits: &[u8]) -> bool {
    if digits.is_empty() || digits.len() > 5 || digits[0] == b'0' && digits.len() > 1 {
        return false;
    }
    let mut port = 0_u32;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        port = 10 * port + u32::from(digit - b'0');
    }
    port <= u32::from(u16::MAX)
}

/// Names of TLS versions: as load balancers write them, the number, and the name of the protocol.
pub(crate) const TLS_VERSIONS: [(&str, &str, &str); 10] = [
    ("TLSv1.2", "1.2", "tls"),
    ("TLSv1.3", "1.3", "tls"),
    ("tlsv12", "1.2", "tls"),
    ("tlsv13", "1.3", "tls"),
    ("TLSv1.1", "1.1", "tls"),
    ("TLSv1", "1.0", "tls"),
    ("tlsv11", "1.1", "tls"),
    ("tlsv1", "1.0", "tls"),
    ("tlsv10", "1.0", "tls"),
    ("SSLv3", "3.0", "ssl"),
];

/// Returns the index of a version in [`TLS_VERSIONS`].
#[inline(always)]
pub(crate) fn tls_version(value: &[u8]) -> Option<usize> {
    TLS_VERSIONS.iter().position(|(name, _, _)| name.as_bytes() == value)
}

/// Splits `NotBefore=<time>;NotAfter=<time>`. The times have a `Z`.
pub(crate) fn validity(value: &[u8]) -> Option<[Span; 2]> {
    const BEFORE: &[u8] = b"NotBefore=";
    const AFTER: &[u8] = b";NotAfter=";
    let between = memchr::memmem::find(value, AFTER)?;
    let span = |start: usize, end: usize| {
        let text = value.get(start..end)?;
        (text.ends_with(b"Z") && time::parse(text).is_some()).then(|| Span::new(start, end))
    };
    let begins = value.starts_with(BEFORE);
    Some([span(BEFORE.len(), between).filter(|_| begins)?, span(between + AFTER.len(), value.len())?])
}

/// Returns a decimal number times ten to the power of `power`, rounded down. `None` if it does not fit a `long`.
pub(crate) fn scaled(number: &[u8], power: usize) -> Option<u64> {
    let (whole, fraction) = match memchr::memchr(b'.', number) {
        Some(point) => (&number[..point], &number[point + 1..]),
        None => (number, &b""[..]),
    };
    let digits = whole.iter().chain(fraction.iter().chain(std::iter::repeat(&b'0')).take(power));
    let mut scaled = 0_u64;
    for digit in digits {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        scaled = scaled.checked_mul(10)?.checked_add(digit)?;
    }
    i64::try_from(scaled).is_ok().then_some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(line: &str) -> Option<[&str; 8]> {
        let Request { method, url, version, scheme, domain, port, path, query } =
            Request::split(line.as_bytes())?;
        let text = |span: Span| str::from_utf8(span.of(line.as_bytes())).unwrap();
        Some([method, url, version, scheme, domain, port, path, query].map(text))
    }

    #[test]
    fn a_request_line_is_split_into_the_fields_of_the_schema() {
        for (line, expected) in [
            (
                "GET https://www.example.com:443/a/b?c=d&e HTTP/1.1",
                [
                    "GET",
                    "https://www.example.com:443/a/b?c=d&e",
                    "1.1",
                    "https",
                    "www.example.com",
                    "443",
                    "/a/b",
                    "c=d&e",
                ],
            ),
            (
                "POST http://[2001:db8::1]:80/ HTTP/2.0",
                ["POST", "http://[2001:db8::1]:80/", "2.0", "http", "[2001:db8::1]", "80", "/", ""],
            ),
            (
                "GET http://[2001:db8::1] HTTP/2.0",
                ["GET", "http://[2001:db8::1]", "2.0", "http", "[2001:db8::1]", "", "", ""],
            ),
            ("GET wss://h? HTTP/1.1", ["GET", "wss://h?", "1.1", "wss", "h", "", "", ""]),
            (
                "GET http://h:1/a b?c HTTP/1.1",
                ["GET", "http://h:1/a b?c", "1.1", "http", "h", "1", "/a b", "c"],
            ),
            ("OPTIONS * HTTP/1.1", ["OPTIONS", "*", "1.1", "", "", "", "", ""]),
            ("CONNECT h:443 HTTP/1.1", ["CONNECT", "h:443", "1.1", "", "", "", "", ""]),
            ("GET http://u:p@h:80/ HTTP/1.1", ["GET", "http://u:p@h:80/", "1.1", "", "", "", "", ""]),
            ("GET http://h:080/ HTTP/1.1", ["GET", "http://h:080/", "1.1", "", "", "", "", ""]),
            ("GET http://h:65536/ HTTP/1.1", ["GET", "http://h:65536/", "1.1", "", "", "", "", ""]),
            ("GET http:///a HTTP/1.1", ["GET", "http:///a", "1.1", "", "", "", "", ""]),
        ] {
            assert_eq!(parts(line), Some(expected), "{line}");
        }
        for line in [
            "",
            "-",
            "- - - ",
            "- http://www.example.com:80- -",
            "GET http://h/",
            "GET  HTTP/1.1",
            "GET HTTP/1.1",
            "GET http://h/ HTTP/",
            " http://h/ HTTP/1.1",
            "GET http://h/ http/1.1",
        ] {
            assert_eq!(parts(line), None, "{line}");
        }
    }

    #[test]
    fn a_validity_has_two_times_that_exist() {
        let value = "NotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z";
        let [from, until] =
            validity(value.as_bytes()).unwrap().map(|span| span.of(value.as_bytes()).to_vec());
        assert_eq!((&from[..], &until[..]), (&b"2023-09-21T22:43:21Z"[..], &b"2026-06-17T22:43:21Z"[..]));
        for other in [
            "",
            "NotBefore=;NotAfter=",
            ";NotAfter=2026-06-17T22:43:21Z",
            "NotBefore=2023-09-21T22:43:21;NotAfter=2026-06-17T22:43:21Z",
            "NotBefore=2023-02-30T22:43:21Z;NotAfter=2026-06-17T22:43:21Z",
            "xotBefore=2023-09-21T22:43:21Z;NotAfter=2026-06-17T22:43:21Z",
        ] {
            assert_eq!(validity(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_duration_is_scaled_exactly_or_left_out() {
        for (number, power, expected) in [
            ("0.086", 9, Some(86_000_000)),
            ("1.121980746", 9, Some(1_121_980_746)),
            ("5", 6, Some(5_000_000)),
            ("0", 9, Some(0)),
            ("1.0000000019", 9, Some(1_000_000_001)),
            ("9223372036", 9, Some(9_223_372_036_000_000_000)),
            ("9223372037", 9, None),
            ("123456789012345", 9, None),
            ("-2", 9, None),
        ] {
            assert_eq!(scaled(number.as_bytes(), power), expected, "{number}");
        }
    }
}
