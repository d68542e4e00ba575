//! Objects of an S3 bucket: artifacts, and the templates that CloudFormation reads.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use lockstep_domain::delivery::archive::Limits;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::AccountId;
use std::sync::OnceLock;

/// One bucket.
pub struct Artifacts {
    aws: Aws,
    client: OnceLock<Client>,
    bucket: String,
    owner: Option<String>,
}

impl Artifacts {
    /// Creates the client of the bucket `bucket` with the credentials of `aws`.
    pub fn new(aws: &Aws, bucket: &str) -> Self {
        Self {
            aws: aws.clone(),
            client: OnceLock::new(),
            bucket: bucket.to_owned(),
            owner: owner(bucket).map(str::to_owned),
        }
    }

    /// Returns the bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns the URL of `key` for CloudFormation.
    pub fn template_url(&self, key: &str) -> String {
        self.aws.template_url(&self.bucket, key)
    }

    /// Returns the object at `key`. Fails with `NotFound` if there is none, and with `Rejected` if it is larger than
    /// `cap` bytes.
    pub async fn get(&self, key: &str, cap: usize) -> Result<Vec<u8>, Failure> {
        let subject = self.subject(key);
        let answer = self
            .client()
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .send()
            .await;
        let mut object = match answer {
            Ok(object) => object,
            Err(error) if is_absent(code(&error)) => {
                return Err(Failure::not_found(format!("{subject} does not exist")));
            }
            Err(error) => return Err(failure("GetObject", &subject, &error)),
        };
        let mut bytes = Vec::new();
        loop {
            let chunk = object.body.try_next().await.map_err(|error| {
                let message = format!("GetObject {subject}: the body broke off");
                Failure::new(FailureKind::Transient, message).caused_by(&error)
            })?;
            let Some(chunk) = chunk else { return Ok(bytes) };
            if bytes.len() + chunk.len() > cap {
                return Err(Failure::rejected(format!("{subject} is larger than {cap} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
    }

    /// Returns the artifact of a release at `key`: as [`Artifacts::get`], with the size bound of packaging.
    pub async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let cap = usize::try_from(Limits::DEFAULT.compressed_bytes).unwrap_or(usize::MAX);
        self.get(key, cap).await
    }

    /// Stores `bytes` at `key`. Keys are content-addressed, so a repeated call changes nothing.
    pub async fn put(&self, key: &str, content_type: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let request = self.client().put_object().bucket(&self.bucket).key(key).content_type(content_type);
        let request = request.set_expected_bucket_owner(self.owner.clone());
        let sent = request.body(ByteStream::from(bytes)).send().await;
        sent.map(drop).map_err(|error| failure("PutObject", &self.subject(key), &error))
    }

    /// Stores `bytes` at `key` and returns the S3 version of the object, which no later write to the key changes.
    pub async fn put_version(
        &self,
        key: &str,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<String, Failure> {
        let request = self.client().put_object().bucket(&self.bucket).key(key).content_type(content_type);
        let request = request.set_expected_bucket_owner(self.owner.clone());
        let sent = request.body(ByteStream::from(bytes)).send().await;
        let stored = sent.map_err(|error| failure("PutObject", &self.subject(key), &error))?;
        stored.version_id.ok_or_else(|| {
            Failure::rejected(format!(
                "the bucket {} keeps no versions; turn versioning on, as lockstep accounts add does",
                self.bucket
            ))
        })
    }

    /// Stores `bytes` at `key`, or compares them with the object that exists there. A key is content-addressed, and proves
    /// nothing: another caller may have written the object. Unlike [`Artifacts::exists`], this needs no permission to list.
    ///
    /// # Errors
    /// Fails with `Rejected` if the existing object has another content.
    pub async fn put_or_compare(&self, key: &str, content_type: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let body = ByteStream::from(bytes.clone());
        let request = self.client().put_object().bucket(&self.bucket).key(key).content_type(content_type);
        let request = request.set_expected_bucket_owner(self.owner.clone());
        match request.if_none_match("*").body(body).send().await {
            Err(error) if code(&error) == Some("PreconditionFailed") => {}
            sent => {
                return sent.map(drop).map_err(|error| failure("PutObject", &self.subject(key), &error));
            }
        }
        match self.get(key, bytes.len()).await {
            Ok(found) if found == bytes => return Ok(()),
            // A longer object is another one.
            Err(failure) if failure.kind != FailureKind::Rejected => return Err(failure),
            Ok(_) | Err(_) => {}
        }
        Err(Failure::rejected(format!(
            "{} holds another content than its name says, so Lockstep does not use it: look in CloudTrail for who wrote it, \
             delete the object, and retry",
            self.subject(key)
        )))
    }

    /// Returns true if there is an object at `key`.
    ///
    /// S3 reports absence only to a caller that may list the bucket. Other callers get `AccessDenied`, which is not
    /// absence.
    pub async fn exists(&self, key: &str) -> Result<bool, Failure> {
        match self
            .client()
            .head_object()
            .bucket(&self.bucket)
            .key(key)
            .set_expected_bucket_owner(self.owner.clone())
            .send()
            .await
        {
            Ok(_) => Ok(true),
            Err(error) if is_absent(code(&error)) => Ok(false),
            Err(error) => Err(failure("HeadObject", &self.subject(key), &error)),
        }
    }

    /// Returns true if the bucket exists in this account. A bucket of another account gives `AccessDenied`, even if it
    /// is public. The bucket's name is no secret, and CloudFormation executes the templates in it.
    pub async fn is_there(&self, account: &AccountId) -> Result<bool, Failure> {
        let request = self.client().head_bucket().bucket(&self.bucket);
        match request.expected_bucket_owner(account.as_str()).send().await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some("NotFound") => Ok(false),
            Err(error) => Err(failure("HeadBucket", &format!("s3://{}", self.bucket), &error)),
        }
    }

    /// Returns the keys that begin with `prefix`, in order.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        let request = self.client().list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let request = request.set_expected_bucket_owner(self.owner.clone());
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure("ListObjectsV2", &self.subject(prefix), &error))?;
            keys.extend(page.contents().iter().filter_map(|object| object.key().map(str::to_owned)));
        }
        Ok(keys)
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| self.aws.s3())
    }

    fn subject(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

/// Returns the account that a bucket of Lockstep is named after. Any account may take a name that can be guessed, so
/// each request asks S3 to refuse a bucket of another account.
fn owner(bucket: &str) -> Option<&str> {
    let account = bucket.strip_prefix("lockstep-artifacts-")?.get(..12)?;
    account.bytes().all(|byte| byte.is_ascii_digit()).then_some(account)
}

/// Returns true if the code means an absent object: `NotFound` of HeadObject, which has no body, or `NoSuchKey` of
/// GetObject. A missing bucket has another code.
fn is_absent(code: Option<&str>) -> bool {
    matches!(code, Some("NoSuchKey" | "NotFound"))
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn the_request_for_an_accounts_bucket_names_that_account() {
        assert_eq!(owner("lockstep-artifacts-222222222222-eu-west-1"), Some("222222222222"));
        assert_eq!(owner("lockstep-artifacts-22222222222x-eu-west-1"), None);
        assert_eq!(owner("somebodys-bucket"), None);
    }
}
