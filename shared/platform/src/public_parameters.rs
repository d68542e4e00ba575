//! The public parameters of Systems Manager that name AMIs.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ssm::Client;
use lockstep_domain::error::Failure;
use lockstep_domain::ids::AmiId;
use lockstep_domain::recipe::ParameterName;

/// What AWS and others publish as the newest image of a kind.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait PublicImages {
    /// The AMI that the parameter names in this region.
    async fn newest(&self, parameter: &ParameterName) -> Result<AmiId, Failure>;
}

/// Systems Manager in the account and region of an [`Aws`].
pub struct PublicParameters(Client);

impl PublicParameters {
    /// Systems Manager as `aws` reaches it.
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(aws.sdk_config()))
    }
}

impl PublicImages for PublicParameters {
    async fn newest(&self, parameter: &ParameterName) -> Result<AmiId, Failure> {
        let answer = match self.0.get_parameter().name(parameter.as_str()).send().await {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("ParameterNotFound") => {
                return Err(Failure::rejected(format!(
                    "there is no public parameter {parameter} in this region"
                )));
            }
            Err(error) => return Err(failure("GetParameter", parameter.as_str(), &error)),
        };
        let value = answer.parameter().and_then(|parameter| parameter.value()).unwrap_or_default();
        value
            .parse()
            .map_err(|error| Failure::rejected(format!("the parameter {parameter} names no image: {error}")))
    }
}
