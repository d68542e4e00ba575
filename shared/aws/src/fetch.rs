//! Reads from a git host's API over HTTPS. `package` uses it with untrusted repositories.
//!
//! The repository's record names the host. This module follows redirects, not the client, because each redirect needs a
//! decision: the admitted target, and the use of the token ([`follow`], [`carries_token`]). Each response is counted
//! while it is read, so that no host can fill the function's memory.

use lockstep_domain::model::error::{Failure, FailureKind};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use std::net::IpAddr;
use std::time::Duration;

/// Maximum number of redirects to follow; GitHub needs one.
pub const HOPS_MAX: u32 = 3;

/// Timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of one hop from its first byte to its last.
const HOP_TIMEOUT: Duration = Duration::from_secs(45);

/// GitHub refuses requests without a user agent.
/// <https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api#user-agent>
const USER_AGENT: &str = concat!("lockstep/", env!("CARGO_PKG_VERSION"));

/// Reason of a failed fetch. No variant holds the token, a query or a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The repository's base URL cannot be used.
    #[error("the repository's base URL {0}")]
    BaseUrl(&'static str),
    /// The token cannot be sent.
    #[error("the token has characters that no header may hold; store it again without line breaks")]
    Token,
    /// A redirect that was not followed.
    #[error("{host} redirects {why}")]
    Redirect {
        /// The host that redirects.
        host: String,
        /// The defect of the redirect's target.
        why: &'static str,
    },
    /// The response is larger than the limit.
    #[error("{host} answers with more than {limit} bytes")]
    TooLarge {
        /// The host that responds.
        host: String,
        /// Maximum number of bytes.
        limit: u64,
    },
    /// No response, or an incomplete one.
    #[error("{host} {why}")]
    Unreachable {
        /// The host that did not respond.
        host: String,
        /// The event, as a verb phrase.
        why: &'static str,
    },
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let kind = match error {
            FetchError::BaseUrl(_) | FetchError::Token => FailureKind::Rejected,
            FetchError::Redirect { .. } | FetchError::TooLarge { .. } => FailureKind::Rejected,
            FetchError::Unreachable { .. } => FailureKind::Transient,
        };
        Failure::new(kind, error.to_string()).with_causes_of(&error)
    }
}

/// Final response of a host, after redirects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchResponse {
    /// The HTTP status; never that of a followed redirect.
    pub status: u16,
    /// True if the host throttles, in one of GitHub's two ways.
    pub throttled: bool,
    /// The body if the status is 200, else empty: a host's error text is not ours to show.
    pub body: Vec<u8>,
}

/// A git host's API.
pub struct Host {
    base: Url,
    authorization: Option<HeaderValue>,
    client: Client,
}

impl Host {
    /// Creates the client of the API at `base_url`, with `token` if there is one. Only the local cloud (`is_local`) has
    /// a git host on this machine; in a function on AWS, Lambda's runtime API is there.
    ///
    /// # Errors
    /// [`FetchError::BaseUrl`] unless the URL is `https` to another machine, or in the local cloud `http` to this machine
    /// itself, and names a host and no secret; [`FetchError::Token`] if the token is no header value.
    pub fn new(base_url: &str, token: Option<&str>, is_local: bool) -> Result<Self, FetchError> {
        let base = checked_base(base_url, is_local)?;
        let authorization = token.map(bearer).transpose()?;
        let client = client(is_loopback(&base))?;
        Ok(Self { base, authorization, client })
    }

    /// Returns true if requests carry a token.
    pub fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// Returns the host's name, for sentences.
    pub fn name(&self) -> String {
        host_of(&self.base)
    }

    /// Reads the resource at `path` below the base URL; each part of the path becomes exactly one segment.
    ///
    /// # Errors
    /// See [`FetchError`]; an HTTP status is a response, not an error.
    pub async fn get(&self, path: &[&str], bytes_max: u64) -> Result<FetchResponse, FetchError> {
        let mut url = self.base.clone();
        url.path_segments_mut().map_err(|()| FetchError::BaseUrl("has no path"))?.pop_if_empty().extend(path);
        let mut hop = 0;
        loop {
            let response = self.send(url.clone()).await?;
            let Some(location) = redirection(&response) else {
                return read(response, bytes_max, &host_of(&url)).await;
            };
            url = follow(&self.base, &url, location, hop)?;
            hop += 1;
        }
    }

    async fn send(&self, url: Url) -> Result<Response, FetchError> {
        let host = host_of(&url);
        let mut request = self.client.get(url.clone());
        if let Some(authorization) = self.authorization.as_ref().filter(|_| carries_token(&self.base, &url)) {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| unreachable_host(host, &error))
    }
}

/// Returns true if a request to `url` carries the token: only to the exact origin that the record names.
fn carries_token(base: &Url, url: &Url) -> bool {
    base.origin() == url.origin()
}

/// Returns the target of redirect number `hop` (from 0).
///
/// The target must use HTTPS and must not be an address inside the function's network. The exception is a record that
/// names this machine: the local cloud then makes the request, and only this machine is reachable.
fn follow(base: &Url, current: &Url, location: &str, hop: u32) -> Result<Url, FetchError> {
    let refuse = |why| Err(FetchError::Redirect { host: host_of(current), why });
    if hop >= HOPS_MAX {
        return refuse("too often");
    }
    let Ok(next) = current.join(location) else { return refuse("to something that is no URL") };
    if !next.username().is_empty() || next.password().is_some() {
        return refuse("to a URL with credentials in it");
    }
    if next.scheme() != "https" && !(is_loopback(base) && is_loopback(&next) && next.scheme() == "http") {
        return refuse("to a place without HTTPS");
    }
    if is_address(&next) && !is_loopback(base) && next.origin() != base.origin() {
        return refuse("to an address instead of a name");
    }
    Ok(next)
}

fn checked_base(base_url: &str, is_local: bool) -> Result<Url, FetchError> {
    let base = Url::parse(base_url).map_err(|_| FetchError::BaseUrl("is no URL"))?;
    if base.host_str().is_none() {
        return Err(FetchError::BaseUrl("names no host"));
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(FetchError::BaseUrl("holds credentials; store them as a secret instead"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(FetchError::BaseUrl("has a query or a fragment"));
    }
    if is_loopback(&base) && !is_local {
        return Err(FetchError::BaseUrl("names this machine, which only the local cloud may"));
    }
    match base.scheme() {
        "https" => Ok(base),
        "http" if is_loopback(&base) => Ok(base),
        _ => Err(FetchError::BaseUrl("must begin with https://")),
    }
}

fn address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_address(url: &Url) -> bool {
    address(url).is_some() || url.host_str() == Some("localhost")
}

fn is_loopback(url: &Url) -> bool {
    address(url).is_some_and(|a| a.is_loopback()) || url.host_str() == Some("localhost")
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

fn bearer(token: &str) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| FetchError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

fn client(loopback: bool) -> Result<Client, FetchError> {
    // reqwest is built without a provider of its own; a provider that is already installed is fine too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
    headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
    let client = Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .redirect(Policy::none())
        .https_only(!loopback)
        // The record alone selects the source of the bytes, not an environment variable.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(HOP_TIMEOUT);
    client.build().map_err(|_| FetchError::BaseUrl("cannot be asked: the HTTP client does not start"))
}

fn redirection(response: &Response) -> Option<&str> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(LOCATION).filter(|_| redirects)?.to_str().ok()
}

async fn read(mut response: Response, bytes_max: u64, host: &str) -> Result<FetchResponse, FetchError> {
    let (status, throttled) = (response.status(), throttled(response.status(), response.headers()));
    let mut body = Vec::new();
    if status == StatusCode::OK {
        let too_large = || FetchError::TooLarge { host: host.to_owned(), limit: bytes_max };
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        while let Some(chunk) = response.chunk().await.map_err(|e| unreachable_host(host.to_owned(), &e))? {
            if body.len() as u64 + chunk.len() as u64 > bytes_max {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }
    Ok(FetchResponse { status: status.as_u16(), throttled, body })
}

/// Returns true if GitHub throttles: with 429, or with 403 and one of two headers.
/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit>
fn throttled(status: StatusCode, headers: &HeaderMap) -> bool {
    let exhausted = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    match status.as_u16() {
        429 => true,
        403 => exhausted || headers.contains_key(RETRY_AFTER),
        _ => false,
    }
}

/// Returns the error of a host without a response. The client's own error text holds the URL, and with it GitHub's
/// query token, so it is not repeated.
fn unreachable_host(host: String, error: &reqwest::Error) -> FetchError {
    let why = if error.is_timeout() {
        "does not answer in time"
    } else if error.is_connect() {
        "cannot be reached"
    } else if error.is_body() || error.is_decode() {
        "broke off its answer"
    } else {
        "cannot be asked"
    };
    FetchError::Unreachable { host, why }
}

#[cfg(test)]
mod tests;
