//! The parameters below `/lockstep/images/`, for readers outside of Lockstep.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use lockstep_domain::images::channels::FOLDER;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AmiId;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Data type of a parameter that refers to an image. SSM checks that the image exists, some time after the write.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html>
const DATA_TYPE: &str = "aws:ec2:image";

/// Access to the parameters of one account and region.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Channels {
    /// Returns every parameter below the folder, by its full name.
    async fn all(&self) -> Result<BTreeMap<String, String>, Failure>;

    /// Writes a parameter over any previous value. Undone by writing the previous value, or by [`Channels::remove`].
    async fn put(&self, name: &str, ami: &AmiId) -> Result<(), Failure>;

    /// Removes a parameter; it may be gone.
    async fn remove(&self, name: &str) -> Result<(), Failure>;
}

/// SSM's Parameter Store in the account and region of an [`Aws`].
pub struct ParameterStore {
    aws: Aws,
    client: OnceLock<Client>,
}

impl ParameterStore {
    /// Creates the store in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

impl Channels for ParameterStore {
    async fn all(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut all = BTreeMap::new();
        let mut next = None;
        loop {
            let request = self.client().get_parameters_by_path().path(FOLDER).recursive(true);
            let page = request.set_next_token(next).send().await;
            let page = page.map_err(|error| failure("GetParametersByPath", FOLDER, &error))?;
            let listed = page.parameters().iter();
            all.extend(listed.filter_map(|one| Some((one.name()?.to_owned(), one.value()?.to_owned()))));
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    async fn put(&self, name: &str, ami: &AmiId) -> Result<(), Failure> {
        let request = self.client().put_parameter().name(name).value(ami.as_str()).overwrite(true);
        let request = request.r#type(ParameterType::String).data_type(DATA_TYPE);
        request.send().await.map(drop).map_err(|error| failure("PutParameter", name, &error))
    }

    async fn remove(&self, name: &str) -> Result<(), Failure> {
        match self.client().delete_parameter().name(name).send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("ParameterNotFound") => Ok(()),
            Err(error) => Err(failure("DeleteParameter", name, &error)),
        }
    }
}
