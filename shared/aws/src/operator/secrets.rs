//! Storage of secrets for an operator.

use crate::aws::Aws;
use crate::failure::{code, failure};
use crate::secrets::{ExposeSecret as _, SecretString};
use aws_sdk_secretsmanager::Client;
use lockstep_domain::model::error::Failure;

/// Stores `secret` under `name`, as a new secret or as the new value of an existing one. Returns true if it existed.
pub async fn store(aws: &Aws, name: &str, secret: &SecretString) -> Result<bool, Failure> {
    let client = Client::new(aws.sdk_config());
    let put = client.put_secret_value().secret_id(name).secret_string(secret.expose_secret()).send().await;
    match put {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some("ResourceNotFoundException") => {
            let created =
                client.create_secret().name(name).secret_string(secret.expose_secret()).send().await;
            created.map(|_| false).map_err(|error| failure("CreateSecret", name, &error))
        }
        Err(error) => Err(failure("PutSecretValue", name, &error)),
    }
}

/// Returns true if there is a secret called `name`. Does not read its value.
pub async fn exists(aws: &Aws, name: &str) -> Result<bool, Failure> {
    let client = Client::new(aws.sdk_config());
    match client.describe_secret().secret_id(name).send().await {
        Ok(_) => Ok(true),
        Err(error) if code(&error) == Some("ResourceNotFoundException") => Ok(false),
        Err(error) => Err(failure("DescribeSecret", name, &error)),
    }
}
