//! The state of parameters in Parameter Store and of secrets. No call decrypts a value or reads a secret.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ssm::types::Parameter;
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

    /// Returns the parameters of at most [`NAMES_MAX`] names. If one of several is refused, asks for each alone.
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
                let Some(refused) = refused(failure.kind, code(&error)) else { return Err(failure) };
                if let [name] = names {
                    found.insert(name.clone(), refused);
                    return Ok(());
                }
                for name in names {
                    Box::pin(self.batch(std::slice::from_ref(name), found)).await?;
                }
                return Ok(());
            }
        };
        found.extend(names.iter().map(|name| (name.clone(), Answer::Missing)));
        for parameter in answer.parameters() {
            let is_plain = parameter.r#type().is_some_and(|kind| kind.as_str() != "SecureString");
            let value = parameter.value().filter(|_| is_plain).map(str::to_owned);
            let state = StoredParameter { version: parameter.version(), value };
            let asked = asked(names, parameter).map(|name| (name.clone(), Answer::Found(state.clone())));
            found.extend(asked);
        }
        Ok(())
    }
}

/// Returns the answer about a name that a service refuses; `None` if the error says nothing about the name. A
/// malformed name is refused too, and nothing has it.
fn refused<T>(kind: FailureKind, code: Option<&str>) -> Option<Answer<T>> {
    match (kind, code) {
        (FailureKind::AccessDenied, _) => Some(Answer::Refused),
        (_, Some("ResourceNotFoundException" | "InvalidParameterException" | "ValidationException")) => {
            Some(Answer::Missing)
        }
        _ => None,
    }
}

/// Returns those of `names` that name this parameter: by its name or its ARN, with the selector that was asked for.
fn asked<'a>(names: &'a [String], parameter: &Parameter) -> impl Iterator<Item = &'a String> {
    let selector = parameter.selector().unwrap_or_default();
    let known = [parameter.name(), parameter.arn()].map(|name| name.map(|name| format!("{name}{selector}")));
    names.iter().filter(move |name| known.iter().flatten().any(|known| known == *name))
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
            Err(error) => {
                let failure = failure("DescribeSecret", id, &error);
                return refused(failure.kind, code(&error)).ok_or(failure);
            }
        };
        let versions = answer.version_ids_to_stages.unwrap_or_default();
        let by_stage = versions
            .into_iter()
            .flat_map(|(version, stages)| stages.into_iter().map(move |stage| (stage, version.clone())));
        Ok(Answer::Found(by_stage.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_name_is_told_from_a_failed_call() {
        let answer = refused::<()>;
        assert_eq!(answer(FailureKind::AccessDenied, Some("AccessDeniedException")), Some(Answer::Refused));
        for code in ["ValidationException", "InvalidParameterException", "ResourceNotFoundException"] {
            assert_eq!(answer(FailureKind::Rejected, Some(code)), Some(Answer::Missing), "{code}");
        }
        assert_eq!(answer(FailureKind::Throttled, Some("ThrottlingException")), None);
        assert_eq!(answer(FailureKind::Rejected, Some("InvalidKeyId")), None);
        assert_eq!(answer(FailureKind::Transient, None), None);
    }

    #[test]
    fn an_answer_counts_for_each_spelling_of_its_name() {
        let arn = "arn:aws:ssm:eu-west-1:111111111111:parameter/a";
        let names = ["/a", "/a:live", "/b", arn].map(str::to_owned);
        let parameter = Parameter::builder().name("/a").arn(arn).version(3);
        let found = |parameter: &Parameter| asked(&names, parameter).cloned().collect::<Vec<_>>();
        assert_eq!(found(&parameter.clone().build()), ["/a", arn]);
        assert_eq!(found(&parameter.selector(":live").build()), ["/a:live"]);
        assert!(found(&Parameter::builder().build()).is_empty());
    }
}
