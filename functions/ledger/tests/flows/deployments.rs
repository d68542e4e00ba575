//! Taking an environment, and giving it back.

use super::world::{World, deploy, execution, id};
use lockstep_domain::messages::ledger::{Failed, Request};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::records::{DeploymentState, Environment, ReleaseState};

fn caught(error: &str, cause: &str) -> CaughtError {
    CaughtError { error: error.into(), cause: cause.into() }
}

async fn fail(world: &World, name: &str, error: CaughtError) -> Failed {
    let answer = world.invoke(Request::Fail { deployment: id(name), error }).await.unwrap();
    serde_json::from_value(answer).unwrap()
}

#[tokio::test]
async fn beginning_again_finds_the_same_deployment() {
    let world = World::new().await;
    world.published("1.0.0", &["test"]).await;
    let begun = world.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    assert_eq!((&begun.deployment, begun.images), (&id("a"), false));
    assert_eq!(world.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap(), begun);
    let environment = world.environment("ci").await;
    assert_eq!(environment.epoch, 1);
    assert_eq!(environment.holder.unwrap().deployment, id("a"));
}

#[tokio::test]
async fn a_held_environment_is_busy_while_its_execution_may_run() {
    let world = World::new().await;
    world.published("1.0.0", &["test"]).await;
    world.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    let unknown = world.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap_err();
    assert_eq!(unknown.kind, FailureKind::EnvironmentBusy);
    world.cloud.set_execution(&execution("a"), "RUNNING");
    let running = world.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap_err();
    assert_eq!(running.kind, FailureKind::EnvironmentBusy);
    assert_eq!(world.environment("ci").await.epoch, 1);
}

#[tokio::test]
async fn an_environment_is_taken_over_from_an_execution_that_ended_and_who_lost_it_stops() {
    let world = World::new().await;
    world.published("1.0.0", &["test"]).await;
    world.deployed("a", "1.0.0", true).await;
    world.cloud.set_execution(&execution("a"), "ABORTED");
    world.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    let environment = world.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder.unwrap().deployment), (2, id("b")));
    // What the dead one is known to have changed is remembered.
    assert!(!environment.deployed.unwrap().checked);
    assert_eq!(world.deployment("a").await.state, DeploymentState::Abandoned);
    assert_eq!(world.complete("a").await.unwrap_err().kind, FailureKind::Superseded);
}

#[tokio::test]
async fn a_release_goes_nowhere_without_the_evidence_of_the_stage_before() {
    let world = World::new().await;
    let release = world.published("1.0.0", &[]).await;
    world.cloud.take_calls();
    let closed = world.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap_err();
    assert_eq!(closed.kind, FailureKind::GateClosed);
    assert!(closed.message.contains(&format!("digest {} passed test", release.digest)), "{closed}");
    let calls = world.cloud.take_calls();
    assert!(calls.iter().all(|call| call == "GetItem" || call == "Query"), "{calls:?}");
}

#[tokio::test]
async fn each_path_deploys_to_its_own_stages_only() {
    let world = World::new().await;
    world.published("1.0.0", &["test", "ci"]).await;
    for (path, stage) in [(DeploymentPath::Delivery, "production"), (DeploymentPath::Promotion, "ci")] {
        let refused = world.begin("a", path, deploy("1.0.0", stage)).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Rejected, "{stage}");
    }
    world.begin("a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
}

#[tokio::test]
async fn a_release_that_does_not_exist_and_a_malformed_override_are_refused() {
    let world = World::new().await;
    let missing = world.begin("a", DeploymentPath::Delivery, deploy("9.9.9", "ci")).await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound);
    world.published("1.0.0", &["test"]).await;
    let mut input = deploy("1.0.0", "ci");
    input.overrides = [("not a parameter".to_owned(), "1".to_owned())].into();
    let refused = world.begin("a", DeploymentPath::Delivery, input).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("not a parameter"), "{refused}");
}

#[tokio::test]
async fn success_moves_the_environment_and_earns_evidence_once() {
    let world = World::new().await;
    let release = world.published("1.0.0", &["test"]).await;
    world.deployed("a", "1.0.0", true).await;
    let first = world.complete("a").await.unwrap();
    assert_eq!((&first["outcome"], &first["stage"]), (&"succeeded".into(), &"ci".into()));
    assert_eq!(world.complete("a").await.unwrap(), first);
    let environment = world.environment("ci").await;
    assert_eq!(environment.holder, None);
    assert!(environment.deployed.unwrap().checked);
    assert!(world.has_evidence(&release, "ci").await);
    world.deployed("b", "1.0.0", false).await;
    assert_eq!(world.complete("b").await.unwrap()["outcome"], "no_changes");
}

#[tokio::test]
async fn overrides_and_clones_prove_nothing_of_the_release() {
    let world = World::new().await;
    let release = world.published("1.0.0", &["test"]).await;
    let mut overridden = deploy("1.0.0", "ci");
    overridden.overrides = [("Size".to_owned(), "1".to_owned())].into();
    let mut clone = deploy("1.0.0", "ci");
    clone.environment = Some("logs-2".into());
    for (name, input) in [("a", overridden), ("b", clone)] {
        world.begin(name, DeploymentPath::Delivery, input).await.unwrap();
        world.plan(name, true).await;
        world.complete(name).await.unwrap();
        assert!(!world.has_evidence(&release, "ci").await, "{name}");
    }
}

#[tokio::test]
async fn a_throw_away_stack_runs_the_derived_template_and_its_evidence_counts() {
    let world = World::new().await;
    let release = world.release("1.0.0", ReleaseState::Packaged).await;
    let mut input = deploy("1.0.0", "test");
    input.environment = Some("logs-0123456".into());
    world.begin("a", DeploymentPath::Delivery, input).await.unwrap();
    assert_eq!(world.deployment("a").await.template_digest, Some(release.test_template_digest.clone()));
    world.plan("a", true).await;
    world.complete("a").await.unwrap();
    assert!(world.has_evidence(&release, "test").await);
}

#[tokio::test]
async fn a_failure_frees_the_environment_and_says_what_runs() {
    let world = World::new().await;
    world.published("1.0.0", &["test"]).await;
    world.published("1.0.1", &["test"]).await;
    world.deployed("a", "1.0.0", true).await;
    world.complete("a").await.unwrap();
    world.deployed("b", "1.0.1", false).await;
    let failed = fail(&world, "b", caught("StackFailed", r#"{"errorMessage":"Queue exists"}"#)).await;
    assert_eq!(failed.error, "StackFailed");
    assert_eq!(failed.cause, "logs 1.0.1 was not deployed to ci: Queue exists. ci runs 1.0.0.");
    assert_eq!(world.environment("ci").await.holder, None);
    assert_eq!(world.deployment("b").await.state, DeploymentState::Failed);
    assert_eq!(fail(&world, "b", caught("Other", "later")).await, failed);
}

#[tokio::test]
async fn a_check_that_fails_after_the_change_leaves_the_release_running_unchecked() {
    let world = World::new().await;
    let release = world.published("1.0.0", &["test"]).await;
    world.deployed("a", "1.0.0", true).await;
    fail(&world, "a", caught("CheckFailed", "no host")).await;
    let deployed = world.environment("ci").await.deployed.unwrap();
    assert_eq!((deployed.version.to_string(), deployed.checked), ("1.0.0".into(), false));
    assert!(!world.has_evidence(&release, "ci").await);
}

#[tokio::test]
async fn an_answer_that_was_lost_changes_nothing() {
    let world = World::new().await;
    world.published("1.0.0", &["test"]).await;
    world.cloud.lose_next_answer("TransactWriteItems");
    world.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    world.plan("a", true).await;
    world.cloud.lose_next_answer("TransactWriteItems");
    world.complete("a").await.unwrap();
    let environment: Environment = world.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder), (1, None));
}
