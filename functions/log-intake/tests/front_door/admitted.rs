//! Tests of admission, of rate limits, and of the cost of unauthenticated callers.

use crate::fixture::{Fixture, LEFT, post, said, ten};
use jiff::SignedDuration;
use lockstep_aws::function_url::Invocation;
use lockstep_domain::logs::ingest::{ApiKey, Rate};
use lockstep_log_intake::handler::{Answered, handle};
use lockstep_sim::{FakeAws, Interceptor, Reply, Request};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn unauthenticated_caller_costs_one_read_at_most_and_learns_nothing() {
    let fixture = Fixture::honest();
    let (context, key) = (fixture.function(), fixture.key_of("shop").await);
    let good = post(&key, &ten());
    let forged = ApiKey::new(key.id.clone(), [9; 32]);
    let elsewhere = ApiKey::new("bank.1".parse().unwrap(), [7; 32]);
    fixture.cloud.take_calls();
    let mut answers = Vec::new();
    for (request, status, calls) in [
        (good.clone().by("GET"), 405, 0),
        (good.clone().with("content-type", "text/plain"), 415, 0),
        (good.clone().with("content-encoding", "gzip"), 415, 0),
        (good.clone().saying(vec![b' '; (1 << 20) + 1]), 413, 0),
        (good.clone().without("authorization"), 401, 0),
        (good.clone().with("authorization", "Bearer lsk_shop.1_00"), 401, 0),
        (good.clone().with("authorization", "Basic c2hvcDpzaG9w"), 401, 0),
        (post(&forged, &ten()), 401, 1),
        (post(&elsewhere, &ten()).saying("no JSON at all"), 401, 1),
        // A repeated request causes no read.
        (post(&forged, &ten()), 401, 0),
        (post(&elsewhere, &ten()), 401, 0),
    ] {
        let response = request.to(&context).await;
        assert_eq!(response.status_code, status, "{}", response.body);
        assert_eq!(fixture.cloud.take_calls(), vec!["GetItem"; calls]);
        if status == 401 {
            answers.push(response);
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].headers["www-authenticate"], "Bearer");
    assert_eq!(fixture.watched.broker.connections(), 0);
}

#[tokio::test]
async fn rotated_key_works_until_it_expires_and_a_revoked_key_never() {
    let fixture = Fixture::honest();
    let first = fixture.key_of("shop").await;
    let second = fixture.rotate(&first, SignedDuration::from_hours(1)).await;
    for key in [&first, &second] {
        assert_eq!(post(key, &ten()).to(&fixture.function()).await.status_code, 202);
    }
    let other = fixture.key_of("bank").await;
    let next = fixture.rotate(&other, SignedDuration::ZERO).await;
    let over = post(&other, &ten()).to(&fixture.function()).await;
    assert_eq!(over.status_code, 403);
    assert!(said(&over)["error"].as_str().unwrap().starts_with("this key was replaced by another one"));
    assert_eq!(post(&next, &ten()).to(&fixture.function()).await.status_code, 202);
    fixture.revoke(&first).await;
    for key in [&first, &second] {
        let revoked = post(key, &ten()).to(&fixture.function()).await;
        assert_eq!((revoked.status_code, &said(&revoked)["error"]), (403, &json!("this key was revoked")));
    }
}

#[tokio::test]
async fn running_function_accepts_a_new_key_within_seconds() {
    let fixture = Fixture::honest();
    let context = fixture.function();
    let first = fixture.key_of("shop").await;
    assert_eq!(post(&first, &ten()).to(&context).await.status_code, 202);
    let second = fixture.rotate(&first, SignedDuration::from_hours(1)).await;
    let began = Instant::now();
    // The function caches the application without this key for a moment.
    while post(&second, &ten()).to(&context).await.status_code == 401 {
        assert!(began.elapsed() < Duration::from_secs(20), "the key is not accepted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(post(&second, &ten()).to(&context).await.status_code, 202);
    assert_eq!(post(&first, &ten()).to(&context).await.status_code, 202);
}

#[tokio::test]
async fn application_may_send_its_burst_and_then_gets_a_retry_time() {
    let fixture = Fixture::honest();
    let rate = Rate::new(1, 25).unwrap();
    let (context, key) = (fixture.function(), fixture.limited_key_of("shop", Some(rate)).await);
    for _ in 0..2 {
        assert_eq!(post(&key, &ten()).to(&context).await.status_code, 202);
    }
    let later = post(&key, &ten()).to(&context).await;
    assert_eq!(later.status_code, 429);
    let seconds: u64 = later.headers["retry-after"].parse().unwrap();
    assert!((1..=5).contains(&seconds), "{seconds}");
    // Another application is not limited, and a smaller request still fits.
    assert_eq!(post(&fixture.key_of("bank").await, &ten()).to(&context).await.status_code, 202);
    assert_eq!(post(&key, &json!({"message": "m"})).to(&context).await.status_code, 202);
    let many: Value = (0..26).map(|n| json!({"message": format!("m{n}")})).collect();
    assert_eq!(post(&key, &many).to(&context).await.status_code, 413);
}

#[tokio::test]
async fn unreadable_request_costs_a_token() {
    let fixture = Fixture::honest();
    let rate = Rate::new(1, 3).unwrap();
    let (context, key) = (fixture.function(), fixture.limited_key_of("shop", Some(rate)).await);
    let nonsense = post(&key, &ten()).saying("nonsense");
    for _ in 0..3 {
        assert_eq!(nonsense.to(&context).await.status_code, 400);
    }
    assert_eq!(nonsense.to(&context).await.status_code, 429);
}

#[tokio::test]
async fn concurrent_requests_never_exceed_the_burst() {
    let fixture = Fixture::honest();
    let rate = Rate::new(1, 50).unwrap();
    let key = fixture.limited_key_of("shop", Some(rate)).await;
    let fixture = std::rc::Rc::new(fixture);
    let local = tokio::task::LocalSet::new();
    // Each request has its own instance of the function, as on Lambda.
    let sent: Vec<_> = (0..12)
        .map(|n| {
            let (fixture, key) = (std::rc::Rc::clone(&fixture), key.clone());
            local.spawn_local(async move {
                post(&key, &ten()).numbered(&format!("r-{n}")).to(&fixture.function()).await.status_code
            })
        })
        .collect();
    local.await;
    let mut accepted = 0;
    for answer in sent {
        match answer.await.unwrap() {
            202 => accepted += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert!((1..=5).contains(&accepted), "{accepted} requests of ten events got through");
}

/// Loses every response to one operation.
struct Loses(&'static str);

impl Interceptor for Loses {
    fn intercept<'a>(
        &'a self,
        request: Request,
        account: &'a FakeAws,
    ) -> Pin<Box<dyn Future<Output = Option<Reply>> + Send + 'a>> {
        Box::pin(async move { (request.operation != self.0).then(|| account.serve(&request)) })
    }
}

#[tokio::test]
async fn unavailable_table_admits_no_request_and_gives_a_retry_time() {
    for operation in ["GetItem", "PutItem"] {
        let fixture = Fixture::honest();
        let key = fixture.key_of("shop").await;
        let context = fixture.disturbed(Arc::new(Loses(operation)));
        let response = post(&key, &ten()).to(&context).await;
        assert_eq!(
            (response.status_code, response.headers["retry-after"].as_str()),
            (503, "30"),
            "{operation}"
        );
        assert_eq!(fixture.watched.broker.connections(), 0, "{operation}");
    }
}

#[tokio::test]
async fn check_reads_the_table_and_reaches_the_broker_and_sends_nothing() {
    let payload =
        json!({"component": "log-intake", "version": "1.0.0", "stage": "ci", "stack": "ci-log-intake"});
    let check = || Invocation::Direct(payload.clone());
    let fixture = Fixture::honest();
    assert_eq!(handle(&fixture.function(), check(), LEFT).await, Ok(Answered::Check { ok: true }));
    fixture.watched.expect_connection().await;
    assert!(fixture.watched.taken().is_empty());
    assert!(handle(&fixture.disturbed(Arc::new(Loses("GetItem"))), check(), LEFT).await.is_err());
    let (cloud, context) = (fixture.cloud.clone(), fixture.function());
    drop(fixture);
    let unreachable = handle(&context, check(), LEFT).await.unwrap_err();
    assert!(unreachable.message.contains("cannot be reached"), "{unreachable}");
    drop(cloud);
    let nonsense = handle(&context, Invocation::Direct(json!({"events": []})), LEFT).await.unwrap_err();
    assert!(nonsense.message.contains("posted to the function's URL"), "{nonsense}");
}
