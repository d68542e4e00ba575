//! Images that a deployment lacks, and revocations.

use super::fixture::{ADA, Fixture, at, deploy, execution};
use lockstep_domain::messages::inputs;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::LogicalId;
use lockstep_domain::model::image_lock::{ImageLock, LockedImage};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::location::Location;
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::records::{Image, ImageOrigin, ImageState, ImageVersion, Release, Revocation};
use serde_json::json;

const SOURCE: &str = "ami-0123456789abcdef0";

/// Stores a published release that needs `logstash@2.1.0`.
async fn with_an_image(fixture: &Fixture, passed: &[&str]) -> Release {
    let mut release = fixture.published("1.0.0", passed).await;
    let parameter: LogicalId = "ImageId".parse().unwrap();
    let locked = LockedImage {
        parameter: parameter.clone(),
        name: "logstash".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        commit: None,
        source_ami: SOURCE.parse().unwrap(),
    };
    let stored = fixture.versioned::<Release>(&Release::key_of(&release.component, &release.version)).await;
    release.image_lock = ImageLock([(parameter, locked)].into());
    fixture.ledger.replace(&stored, release.clone()).await.unwrap();
    release
}

pub fn image(account: &str) -> Image {
    Image {
        name: "logstash".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        location: Location { account: account.parse().unwrap(), region: "eu-west-1".parse().unwrap() },
        path: if account == "111111111111" { DeploymentPath::Delivery } else { DeploymentPath::Promotion },
        state: ImageState::Available,
        ami: Some(SOURCE.parse().unwrap()),
        snapshots: Default::default(),
        source_ami: SOURCE.parse().unwrap(),
        commit: None,
        recorded_by: "e".into(),
        recorded_at: at(0),
    }
}

#[tokio::test]
async fn missing_images_are_named_before_the_environment_is_acquired() {
    let fixture = Fixture::new().await;
    with_an_image(&fixture, &["test", "ci"]).await;
    for (path, stage, account) in [
        (DeploymentPath::Delivery, "ci", "111111111111"),
        (DeploymentPath::Promotion, "production", "222222222222"),
    ] {
        let started = fixture.begin(stage, path, deploy("1.0.0", stage)).await.unwrap();
        let [missing] = started.missing.as_slice() else { panic!("{started:?}") };
        assert_eq!((missing.image.as_str(), missing.version.to_string()), ("logstash", "2.1.0".to_owned()));
        assert_ne!(missing.execution, execution(stage));
        assert_eq!(
            fixture.begin(stage, path, deploy("1.0.0", stage)).await.unwrap(),
            started,
            "the same name again"
        );
        assert!(fixture.find_environment(stage).await.is_none());

        fixture.ledger.insert(&image(account)).await.unwrap();
        let started = fixture.begin(stage, path, deploy("1.0.0", stage)).await.unwrap();
        assert!(started.images && started.missing.is_empty(), "{started:?}");
        assert!(fixture.environment(stage).await.holder.is_some());
    }
}

#[tokio::test]
async fn a_plan_names_no_missing_images() {
    let fixture = Fixture::new().await;
    with_an_image(&fixture, &["test"]).await;
    let input = inputs::Deploy { plan_only: true, ..deploy("1.0.0", "ci") };
    let started = fixture.begin("a", DeploymentPath::Delivery, input).await.unwrap();
    assert!(started.images && started.missing.is_empty(), "{started:?}");
}

#[tokio::test]
async fn a_success_in_production_records_the_images_that_its_parameters_follow() {
    let fixture = Fixture::new().await;
    with_an_image(&fixture, &["test", "ci"]).await;
    for account in ["111111111111", "222222222222"] {
        fixture.ledger.insert(&image(account)).await.unwrap();
    }
    for (name, path, stage) in
        [("a", DeploymentPath::Delivery, "ci"), ("prod-a", DeploymentPath::Promotion, "production")]
    {
        fixture.begin(name, path, deploy("1.0.0", stage)).await.unwrap();
        fixture.plan(name, true).await;
        fixture
            .change(name, |deployment| {
                let parameters = &mut deployment.deploy_mut().unwrap().parameters;
                parameters.insert("ImageId".into(), SOURCE.into());
            })
            .await;
        let follows = path == DeploymentPath::Promotion;
        for _ in 0..2 {
            assert_eq!(fixture.complete(name).await.unwrap()["channels"], follows, "{stage}");
        }
        let proven = fixture.environment(stage).await.proven_images;
        assert_eq!(proven.is_some(), follows, "{stage}");
        for image in proven.iter().flat_map(|proven| &proven.images) {
            assert_eq!((image.name.as_str(), image.ami.as_str()), ("logstash", SOURCE));
        }
    }
}

pub fn version() -> ImageVersion {
    ImageVersion {
        name: "logstash".parse().unwrap(),
        version: "2.1.0".parse().unwrap(),
        state: ImageVersionState::Usable,
        why: None,
        revoked: None,
        origin: ImageOrigin::Imported { commit: None },
        source_ami: Some(SOURCE.parse().unwrap()),
        required: Default::default(),
        expires_at: None,
        retiring_since: None,
        recorded_by: "e".into(),
        recorded_at: at(0),
    }
}

#[tokio::test]
async fn a_revocation_records_caller_and_reason_and_the_first_counts() {
    let fixture = Fixture::new().await;
    let revoke = |reason: &str| {
        fixture
            .ask(json!({"action": "revoke_image", "image": "logstash", "version": "2.1.0", "reason": reason}))
    };
    let (status, unknown) = revoke("CVE-2027-1").await;
    assert_eq!(status, 404, "{unknown}");
    fixture.ledger.insert(&version()).await.unwrap();
    assert_eq!(revoke("CVE-2027-1").await, (200, json!({"version": 1, "changed": true})));
    assert_eq!(revoke("another").await, (200, json!({"version": 1, "changed": false})));
    assert_eq!(revoke(" ").await.0, 400, "a reason is not optional");
    let stored =
        fixture.versioned::<Revocation>(&Revocation::key_of(&version().name, &version().version)).await;
    let action = OperatorAction::new(ADA, "CVE-2027-1", at(200)).unwrap();
    assert_eq!(stored.record, Revocation::new(&version().name, &version().version, &action));
}
