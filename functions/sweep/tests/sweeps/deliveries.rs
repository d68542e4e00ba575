//! Webhook deliveries that never started or never finished.

use super::fixture::{Fixture, RELEASE, at};
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{DeliveryEnd, Record as _, WebhookDelivery, WebhookDeliveryState};
use serde_json::json;

fn event(delivery: &str, state: WebhookDeliveryState, minute: i64) -> WebhookDelivery {
    WebhookDelivery {
        provider: "github".into(),
        delivery: delivery.into(),
        repository: "github.acme.logs".parse().unwrap(),
        reference: "refs/heads/main".into(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        pusher: None,
        state,
        execution: format!("t-{delivery}"),
        end: None,
        accepted_at: at(minute),
        finished_at: None,
    }
}

async fn now(fixture: &Fixture, event: &WebhookDelivery) -> WebhookDelivery {
    fixture.versioned::<WebhookDelivery>(&event.key()).await.record
}

#[tokio::test]
async fn an_unstarted_delivery_is_released_once() {
    // FAILURES 52 and 61.
    let fixture = Fixture::new().await;
    let lost = event("lost", WebhookDeliveryState::Accepted, 0);
    fixture.put(&lost).await;
    assert!(fixture.sweep(4).await.released.is_empty());
    assert_eq!(fixture.sweep(5).await.released, ["delivery lost"]);
    assert!(fixture.sweep(6).await.released.is_empty());
    assert_eq!(now(&fixture, &lost).await.state, WebhookDeliveryState::Started);
    let input = json!({
        "repository": "github.acme.logs", "ref": "refs/heads/main", "delivery": "lost",
        "commit": "0123456789012345678901234567890123456789",
    });
    assert_eq!(fixture.cloud.started(), [(execution_arn(RELEASE, "t-lost"), input)]);
}

#[tokio::test]
async fn a_delivery_that_a_later_push_superseded_is_not_released() {
    // FAILURES 53.
    let fixture = Fixture::new().await;
    let old = event("old", WebhookDeliveryState::Accepted, 0);
    fixture.put(&old).await;
    fixture
        .put(&WebhookDelivery { finished_at: Some(at(2)), ..event("new", WebhookDeliveryState::Finished, 1) })
        .await;
    let report = fixture.sweep(9).await;
    assert_eq!((report.finished, report.released), (vec!["delivery old".to_owned()], vec![]));
    assert_eq!(now(&fixture, &old).await.end, Some(DeliveryEnd::superseded()));
    assert!(fixture.cloud.started().is_empty());
}

#[tokio::test]
async fn a_running_delivery_without_a_recorded_start_is_left_alone() {
    let fixture = Fixture::new().await;
    let old = event("old", WebhookDeliveryState::Accepted, 0);
    fixture.put(&old).await;
    fixture.put(&event("new", WebhookDeliveryState::Accepted, 8)).await;
    fixture.cloud.set_execution(&execution_arn(RELEASE, "t-old"), "RUNNING");
    assert!(fixture.sweep(9).await.finished.is_empty());
    assert_eq!(now(&fixture, &old).await.state, WebhookDeliveryState::Accepted);
}

#[tokio::test]
async fn an_unfinished_delivery_of_an_ended_execution_is_quarantined() {
    let fixture = Fixture::new().await;
    for (name, state) in
        [("accepted", WebhookDeliveryState::Accepted), ("started", WebhookDeliveryState::Started)]
    {
        let event = WebhookDelivery { reference: format!("refs/heads/{name}"), ..event(name, state, 0) };
        fixture.put(&event).await;
        fixture.cloud.set_execution(&execution_arn(RELEASE, &event.execution), "ABORTED");
    }
    let running = event("running", WebhookDeliveryState::Started, 1);
    fixture.put(&running).await;
    fixture.cloud.set_execution(&execution_arn(RELEASE, "t-running"), "RUNNING");
    let mut finished = fixture.sweep(9).await.finished;
    finished.sort();
    assert_eq!(finished, ["delivery accepted", "delivery started"]);
    let ended = now(&fixture, &event("started", WebhookDeliveryState::Started, 0)).await;
    assert_eq!(ended.end.unwrap().outcome, Outcome::Quarantined);
    assert_eq!(now(&fixture, &running).await.state, WebhookDeliveryState::Started);
    assert!(fixture.cloud.started().is_empty());
    assert!(fixture.sweep(10).await.finished.is_empty());
}
