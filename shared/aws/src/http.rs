//! The HTTPS client of the AWS SDK.
//!
//! Two choices make a function start in a tenth of the instructions. It uses *ring* instead of *aws-lc*, which gathers
//! entropy for 40 ms. Its trust store holds Amazon's own roots (<https://www.amazontrust.com/repository/>) instead of
//! the hundred and forty of the operating system. Behind a private certificate authority set `AWS_CA_BUNDLE`, as for
//! the AWS CLI. Plain `http` endpoints work too: the local cloud has one.

use crate::config;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use lockstep_domain::model::error::Failure;
use std::sync::OnceLock;

/// Names in the certificates of the roots that AWS's endpoints chain to.
const AMAZON_ROOTS: [&[u8]; 2] = [b"Amazon Root CA ", b"Starfield Services Root Certificate Authority - G2"];

/// Number of leading bytes of a certificate that can hold its issuer's name.
const ISSUER_BYTES: usize = 300;

/// Returns the client for every AWS call of this process. The first call parses the certificates.
pub fn client() -> Result<SharedHttpClient, Failure> {
    Ok(SharedHttpClient::new(Lazy { roots: roots()?, built: OnceLock::new() }))
}

/// Client that delays the parsing of certificates: the SDK asks a client to prepare itself twice, once without using
/// it.
#[derive(Debug)]
struct Lazy {
    roots: Vec<u8>,
    built: OnceLock<SharedHttpClient>,
}

impl Lazy {
    fn build(&self) -> SharedHttpClient {
        let trust = TrustStore::empty().with_pem_certificate(self.roots.as_slice());
        let builder = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        match TlsContext::builder().with_trust_store(trust).build() {
            Ok(context) => builder.tls_context(context).build_https(),
            Err(_) => builder.build_https(),
        }
    }
}

impl HttpClient for Lazy {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.built.get_or_init(|| self.build()).http_connector(settings, components)
    }
}

fn roots() -> Result<Vec<u8>, Failure> {
    match config::ca_bundle() {
        None => Ok(amazon_roots()),
        Some(file) => std::fs::read(&file).map_err(|error| {
            Failure::rejected(format!("AWS_CA_BUNDLE: cannot read {file}")).caused_by(&error)
        }),
    }
}

/// Returns Amazon's roots as PEM, from Mozilla's list.
fn amazon_roots() -> Vec<u8> {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter(|der| is_amazons(der)) {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        base64::engine::general_purpose::STANDARD.encode_string(certificate, &mut pem);
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    pem.into_bytes()
}

fn is_amazons(der: &[u8]) -> bool {
    let issuer = &der[..der.len().min(ISSUER_BYTES)];
    AMAZON_ROOTS.iter().any(|name| issuer.windows(name.len()).any(|window| window == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trust_store_holds_amazons_five_roots_and_no_other() {
        let pem = String::from_utf8(amazon_roots()).unwrap();
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 5);
    }
}
