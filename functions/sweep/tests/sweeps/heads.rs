//! Pushes whose webhook was lost.

use super::fixture::{Fixture, RELEASE, at};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::RepositoryId;
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{Cursor, DeliveryEnd, Repository, WebhookDelivery, WebhookDeliveryState};
use serde_json::json;

const OLD: &str = "0123456789012345678901234567890123456789";
const HEAD: &str = "1111111111111111111111111111111111111111";

fn repository(name: &str) -> Repository {
    Repository {
        id: RepositoryId::github("acme", name).unwrap(),
        base_url: "https://api.github.com".into(),
        branch: "main".into(),
        branches: Vec::new(),
        added_by: "ada".into(),
        added_at: at(0),
    }
}

fn delivered(commit: &str, minute: i64) -> WebhookDelivery {
    WebhookDelivery {
        provider: "github".into(),
        delivery: format!("delivery-{minute}"),
        repository: repository("logs").id,
        reference: "refs/heads/main".into(),
        commit: commit.parse().unwrap(),
        pusher: None,
        state: WebhookDeliveryState::Accepted,
        execution: format!("t-{minute}"),
        end: None,
        accepted_at: at(minute),
        finished_at: None,
    }
}

async fn seen(fixture: &Fixture) -> WebhookDelivery {
    let events = fixture.ledger.list_kind::<WebhookDelivery>(10).await.unwrap();
    events.into_iter().map(|event| event.record).find(lockstep_domain::delivery::sweep::was_seen).unwrap()
}

#[tokio::test]
async fn a_push_without_a_webhook_is_released_by_its_head() {
    // FAILURES 52.
    let fixture = Fixture::new().await;
    fixture.put(&repository("logs")).await;
    let before = WebhookDelivery {
        state: WebhookDeliveryState::Finished,
        end: Some(DeliveryEnd::done()),
        ..delivered(OLD, 0)
    };
    fixture.put(&before).await;
    fixture.head_is("logs", HEAD);
    let [found] = fixture.sweep(30).await.found.try_into().unwrap();
    assert!(found.starts_with("commit 1111111 of main in github.acme.logs as delivery head-"), "{found}");
    assert!(fixture.cloud.started().is_empty(), "its webhook may be on its way");
    let report = fixture.sweep(45).await;
    let event = seen(&fixture).await;
    assert_eq!(report.released, [format!("delivery {}", event.delivery)]);
    assert!(report.found.is_empty(), "it is known now");
    let input = json!({
        "repository": "github.acme.logs", "ref": "refs/heads/main", "commit": HEAD, "delivery": event.delivery,
    });
    assert_eq!(fixture.cloud.started(), [(execution_arn(RELEASE, &event.execution), input)]);
    assert!(fixture.sweep(60).await.released.is_empty());
}

#[tokio::test]
async fn a_late_webhook_supersedes_the_head_that_the_sweep_found() {
    let fixture = Fixture::new().await;
    fixture.put(&repository("logs")).await;
    fixture.head_is("logs", HEAD);
    assert_eq!(fixture.sweep(0).await.found.len(), 1);
    fixture.put(&WebhookDelivery { state: WebhookDeliveryState::Started, ..delivered(HEAD, 1) }).await;
    fixture.cloud.set_execution(&execution_arn(RELEASE, "t-1"), "RUNNING");
    let report = fixture.sweep(15).await;
    let event = seen(&fixture).await;
    assert_eq!((report.released, report.found), (vec![], vec![]));
    assert_eq!(event.end, Some(DeliveryEnd::superseded()));
    assert!(fixture.cloud.started().is_empty());
    assert_eq!(fixture.sweep(30).await, lockstep_domain::records::SweepReport::new(at(30)));
}

#[tokio::test]
async fn a_head_that_was_packaged_before_is_left_alone() {
    let fixture = Fixture::new().await;
    fixture.put(&repository("logs")).await;
    fixture.put(&Cursor { repository: repository("logs").id, commit: HEAD.parse().unwrap() }).await;
    fixture.head_is("logs", HEAD);
    assert!(fixture.sweep(30).await.found.is_empty());
}

#[tokio::test]
async fn an_unreachable_repository_does_not_delay_the_others() {
    let fixture = Fixture::new().await;
    for name in ["gone", "hidden", "logs"] {
        fixture.put(&repository(name)).await;
    }
    fixture.sim.hosts.answer("gone", Ok(None));
    fixture.sim.hosts.answer("hidden", Err(Failure::new(FailureKind::AccessDenied, "it wants a token")));
    fixture.head_is("logs", HEAD);
    let report = fixture.sweep(30).await;
    assert_eq!(report.found.len(), 1);
    let mut left: Vec<(&str, &str)> = report.left.iter().map(|l| (l.what.as_str(), l.why.as_str())).collect();
    left.sort_unstable();
    let [gone, hidden] = left.try_into().unwrap();
    assert_eq!(gone.0, "repository github.acme.gone");
    assert!(gone.1.contains("no branch main") && gone.1.contains("lockstep repositories add"), "{}", gone.1);
    assert_eq!(hidden, ("repository github.acme.hidden", "it wants a token"));
    assert!(
        fixture.ledger.list_kind::<WebhookDelivery>(10).await.unwrap().len() == 1,
        "unknown is never absence"
    );
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_skipped_until_the_next_sweep() {
    let fixture = Fixture::new().await;
    for name in ["a", "b", "c", "d"] {
        fixture.put(&repository(name)).await;
        fixture
            .sim
            .hosts
            .answer(name, Err(Failure::new(FailureKind::Transient, "it does not answer in time")));
    }
    fixture.put(&Repository { base_url: "https://ghe.acme.example".into(), ..repository("logs") }).await;
    fixture.head_is("logs", HEAD);
    let report = fixture.sweep(30).await;
    assert_eq!((report.left.len(), report.found.len()), (4, 1));
    assert_eq!(fixture.sim.hosts.asked(), 3, "two of the host that does not answer, and the other one");
    for name in ["a", "b", "c", "d"] {
        fixture
            .sim
            .hosts
            .answer(name, Err(Failure::new(FailureKind::Throttled, "it says that we ask too often")));
    }
    fixture.sweep(45).await;
    assert_eq!(fixture.sim.hosts.asked(), 3 + 2, "a host that throttles is asked only once");
}

/// A flood of posts to the hook throttles the function that owns deliveries, and not the git host.
#[tokio::test]
async fn a_throttled_proposal_does_not_count_against_the_git_host() {
    let fixture = Fixture::new().await;
    for name in ["a", "b", "c", "d"] {
        fixture.put(&repository(name)).await;
        fixture.head_is(name, HEAD);
    }
    fixture.intake_is_throttled();
    let report = fixture.sweep(30).await;
    assert_eq!((report.left.len(), fixture.sim.hosts.asked()), (4, 4), "{report:?}");
    assert!(report.left.iter().all(|left| left.why.contains("Invoke lockstep-webhook")), "{report:?}");
}
