//! Tests of the information in the log, the responses and the errors.

use crate::fixture::{Fixture, post, ten};
use lockstep_aws::config::{Config, Setting};
use lockstep_domain::logs::ingest::ApiKey;
use lockstep_domain::logs::shipping::Protocol;
use lockstep_log_intake::{AwsContext, PACE};
use lockstep_sim::FakeAws;
use lockstep_sim::broker::BrokerBehavior;
use lockstep_sim::logged::Logged;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn log_contains_no_key_and_no_content_of_an_event() {
    let log = Logged::hear(tracing::Level::DEBUG);
    let fixture = Fixture::new(
        Protocol::Beats,
        &[&[BrokerBehavior::Honest][..], &[BrokerBehavior::StallsAfter(0); 5]].concat(),
    );
    let (context, key) = (fixture.function(), fixture.key_of("shop").await);
    let forged = ApiKey::new(key.id.clone(), [0xab; 32]);
    let event =
        json!({"message": "text-of-message", "logger": "name-of-logger", "fields": {"f": "text-of-field"}});
    for (request, status) in [
        (post(&key, &event), 202),
        (post(&key, &event), 503),
        (post(&forged, &event), 401),
        (post(&key, &json!({"message": "text-of-message", "name-of-unknown-field": 1})), 400),
        (post(&key, &event).saying("text-of-message"), 400),
        (post(&key, &event).with("content-type", "text-of-header"), 415),
    ] {
        assert_eq!(request.within(&context, Duration::from_millis(500)).await.status_code, status);
    }
    let logged = log.text();
    assert!(
        logged.contains("202") && logged.contains("shop.1") && logged.contains("RefusedByKey"),
        "{logged}"
    );
    for kept in ["text-of-", "name-of-", "lsk_", &"07".repeat(8), &"ab".repeat(8)] {
        assert!(!logged.contains(kept), "{kept} in {logged}");
    }
}

#[tokio::test]
async fn response_forbids_caching() {
    let fixture = Fixture::honest();
    let response = post(&fixture.key_of("shop").await, &ten()).to(&fixture.function()).await;
    assert_eq!(response.headers["cache-control"], "no-store");
    assert_eq!(response.headers["content-type"], "application/json");
}

#[test]
fn every_problem_of_the_settings_is_reported_at_once() {
    let config = Config::of([
        (Setting::Table, "t"),
        (Setting::Output, "nonsense"),
        (Setting::EventsPerSecond, "0"),
        (Setting::Burst, "10"),
        (Setting::LogFields, "ECS"),
    ]);
    let failure = AwsContext::new(&FakeAws::new().aws(), &config, None, PACE).err().unwrap();
    for name in
        ["LOCKSTEP_OUTPUT:", "LOCKSTEP_EVENTS_PER_SECOND and LOCKSTEP_BURST:", "LOCKSTEP_LOG_FIELDS: 'ECS'"]
    {
        assert!(failure.message.contains(name), "{failure}");
    }
}
