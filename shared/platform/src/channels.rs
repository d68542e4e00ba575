//! The parameters below `/lockstep/images/`, for people who deploy by other means.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::ParameterType;
use lockstep_domain::images::channels::FOLDER;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AmiId;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What refers to an image by a data type of its own: SSM looks whether there is such an image, some time after it was told.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-ec2-aliases.html>
const DATA_TYPE: &str = "aws:ec2:image";

/// The parameters of one account and region.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait Channels {
    /// Every parameter below the folder, by its whole name.
    async fn all(&self) -> Result<BTreeMap<String, String>, Failure>;

    /// Writes a parameter, whatever it said. Undone by writing what it said, or by [`Channels::remove`].
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
    /// The store as `aws` reaches it.
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
            let told = page.parameters().iter();
            all.extend(told.filter_map(|one| Some((one.name()?.to_owned(), one.value()?.to_owned()))));
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
