//! Live models of resources, through Cloud Control, in one account and region.
//!
//! [`LiveModels`] is the port, [`CloudControl`] its adapter. Cloud Control reads a resource with the permissions of the
//! caller. <https://docs.aws.amazon.com/cloudcontrolapi/latest/APIReference/API_GetResource.html>

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_cloudcontrol::Client;
use aws_sdk_cloudcontrol::operation::get_resource::GetResourceError;
use lockstep_domain::drift::look::Reading;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::sync::OnceLock;

/// The operation of Cloud Control that Lockstep needs.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait LiveModels {
    /// Returns the live model of a resource, or the reason why it cannot be read.
    ///
    /// # Errors
    /// A failure that may pass: throttling, or a fault of a service or the network.
    async fn read(&self, resource_type: &str, identifier: &str) -> Result<Reading, Failure>;
}

/// Cloud Control in the account and region of an [`Aws`].
pub struct CloudControl {
    aws: Aws,
    client: OnceLock<Client>,
}

impl CloudControl {
    /// Creates the client in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

impl LiveModels for CloudControl {
    async fn read(&self, resource_type: &str, identifier: &str) -> Result<Reading, Failure> {
        let request = self.client().get_resource().type_name(resource_type).identifier(identifier);
        let error = match request.send().await {
            Ok(found) => {
                let text = found.resource_description.and_then(|found| found.properties);
                let model = text.and_then(|text| serde_json::from_str(&text).ok());
                return Ok(
                    model.map_or_else(|| Reading::Failed("the model is not JSON".to_owned()), Reading::Model)
                );
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(GetResourceError::ResourceNotFoundException(_)) => return Ok(Reading::NotFound),
            Some(
                GetResourceError::TypeNotFoundException(_)
                | GetResourceError::UnsupportedActionException(_)
                | GetResourceError::PrivateTypeException(_),
            ) => return Ok(Reading::Unsupported),
            _ => {}
        }
        let failed = failure("GetResource", &format!("{resource_type} {identifier}"), &error);
        match failed.kind {
            FailureKind::AccessDenied => Ok(Reading::Denied(failed.chain())),
            FailureKind::Throttled | FailureKind::Transient => Err(failed),
            _ => Ok(Reading::Failed(failed.chain())),
        }
    }
}
