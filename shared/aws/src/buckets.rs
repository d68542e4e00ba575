//! Deletion of the content of a bucket, so that the bucket can be deleted.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_object_versions::ListObjectVersionsOutput;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use lockstep_domain::model::error::{Failure, FailureKind};

/// Deletes every version of every object of `bucket`, and every delete marker; the bucket may be gone. This cannot be
/// undone: callers pass only buckets of test stacks. One request deletes a thousand
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>), so a caller that runs out of time has
/// made progress and may call again.
pub async fn empty(aws: &Aws, bucket: &str) -> Result<(), Failure> {
    let client = aws.s3();
    loop {
        let page = match client.list_object_versions().bucket(bucket).send().await {
            Ok(page) => page,
            Err(error) if code(&error) == Some("NoSuchBucket") => return Ok(()),
            Err(error) => return Err(failure("ListObjectVersions", bucket, &error)),
        };
        let found = identifiers(&page)?;
        if found.is_empty() {
            return Ok(());
        }
        delete(&client, bucket, found).await?;
    }
}

fn identifiers(page: &ListObjectVersionsOutput) -> Result<Vec<ObjectIdentifier>, Failure> {
    let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
    let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
    versions
        .chain(markers)
        .map(|(key, version)| {
            let identifier = ObjectIdentifier::builder().set_key(key.map(str::to_owned));
            identifier.set_version_id(version.map(str::to_owned)).build()
        })
        .collect::<Result<_, _>>()
        .map_err(|error| {
            Failure::bug("ListObjectVersions answered a version without a key").caused_by(&error)
        })
}

async fn delete(client: &Client, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<(), Failure> {
    let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build();
    let delete = delete.map_err(|error| Failure::bug("DeleteObjects without objects").caused_by(&error))?;
    let answer = client.delete_objects().bucket(bucket).delete(delete).send().await;
    let answer = answer.map_err(|error| failure("DeleteObjects", bucket, &error))?;
    let refused = answer.errors().iter().map(|refused| (refused.code(), refused.key()));
    refusal(bucket, &refused.collect::<Vec<_>>()).map_or(Ok(()), Err)
}

/// Retryable error codes of single objects (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
const PASSING: [&str; 4] = ["InternalError", "OperationAborted", "ServiceUnavailable", "SlowDown"];

/// Returns the failure of a deletion that S3 refused for these codes and keys; `None` if it refused none. One object
/// that cannot be deleted needs an operator, regardless of the other codes.
fn refusal(bucket: &str, refused: &[(Option<&str>, Option<&str>)]) -> Option<Failure> {
    let passes = |(code, _): &(Option<&str>, _)| code.is_some_and(|code| PASSING.contains(&code));
    let (code, key) = refused.iter().find(|refused| !passes(refused)).or(refused.first())?;
    let kind = if passes(&(*code, *key)) { FailureKind::Transient } else { FailureKind::StackNeedsHuman };
    let (code, key) = (code.unwrap_or("an error"), key.unwrap_or("an object"));
    Some(Failure::new(kind, format!("the bucket {bucket} cannot be emptied: {code} of {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passing_error_is_retried_and_a_lasting_one_needs_an_operator() {
        let kind = |codes: &[&str]| {
            let refused: Vec<_> = codes.iter().map(|code| (Some(*code), Some("k"))).collect();
            refusal("b", &refused).map(|failure| failure.kind)
        };
        assert_eq!(kind(&[]), None);
        for passing in PASSING {
            assert_eq!(kind(&[passing]), Some(FailureKind::Transient));
            assert_eq!(kind(&[passing, "AccessDenied"]), Some(FailureKind::StackNeedsHuman));
        }
        assert_eq!(refusal("b", &[(None, None)]).unwrap().kind, FailureKind::StackNeedsHuman);
    }
}
