//! Denials of EC2, by the SDK's own client over a stub connection.

use super::*;
use crate::aws::Aws;
use crate::ec2::retention::ImageRetention as _;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use jiff::Timestamp;
use lockstep_domain::images::retention::Removed;
use std::collections::{BTreeMap, BTreeSet};

/// EC2 that denies every change, as IAM does for a resource without the tag of the condition.
#[derive(Clone, Debug)]
struct Denying {
    /// True if the image and the snapshot exist.
    is_there: bool,
}

impl Denying {
    fn answer(&self, body: &str) -> (u16, String) {
        let error = |code: &str| {
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
            )
        };
        let described = |of: &str, set: &str, item: &str| {
            let item = if self.is_there { item } else { "" };
            format!("<Describe{of}Response><{set}>{item}</{set}></Describe{of}Response>")
        };
        match body {
            _ if body.contains("Action=DescribeImages") && !self.is_there => {
                (400, error("InvalidAMIID.NotFound"))
            }
            _ if body.contains("Action=DescribeImages") => {
                let image = "<item><imageId>ami-00000001</imageId><imageState>available</imageState>\
                             <imageOwnerId>111111111111</imageOwnerId></item>";
                (200, described("Images", "imagesSet", image))
            }
            _ if body.contains("Action=DescribeSnapshots") => {
                let snapshot = "<item><snapshotId>snap-00000001</snapshotId><status>completed</status>\
                                <ownerId>111111111111</ownerId></item>";
                (200, described("Snapshots", "snapshotSet", snapshot))
            }
            _ => (403, error("UnauthorizedOperation")),
        }
    }
}

impl HttpClient for Denying {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Denying {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let (status, answer) = self.answer(&body);
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer))))
    }
}

fn denying(is_there: bool) -> Ec2 {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let config = aws_types::SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_types::region::Region::new("eu-west-1"))
        .endpoint_url("http://aws.invalid")
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Denying { is_there })
        .build();
    Ec2::new(&Aws::from_sdk_config(config).unwrap())
}

/// Makes each call of an action. A deletion returns its success, and a tag the kind of its failure.
async fn call(ec2: &Ec2, action: &str) -> Vec<Result<(), Failure>> {
    let (ami, snapshot): (AmiId, SnapshotId) =
        ("ami-00000001".parse().unwrap(), "snap-00000001".parse().unwrap());
    match action {
        "ec2:CreateTags" => vec![ec2.tag(&ami, &BTreeSet::new(), &[]).await],
        "ec2:DeleteSnapshot" => {
            let removed = ec2.remove_snapshot(&snapshot).await.map(|why| assert_eq!(why, None));
            vec![ec2.delete_snapshot(&snapshot).await, removed]
        }
        "ec2:DeregisterImage" => {
            let gone = Removed::Gone { left: BTreeMap::new() };
            let removed = ec2.remove(&ami).await.map(|removed| assert_eq!(removed, gone));
            vec![ec2.deregister(&ami).await, removed]
        }
        "ec2:DisableImageDeprecation" => vec![ec2.restore(&ami).await],
        "ec2:EnableImageDeprecation" => vec![ec2.deprecate(&ami, Timestamp::UNIX_EPOCH).await],
        other => panic!("no call of {other} is tried"),
    }
}

#[tokio::test]
async fn a_denied_call_on_what_is_gone_is_no_missing_permission() {
    for action in UNDER_TAGS {
        for result in call(&denying(false), action).await {
            match action {
                "ec2:CreateTags" => assert_eq!(result.unwrap_err().kind, FailureKind::NotFound),
                _ => assert_eq!(result, Ok(()), "{action}"),
            }
        }
    }
}

#[tokio::test]
async fn a_denied_call_on_what_exists_is_a_missing_permission() {
    for action in UNDER_TAGS {
        for result in call(&denying(true), action).await {
            assert_eq!(result.unwrap_err().kind, FailureKind::AccessDenied, "{action}");
        }
    }
}
