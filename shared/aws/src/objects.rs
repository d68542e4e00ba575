//! Objects of any size, read as a stream; and objects that are written once.

use crate::aws::Aws;
use crate::failure::{code, failure};
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use lockstep_domain::model::error::{Failure, FailureKind};
use std::collections::HashMap;
use std::sync::OnceLock;

/// Number of times that a body may break off without a byte in between before the read fails.
const BREAKS_MAX: u32 = 3;

/// The buckets that the credentials of `aws` may reach.
pub struct Objects {
    aws: Aws,
    client: OnceLock<Client>,
}

/// A read of an object: exactly the bytes that it had when it was opened.
pub struct Reading {
    client: Client,
    bucket: String,
    key: String,
    version_id: Option<String>,
    etag: Option<String>,
    /// Time of the write, in seconds of Unix time.
    written: i64,
    body: ByteStream,
    /// Number of bytes read.
    offset: u64,
    size: u64,
    breaks: u32,
}

impl Objects {
    /// Creates the client of S3 with the credentials of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    /// Opens an object: the given version of it, and only if it has the given ETag (without quotes).
    ///
    /// # Errors
    /// `NotFound` if the object is deleted or replaced.
    pub async fn open(
        &self,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Reading, Failure> {
        let client = self.client();
        let answer = get(client, bucket, key, version_id, etag, 0).await?;
        let size = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
        Ok(Reading {
            client: client.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            // A bucket that never had versioning, or has it suspended, answers "null".
            version_id: answer.version_id.filter(|version| version != "null"),
            etag: answer.e_tag.map(|etag| etag.trim_matches('"').to_owned()),
            written: answer.last_modified.map(|at| at.secs()).unwrap_or_default(),
            body: answer.body,
            offset: 0,
            size,
            breaks: 0,
        })
    }

    /// Writes `bytes` at `key` unless an object exists there. Keys are content-addressed, so an existing object is
    /// equal. `reason` is stored in its metadata.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    pub async fn put_once(
        &self,
        bucket: &str,
        key: &str,
        content_type: &str,
        reason: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        let request = self.client().put_object().bucket(bucket).key(key).content_type(content_type);
        let metadata = reason.map(|reason| HashMap::from([("reason".to_owned(), reason.to_owned())]));
        let request = request.set_metadata(metadata);
        match request.if_none_match("*").body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(()),
            Err(error) if code(&error) == Some("PreconditionFailed") => Ok(()),
            // Two writers at the same moment: S3 accepts one of them and asks the other to read again.
            Err(error) if code(&error) == Some("ConditionalRequestConflict") => Err(Failure::new(
                FailureKind::Conflict,
                format!("PutObject s3://{bucket}/{key}: written twice"),
            )),
            Err(error) => Err(failure("PutObject", &format!("s3://{bucket}/{key}"), &error)),
        }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| self.aws.s3())
    }
}

impl Reading {
    /// Returns the version id, in a bucket with versions.
    pub fn version_id(&self) -> Option<&str> {
        self.version_id.as_deref()
    }

    /// Returns the ETag without quotes.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Returns the time of the write, in seconds of Unix time; zero if S3 does not report it.
    pub fn written(&self) -> i64 {
        self.written
    }

    /// Returns the next bytes, or `None` at the end. Opens a body that broke off again at the same offset.
    ///
    /// # Errors
    /// The failures of S3; `NotFound` if the object was replaced.
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Failure> {
        loop {
            match self.body.try_next().await {
                Ok(Some(bytes)) => {
                    self.offset += bytes.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(bytes));
                }
                Ok(None) if self.offset >= self.size => return Ok(None),
                Ok(None) => self.open_again(self.broken("ended too early")).await?,
                Err(error) => self.open_again(self.broken("broke off").caused_by(&error)).await?,
            }
        }
    }

    fn broken(&self, how: &str) -> Failure {
        let message = format!("GetObject s3://{}/{}: the body {how} again and again", self.bucket, self.key);
        Failure::new(FailureKind::Transient, message)
    }

    async fn open_again(&mut self, broken: Failure) -> Result<(), Failure> {
        self.breaks += 1;
        if self.breaks > BREAKS_MAX {
            return Err(broken);
        }
        let (version_id, etag) = (self.version_id.as_deref(), self.etag.as_deref());
        self.body = get(&self.client, &self.bucket, &self.key, version_id, etag, self.offset).await?.body;
        Ok(())
    }
}

async fn get(
    client: &Client,
    bucket: &str,
    key: &str,
    version_id: Option<&str>,
    etag: Option<&str>,
    offset: u64,
) -> Result<GetObjectOutput, Failure> {
    let request = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .set_version_id(version_id.map(str::to_owned))
        .set_if_match(etag.map(|etag| format!("\"{etag}\"")))
        .set_range((offset > 0).then(|| format!("bytes={offset}-")));
    let subject = format!("s3://{bucket}/{key}");
    request.send().await.map_err(|error| match code(&error) {
        Some("NoSuchKey" | "NoSuchVersion") => {
            Failure::not_found(format!("{subject} does not exist any more"))
        }
        Some("PreconditionFailed") => Failure::not_found(format!("{subject} is another object by now")),
        _ => failure("GetObject", &subject, &error),
    })
}
