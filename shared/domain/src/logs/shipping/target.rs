//! Where events go, written as a URL.

use std::fmt;
use std::str::FromStr;
use url::Url;

/// How the events of an HTTP request are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyShape {
    /// A JSON array, which Logstash's `http` input takes apart without further configuration.
    Array,
    /// One JSON document a line (`application/x-ndjson`).
    Ndjson,
}

impl BodyShape {
    /// The `Content-Type` of a body of this shape.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Array => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// How a broker is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// One JSON document a line over TCP: Logstash's `tcp` input with the codec `json_lines`. Not acknowledged.
    JsonLines,
    /// Lumberjack version 2: Logstash's `beats` input. Acknowledged.
    Beats,
    /// One POST for each batch: Logstash's `http` input. Acknowledged.
    Http(BodyShape),
}

/// A broker, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Whether over TLS.
    pub tls: bool,
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What an HTTP request asks for: path and query.
    pub path: String,
}

/// What a target's URL may begin with, and what that means: protocol, TLS, the port if none is named.
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

/// Why a text is no target. The text is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// It is no URL.
    #[error("it is no URL; write for example beats+tls://broker.example.com:5044")]
    NoUrl,
    /// It begins with a word that means nothing here.
    #[error(
        "'{0}' is no way to ship; known are beats, beats+tls, tcp, tcp+tls, http, https, http+ndjson and https+ndjson"
    )]
    Scheme(String),
    /// It names no host.
    #[error("it names no host")]
    NoHost,
    /// It names no port, and there is none that goes without saying.
    #[error("it names no port, and {0} has none that goes without saying")]
    NoPort(&'static str),
    /// It holds a user or a password.
    #[error("it holds a user or a password, which does not belong into a function's configuration")]
    Credentials,
    /// It holds more than a host and a port.
    #[error("{0} knows no path; leave out what follows the port")]
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
    /// Host and port: what a person needs to find it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
