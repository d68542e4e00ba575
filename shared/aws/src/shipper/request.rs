//! A connection that carries HTTP requests, one at a time.

use super::connect::Duplex;
use super::{Came, Trouble};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use lockstep_domain::logs::shipping::{Answered, BodyShape, Lost, Target, Window, body, judge};
use lockstep_domain::model::error::{ErrorCause, Failure};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Maximum number of bytes of an answer's body to read so that the connection can be used again.
const ANSWER_BYTES: usize = 64 << 10;

/// A connection to an HTTP server.
pub(super) struct HttpLink {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
    target: Target,
    shape: BodyShape,
    /// True if it carried a request.
    used: bool,
}

impl HttpLink {
    /// Prepares `stream` for requests.
    pub(super) async fn open(
        stream: Box<dyn Duplex>,
        target: &Target,
        shape: BodyShape,
    ) -> Result<Self, Trouble> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // The waiting request receives its errors.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, driver, target: target.clone(), shape, used: false })
    }

    /// Sends unsent batches, one request after the other; each must be answered within `stall`.
    pub(super) async fn run(&mut self, window: &mut Window, stall: Duration) -> Result<Came, Trouble> {
        while let Some((batch, skip)) = window.unsent() {
            if self.sender.ready().await.is_err() {
                // After an answer a server may close; a close before the first answer accepts no request.
                return if self.used { Ok(Came::ToItsEnd) } else { Err(Lost::Closed.into()) };
            }
            let request = self.request(body(batch, skip, self.shape))?;
            window.sent();
            self.used = true;
            let answer = timeout(stall, self.sender.send_request(request)).await;
            let answer = answer.map_err(|_| Lost::Stalled)?.map_err(broken)?;
            self.judge(answer, window, stall).await?;
        }
        Ok(Came::There)
    }

    fn request(&self, body: Vec<u8>) -> Result<Request<Full<Bytes>>, Trouble> {
        Request::post(&self.target.path)
            .header(HOST, self.target.to_string())
            .header(CONTENT_TYPE, HeaderValue::from_static(self.shape.content_type()))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Trouble::Refused(self.refused("cannot be asked").caused_by(&error)))
    }

    fn refused(&self, what: &str) -> Failure {
        Failure::rejected(format!("the broker {} {what}", self.target))
    }

    async fn judge(
        &self,
        answer: Response<Incoming>,
        window: &mut Window,
        stall: Duration,
    ) -> Result<(), Trouble> {
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        match judge(answer.status().as_u16(), after) {
            Answered::Taken => {
                window.acknowledge_all();
                // An endless body ends the connection, not the delivery.
                let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect();
                if !matches!(timeout(stall, body).await, Ok(Ok(_))) {
                    self.driver.abort();
                }
                Ok(())
            }
            Answered::Later(lost) => Err(lost.into()),
            Answered::Refused(status) => {
                Err(Trouble::Refused(self.refused(&format!("answers {status} and takes nothing"))))
            }
        }
    }
}

impl Drop for HttpLink {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn broken(error: hyper::Error) -> Trouble {
    Lost::Broken(ErrorCause::of(&error)).into()
}
