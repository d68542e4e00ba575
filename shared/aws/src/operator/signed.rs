//! HTTP requests signed with Signature Version 4, for endpoints without a client in the SDK: function URLs.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use crate::aws::Aws;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use jiff::Timestamp;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::time::{Duration, SystemTime};

/// Maximum number of bytes of a response to read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Timeout of a response.
const PATIENCE: Duration = Duration::from_secs(90);

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most one mebibyte of it.
    pub body: Vec<u8>,
    /// The value of the header `date`; empty if there is none.
    pub date: String,
}

/// Returns the number of seconds that this machine's clock is ahead of AWS's, by the `date` of an STS response. This
/// also works if the clock is so wrong that STS refuses the signature.
pub async fn clock_ahead_seconds(aws: &Aws) -> Result<i64, Failure> {
    let url = match aws.endpoint_url() {
        Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
        None => format!("https://sts.{}.{}/", aws.region(), aws.url_suffix()),
    };
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = b"Action=GetCallerIdentity&Version=2011-06-15".to_vec();
    let answer = post(aws, "sts", &url, &headers, body).await?;
    let now = Timestamp::now();
    let there = jiff::fmt::rfc2822::parse(&answer.date)
        .map_err(|_| Failure::rejected(format!("{url} answered without a date that can be read")))?;
    Ok(now.as_second() - there.timestamp().as_second())
}

/// Posts `body` to `url`, signed for `service` with the credentials of `aws`. It is sent once.
///
/// # Errors
/// `AccessDenied` without credentials, `Transient` without a response. A response of any status is no error.
pub async fn post(
    aws: &Aws,
    service: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<SignedResponse, Failure> {
    let host = host(url)?;
    let mut all: Vec<(String, String)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.push(("host".to_owned(), host));
    if let Some(name) = aws.sdk_config().app_name() {
        all.push(("user-agent".to_owned(), format!("app/{name}")));
    }
    let signature = signature(aws, service, url, &all, &body).await?;
    all.extend(signature);
    send(url, &all, body).await
}

/// Posts `body` to `url` unchanged, for a caller with its own signature.
///
/// # Errors
/// As [`post`], except those about credentials.
pub async fn post_unsigned(
    url: &str,
    headers: &[(String, String)],
    body: Vec<u8>,
) -> Result<SignedResponse, Failure> {
    send(url, headers, body).await
}

/// Returns the value of the header `host`: it includes the port unless it is the scheme's default.
fn host(url: &str) -> Result<String, Failure> {
    let parsed = reqwest::Url::parse(url).map_err(|error| Failure::rejected(url).caused_by(&error))?;
    let host = parsed.host_str().ok_or_else(|| Failure::rejected(format!("{url} names no host")))?;
    Ok(match parsed.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Returns the headers of a signature.
async fn signature(
    aws: &Aws,
    service: &str,
    url: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Vec<(String, String)>, Failure> {
    let provider = aws.sdk_config().credentials_provider().ok_or_else(without_credentials)?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|error| without_credentials().caused_by(&error))?;
    let identity: Identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(aws.region().as_str())
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| Failure::bug("a signature lacks something").caused_by(&error))?;
    let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request = SignableRequest::new("POST", url, named, SignableBody::Bytes(body));
    let request =
        request.map_err(|error| Failure::bug(format!("{url} cannot be signed")).caused_by(&error))?;
    let signed = sign(request, &parameters.into());
    let signed = signed.map_err(|error| Failure::bug(format!("{url} cannot be signed")).caused_by(&error))?;
    let (instructions, _) = signed.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

async fn send(url: &str, headers: &[(String, String)], body: Vec<u8>) -> Result<SignedResponse, Failure> {
    let lost = |error: reqwest::Error| {
        // Without the URL: the message names it already.
        Failure::new(FailureKind::Transient, format!("POST {url}")).caused_by(&error.without_url())
    };
    // A second installation is refused and harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(lost)?;
    let request = client.post(url).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let mut response = request.send().await.map_err(lost)?;
    let status = response.status().as_u16();
    let date = response.headers().get("date").and_then(|date| date.to_str().ok());
    let date = date.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::rejected(format!(
                "the answer of {url} is larger than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(SignedResponse { status, body, date })
}

fn without_credentials() -> Failure {
    Failure::new(
        FailureKind::AccessDenied,
        "there are no AWS credentials: set AWS_PROFILE or the AWS_* variables",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_schemes_own() {
        assert_eq!(host("http://127.0.0.1:4566/x").unwrap(), "127.0.0.1:4566");
        assert_eq!(host("https://a.lambda-url.eu-west-1.on.aws/").unwrap(), "a.lambda-url.eu-west-1.on.aws");
        assert!(host("nonsense").is_err());
    }

    #[tokio::test]
    async fn a_signature_covers_the_host_and_shows_no_secret() {
        let key = crate::operator::AccessKey {
            id: "AKIDEXAMPLE".into(),
            secret: "hunter2".into(),
            session_token: None,
        };
        let aws = crate::operator::connect(&"eu-west-1".parse().unwrap(), None, &key).unwrap();
        let headers = [("host".to_owned(), "example.com".to_owned())];
        let signed = signature(&aws, "lambda", "https://example.com/", &headers, b"{}").await.unwrap();
        let (_, authorization) = signed.iter().find(|(name, _)| name == "authorization").unwrap();
        assert!(authorization.contains("/eu-west-1/lambda/aws4_request"), "{authorization}");
        assert!(authorization.contains("host") && !authorization.contains("hunter2"), "{authorization}");
    }
}
