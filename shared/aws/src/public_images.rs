//! Images that AWS and others publish: by public parameters of Systems Manager, or by owner and name.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_ec2::types::Filter;
use lockstep_domain::model::base_image::{ImageSearch, NamePattern, ParameterName};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AmiId;

/// Lookup of the newest published image of a kind.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait PublicImages {
    /// Returns the AMI that the parameter names in this region.
    async fn newest(&self, parameter: &ParameterName) -> Result<AmiId, Failure>;

    /// Returns the newest image in this region that the search finds, and its full name.
    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure>;
}

/// Systems Manager and EC2 in the account and region of an [`Aws`].
pub struct Published {
    ssm: aws_sdk_ssm::Client,
    ec2: aws_sdk_ec2::Client,
}

impl Published {
    /// Creates the lookup in the account and region of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self {
            ssm: aws_sdk_ssm::Client::new(aws.sdk_config()),
            ec2: aws_sdk_ec2::Client::new(aws.sdk_config()),
        }
    }
}

impl PublicImages for Published {
    async fn newest(&self, parameter: &ParameterName) -> Result<AmiId, Failure> {
        let answer = match self.ssm.get_parameter().name(parameter.as_str()).send().await {
            Ok(answer) => answer,
            Err(error) if code(&error) == Some("ParameterNotFound") => {
                return Err(Failure::rejected(format!(
                    "there is no public parameter {parameter} in this region"
                )));
            }
            Err(error) => return Err(failure("GetParameter", parameter.as_str(), &error)),
        };
        let value = answer.parameter().and_then(|parameter| parameter.value()).unwrap_or_default();
        value.parse().map_err(|error| {
            Failure::rejected(format!("the parameter {parameter} names no image")).caused_by(&error)
        })
    }

    async fn find(&self, search: &ImageSearch) -> Result<(NamePattern, AmiId), Failure> {
        let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
        let filters = vec![filter("name", search.name.as_str()), filter("state", "available")];
        let request = self.ec2.describe_images().owners(search.owner.as_str()).set_filters(Some(filters));
        // All pages: the newest image may be on any of them.
        let mut pages = request.into_paginator().page_size(1000).send();
        let mut newest: Option<(String, NamePattern, AmiId)> = None;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure("DescribeImages", search.name.as_str(), &error))?;
            for image in page.images() {
                let made = image.creation_date().unwrap_or_default().to_owned();
                let (Some(Ok(name)), Some(Ok(id))) =
                    (image.name().map(str::parse), image.image_id().map(str::parse))
                else {
                    continue;
                };
                if newest.as_ref().is_none_or(|(known, ..)| *known < made) {
                    newest = Some((made, name, id));
                }
            }
        }
        newest
            .map(|(_, name, id)| (name, id))
            .ok_or_else(|| Failure::rejected(format!("no image in this region is called {search}")))
    }
}
