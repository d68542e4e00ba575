//! Publications of images outside of deployments.

use super::fixture::{Fixture, at};
use super::images::{image, version};
use lockstep_domain::delivery::approval;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::model::person::Starter;
use lockstep_domain::records::{Deployment, DeploymentState, Publication, PublicationState, Revocation};
use serde_json::{Value, json};

/// The account of production.
const PRODUCTION: &str = "222222222222";

async fn with_an_image() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.ledger.insert(&version()).await.unwrap();
    fixture.ledger.insert(&image(PRODUCTION)).await.unwrap();
    fixture
}

async fn publish(fixture: &Fixture, stage: &str) -> (u16, Value) {
    fixture
        .ask(json!({"action": "publish_image", "image": "logstash", "version": "2.1.0", "stage": stage}))
        .await
}

fn first() -> DeploymentId {
    Publication::id_of(&"production".parse().unwrap(), &version().name, &version().version, 0)
}

async fn asking(fixture: &Fixture) -> Deployment {
    fixture.versioned::<Deployment>(&Deployment::key_of(&first())).await.record
}

async fn decide(fixture: &Fixture, name: &str, decision: &str) -> (u16, Value) {
    let deployment = asking(fixture).await;
    let question = deployment.approvals.last().unwrap();
    let answer = json!({
        "action": "decide", "deployment": deployment.id, "subject": question.subject.key(),
        "shown": approval::shown(&deployment, question).unwrap(), "decision": decision, "reason": "because",
    });
    fixture.ask_as(name, answer).await
}

#[tokio::test]
async fn a_publication_waits_for_a_person_who_did_not_ask_for_it() {
    let fixture = with_an_image().await;
    for changed in [true, false] {
        let (status, body) = publish(&fixture, "production").await;
        assert_eq!((status, &body["publication"]["state"]), (200, &json!("waiting")), "{body}");
        assert_eq!(body["changed"], changed);
    }
    let (status, refused) = decide(&fixture, "ada", "approve").await;
    assert_eq!(status, 400, "the starter: {refused}");
    assert_eq!(decide(&fixture, "grace", "approve").await.0, 200);
    let (_, body) = publish(&fixture, "production").await;
    assert_eq!(body["publication"]["state"], "published", "{body}");
    assert_eq!(asking(&fixture).await.state, DeploymentState::Succeeded);
    let key = Publication::key_of(&"production".parse().unwrap(), &version().name, &first());
    let stored = fixture.versioned::<Publication>(&key).await.record;
    assert_eq!(stored.state, PublicationState::Published { at: at(200) });
    // The next one asks again.
    let (_, body) = publish(&fixture, "production").await;
    assert_eq!(body["publication"]["state"], "waiting", "{body}");
    assert_ne!(body["publication"]["deployment"], json!(first()));
}

#[tokio::test]
async fn a_refused_publication_ends() {
    let fixture = with_an_image().await;
    publish(&fixture, "production").await;
    assert_eq!(decide(&fixture, "grace", "refuse").await.0, 200);
    let (_, body) = publish(&fixture, "production").await;
    assert_eq!(body["publication"]["state"], "ended", "{body}");
    assert_eq!(asking(&fixture).await.state, DeploymentState::Refused);
}

#[tokio::test]
async fn nothing_is_published_that_production_may_not_run() {
    let fixture = Fixture::new().await;
    assert_eq!(publish(&fixture, "production").await.0, 404);
    let fixture = with_an_image().await;
    assert_eq!(publish(&fixture, "ci").await.0, 400, "its parameters follow the newest version");
    let action = OperatorAction::new("arn:ada", "CVE-2027-1", at(1)).unwrap();
    publish(&fixture, "production").await;
    decide(&fixture, "grace", "approve").await;
    fixture.ledger.insert(&Revocation::new(&version().name, &version().version, &action)).await.unwrap();
    let (status, body) = publish(&fixture, "production").await;
    assert_eq!((status, &body["error"]), (400, &json!("Rejected")), "{body}");
}

/// A function of the promotion path can write the deployment, and not the publication.
#[tokio::test]
async fn a_deployment_that_was_changed_gets_no_answer() {
    let fixture = with_an_image().await;
    publish(&fixture, "production").await;
    let stored = fixture.versioned::<Deployment>(&Deployment::key_of(&first())).await;
    let changed = Deployment { starter: Starter::Unknown, ..stored.record.clone() };
    fixture.ledger.replace(&stored, changed).await.unwrap();
    let (status, body) = decide(&fixture, "grace", "approve").await;
    assert_eq!((status, &body["error"]), (400, &json!("Rejected")), "{body}");
}
