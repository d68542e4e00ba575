//! Acquisition and release of an environment.

use super::fixture::{Fixture, deploy, execution, id, named, stages_text};
use lockstep_domain::delivery::gate;
use lockstep_domain::messages::inputs;
use lockstep_domain::messages::ledger::{Failed, Request};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::person::{GithubLogin, Starter};
use lockstep_domain::records::{DeploymentState, Environment, Record, Release, ReleaseState};
use serde_json::json;

fn caught(error: &str, cause: &str) -> CaughtError {
    CaughtError { error: error.into(), cause: cause.into() }
}

async fn fail(fixture: &Fixture, name: &str, error: CaughtError) -> Failed {
    let answer = fixture.invoke(Request::Fail { deployment: id(name), error }).await.unwrap();
    serde_json::from_value(answer).unwrap()
}

#[tokio::test]
async fn beginning_again_finds_the_same_deployment() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    let started = fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    assert_eq!((&started.deployment, started.images), (&id("a"), false));
    assert_eq!(fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap(), started);
    let environment = fixture.environment("ci").await;
    assert_eq!(environment.epoch, 1);
    assert_eq!(environment.holder.unwrap().deployment, id("a"));
}

#[tokio::test]
async fn a_held_environment_is_busy_while_its_execution_may_run() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    for may_run in [None, Some("RUNNING")] {
        if let Some(status) = may_run {
            fixture.cloud.set_execution(&execution("a"), status);
        }
        let begun = fixture.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
        assert!(begun.queued, "{may_run:?}");
        let environment = fixture.environment("ci").await;
        assert_eq!((environment.epoch, environment.queue.len()), (1, 1));
    }
}

#[tokio::test]
async fn an_ended_holder_loses_its_environment_and_cannot_write_any_more() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    fixture.cloud.set_execution(&execution("a"), "ABORTED");
    fixture.begin("b", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    let environment = fixture.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder.unwrap().deployment), (3, id("b")));
    // The known changes of the ended deployment remain recorded.
    assert!(!environment.deployed.unwrap().checked);
    assert_eq!(fixture.deployment("a").await.state, DeploymentState::Abandoned);
    assert_eq!(fixture.complete("a").await.unwrap_err().kind, FailureKind::Superseded);
}

#[tokio::test]
async fn a_release_needs_the_evidence_of_the_stage_before() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &[]).await;
    fixture.cloud.take_calls();
    let refused = fixture.begin_by_hand("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await;
    let closed = refused.unwrap_err();
    assert_eq!(closed.kind, FailureKind::GateClosed);
    assert!(
        closed.message.contains(&format!("has not passed test (artifact {})", release.digest.short())),
        "{closed}"
    );
    let calls = fixture.cloud.take_calls();
    assert!(calls.iter().all(|call| call == "GetItem" || call == "Query"), "{calls:?}");
}

#[tokio::test]
async fn each_path_deploys_to_its_own_stages_only() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    for (path, stage) in [(DeploymentPath::Delivery, "production"), (DeploymentPath::Promotion, "ci")] {
        let refused = fixture.begin(&named(path, "a"), path, deploy("1.0.0", stage)).await.unwrap_err();
        assert_eq!(refused.kind, FailureKind::Rejected, "{stage}");
        assert!(!refused.message.contains("no state machine of the"), "{refused}");
    }
    fixture.begin("prod-a", DeploymentPath::Promotion, deploy("1.0.0", "production")).await.unwrap();
}

/// An id names the table of its deployment. IAM refuses the write too.
#[tokio::test]
async fn a_machine_begins_no_execution_of_the_other_path() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    let pushed = fixture.begin("prod-a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap_err();
    let torn = fixture.begin_teardown("t", DeploymentPath::Promotion, "production", None).await.unwrap_err();
    for (refused, own) in [(pushed, "promotion"), (torn, "delivery")] {
        assert_eq!(refused.kind, FailureKind::Rejected);
        assert!(refused.message.contains(&format!("is on the {own} path")), "{refused}");
    }
}

#[tokio::test]
async fn an_unknown_release_and_a_malformed_override_are_refused() {
    let fixture = Fixture::new().await;
    let missing = fixture.begin("a", DeploymentPath::Delivery, deploy("9.9.9", "ci")).await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound);
    fixture.published("1.0.0", &["test"]).await;
    let mut input = deploy("1.0.0", "ci");
    input.overrides = [("not a parameter".to_owned(), "1".to_owned())].into();
    let refused = fixture.begin("a", DeploymentPath::Delivery, input).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("not a parameter"), "{refused}");
}

#[tokio::test]
async fn success_updates_the_environment_and_earns_evidence_once() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    let first = fixture.complete("a").await.unwrap();
    assert_eq!((&first["outcome"], &first["stage"]), (&"succeeded".into(), &"ci".into()));
    assert_eq!(fixture.complete("a").await.unwrap(), first);
    let environment = fixture.environment("ci").await;
    assert_eq!(environment.holder, None);
    assert!(environment.deployed.unwrap().checked);
    assert!(fixture.has_evidence(&release, "ci").await);
    fixture.deployed("b", "1.0.0", false).await;
    assert_eq!(fixture.complete("b").await.unwrap()["outcome"], "no_changes");
}

#[tokio::test]
async fn a_report_of_success_is_compared_with_the_stack() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    let stacks = &fixture.context.cloudformation;
    let arn = fixture.deployment("a").await.stack().unwrap().arn.clone().unwrap();
    let (own, ..) = stacks.runs("ci-logs").unwrap();
    let backdoor = own.replace("Resources:\n", "Resources:\n  Backdoor:\n    Type: AWS::IAM::Role\n");
    stacks.set_template(&arn, &backdoor);
    let failure = fixture.complete("a").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Transient, "{failure}");
    assert!(failure.message.contains("its template is not the one of the release"), "{failure}");
    assert!(!fixture.has_evidence(&release, "ci").await);
    assert!(fixture.environment("ci").await.deployed.is_none());
    stacks.set_template(&arn, &own);
    fixture.complete("a").await.unwrap();
    assert!(fixture.has_evidence(&release, "ci").await);
}

#[tokio::test]
async fn overrides_and_clones_earn_no_evidence() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    let mut overridden = deploy("1.0.0", "ci");
    overridden.overrides = [("Size".to_owned(), "1".to_owned())].into();
    let mut clone = deploy("1.0.0", "ci");
    clone.environment = Some("logs-2".into());
    for (name, input) in [("a", overridden), ("b", clone)] {
        fixture.begin(name, DeploymentPath::Delivery, input).await.unwrap();
        fixture.plan(name, true).await;
        fixture.complete(name).await.unwrap();
        assert!(!fixture.has_evidence(&release, "ci").await, "{name}");
    }
}

#[tokio::test]
async fn a_promotion_deploys_what_was_tested_unless_its_stage_allows_more() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    fixture.complete("a").await.unwrap();
    let with = |change: fn(&mut inputs::Deploy)| {
        let mut input = deploy("1.0.0", "production");
        change(&mut input);
        input
    };
    let overridden = with(|input| drop(input.overrides.insert("AdminCidr".into(), "0.0.0.0/0".into())));
    let renamed = with(|input| input.environment = Some("logs-2".into()));
    let clone = with(|input| {
        input.environment = Some("logs-3".into());
        input.parameters_of = Some("ci".parse().unwrap());
    });
    let own = with(|input| input.environment = Some("logs".into()));
    for (input, what) in [
        (&overridden, "admits no overrides"),
        (&renamed, "no environment under another name"),
        (&clone, "no parameters of another stage and no environment under another name"),
    ] {
        let failure = fixture.begin("prod-b", DeploymentPath::Promotion, input.clone()).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(failure.message.contains(what), "{}", failure.message);
    }
    fixture.begin("prod-c", DeploymentPath::Promotion, own).await.unwrap();
    let text = stages_text().replace("name = \"production\"\n", "name = \"production\"\noverrides = true\n");
    assert_eq!(fixture.ask(json!({"action": "apply_stages", "text": text})).await.0, 200);
    let confirm = json!({"action": "confirm_change", "config": "stages", "number": 1});
    assert_eq!(fixture.ask_as("grace", confirm).await.0, 200);
    fixture.begin("prod-d", DeploymentPath::Promotion, renamed).await.unwrap();
}

#[tokio::test]
async fn a_test_stack_runs_the_derived_template_and_earns_evidence() {
    let fixture = Fixture::new().await;
    let release = fixture.release("1.0.0", ReleaseState::Packaged).await;
    let mut input = deploy("1.0.0", "test");
    input.environment = Some("logs-0123456".into());
    fixture.begin("a", DeploymentPath::Delivery, input).await.unwrap();
    let deploy = fixture.deployment("a").await.deploy().unwrap().clone();
    assert_eq!(deploy.template_digest, release.test_template_digest);
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    assert!(fixture.has_evidence(&release, "test").await);
}

#[tokio::test]
async fn a_failure_releases_the_environment_and_reports_what_it_runs() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.published("1.0.1", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    fixture.complete("a").await.unwrap();
    fixture.deployed("b", "1.0.1", false).await;
    let failed = fail(&fixture, "b", caught("StackFailed", r#"{"errorMessage":"Queue exists"}"#)).await;
    assert_eq!(failed.error, "StackFailed");
    assert_eq!(failed.cause, "logs 1.0.1 was not deployed to ci: Queue exists. ci runs 1.0.0.");
    assert_eq!(fixture.environment("ci").await.holder, None);
    assert_eq!(fixture.deployment("b").await.state, DeploymentState::Failed);
    assert_eq!(fail(&fixture, "b", caught("Other", "later")).await, failed);
}

#[tokio::test]
async fn a_failed_check_leaves_the_new_release_running_unchecked() {
    let fixture = Fixture::new().await;
    let release = fixture.published("1.0.0", &["test"]).await;
    fixture.deployed("a", "1.0.0", true).await;
    fail(&fixture, "a", caught("CheckFailed", "no host")).await;
    let deployed = fixture.environment("ci").await.deployed.unwrap();
    assert_eq!((deployed.version.to_string(), deployed.checked), ("1.0.0".into(), false));
    assert!(!fixture.has_evidence(&release, "ci").await);
}

#[tokio::test]
async fn a_lost_reply_changes_nothing() {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.cloud.lose_next_answer("TransactWriteItems");
    fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    fixture.plan("a", true).await;
    fixture.cloud.lose_next_answer("TransactWriteItems");
    fixture.complete("a").await.unwrap();
    let environment: Environment = fixture.environment("ci").await;
    assert_eq!((environment.epoch, environment.holder), (1, None));
}

#[tokio::test]
async fn a_deployment_of_a_push_records_the_pusher() {
    for (by_hand, expected) in [(false, Some("ada-l")), (true, None)] {
        let fixture = Fixture::new().await;
        let release = fixture.published("1.0.0", &["test"]).await;
        let stored = fixture.versioned::<Release>(&release.key()).await;
        let login: GithubLogin = "ada-l".parse().unwrap();
        fixture
            .ledger
            .replace(&stored, Release { pusher: Some(login.clone()), ..release.clone() })
            .await
            .unwrap();
        let name = gate::deploy_execution("e", &"ci".parse().unwrap(), &release.component);
        let name = if by_hand { "by-hand" } else { &name };
        fixture.begin_by_hand(name, DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
        let started = fixture.deployment(name).await;
        let starter = expected.map_or(Starter::Unknown, |name| Starter::Pusher(name.parse().unwrap()));
        assert_eq!(started.starter, starter);
        assert_eq!(started.deploy().unwrap().pusher, Some(login));
    }
}
