//! An environment is taken to delete its stack, and a change set is only shown.

use super::world::{World, deploy, execution, id};
use lockstep_domain::messages::ledger::Request;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::{Deployment, DeploymentKind, DeploymentState, Environment, NamedResource};

/// `ci` runs 1.0.0.
async fn running() -> World {
    let world = World::new().await;
    world.published("1.0.0", &["test"]).await;
    world.deployed("a", "1.0.0", true).await;
    world.complete("a").await.unwrap();
    world
}

#[tokio::test]
async fn a_teardown_takes_the_environment_and_says_what_it_tears_down() {
    let world = running().await;
    let begun = world.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    assert_eq!((&begun.deployment, begun.images), (&id("t"), false));
    assert_eq!(world.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap(), begun);
    let deployment = world.deployment("t").await;
    assert_eq!(deployment.version.to_string(), "1.0.0");
    assert_eq!(deployment.digest, world.deployment("a").await.digest);
    let kind = DeploymentKind::Teardown { environment: "logs".into(), stack: "ci-logs".parse().unwrap() };
    assert_eq!(deployment.kind, kind);
    let environment = world.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder.unwrap().deployment), (2, id("t")));
}

#[tokio::test]
async fn what_is_torn_down_exists_and_is_on_the_path() {
    let world = running().await;
    for (path, stage, environment, kind) in [
        (DeploymentPath::Promotion, "ci", None, FailureKind::Rejected),
        (DeploymentPath::Delivery, "production", None, FailureKind::Rejected),
        (DeploymentPath::Promotion, "production", None, FailureKind::NotFound),
        (DeploymentPath::Delivery, "ci", Some("logs-2"), FailureKind::NotFound),
        (DeploymentPath::Delivery, "ci", Some("Not A Name"), FailureKind::Rejected),
    ] {
        let refused = world.begin_teardown("t", path, stage, environment).await.unwrap_err();
        assert_eq!(refused.kind, kind, "{stage} {environment:?}: {refused}");
    }
    assert!(world.environment("ci").await.holder.is_none());
}

#[tokio::test]
async fn a_throw_away_environment_that_never_ran_is_torn_down_too() {
    let world = World::new().await;
    world.published("1.0.0", &[]).await;
    let mut test = deploy("1.0.0", "test");
    test.environment = Some("logs-1".into());
    world.begin("a", DeploymentPath::Delivery, test).await.unwrap();
    let error = CaughtError { error: "StackFailed".into(), cause: "no".into() };
    world.invoke(Request::Fail { deployment: id("a"), error }).await.unwrap();
    world.begin_teardown("t", DeploymentPath::Delivery, "test", Some("logs-1")).await.unwrap();
    let deployment = world.deployment("t").await;
    assert_eq!((deployment.version.to_string().as_str(), deployment.digest), ("1.0.0", None));
}

#[tokio::test]
async fn a_finished_teardown_removes_the_environment_once_and_keeps_what_was_left_behind() {
    let world = running().await;
    world.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    let orphan = NamedResource {
        name: "Archive".into(),
        resource_type: "AWS::S3::Bucket".into(),
        physical_id: "b".into(),
    };
    world.change("t", |deployment| deployment.orphans = vec![orphan.clone()]).await;
    world.cloud.lose_next_answer("TransactWriteItems");
    for _ in 0..2 {
        assert_eq!(world.complete("t").await.unwrap()["outcome"], "succeeded");
        assert_eq!(world.find_environment("ci").await, None);
    }
    assert_eq!(world.deployment("t").await.orphans, [orphan]);
    // What comes after begins anew.
    world.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    assert_eq!(world.environment("ci").await.epoch, 1);
}

#[tokio::test]
async fn a_teardown_that_fails_leaves_what_runs() {
    let world = running().await;
    let before = world.environment("ci").await;
    world.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    let error = CaughtError { error: "StackNeedsHuman".into(), cause: "a bucket is not empty".into() };
    let failed = world.invoke(Request::Fail { deployment: id("t"), error }).await.unwrap();
    assert_eq!(failed["cause"], "logs 1.0.0 was not removed from ci: a bucket is not empty. ci runs 1.0.0.");
    let expected = Environment { epoch: 2, last_deployment: Some(id("t")), ..before };
    assert_eq!(world.environment("ci").await, expected);
}

#[tokio::test]
async fn a_tainted_environment_is_not_promoted_to_but_torn_down() {
    let world = World::new().await;
    world.published("1.0.0", &["test", "ci"]).await;
    world.begin("a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
    world.plan("a", true).await;
    world.complete("a").await.unwrap();
    let key = Environment::key_of(&"production".parse().unwrap(), "logs");
    let stored = world.versioned::<Environment>(&key).await;
    let tainted = Environment { taint: Some("Queue was skipped".into()), ..stored.record.clone() };
    world.ledger.replace(&stored, tainted).await.unwrap();
    let closed =
        world.begin("b", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap_err();
    assert_eq!(closed.kind, FailureKind::GateClosed);
    world.begin_teardown("t", DeploymentPath::Promotion, "production", None).await.unwrap();
}

#[tokio::test]
async fn a_teardown_takes_over_from_an_execution_that_ended() {
    // FAILURES 62.
    let world = running().await;
    world.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    let busy = world.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap_err();
    assert_eq!(busy.kind, FailureKind::EnvironmentBusy);
    world.cloud.set_execution(&execution("b"), "TIMED_OUT");
    world.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    assert_eq!(world.deployment("b").await.state, DeploymentState::Abandoned);
}

#[tokio::test]
async fn a_plan_shows_and_changes_nothing_and_earns_no_evidence() {
    let world = running().await;
    let release = world.published("1.0.1", &["test"]).await;
    let before = world.environment("ci").await;
    let mut plan = deploy("1.0.1", "ci");
    plan.plan_only = true;
    world.begin("p", DeploymentPath::Delivery, plan).await.unwrap();
    assert!(world.deployment("p").await.plan_only);
    world.plan("p", false).await;
    for _ in 0..2 {
        assert_eq!(world.complete("p").await.unwrap()["outcome"], "planned");
    }
    assert_eq!(world.deployment("p").await.state, DeploymentState::Planned);
    let expected = Environment { epoch: 2, last_deployment: Some(id("p")), ..before };
    assert_eq!(world.environment("ci").await, expected);
    assert!(!world.has_evidence(&release, "ci").await);
}

#[tokio::test]
async fn a_clone_takes_the_parameters_of_another_stage_under_a_name_of_its_own() {
    let world = World::new().await;
    let release = world.published("1.0.0", &["test"]).await;
    let mut clone = deploy("1.0.0", "ci");
    clone.parameters_of = Some("production".parse().unwrap());
    let refused = world.begin("c", DeploymentPath::Delivery, clone.clone()).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    clone.environment = Some("logs-2".into());
    world.begin("c", DeploymentPath::Delivery, clone).await.unwrap();
    let deployment: Deployment = world.deployment("c").await;
    assert_eq!(deployment.parameters_of, Some("production".parse().unwrap()));
    world.plan("c", true).await;
    world.complete("c").await.unwrap();
    assert!(!world.has_evidence(&release, "ci").await);
}
