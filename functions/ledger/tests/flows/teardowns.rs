//! Teardowns, plans, and clones.

use super::fixture::{Fixture, deploy, execution, id, named};
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::{
    Deployment, DeploymentState, Environment, NamedResource, StackRun, TeardownBody,
};

/// Returns a fixture in which `ci` runs 1.0.0.
async fn running() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    fixture.complete("a").await.unwrap();
    fixture
}

#[tokio::test]
async fn a_teardown_acquires_the_environment_and_records_its_target() {
    let fixture = running().await;
    let started = fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    assert_eq!((&started.deployment, started.images), (&id("t"), false));
    assert_eq!(fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap(), started);
    let deployment = fixture.deployment("t").await;
    assert_eq!(deployment.version.to_string(), "1.0.0");
    let stack = StackRun::new("logs".parse().unwrap(), "logs".into(), "ci-logs".parse().unwrap());
    let digest = fixture.deployment("a").await.digest().cloned();
    assert!(digest.is_some());
    assert_eq!(deployment.body, TeardownBody { stack, digest }.into());
    let environment = fixture.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder.unwrap().deployment), (2, id("t")));
}

#[tokio::test]
async fn a_teardown_needs_an_existing_environment_on_its_path() {
    let fixture = running().await;
    for (path, stage, environment, kind) in [
        (DeploymentPath::Promotion, "ci", None, FailureKind::Rejected),
        (DeploymentPath::Delivery, "production", None, FailureKind::Rejected),
        (DeploymentPath::Promotion, "production", None, FailureKind::NotFound),
        (DeploymentPath::Delivery, "ci", Some("logs-2"), FailureKind::NotFound),
        (DeploymentPath::Delivery, "ci", Some("Not A Name"), FailureKind::Rejected),
    ] {
        let refused = fixture.begin_teardown(&named(path, "t"), path, stage, environment).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{stage} {environment:?}: {refused}");
    }
    assert!(fixture.environment("ci").await.holder.is_none());
}

#[tokio::test]
async fn a_test_environment_that_never_ran_is_torn_down_too() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &[]).await;
    let mut test = deploy("1.0.0", "test");
    test.environment = Some("logs-1".into());
    fixture.begin("a", DeploymentPath::Delivery, test).await.unwrap();
    let error = CaughtError { error: "StackFailed".into(), cause: "no".into() };
    fixture.invoke(Request::Fail { deployment: id("a"), error }).await.unwrap();
    fixture.begin_teardown("t", DeploymentPath::Delivery, "test", Some("logs-1")).await.unwrap();
    let deployment = fixture.deployment("t").await;
    assert_eq!((deployment.version.to_string().as_str(), deployment.digest()), ("1.0.0", None));
}

#[tokio::test]
async fn a_finished_teardown_removes_the_environment_and_keeps_its_orphans() {
    let fixture = running().await;
    fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    let orphan = NamedResource {
        name: "Archive".into(),
        resource_type: "AWS::S3::Bucket".into(),
        physical_id: "b".into(),
    };
    fixture.change("t", |deployment| deployment.stack_mut().unwrap().orphans = vec![orphan.clone()]).await;
    fixture.cloud.lose_next_answer("TransactWriteItems");
    for _ in 0..2 {
        assert_eq!(fixture.complete("t").await.unwrap()["outcome"], "succeeded");
        assert_eq!(fixture.find_environment("ci").await, None);
    }
    assert_eq!(fixture.deployment("t").await.stack().unwrap().orphans, [orphan]);
    // A later deployment begins with a new environment.
    fixture.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    assert_eq!(fixture.environment("ci").await.epoch, 1);
}

#[tokio::test]
async fn a_failed_teardown_keeps_the_deployed_version() {
    let fixture = running().await;
    let before = fixture.environment("ci").await;
    fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    let error = CaughtError { error: "StackNeedsHuman".into(), cause: "a bucket is not empty".into() };
    let failed = fixture.invoke(Request::Fail { deployment: id("t"), error }).await.unwrap();
    assert_eq!(failed["cause"], "logs 1.0.0 was not removed from ci: a bucket is not empty. ci runs 1.0.0.");
    let expected = Environment { epoch: 2, last_deployment: Some(id("t")), ..before };
    assert_eq!(fixture.environment("ci").await, expected);
}

#[tokio::test]
async fn a_tainted_environment_can_be_torn_down_but_not_promoted_to() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    fixture.begin("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    fixture.plan("prod-a", true).await;
    fixture.complete("prod-a").await.unwrap();
    let key = Environment::key_of(&"production".parse().unwrap(), "logs");
    let stored = fixture.versioned::<Environment>(&key).await;
    let tainted = Environment { taint: Some("Queue was skipped".into()), ..stored.record.clone() };
    fixture.ledger.replace(&stored, tainted).await.unwrap();
    let closed =
        fixture.begin("prod-b", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap_err();
    assert_eq!(closed.kind, FailureKind::GateClosed);
    fixture.begin_teardown("prod-t", DeploymentPath::Promotion, "production", None).await.unwrap();
}

#[tokio::test]
async fn a_teardown_takes_over_from_an_execution_that_ended() {
    // FAILURES 62.
    let fixture = running().await;
    fixture.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    assert!(fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap().queued);
    fixture.cloud.set_execution(&execution("b"), "TIMED_OUT");
    fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    assert_eq!(fixture.deployment("b").await.state, DeploymentState::Abandoned);
}

#[tokio::test]
async fn a_plan_changes_nothing_and_earns_no_evidence() {
    let fixture = running().await;
    let release = fixture.published("1.0.1", &["test"]).await;
    let before = fixture.environment("ci").await;
    let mut plan = deploy("1.0.1", "ci");
    plan.plan_only = true;
    fixture.begin("p", DeploymentPath::Delivery, plan).await.unwrap();
    assert!(fixture.deployment("p").await.is_plan_only());
    fixture.plan("p", false).await;
    for _ in 0..2 {
        assert_eq!(fixture.complete("p").await.unwrap()["outcome"], "planned");
    }
    assert_eq!(fixture.deployment("p").await.state, DeploymentState::Planned);
    let expected = Environment { epoch: 2, last_deployment: Some(id("p")), ..before };
    assert_eq!(fixture.environment("ci").await, expected);
    assert!(!fixture.has_evidence(&release, "ci").await);
}

#[tokio::test]
async fn a_clone_with_parameters_of_another_stage_needs_its_own_name() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    let mut clone = deploy("1.0.0", "ci");
    clone.parameters_of = Some("production".parse().unwrap());
    let refused = fixture.begin("c", DeploymentPath::Delivery, clone.clone()).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    clone.environment = Some("logs-2".into());
    fixture.begin("c", DeploymentPath::Delivery, clone).await.unwrap();
    let deployment: Deployment = fixture.deployment("c").await;
    assert_eq!(deployment.deploy().unwrap().parameters_of, Some("production".parse().unwrap()));
    fixture.plan("c", true).await;
    fixture.complete("c").await.unwrap();
    assert!(!fixture.has_evidence(&release, "ci").await);
}
