//! The parameters that name images.

use super::fixture::{COPY_ACCOUNT, Fixture, SOURCE_ACCOUNT, location};
use super::{import, imported, ok};
use crate::handler::{Reply, handle};
use jiff::Timestamp;
use lockstep_domain::messages::image::{Followed, Request};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::records::{Environment, ImageVersion, ProvenImage, ProvenImages};

const AMI: &str = "ami-00000000000000042";

/// Runs the function of `path` for a stage, or for all of them.
async fn follow(
    fixture: &Fixture,
    path: DeploymentPath,
    stage: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let context = (**fixture).clone().on_path(path);
    let images = vec!["logstash".parse().unwrap()];
    let request = Request::Channels { images, stage: stage.map(|stage| stage.parse().unwrap()) };
    match handle(&context, request).await? {
        Reply::Followed(Followed { parameters }) => Ok(parameters),
        other => panic!("{other:?}"),
    }
}

fn parameter(fixture: &Fixture, account: &str, channel: &str) -> Option<String> {
    let name = format!("/lockstep/images/logstash/{channel}");
    fixture.ec2.parameters(&location(account)).get(&name).cloned()
}

fn proven() -> Environment {
    let image = ProvenImage {
        name: "logstash".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        ami: AMI.parse().unwrap(),
    };
    Environment {
        epoch: 1,
        proven_images: Some(ProvenImages {
            deployment: DeploymentId::of_execution("e"),
            version: "1.0.0".parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            images: vec![image],
        }),
        ever_stable: true,
        ..Environment::new("production".parse().unwrap(), "logs", "logs".parse().unwrap())
    }
}

#[tokio::test]
async fn a_usable_version_is_named_on_the_delivery_path_alone() {
    let fixture = imported().await;
    assert_eq!(follow(&fixture, DeploymentPath::Delivery, None).await.unwrap().len(), 2);
    let source = fixture.source_record().ami.map(|ami| ami.to_string());
    assert_eq!(parameter(&fixture, SOURCE_ACCOUNT, "latest"), source);
    assert_eq!(follow(&fixture, DeploymentPath::Promotion, None).await.unwrap(), Vec::<String>::new());
    assert!(fixture.ec2.parameters(&location(COPY_ACCOUNT)).is_empty());
}

#[tokio::test]
async fn a_function_sets_no_parameter_of_the_other_path() {
    let fixture = imported().await;
    fixture.account.put(&proven());
    assert!(follow(&fixture, DeploymentPath::Delivery, Some("production")).await.unwrap().is_empty());
    assert!(follow(&fixture, DeploymentPath::Promotion, Some("ci")).await.unwrap().is_empty());
    assert_eq!(parameter(&fixture, COPY_ACCOUNT, "latest"), None);
    assert_eq!(follow(&fixture, DeploymentPath::Promotion, Some("production")).await.unwrap().len(), 2);
    for channel in ["latest", "2.1"] {
        assert_eq!(parameter(&fixture, COPY_ACCOUNT, channel).as_deref(), Some(AMI));
    }
    assert!(follow(&fixture, DeploymentPath::Promotion, Some("production")).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_parameter_of_another_image_is_compared_before_it_is_removed() {
    let fixture = imported().await;
    fixture.ec2.write_parameter(&location(SOURCE_ACCOUNT), "/lockstep/images/gone/latest", "ami-1");
    follow(&fixture, DeploymentPath::Delivery, None).await.unwrap();
    assert!(!fixture.ec2.parameters(&location(SOURCE_ACCOUNT)).contains_key("/lockstep/images/gone/latest"));
    let withheld = ImageVersion { state: ImageVersionState::Withheld, ..fixture.version() };
    fixture.account.put(&withheld);
    follow(&fixture, DeploymentPath::Delivery, Some("ci")).await.unwrap();
    assert_eq!(parameter(&fixture, SOURCE_ACCOUNT, "latest"), None);
}

#[tokio::test]
async fn an_account_that_cannot_be_reached_is_the_failure() {
    let fixture = Fixture::new();
    ok(&fixture, import(super::SOURCE)).await;
    fixture.accounts.closed.borrow_mut().insert(SOURCE_ACCOUNT.to_owned());
    let failure = follow(&fixture, DeploymentPath::Delivery, None).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::AccessDenied);
}
