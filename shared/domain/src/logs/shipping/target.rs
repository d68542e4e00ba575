//! The target of events, as a URL.

use std::fmt;
use std::str::FromStr;
use url::Url;

/// Shape of the body of an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyShape {
    /// A JSON array, which Logstash's `http` input splits without further configuration.
    Array,
    /// One JSON document a line (`application/x-ndjson`).
    Ndjson,
}

impl BodyShape {
    /// Returns the `Content-Type` of a body of this shape.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Array => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// Protocol of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// One JSON document a line over TCP: Logstash's `tcp` input with the codec `json_lines`. Not acknowledged.
    JsonLines,
    /// Lumberjack version 2: Logstash's `beats` input. Acknowledged.
    Beats,
    /// One POST for each batch: Logstash's `http` input. Acknowledged.
    Http(BodyShape),
}

/// A broker with its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Protocol of the broker.
    pub protocol: Protocol,
    /// True for TLS.
    pub tls: bool,
    /// Name or address of the broker, without brackets.
    pub host: String,
    /// Port of the broker.
    pub port: u16,
    /// Path and query of an HTTP request.
    pub path: String,
}

/// Schemes of a target's URL: protocol, TLS, and the default port.
const SCHEMES: [(&str, Protocol, bool, Option<u16>); 8] = [
    ("beats", Protocol::Beats, false, Some(5044)),
    ("beats+tls", Protocol::Beats, true, Some(5044)),
    ("tcp", Protocol::JsonLines, false, None),
    ("tcp+tls", Protocol::JsonLines, true, None),
    ("http", Protocol::Http(BodyShape::Array), false, Some(80)),
    ("https", Protocol::Http(BodyShape::Array), true, Some(443)),
    ("http+ndjson", Protocol::Http(BodyShape::Ndjson), false, Some(80)),
    ("https+ndjson", Protocol::Http(BodyShape::Ndjson), true, Some(443)),
];

/// Reason why a text is no target. The message does not repeat the text: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// The text is no URL.
    #[error("it is no URL; write for example beats+tls://broker.example.com:5044")]
    NoUrl,
    /// The scheme is unknown.
    #[error(
        "'{0}' is no known scheme; known are beats, beats+tls, tcp, tcp+tls, http, https, http+ndjson and https+ndjson"
    )]
    Scheme(String),
    /// The URL names no host.
    #[error("it names no host")]
    NoHost,
    /// The URL names no port, and the scheme has no default.
    #[error("it names no port, and {0} has no default port")]
    NoPort(&'static str),
    /// The URL holds a user or a password.
    #[error("it holds a user or a password; a function's configuration must not hold them")]
    Credentials,
    /// The URL holds more than a host and a port.
    #[error("{0} has no path; remove the text after the port")]
    Path(&'static str),
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidTarget::NoUrl)?;
        let known = SCHEMES.iter().find(|(scheme, ..)| *scheme == url.scheme());
        let &(scheme, protocol, tls, default) =
            known.ok_or_else(|| InvalidTarget::Scheme(url.scheme().to_owned()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::Credentials);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(InvalidTarget::NoHost)?;
        let port = url.port().or(default).filter(|port| *port > 0).ok_or(InvalidTarget::NoPort(scheme))?;
        let path = path(&url);
        if !matches!(protocol, Protocol::Http(_)) && path != "/" {
            return Err(InvalidTarget::Path(scheme));
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { protocol, tls, host, port, path })
    }
}

fn path(url: &Url) -> String {
    let path = if url.path().is_empty() { "/" } else { url.path() };
    match url.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

impl fmt::Display for Target {
    /// Writes host and port, which identify the broker for an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
