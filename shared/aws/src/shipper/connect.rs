//! Connections to a broker, with TLS or without.

use super::Trouble;
use lockstep_domain::logs::shipping::{Lost, Target};
use lockstep_domain::model::error::{ErrorCause, Failure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection that carries bytes in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {
    /// Returns the TCP connection below.
    fn socket(&mut self) -> &mut TcpStream;
}

impl Duplex for TcpStream {
    fn socket(&mut self) -> &mut TcpStream {
        self
    }
}

impl Duplex for TlsStream<TcpStream> {
    fn socket(&mut self) -> &mut TcpStream {
        self.get_mut().0
    }
}

/// The TLS settings of one broker.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// Creates settings that trust `authority`, or else the public authorities, for the name of `target`.
    pub(super) fn new(target: &Target, authority: Option<&str>) -> Result<Self, Failure> {
        let rejected = |why: String| Failure::rejected(format!("TLS to the broker {target}: {why}"));
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| rejected("its name is none that a certificate can have".to_owned()))?;
        let roots = match authority {
            Some(pem) => private_roots(pem).map_err(rejected)?,
            None => public_roots(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::rejected(format!("TLS to the broker {target}")).caused_by(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

fn private_roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| "the certificate of its authority is no PEM".to_owned())?;
        roots.add(certificate).map_err(|_| "the certificate of its authority cannot be read".to_owned())?;
    }
    if roots.is_empty() {
        return Err("no certificate of an authority is given".to_owned());
    }
    Ok(roots)
}

fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    roots
}

/// Connects to `target`: the TCP connection and the TLS handshake complete before the caller can write.
pub(super) async fn connect(
    target: &Target,
    tls: Option<&Tls>,
    patience: Duration,
) -> Result<Box<dyn Duplex>, Trouble> {
    match timeout(patience, open(target, tls)).await {
        Ok(opened) => opened,
        Err(_) => {
            let late = format!("no answer within {:.0} s", patience.as_secs_f64());
            Err(unreachable(&io::Error::new(io::ErrorKind::TimedOut, late)).into())
        }
    }
}

async fn open(target: &Target, tls: Option<&Tls>) -> Result<Box<dyn Duplex>, Trouble> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
    let stream = stream.map_err(|error| unreachable(&error))?;
    // The shipper writes whole batches; a delayed last segment gains nothing.
    stream.set_nodelay(true).map_err(|error| unreachable(&error))?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    match tls.connector.connect(tls.name.clone(), stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(refusal(target, &error).unwrap_or_else(|| unreachable(&error).into())),
    }
}

fn unreachable(error: &io::Error) -> Lost {
    Lost::Unreachable(ErrorCause::of(error))
}

/// Returns the refusal of an untrusted certificate. A retry will not trust it either.
fn refusal(target: &Target, error: &io::Error) -> Option<Trouble> {
    match error.get_ref()?.downcast_ref()? {
        error @ rustls::Error::InvalidCertificate(_) => {
            let message = format!("the broker {target} shows a certificate that is not trusted");
            Some(Trouble::Refused(Failure::rejected(message).caused_by(error)))
        }
        _ => None,
    }
}
