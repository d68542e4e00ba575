//! Environments whose execution ended, and test environments older than their time to live.

use super::fixture::{Fixture, TEARDOWN, at, execution, id, stack_run};
use lockstep_domain::model::token::execution_arn;
use lockstep_domain::records::{DeploymentState, FailureRecord, SweepReport, TeardownBody};
use serde_json::json;

#[tokio::test]
async fn an_unconfigured_installation_gives_an_empty_report() {
    assert_eq!(Fixture::bare().sweep(0).await, SweepReport::new(at(0)));
}

#[tokio::test]
async fn only_an_ended_execution_loses_its_environment() {
    // FAILURES 62.
    let fixture = Fixture::new().await;
    for (name, status) in [("dead", Some("FAILED")), ("alive", Some("RUNNING")), ("unknown", None)] {
        fixture.held(name, "ci", name).await;
        if let Some(status) = status {
            fixture.cloud.set_execution(&execution(name), status);
        }
    }
    assert_eq!(fixture.sweep(10).await.freed, ["ci/dead"]);
    let freed = fixture.environment("ci", "dead").await;
    assert_eq!((freed.epoch, freed.holder), (2, None));
    assert_eq!(fixture.deployment("dead").await.state, DeploymentState::Abandoned);
    for untouched in ["alive", "unknown"] {
        assert_eq!(fixture.environment("ci", untouched).await.holder.unwrap().deployment, id(untouched));
        assert_eq!(fixture.deployment(untouched).await.state, DeploymentState::Running);
    }
    assert_eq!(fixture.sweep(11).await, SweepReport::new(at(11)));
}

#[tokio::test]
async fn a_holder_of_unknown_state_is_reported_after_its_longest_run() {
    let fixture = Fixture::new().await;
    fixture.held("unknown", "ci", "logs").await;
    assert!(fixture.sweep(20 * 24 * 60 - 1).await.left.is_empty());
    let left = fixture.sweep(20 * 24 * 60).await.left;
    assert_eq!(left[0].what, "ci/logs");
    assert!(left[0].why.contains("cannot be looked at"), "{left:?}");
}

#[tokio::test]
async fn a_test_environment_is_torn_down_after_its_time_to_live() {
    let fixture = Fixture::new().await;
    fixture.left("a", "test", "logs-1", DeploymentState::Succeeded).await;
    fixture.left("b", "ci", "logs", DeploymentState::Succeeded).await;
    assert!(fixture.sweep(29).await.removing.is_empty());
    assert_eq!(fixture.sweep(30).await.removing, ["test/logs-1"]);
    let started = fixture.cloud.started();
    assert_eq!(started.len(), 1);
    assert!(started[0].0.starts_with(&execution_arn(TEARDOWN, "t")), "{started:?}");
    assert_eq!(started[0].1, json!({"component": "logs", "stage": "test", "environment": "logs-1"}));
}

#[tokio::test]
async fn two_sweeps_start_one_teardown() {
    // FAILURES 66.
    let fixture = Fixture::new().await;
    fixture.left("a", "test", "logs-1", DeploymentState::Failed).await;
    for minute in [31, 32, 46] {
        fixture.sweep(minute).await;
    }
    assert_eq!(fixture.cloud.started().len(), 1);
    // The execution ended before the teardown began. The sweep reports it and starts another one on the next
    // day.
    fixture.cloud.set_execution(&fixture.cloud.started()[0].0, "FAILED");
    let left = fixture.sweep(61).await.left;
    assert!(left[0].why.contains("ended before it had begun"), "{left:?}");
    assert_eq!(fixture.sweep(31 + 24 * 60).await.removing, ["test/logs-1"]);
}

#[tokio::test]
async fn an_unreadable_manifest_gives_the_longest_time_to_live() {
    let fixture = Fixture::new().await;
    fixture.left("a", "test", "logs-1", DeploymentState::Succeeded).await;
    fixture.change("a", |deployment| deployment.version = "9.9.9".parse().unwrap()).await;
    assert!(fixture.sweep(24 * 60 - 1).await.removing.is_empty());
    assert_eq!(fixture.sweep(24 * 60).await.removing, ["test/logs-1"]);
}

#[tokio::test]
async fn a_failed_removal_is_reported_with_its_cause_every_time() {
    let fixture = Fixture::new().await;
    fixture.left("a", "test", "logs-1", DeploymentState::Failed).await;
    fixture
        .change("a", |deployment| {
            deployment.body = TeardownBody { stack: stack_run("test", "logs-1"), digest: None }.into();
            deployment.finished_at = Some(at(40));
            let message = "the bucket Archive is not empty".to_owned();
            deployment.failure = Some(FailureRecord { error: "StackNeedsHuman".into(), message });
        })
        .await;
    for minute in [45, 60] {
        let report = fixture.sweep(minute).await;
        assert!(report.removing.is_empty());
        assert_eq!(report.left[0].what, "test/logs-1");
        assert!(report.left[0].why.ends_with("the bucket Archive is not empty"), "{report:?}");
    }
    assert_eq!(fixture.sweep(40 + 24 * 60).await.removing, ["test/logs-1"]);
}

#[tokio::test]
async fn a_failed_part_does_not_stop_the_sweep() {
    // FAILURES 64.
    let fixture = Fixture::new().await;
    fixture.held("dead", "ci", "logs").await;
    fixture.cloud.set_execution(&execution("dead"), "FAILED");
    fixture.left("gone", "test", "logs-1", DeploymentState::Succeeded).await;
    let stored = fixture
        .versioned::<lockstep_domain::records::Deployment>(&lockstep_domain::records::Deployment::key_of(
            &id("dead"),
        ))
        .await;
    fixture.ledger.remove(&stored).await.unwrap();
    let report = fixture.sweep(30).await;
    assert_eq!(report.left[0].what, "ci/logs");
    assert!(report.left[0].why.contains("does not exist"), "{report:?}");
    assert_eq!(report.removing, ["test/logs-1"]);
}

#[tokio::test]
async fn a_lost_reply_frees_the_environment_once() {
    let fixture = Fixture::new().await;
    fixture.held("dead", "ci", "logs").await;
    fixture.cloud.set_execution(&execution("dead"), "ABORTED");
    fixture.cloud.lose_next_answer("TransactWriteItems");
    assert_eq!(fixture.sweep(1).await.freed, ["ci/logs"]);
    assert_eq!(fixture.environment("ci", "logs").await.epoch, 2);
}
