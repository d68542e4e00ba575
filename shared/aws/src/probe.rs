//! Connections to the peers that a component's checks name.
//!
//! Each connection resolves a name once, judges every address of it ([`Admission`]), and connects only to the judged
//! addresses. A name whose addresses change a moment later has no effect. This module follows redirects, not the
//! client, and judges each like the first request. A request carries no authority of the function: no credentials, no
//! cookies, no proxy of the environment. A peer's response is bounded in time and size.

use lockstep_domain::delivery::checks::{
    Admission, BODY_BYTES_MAX, NotFollowed, Peer, Statuses, redirect, shown_url,
};
use reqwest::dns::{Addrs, Name, Resolving};
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Timeout for a connection to any address of a peer, all addresses together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const USER_AGENT: &str = concat!("lockstep/", env!("CARGO_PKG_VERSION"));

/// Reason of a check without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The request is not admitted; a retry changes nothing.
    #[error("{0}")]
    Refused(String),
    /// The peer did not answer this time.
    #[error("{0}")]
    NotYet(String),
}

/// One GET.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// The URL.
    pub url: &'a Url,
    /// The accepted statuses: a redirect among them is an answer and is not followed.
    pub wanted: &'a Statuses,
    /// True if the body of an accepted answer is read.
    pub body: bool,
}

/// The final answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResponse {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body, at most [`BODY_BYTES_MAX`]; empty if it was not requested.
    pub body: Vec<u8>,
}

/// Resolution of names to addresses.
pub trait Resolve {
    /// Returns every address of `name`.
    fn resolve(&self, name: &str) -> impl Future<Output = io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Client for checks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prober<R = SystemResolver> {
    resolver: R,
}

impl<R: Resolve> Prober<R> {
    /// Creates a client that connects to the addresses from `resolver`.
    pub fn new(resolver: R) -> Self {
        Self { resolver }
    }

    /// Opens a connection to `peer` and closes it.
    ///
    /// # Errors
    /// See [`Unanswered`]; `patience` bounds all steps together.
    pub async fn connect(
        &self,
        peer: &Peer,
        admission: &Admission,
        patience: Duration,
    ) -> Result<(), Unanswered> {
        let connected = timeout(patience, self.accepts(peer, admission)).await;
        connected.unwrap_or_else(|_| Err(silent(&peer.to_string(), patience)))
    }

    /// Sends `get` and follows redirects.
    ///
    /// # Errors
    /// See [`Unanswered`]; a status is an answer. `patience` bounds all steps together.
    pub async fn get(
        &self,
        get: Get<'_>,
        admission: &Admission,
        patience: Duration,
    ) -> Result<ProbeResponse, Unanswered> {
        let answered = timeout(patience, self.follow(get, admission)).await;
        answered.unwrap_or_else(|_| Err(silent(&shown_url(get.url), patience)))
    }

    async fn accepts(&self, peer: &Peer, admission: &Admission) -> Result<(), Unanswered> {
        let addresses = self.admitted(peer, admission).await?;
        let share = CONNECT_TIMEOUT / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        let mut why = "cannot be reached";
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => why = refusal(&error).unwrap_or("cannot be reached"),
                Err(_) => why = "does not answer",
            }
        }
        Err(Unanswered::NotYet(format!("{peer} {why}")))
    }

    async fn follow(&self, get: Get<'_>, admission: &Admission) -> Result<ProbeResponse, Unanswered> {
        let (mut url, mut followed) = (get.url.clone(), 0);
        loop {
            let response = self.send(&url, admission).await?;
            let wanted = get.wanted.contain(response.status().as_u16());
            match redirection(&response).filter(|_| !wanted) {
                None => return read(response, &url, wanted && get.body).await,
                Some(location) => {
                    url = redirect(&url, location, followed).map_err(|why| not_followed(&url, why))?;
                }
            }
            followed += 1;
        }
    }

    async fn send(&self, url: &Url, admission: &Admission) -> Result<Response, Unanswered> {
        let no_peer = || Unanswered::Refused(format!("{} names no host to connect to", shown_url(url)));
        let peer = Peer::of(url).ok_or_else(no_peer)?;
        let client = client(self.admitted(&peer, admission).await?)?;
        let response = client.get(url.clone()).send().await;
        response.map_err(|error| Unanswered::NotYet(format!("{peer} {}", unanswered(&error))))
    }

    /// Returns the addresses of `peer`, if each of them is admitted. Only this function resolves a name.
    async fn admitted(&self, peer: &Peer, admission: &Admission) -> Result<Vec<SocketAddr>, Unanswered> {
        let host = peer.host();
        let addresses = match peer.address() {
            Some(address) => vec![address],
            None => self.resolver.resolve(&host).await.unwrap_or_default(),
        };
        if addresses.is_empty() {
            return Err(Unanswered::NotYet(format!("the name {host} has no address")));
        }
        admission.admit(&host, &addresses).map_err(Unanswered::Refused)?;
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, peer.port())).collect())
    }
}

/// Resolver that returns the judged addresses for every name.
struct Judged(Vec<SocketAddr>);

impl reqwest::dns::Resolve for Judged {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

fn client(addresses: Vec<SocketAddr>) -> Result<Client, Unanswered> {
    // reqwest is built without a provider of its own; a provider that is already installed is fine too.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .user_agent(USER_AGENT)
        .dns_resolver(Arc::new(Judged(addresses)))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        // The reader of HTTP/1 accepts at most a hundred headers and 400 KiB of them.
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_TIMEOUT);
    client.build().map_err(|_| Unanswered::NotYet("the HTTP client does not start".to_owned()))
}

fn redirection(response: &Response) -> Option<&str> {
    let redirects = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    response.headers().get(LOCATION).filter(|_| redirects)?.to_str().ok()
}

async fn read(mut response: Response, url: &Url, with_body: bool) -> Result<ProbeResponse, Unanswered> {
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while with_body && body.len() < BODY_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = BODY_BYTES_MAX - body.len();
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            }
            Ok(None) => break,
            Err(_) => return Err(Unanswered::NotYet(format!("{} broke off its answer", shown_url(url)))),
        }
    }
    Ok(ProbeResponse { status, body })
}

/// Returns the reason of a redirect that was not followed. A loop of redirects may end once the peer is ready; the
/// target of a redirect is the peer's configuration.
fn not_followed(url: &Url, why: NotFollowed) -> Unanswered {
    let sentence = format!("{} redirects {why}", shown_url(url));
    match why {
        NotFollowed::TooOften => Unanswered::NotYet(sentence),
        NotFollowed::NoUrl | NotFollowed::Credentials | NotFollowed::Downgrade => {
            Unanswered::Refused(sentence)
        }
    }
}

fn silent(what: &str, patience: Duration) -> Unanswered {
    Unanswered::NotYet(format!("{what} did not answer within {:.0} s", patience.as_secs_f64().ceil()))
}

/// Returns the reason of a request without an answer. The client's own error text holds the URL and its query, and is
/// not repeated.
fn unanswered(error: &reqwest::Error) -> &'static str {
    if let Some(why) = error.source().and_then(refusal) {
        return why;
    }
    if error.is_timeout() {
        "does not answer"
    } else if error.is_connect() {
        "cannot be reached"
    } else {
        "answers something that is no HTTP"
    }
}

/// Returns the actionable reason in a cause or one of its sources.
fn refusal(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref() {
        return Some(match error {
            rustls::Error::InvalidCertificate(_) => "has a certificate that is not trusted",
            _ => "does not speak TLS as it should",
        });
    }
    match cause.downcast_ref::<io::Error>() {
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => Some("refuses connections"),
        // The error that an I/O error wraps is not among its sources.
        Some(error) => refusal(error.get_ref()?),
        None => refusal(cause.source()?),
    }
}

#[cfg(test)]
mod tests;
