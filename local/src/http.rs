//! A small HTTP client for this machine: the emulator's control paths and webhook deliveries.

use axum::body::Bytes;
use axum::http::uri::InvalidUri;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client as Connections;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::time::Duration;

/// Maximum size of a response, in bytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// Error of a connection, or a sentence.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Reason why an HTTP request to a local server failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No response came.
    #[error("{method} {url} got no answer")]
    NoAnswer {
        /// Method of the request.
        method: Method,
        /// Address of the request.
        url: String,
        /// Error of the connection.
        source: Cause,
    },
    /// The server refused.
    #[error("{method} {url} was refused with {status}: {body}")]
    Refused {
        /// Method of the request.
        method: Method,
        /// Address of the request.
        url: String,
        /// Status of the response.
        status: StatusCode,
        /// Start of the response.
        body: String,
    },
    /// The response has an unexpected form.
    #[error("the answer to {method} {url} cannot be understood")]
    Unreadable {
        /// Method of the request.
        method: Method,
        /// Address of the request.
        url: String,
        /// Fault of the response.
        source: serde_json::Error,
    },
}

/// Response of a server.
pub(crate) struct HttpResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An HTTP client that keeps connections; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    connections: Connections<HttpConnector, Full<Bytes>>,
    deadline: Duration,
}

impl Client {
    /// Returns a client whose requests end after `deadline`, response included.
    pub(crate) fn new(deadline: Duration) -> Self {
        Self { connections: Connections::builder(TokioExecutor::new()).build_http(), deadline }
    }

    /// Sends a request and reads the whole response, with any status.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpResponse, HttpError> {
        let no_answer =
            |source: Cause| HttpError::NoAnswer { method: method.clone(), url: url.to_owned(), source };
        let uri: Uri = url.parse().map_err(|error: InvalidUri| no_answer(error.into()))?;
        if uri.scheme_str() != Some("http") {
            return Err(no_answer("only http:// addresses on this machine are supported".into()));
        }
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        match tokio::time::timeout(self.deadline, self.exchange(request)).await {
            Ok(answer) => answer.map_err(no_answer),
            Err(_) => {
                Err(no_answer(format!("nothing within {} seconds", self.deadline.as_secs_f32()).into()))
            }
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<HttpResponse, Cause> {
        let (parts, body) = self.connections.request(request).await?.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await?;
        Ok(HttpResponse { status: parts.status, headers: parts.headers, body: body.to_bytes() })
    }

    /// Sends JSON (or no body) and reads JSON; a status outside 2xx is an error.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, HttpError> {
        let unreadable =
            |source| HttpError::Unreadable { method: method.clone(), url: url.to_owned(), source };
        let bytes = match body {
            Some(body) => serde_json::to_vec(body).map_err(unreadable)?,
            None => Vec::new(),
        };
        let answer = self.send(method.clone(), url, HeaderMap::new(), bytes.into()).await?;
        if !answer.status.is_success() {
            let body = String::from_utf8_lossy(&answer.body).chars().take(500).collect();
            return Err(HttpError::Refused { method, url: url.to_owned(), status: answer.status, body });
        }
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }
}

/// Returns an error with each of its causes, as one line for a person.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Absence of a body.
pub(crate) const NOTHING: Option<&()> = None;
