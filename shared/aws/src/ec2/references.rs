//! References to the images of an account.

use super::Ec2;
use crate::failure::failure;
use aws_sdk_ec2::types::{ImageReference, ResourceTypeOption, ResourceTypeRequest};
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::AmiId;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of images in one DescribeImageReferences request.
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeImageReferences.html>
const IMAGES_MAX: usize = 10;

/// Path of our own parameters. They name every image and use none.
const OWN_PARAMETERS: &str = ":parameter/lockstep/images/";

/// Lookup of references to images.
#[expect(async_fn_in_trait, reason = "functions serve one request at a time on one thread")]
pub trait References {
    /// Returns the ARNs of the resources that refer to each of these images of this account: instances, current launch
    /// templates, parameters of others. An image without a reference is not in the result.
    async fn references(&self, images: &BTreeSet<AmiId>) -> Result<BTreeMap<AmiId, Vec<String>>, Failure>;
}

impl References for Ec2 {
    async fn references(&self, images: &BTreeSet<AmiId>) -> Result<BTreeMap<AmiId, Vec<String>>, Failure> {
        let mut found: BTreeMap<AmiId, Vec<String>> = BTreeMap::new();
        let all: Vec<&AmiId> = images.iter().collect();
        for some in all.chunks(IMAGES_MAX) {
            let mut next = None;
            loop {
                let ids = some.iter().map(ToString::to_string).collect();
                let request = self.client().describe_image_references().set_image_ids(Some(ids));
                let request = request.set_resource_types(Some(wanted())).set_next_token(next);
                let page = request.send().await;
                let page = page.map_err(|error| failure("DescribeImageReferences", "of images", &error))?;
                for reference in page.image_references() {
                    if let Some((image, arn)) = read(reference)? {
                        found.entry(image).or_default().push(arn);
                    }
                }
                next = page.next_token.filter(|token| !token.is_empty());
                if next.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// Returns the resource types to ask for. Of a launch template only its newest version counts: a superseded version
/// launches no instance.
fn wanted() -> Vec<ResourceTypeRequest> {
    use aws_sdk_ec2::types::ImageReferenceOptionName::VersionDepth;
    use aws_sdk_ec2::types::ImageReferenceResourceType::{
        Ec2Instance, Ec2LaunchTemplate, ImageBuilderContainerRecipe, ImageBuilderImageRecipe, SsmParameter,
    };
    let newest = ResourceTypeOption::builder().option_name(VersionDepth).option_values("1").build();
    [Ec2Instance, Ec2LaunchTemplate, SsmParameter, ImageBuilderImageRecipe, ImageBuilderContainerRecipe]
        .into_iter()
        .map(|kind| {
            let options = (kind == Ec2LaunchTemplate).then(|| vec![newest.clone()]);
            ResourceTypeRequest::builder().resource_type(kind).set_resource_type_options(options).build()
        })
        .collect()
}

fn read(reference: &ImageReference) -> Result<Option<(AmiId, String)>, Failure> {
    let arn = reference.arn().unwrap_or_default().to_owned();
    if arn.contains(OWN_PARAMETERS) {
        return Ok(None);
    }
    let image = reference.image_id().unwrap_or_default().parse();
    let image = image.map_err(|error| Failure::bug("DescribeImageReferences answered").caused_by(&error))?;
    Ok(Some((image, arn)))
}
