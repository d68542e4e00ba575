//! The state of parameters in Parameter Store and of secrets. No call decrypts a value or reads a secret.

use crate::aws::Aws;
use crate::failure::{code, failure};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::late_values::{Answer, StoredParameter};
use std::collections::BTreeMap;

/// The most names that one call of `GetParameters` takes.
/// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>
const NAMES_MAX: usize = 10;

/// Access to the stored values of one account and region.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait StoredValues {
    /// Returns the parameters of these names. An encrypted value is not decrypted.
    async fn parameters(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure>;

    /// Returns the ids of the versions of a secret, by stage.
    async fn secret_versions(&self, id: &str) -> Result<Answer<BTreeMap<String, String>>, Failure>;
}

/// Parameter Store and Secrets Manager in the account and region of an [`Aws`].
pub struct ValueStores {
    ssm: aws_sdk_ssm::Client,
    secrets: aws_sdk_secretsmanager::Client,
}

impl ValueStores {
    /// Creates the access in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self {
            ssm: aws_sdk_ssm::Client::new(aws.sdk_config()),
            secrets: aws_sdk_secretsmanager::Client::new(aws.sdk_config()),
        }
    }

    /// Returns the parameters of at most [`NAMES_MAX`] names. If the policy refuses one of several, asks for each alone.
    async fn batch(
        &self,
        names: &[String],
        found: &mut BTreeMap<String, Answer<StoredParameter>>,
    ) -> Result<(), Failure> {
        let request = self.ssm.get_parameters().set_names(Some(names.to_vec())).with_decryption(false);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let failure = failure("GetParameters", &names.join(", "), &error);
                match (failure.kind, names) {
                    (FailureKind::AccessDenied, [name]) => {
                        found.insert(name.clone(), Answer::Refused);
                        return Ok(());
                    }
                    (FailureKind::AccessDenied, _) => {
                        for name in names {
                            Box::pin(self.batch(std::slice::from_ref(name), found)).await?;
                        }
                        return Ok(());
                    }
                    _ => return Err(failure),
                }
            }
        };
        found.extend(names.iter().map(|name| (name.clone(), Answer::Missing)));
        for parameter in answer.parameters() {
            let selector = parameter.selector().unwrap_or_default();
            let known = [parameter.name(), parameter.arn()].into_iter().flatten();
            let asked = known.map(|name| format!("{name}{selector}")).find(|name| names.contains(name));
            let is_plain = parameter.r#type().is_some_and(|kind| kind.as_str() != "SecureString");
            if let Some(name) = asked {
                let value = parameter.value().filter(|_| is_plain).map(str::to_owned);
                found.insert(name, Answer::Found(StoredParameter { version: parameter.version(), value }));
            }
        }
        Ok(())
    }
}

impl StoredValues for ValueStores {
    async fn parameters(
        &self,
        names: &[String],
    ) -> Result<BTreeMap<String, Answer<StoredParameter>>, Failure> {
        let mut found = BTreeMap::new();
        for names in names.chunks(NAMES_MAX) {
            self.batch(names, &mut found).await?;
        }
        Ok(found)
    }

    async fn secret_versions(&self, id: &str) -> Result<Answer<BTreeMap<String, String>>, Failure> {
        let answer = match self.secrets.describe_secret().secret_id(id).send().await {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("ResourceNotFoundException") => return Ok(Answer::Missing),
            Err(error) => {
                let failure = failure("DescribeSecret", id, &error);
                return match failure.kind {
                    FailureKind::AccessDenied => Ok(Answer::Refused),
                    _ => Err(failure),
                };
            }
        };
        let versions = answer.version_ids_to_stages.unwrap_or_default();
        let by_stage = versions
            .into_iter()
            .flat_map(|(version, stages)| stages.into_iter().map(move |stage| (stage, version.clone())));
        Ok(Answer::Found(by_stage.collect()))
    }
}
