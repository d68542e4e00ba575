//! What a check connects to: as it is written, and as it is once the stack's outputs are known.

use super::{Outputs, required_output, shown};
use crate::model::ids::LogicalId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use url::{Host, Url};

/// How many redirects a check follows.
pub const REDIRECTS_MAX: u32 = 5;

/// The most characters of a target, before and after its outputs are put in.
const CHARS_MAX: usize = 2000;

/// A target that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// A `${` without its `}`.
    #[error("a `${{` is not closed by `}}`")]
    Unclosed,
    /// A reference to something else than an output.
    #[error(
        "`${{{0}}}` cannot be used here; only `${{outputs.<Name>}}`, an output of this component's own stack"
    )]
    Reference(String),
    /// Longer than any target.
    #[error("longer than {CHARS_MAX} characters")]
    TooLong,
    /// Nothing that can be asked over HTTP.
    #[error("not a URL with http:// or https:// and a host")]
    Url,
    /// A URL that carries a user or a password.
    #[error("a URL with credentials in it; a check sends none")]
    Credentials,
    /// No host with a port.
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

    /// The text with something that an output may hold in the place of each.
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
            /// The outputs it is made with.
            pub fn outputs(&self) -> BTreeSet<&LogicalId> {
                self.0.outputs()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidTarget;

            fn try_from(text: String) -> Result<Self, InvalidTarget> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(target: $name) -> String {
                target.0.text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.text)
            }
        }
    };
}

target! {
    /// A URL as it is written in `lockstep.toml`: `https://${outputs.Host}/health`.
    HttpTarget
}

target! {
    /// A host and port as they are written in `lockstep.toml`: `${outputs.BrokerHost}:5044`.
    TcpTarget
}

impl FromStr for HttpTarget {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let written = Written::parse(text)?;
        // An output at the beginning may hold the scheme; what it makes of the URL is known when it is known.
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
    /// The URL with the stack's outputs put in, or a sentence that says why there is none.
    pub fn resolve(&self, outputs: &Outputs) -> Result<Url, String> {
        url(&self.0.filled(outputs)?).map_err(|error| format!("with the stack's outputs, {self} is {error}"))
    }
}

impl TcpTarget {
    /// The host and port with the stack's outputs put in, or a sentence that says why there are none.
    pub fn resolve(&self, outputs: &Outputs) -> Result<Peer, String> {
        peer(&self.0.filled(outputs)?).map_err(|error| format!("with the stack's outputs, {self} is {error}"))
    }
}

/// Who is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    host: Host<String>,
    port: u16,
}

impl Peer {
    /// The name, or the address as text.
    pub fn host(&self) -> String {
        self.address().map_or_else(|| self.host.to_string(), |address| address.to_string())
    }

    /// The address, if it needs no resolving.
    pub fn address(&self) -> Option<IpAddr> {
        match self.host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whom a request to `url` connects to; nothing for a URL that no check asks.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self { host: url.host()?.to_owned(), port: url.port_or_known_default()? })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Why a redirect is not followed; the sentence goes on after "it redirects".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFollowed {
    /// More than [`REDIRECTS_MAX`].
    #[error("more than {REDIRECTS_MAX} times")]
    TooOften,
    /// To something that is no URL of HTTP.
    #[error("to something that is no URL of http or https")]
    NoUrl,
    /// To a URL that carries a user or a password.
    #[error("to a URL with credentials in it")]
    Credentials,
    /// From `https` to `http`.
    #[error("from https to http")]
    Downgrade,
}

/// Where a redirect from `from` to `location` leads, after `followed` others. Its host is judged like the first one.
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

/// A URL as it is shown: without its query, which may hold a secret.
pub fn shown_url(url: &Url) -> String {
    let mut plain = url.clone();
    plain.set_query(None);
    plain.set_fragment(None);
    shown(plain.as_str())
}

fn url(text: &str) -> Result<Url, InvalidTarget> {
    // The parser drops line breaks and tabs without a word; nobody means them.
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
