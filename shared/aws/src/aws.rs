//! One account and region with credentials: the source of AWS clients.

use crate::config::AwsEnvironment;
use crate::http;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use lockstep_domain::delivery::host_token::is_loopback;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::Region;
use lockstep_domain::model::partitions;
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::time::Duration;

/// An account and region with credentials. Cheap to clone.
#[derive(Clone)]
pub struct Aws(Arc<Inner>);

struct Inner {
    config: SdkConfig,
    region: Region,
    #[cfg(feature = "sts")]
    assumed: crate::assume::Cache,
}

impl Aws {
    /// Reads the function's own account and region from Lambda's environment variables.
    pub fn from_env() -> Result<Self, Failure> {
        let environment = AwsEnvironment::read();
        let (Some(region), Some(id), Some(secret)) =
            (environment.region, environment.access_key_id, environment.secret_access_key)
        else {
            return Err(Failure::bug(
                "AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set, as Lambda does",
            ));
        };
        let token = environment.session_token.map(|token| token.expose_secret().to_owned());
        let credentials = Credentials::new(id, secret.expose_secret(), token, None, "environment");
        Self::new(parse_region(&region)?, environment.endpoint, credentials, http::client()?)
    }

    /// Creates the account of these credentials at the endpoint of a local cloud.
    pub fn at(region: &str, endpoint: &str, credentials: Credentials) -> Result<Self, Failure> {
        Self::new(parse_region(region)?, Some(endpoint.to_owned()), credentials, http::client()?)
    }

    /// Creates the account of an operator's profile, as the ordinary credential chain found it.
    pub fn from_sdk_config(config: SdkConfig) -> Result<Self, Failure> {
        let region = config
            .region()
            .map(ToString::to_string)
            .ok_or_else(|| Failure::rejected("no AWS region: set one in the profile, or set AWS_REGION"))?;
        let region = parse_region(&region)?;
        let config = match config.http_client() {
            Some(_) => config,
            None => config.into_builder().http_client(http::client()?).build(),
        };
        Ok(Self::of(region, config))
    }

    pub(crate) fn new(
        region: Region,
        endpoint: Option<String>,
        credentials: Credentials,
        client: aws_smithy_runtime_api::client::http::SharedHttpClient,
    ) -> Result<Self, Failure> {
        let mut builder = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(aws_types::region::Region::new(region.to_string()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(client)
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            // Standard, not adaptive: adaptive mode slows one process down by what that process observed, which does
            // not reflect the other functions that share the account's limit. The state machine retries what still
            // fails after three attempts.
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts());
        builder.set_endpoint_url(endpoint);
        Ok(Self::of(region, builder.build()))
    }

    fn of(region: Region, config: SdkConfig) -> Self {
        Self(Arc::new(Inner {
            config,
            region,
            #[cfg(feature = "sts")]
            assumed: crate::assume::Cache::default(),
        }))
    }

    /// Returns the same credentials in another region.
    pub fn in_region(&self, region: &Region) -> Self {
        let config = self.0.config.clone().into_builder();
        let config = config.region(aws_types::region::Region::new(region.to_string())).build();
        Self::of(region.clone(), config)
    }

    /// Returns the same credentials with requests that name the policy they need: `operator`, `approver` or
    /// `installer`. The name is the application's name in the `User-Agent`. CloudTrail then distinguishes these
    /// requests from other requests of the same caller, and the call log of the local cloud shows which policy to judge
    /// them by.
    pub fn claiming(&self, policy: &str) -> Self {
        let Ok(name) = aws_types::app_name::AppName::new(format!("lockstep-{policy}")) else {
            return self.clone();
        };
        let config = self.0.config.to_builder().app_name(name).build();
        Self::of(self.0.region.clone(), config)
    }

    /// Returns the configuration that every SDK client is built from.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.0.config
    }

    /// Returns the region.
    pub fn region(&self) -> &Region {
        &self.0.region
    }

    /// Returns the partition of the region: the second part of every ARN.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
    pub fn partition(&self) -> &'static str {
        partitions::of(&self.0.region)
    }

    /// Returns the domain that AWS's endpoints of the partition end in.
    pub fn url_suffix(&self) -> &'static str {
        url_suffix(self.partition())
    }

    /// Returns the endpoint of the local cloud; `None` on AWS.
    pub fn endpoint_url(&self) -> Option<&str> {
        self.0.config.endpoint_url()
    }

    /// Returns true in the local cloud: AWS itself has no endpoint on this machine.
    pub fn is_local(&self) -> bool {
        self.endpoint_url().is_some_and(is_loopback)
    }

    /// Returns the URL of an object for CloudFormation's `TemplateURL`: virtual-hosted on AWS, path style if an
    /// endpoint is set.
    pub fn template_url(&self, bucket: &str, key: &str) -> String {
        match self.endpoint_url() {
            Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
            None => {
                format!("https://{bucket}.s3.{}.{}/{key}", self.0.region, url_suffix(self.partition()))
            }
        }
    }

    /// Returns the same client settings for another region with other credentials.
    #[cfg(feature = "sts")]
    pub(crate) fn with(&self, region: &Region, credentials: Credentials) -> Self {
        let config = self
            .0
            .config
            .to_builder()
            .region(aws_types::region::Region::new(region.to_string()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self::of(region.clone(), config)
    }

    #[cfg(feature = "sts")]
    pub(crate) fn assumed(&self) -> &crate::assume::Cache {
        &self.0.assumed
    }

    /// Returns an S3 client. It uses path style if an endpoint is set, since the local cloud has no host per bucket.
    #[cfg(feature = "s3")]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(self.sdk_config())
            .force_path_style(self.endpoint_url().is_some())
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }
}

/// Returns the bounds for one call. They are shorter than any state's `TimeoutSeconds`, so that a hanging call is
/// reported as one.
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .operation_attempt_timeout(Duration::from_secs(30))
        .operation_timeout(Duration::from_secs(60))
        .build()
}

fn parse_region(text: &str) -> Result<Region, Failure> {
    text.parse().map_err(|error: lockstep_domain::model::ids::InvalidId| {
        Failure::rejected("the region").caused_by(&error)
    })
}

/// Returns the domain of a partition's endpoints.
fn url_suffix(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "amazonaws.com.cn",
        "aws-iso" => "c2s.ic.gov",
        "aws-iso-b" => "sc2s.sgov.gov",
        "aws-iso-e" => "cloud.adc-e.uk",
        "aws-iso-f" => "csp.hci.ic.gov",
        "aws-eusc" => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(region: &str, endpoint: Option<&str>) -> Aws {
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let client = http::client().unwrap();
        Aws::new(region.parse().unwrap(), endpoint.map(str::to_owned), credentials, client).unwrap()
    }

    #[test]
    fn the_region_gives_the_partition() {
        for (region, expected) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
        ] {
            assert_eq!(aws(region, None).partition(), expected);
        }
    }

    #[test]
    fn requests_name_the_policy_they_need_in_every_region() {
        let there = aws("eu-west-1", None).claiming("installer").in_region(&"eu-central-1".parse().unwrap());
        let name = there.sdk_config().app_name().map(ToString::to_string);
        assert_eq!(name.as_deref(), Some("lockstep-installer"));
    }

    #[test]
    fn the_same_credentials_work_in_another_region() {
        let there =
            aws("eu-west-1", Some("http://127.0.0.1:4566")).in_region(&"eu-central-1".parse().unwrap());
        assert_eq!(
            (there.region().as_str(), there.endpoint_url()),
            ("eu-central-1", Some("http://127.0.0.1:4566"))
        );
        assert_eq!(there.sdk_config().region().map(AsRef::as_ref), Some("eu-central-1"));
    }

    #[test]
    fn a_template_url_is_virtual_hosted_on_aws_and_path_style_at_an_endpoint() {
        assert_eq!(
            aws("eu-west-1", None).template_url("b", "k/t"),
            "https://b.s3.eu-west-1.amazonaws.com/k/t"
        );
        assert_eq!(
            aws("cn-north-1", None).template_url("b", "k"),
            "https://b.s3.cn-north-1.amazonaws.com.cn/k"
        );
        assert_eq!(
            aws("eu-west-1", Some("http://127.0.0.1:4566/")).template_url("b", "k"),
            "http://127.0.0.1:4566/b/k"
        );
    }
}
