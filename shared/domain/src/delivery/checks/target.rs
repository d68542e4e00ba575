//! Targets of checks: as written, and with the stack's outputs filled in.

use super::{Outputs, required_output, shown};
use crate::model::error::chain;
use crate::model::ids::LogicalId;
use crate::model::text::stored_as_text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use url::{Host, Url};

/// Maximum number of redirects that a check follows.
pub const REDIRECTS_MAX: u32 = 5;

/// Maximum characters of a target, before and after its outputs are filled in.
const CHARS_MAX: usize = 2000;

/// A target that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// A `${` without its `}`.
    #[error("a `${{` is not closed by `}}`")]
    Unclosed,
    /// A reference to anything other than an output.
    #[error(
        "`${{{0}}}` cannot be used here; only `${{outputs.<Name>}}`, an output of this component's own stack"
    )]
    Reference(String),
    /// A target of too many characters.
    #[error("longer than {CHARS_MAX} characters")]
    TooLong,
    /// A text that is not an HTTP URL.
    #[error("not a URL with http:// or https:// and a host")]
    Url,
    /// A URL with a user or a password.
    #[error("a URL with credentials in it; a check sends none")]
    Credentials,
    /// A text without a host and port.
    #[error("not a host and port, such as broker.example.com:5044 or [2001:db8::1]:5044")]
    Address,
}

/// A text in which `${outputs.Name}` stands for an output of the component's own stack.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Output(LogicalId),
}

impl Written {
    fn parse(text: &str) -> Result<Self, InvalidTarget> {
        if text.chars().count() > CHARS_MAX {
            return Err(InvalidTarget::TooLong);
        }
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((plain, found)) = rest.split_once("${") {
            let (reference, after) = found.split_once('}').ok_or(InvalidTarget::Unclosed)?;
            let name = reference.strip_prefix("outputs.").and_then(|name| name.parse().ok());
            pieces.push(Piece::Plain(plain.to_owned()));
            pieces.push(Piece::Output(name.ok_or_else(|| InvalidTarget::Reference(shown(reference)))?));
            rest = after;
        }
        pieces.push(Piece::Plain(rest.to_owned()));
        pieces.retain(|piece| !matches!(piece, Piece::Plain(plain) if plain.is_empty()));
        Ok(Self { text: text.to_owned(), pieces })
    }

    fn outputs(&self) -> BTreeSet<&LogicalId> {
        let output = |piece| match piece {
            &Piece::Plain(_) => None,
            Piece::Output(name) => Some(name),
        };
        self.pieces.iter().filter_map(output).collect()
    }

    /// Returns the text with a plausible value in the place of each output.
    fn sample(&self) -> String {
        self.pieces.iter().fold(String::new(), |text, piece| match piece {
            Piece::Plain(plain) => text + plain,
            Piece::Output(_) if text.ends_with(':') => text + "80",
            Piece::Output(_) => text + "x",
        })
    }

    fn filled(&self, outputs: &Outputs) -> Result<String, String> {
        let mut text = String::new();
        for piece in &self.pieces {
            text.push_str(match piece {
                Piece::Plain(plain) => plain,
                Piece::Output(name) => required_output(name, outputs)?,
            });
        }
        Ok(text)
    }

    fn begins_with_output(&self) -> bool {
        matches!(self.pieces.first(), Some(Piece::Output(_)))
    }

    fn is_one_output(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Output(_)])
    }
}

macro_rules! target {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Written);

        impl $name {
            /// Returns the outputs that the target refers to.
            pub fn outputs(&self) -> BTreeSet<&LogicalId> {
                self.0.outputs()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.text)
            }
        }

        stored_as_text!($name);
    };
}

target! {
    /// A URL in the notation of `lockstep.toml`: `https://${outputs.Host}/health`.
    HttpTarget
}

target! {
    /// A host and port in the notation of `lockstep.toml`: `${outputs.BrokerHost}:5044`.
    TcpTarget
}

impl FromStr for HttpTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let written = Written::parse(text)?;
        // A leading output may hold the scheme, so the URL cannot be checked before the value is known.
        if !written.begins_with_output() {
            url(&written.sample())?;
        }
        Ok(Self(written))
    }
}

impl FromStr for TcpTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let written = Written::parse(text)?;
        if !written.is_one_output() {
            peer(&written.sample())?;
        }
        Ok(Self(written))
    }
}

impl HttpTarget {
    /// Returns the URL with the stack's outputs filled in, or a sentence with the reason of the failure.
    pub fn resolve(&self, outputs: &Outputs) -> Result<Url, String> {
        url(&self.0.filled(outputs)?)
            .map_err(|error| format!("with the stack's outputs, {self} is {}", chain(&error)))
    }
}

impl TcpTarget {
    /// Returns the host and port with the stack's outputs filled in, or a sentence with the reason of the failure.
    pub fn resolve(&self, outputs: &Outputs) -> Result<Peer, String> {
        peer(&self.0.filled(outputs)?)
            .map_err(|error| format!("with the stack's outputs, {self} is {}", chain(&error)))
    }
}

/// Host and port of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    host: Host<String>,
    port: u16,
}

impl Peer {
    /// Returns the name, or the address as text.
    pub fn host(&self) -> String {
        self.address().map_or_else(|| self.host.to_string(), |address| address.to_string())
    }

    /// Returns the address if the host needs no resolution.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the peer of a request to `url`; `None` for a URL that no check requests.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host()?.to_owned(), port: url.port_or_known_default()? })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reason not to follow a redirect; completes a sentence that starts with "it redirects".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// More than [`REDIRECTS_MAX`].
    #[error("more than {REDIRECTS_MAX} times")]
    TooOften,
    /// To a target that is not an HTTP URL.
    #[error("to something that is no URL of http or https")]
    NoUrl,
    /// To a URL with a user or a password.
    #[error("to a URL with credentials in it")]
    Credentials,
    /// From `https` to `http`.
    #[error("from https to http")]
    Downgrade,
}

/// Returns the target of a redirect from `from` to `location`, after `followed` others. The caller checks the new host
/// as it checked the first one.
pub fn redirect(from: &Url, location: &str, followed: u32) -> Result<Url, NotFollowed> {
    if followed >= REDIRECTS_MAX {
        return Err(NotFollowed::TooOften);
    }
    if location.chars().count() > CHARS_MAX {
        return Err(NotFollowed::NoUrl);
    }
    let next = from.join(location).map_err(|_| NotFollowed::NoUrl)?;
    match judge(&next) {
        Ok(()) if from.scheme() == "https" && next.scheme() == "http" => Err(NotFollowed::Downgrade),
        Ok(()) => Ok(next),
        Err(InvalidTarget::Credentials) => Err(NotFollowed::Credentials),
        Err(_) => Err(NotFollowed::NoUrl),
    }
}

/// Returns a URL for display: without its query, which may hold a secret.
pub fn shown_url(url: &Url) -> String {
    let mut plain = url.clone();
    plain.set_query(None);
    plain.set_fragment(None);
    shown(plain.as_str())
}

fn url(text: &str) -> Result<Url, InvalidTarget> {
    // The parser silently drops line breaks and tabs, which are never intended.
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) || text.chars().count() > CHARS_MAX {
        return Err(InvalidTarget::Url);
    }
    let url = Url::parse(text).map_err(|_| InvalidTarget::Url)?;
    judge(&url)?;
    Ok(url)
}

fn judge(url: &Url) -> Result<(), InvalidTarget> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(InvalidTarget::Url);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidTarget::Credentials);
    }
    Ok(())
}

fn peer(text: &str) -> Result<Peer, InvalidTarget> {
    let (host, port) = text.rsplit_once(':').ok_or(InvalidTarget::Address)?;
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|port| digits && *port > 0).ok_or(InvalidTarget::Address)?;
    let host = Host::parse(host).map_err(|_| InvalidTarget::Address)?;
    Ok(Peer { host, port })
}

#[cfg(test)]
mod tests;
