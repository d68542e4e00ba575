//! The queue of an environment: order, wakes, and pushes that later ones overtake.

use super::fixture::{Fixture, at, deploy, execution, id, task};
use lockstep_domain::delivery::gate;
use lockstep_domain::messages::ledger::{Request, Started};
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::{Failure, FailureKind, Policy};
use lockstep_domain::records::{Deployment, DeploymentState, Environment, Record, Release};
use serde_json::{Value, json};

/// Returns a fixture in which `a` deploys to `ci`, and runs.
async fn deploying() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test"]).await;
    fixture.begin("a", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap();
    fixture.cloud.set_execution(&execution("a"), "RUNNING");
    fixture
}

async fn begin(fixture: &Fixture, name: &str) -> Started {
    fixture.begin(name, DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap()
}

/// Returns the sweep's proposal to free the environment.
fn free() -> Request {
    Request::FreeEnvironment { stage: "ci".parse().unwrap(), environment: "logs".into() }
}

async fn fail(fixture: &Fixture, name: &str) {
    let error = CaughtError { error: "StackFailed".into(), cause: "it broke".into() };
    fixture.invoke(Request::Fail { deployment: id(name), error }).await.unwrap();
}

/// Returns the name under which a queued deployment is woken.
fn wake(name: &str, ticket: u32) -> String {
    format!("turn#{}#{ticket}", id(name))
}

async fn queue(fixture: &Fixture, stage: &str) -> Vec<String> {
    let queue = fixture.environment(stage).await.queue;
    queue.iter().map(|queued| queued.execution.rsplit(':').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_end_of_a_deployment_wakes_the_next_one() {
    for succeeds in [true, false] {
        let fixture = deploying().await;
        fixture.plan("a", true).await;
        for name in ["b", "c"] {
            assert!(begin(&fixture, name).await.queued);
            fixture.await_turn(name, "ci", name).await;
        }
        assert!(fixture.cloud.woken().is_empty(), "no turn has come");
        match succeeds {
            true => drop(fixture.complete("a").await.unwrap()),
            false => fail(&fixture, "a").await,
        }
        assert_eq!(fixture.cloud.woken(), [wake("b", 1)]);
        assert!(begin(&fixture, "c").await.queued, "b comes first");
        assert!(!begin(&fixture, "b").await.queued);
        assert_eq!(queue(&fixture, "ci").await, ["c"]);
    }
}

#[tokio::test]
async fn a_turn_before_its_callback_is_not_lost() {
    let fixture = deploying().await;
    begin(&fixture, "b").await;
    fail(&fixture, "a").await;
    fixture.await_turn("b", "ci", "token").await;
    assert_eq!(fixture.cloud.woken(), [wake("b", 1), wake("b", 1)]);
}

#[tokio::test]
async fn a_repeated_end_wakes_again() {
    let fixture = deploying().await;
    fixture.plan("a", true).await;
    begin(&fixture, "b").await;
    for times in 1..=2 {
        fixture.complete("a").await.unwrap();
        assert_eq!(fixture.cloud.woken().len(), times);
    }
}

#[tokio::test]
async fn a_lost_reply_queues_once() {
    let fixture = deploying().await;
    fixture.cloud.lose_next_answer("TransactWriteItems");
    assert!(begin(&fixture, "b").await.queued);
    assert!(begin(&fixture, "b").await.queued);
    assert_eq!(queue(&fixture, "ci").await, ["b"]);
}

#[tokio::test]
async fn a_deployment_that_waits_again_has_a_new_callback() {
    let fixture = deploying().await;
    let ticket = async || fixture.environment("ci").await.queue[0].ticket;
    begin(&fixture, "b").await;
    assert_eq!(ticket().await, 1);
    fixture.await_turn("b", "ci", "first").await;
    begin(&fixture, "b").await;
    assert_eq!(ticket().await, 2);
    fixture.await_turn("b", "ci", "second").await;
    assert!(fixture.cloud.woken().is_empty(), "the environment is held");
}

#[tokio::test]
async fn a_queued_deployment_that_died_stops_no_other() {
    let fixture = deploying().await;
    for name in ["dead", "alive", "last"] {
        begin(&fixture, name).await;
    }
    fail(&fixture, "a").await;
    fixture.cloud.set_execution(&execution("alive"), "RUNNING");
    assert!(begin(&fixture, "last").await.queued, "whether the first runs is unknown");
    fixture.cloud.set_execution(&execution("dead"), "ABORTED");
    assert!(begin(&fixture, "last").await.queued);
    assert_eq!(queue(&fixture, "ci").await, ["alive", "last"]);
    assert_eq!(fixture.cloud.woken().last(), Some(&wake("alive", 1)));
}

#[tokio::test]
async fn the_sweep_tidies_the_queue_of_a_free_environment_and_wakes_again() {
    let fixture = deploying().await;
    for name in ["dead", "alive"] {
        begin(&fixture, name).await;
    }
    fail(&fixture, "a").await;
    fixture.cloud.set_execution(&execution("alive"), "RUNNING");
    fixture.cloud.set_execution(&execution("dead"), "ABORTED");
    fixture.invoke(free()).await.unwrap();
    assert_eq!(queue(&fixture, "ci").await, ["alive"]);
    fixture.invoke(free()).await.unwrap();
    assert_eq!(fixture.cloud.woken()[1..], [wake("alive", 1), wake("alive", 1)], "a lost wake is repeated");
}

#[tokio::test]
async fn a_queued_deployment_that_cannot_begin_lets_the_next_one_begin() {
    let fixture = deploying().await;
    for name in ["refused", "next"] {
        begin(&fixture, name).await;
    }
    let component = fixture.environment("ci").await.component;
    fail(&fixture, "a").await;
    let stored = fixture.versioned::<Environment>(&Environment::key_of(&"ci".parse().unwrap(), "logs")).await;
    let other = Environment { component: "other".parse().unwrap(), ..stored.record.clone() };
    let stored = fixture.ledger.replace(&stored, other.clone()).await.unwrap();
    let refused =
        fixture.begin("refused", DeploymentPath::Delivery, deploy("1.0.0", "ci")).await.unwrap_err();
    assert_ne!(refused.kind.policy(), Policy::Retryable, "{refused}");
    assert_eq!(queue(&fixture, "ci").await, ["next"]);
    assert_eq!(fixture.cloud.woken().last(), Some(&wake("next", 1)));
    let stored = fixture.versioned::<Environment>(&stored.record.key()).await;
    let repaired = Environment { component, ..stored.record.clone() };
    fixture.ledger.replace(&stored, repaired).await.unwrap();
    assert!(!begin(&fixture, "next").await.queued);
}

#[tokio::test]
async fn a_dead_holder_is_released_for_the_first_of_the_queue() {
    let fixture = deploying().await;
    begin(&fixture, "b").await;
    fixture.cloud.set_execution(&execution("a"), "ABORTED");
    assert!(begin(&fixture, "c").await.queued);
    assert_eq!(fixture.deployment("a").await.state, DeploymentState::Abandoned);
    assert_eq!(fixture.environment("ci").await.holder, None);
    assert_eq!(fixture.cloud.woken(), [wake("b", 1)]);
    assert!(!begin(&fixture, "b").await.queued);
}

#[tokio::test]
async fn an_unlock_and_the_sweep_wake_the_next_deployment() {
    for by_sweep in [true, false] {
        let fixture = deploying().await;
        begin(&fixture, "b").await;
        fixture.cloud.set_execution(&execution("a"), "ABORTED");
        match by_sweep {
            true => {
                let stage = "ci".parse().unwrap();
                let free = Request::FreeEnvironment { stage, environment: "logs".into() };
                fixture.invoke(free).await.unwrap();
            }
            false => {
                let unlock = json!({"action": "unlock", "stage": "ci", "environment": "logs"});
                assert_eq!(fixture.ask(unlock).await.0, 200);
            }
        }
        assert_eq!(fixture.cloud.woken(), [wake("b", 1)]);
    }
}

#[tokio::test]
async fn the_end_of_a_teardown_wakes_every_queued_deployment() {
    let fixture = deploying().await;
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    for name in ["b", "c"] {
        begin(&fixture, name).await;
    }
    fixture.complete("t").await.unwrap();
    assert_eq!(fixture.cloud.woken(), [wake("b", 1), wake("c", 1)]);
    // The record went with its queue. A state that waits only now is woken at once.
    fixture.await_turn("b", "ci", "token").await;
    assert_eq!(fixture.cloud.woken().last(), Some(&wake("b", 0)));
    assert!(!begin(&fixture, "b").await.queued);
}

/// Returns a fixture with an open question of `prod-1`, and promotions that came later.
async fn questioned(later: &[&str]) -> Fixture {
    let fixture = Fixture::new().await;
    fixture.published("1.0.0", &["test", "ci"]).await;
    for name in ["prod-1"].iter().chain(later) {
        let input = deploy("1.0.0", "production");
        let begun = fixture.begin(name, DeploymentPath::Promotion, input).await.unwrap();
        assert_eq!(begun.queued, *name != "prod-1");
        fixture.cloud.set_execution(&execution(name), "RUNNING");
        if *name == "prod-1" {
            ask(&fixture, name).await;
        }
    }
    fixture
}

async fn ask(fixture: &Fixture, name: &str) {
    fixture.plan(name, false).await;
    fixture.invoke(Request::RequestApproval { deployment: id(name), task: task(name) }).await.unwrap();
}

async fn answer(fixture: &Fixture, name: &str, decision: &str) {
    let request = json!({
        "shown": fixture.shown(name).await, "action": "decide", "deployment": id(name),
        "subject": "arn:change-set", "digest": super::fixture::digest("1.0.0"), "decision": decision,
        "reason": "because",
    });
    assert_eq!(fixture.ask(request).await.0, 200);
}

/// Invariant 16.
#[tokio::test]
async fn promotions_of_one_environment_ask_one_after_another() {
    let names = ["prod-1", "prod-2", "prod-3"];
    for answers in [["approve", "refuse", "approve"], ["refuse", "approve", "refuse"]] {
        let fixture = questioned(&names[1..]).await;
        for (name, decision) in names.iter().zip(answers) {
            let mut open = 0;
            for other in names {
                let known = fixture.ledger.get::<Deployment>(&Deployment::key_of(&id(other))).await.unwrap();
                let asks = |known: &Deployment| known.state == DeploymentState::AwaitingApproval;
                open += usize::from(known.is_some_and(|known| asks(&known.record)));
            }
            assert_eq!(open, 1, "before the answer to {name}");
            answer(&fixture, name, decision).await;
            let proceeded = fixture.invoke(Request::Proceed { deployment: id(name) }).await;
            assert_eq!(proceeded.is_ok(), decision == "approve");
            fail(&fixture, name).await;
            assert_eq!(fixture.deployment(name).await.approvals.len(), 1, "each asks once");
            if let Some(next) = queue(&fixture, "production").await.first() {
                let input = deploy("1.0.0", "production");
                assert!(!fixture.begin(next, DeploymentPath::Promotion, input).await.unwrap().queued);
                ask(&fixture, next).await;
            }
        }
        assert_eq!(fixture.environment("production").await.holder, None);
    }
}

#[tokio::test]
async fn a_plan_behind_a_question_is_refused_and_changes_nothing() {
    let fixture = questioned(&[]).await;
    let mut plan = deploy("1.0.0", "production");
    plan.plan_only = true;
    let before = fixture.environment("production").await;
    let refused = fixture.begin("prod-p", DeploymentPath::Promotion, plan).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains(&format!("lockstep approve {}", id("prod-1").short())), "{refused}");
    assert_eq!(fixture.environment("production").await, before);
}

/// Stores a release that a push packaged at a second. Returns the name of the execution that deploys it to `ci`.
async fn pushed(fixture: &Fixture, version: &str, second: i64) -> String {
    let release = fixture.published(version, &["test"]).await;
    let stored = fixture.versioned::<Release>(&release.key()).await;
    let of_push = Release { packaged_at: at(second), execution: format!("e-{version}"), ..release.clone() };
    fixture.ledger.replace(&stored, of_push).await.unwrap();
    gate::deploy_execution(&format!("e-{version}"), &"ci".parse().unwrap(), &release.component)
}

async fn begin_push(fixture: &Fixture, name: &str, version: &str) -> Result<Started, Failure> {
    fixture.begin_by_hand(name, DeploymentPath::Delivery, deploy(version, "ci")).await
}

#[tokio::test]
async fn a_later_push_overtakes_a_queued_one() {
    let fixture = deploying().await;
    let (old, new) = (pushed(&fixture, "1.0.1", 1).await, pushed(&fixture, "1.0.2", 2).await);
    assert!(begin_push(&fixture, &old, "1.0.1").await.unwrap().queued);
    assert!(begin_push(&fixture, &new, "1.0.2").await.unwrap().queued);
    assert_eq!(queue(&fixture, "ci").await, std::slice::from_ref(&new));
    assert_eq!(fixture.cloud.woken(), [wake(&old, 1)]);
    let overtaken = begin_push(&fixture, &old, "1.0.1").await.unwrap_err();
    assert_eq!(overtaken.kind, FailureKind::Overtaken);
    assert!(overtaken.message.starts_with("superseded in ci by 1.0.2"), "{overtaken}");
    // Its record says so, and a repeated request fails in the same way.
    let closed = fixture.deployment(&old).await;
    assert_eq!((closed.state, closed.epoch), (DeploymentState::Superseded, 0));
    assert_eq!(closed.failure.unwrap().message, overtaken.message);
    assert_eq!(begin_push(&fixture, &old, "1.0.1").await.unwrap_err(), overtaken);
    // A person may still deploy it.
    let by_hand = fixture.begin("by-hand", DeploymentPath::Delivery, deploy("1.0.1", "ci")).await.unwrap();
    assert!(by_hand.queued);
}

#[tokio::test]
async fn a_push_does_not_undo_a_later_one() {
    let fixture = Fixture::new().await;
    let (old, new) = (pushed(&fixture, "1.0.1", 1).await, pushed(&fixture, "1.0.2", 2).await);
    begin_push(&fixture, &new, "1.0.2").await.unwrap();
    fixture.plan(&new, true).await;
    fixture.complete(&new).await.unwrap();
    let overtaken = begin_push(&fixture, &old, "1.0.1").await.unwrap_err();
    assert_eq!(overtaken.kind, FailureKind::Overtaken);
    assert_eq!(fixture.environment("ci").await.deployed.unwrap().version.to_string(), "1.0.2");
}

#[tokio::test]
async fn a_hold_keeps_a_push_waiting_until_it_is_resumed() {
    let fixture = deploying().await;
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    let hold = json!({"action": "hold", "stage": "ci", "environment": "logs", "reason": "bad night"});
    let resume = json!({"action": "resume", "stage": "ci", "environment": "logs"});
    let changed = async |request: &Value| fixture.ask(request.clone()).await.1["changed"].clone();
    assert_eq!((changed(&hold).await, changed(&hold).await), (json!(true), json!(false)));
    let push = pushed(&fixture, "1.0.1", 1).await;
    assert!(begin_push(&fixture, &push, "1.0.1").await.unwrap().queued);
    assert!(!begin(&fixture, "person").await.queued, "a person names the release");
    fail(&fixture, "person").await;
    assert!(fixture.cloud.woken().is_empty(), "the hold keeps the push waiting");
    assert_eq!((changed(&resume).await, changed(&resume).await), (json!(true), json!(false)));
    assert_eq!(fixture.cloud.woken(), [wake(&push, 1), wake(&push, 1)]);
    assert!(!begin_push(&fixture, &push, "1.0.1").await.unwrap().queued);
    let unknown = json!({"action": "hold", "stage": "ci", "environment": "nope", "reason": "x"});
    assert_eq!(fixture.ask(unknown).await.0, 404);
}

/// Returns the request to cancel a deployment that waits for `ci`.
fn cancel(name: &str) -> Value {
    json!({
        "action": "cancel", "deployment": id(name), "reason": "the wrong one",
        "waits_for": {"stage": "ci", "environment": "logs"},
    })
}

#[tokio::test]
async fn a_cancelled_deployment_leaves_the_queue_and_never_begins() {
    let fixture = deploying().await;
    fixture.plan("a", true).await;
    for name in ["b", "c"] {
        begin(&fixture, name).await;
        fixture.await_turn(name, "ci", name).await;
    }
    assert_eq!(fixture.ask(cancel("b")).await.1["changed"], true);
    assert_eq!(queue(&fixture, "ci").await, ["c"]);
    assert_eq!(fixture.cloud.woken(), [wake("b", 1)]);
    let closed = fixture.deployment("b").await;
    assert_eq!((closed.state, closed.epoch), (DeploymentState::Cancelled, 0));
    assert_eq!(closed.cancellation.unwrap().reason, "the wrong one");
    let message = closed.failure.unwrap().message;
    assert!(
        message.contains("waited for its turn in ci, which it did not change: the wrong one"),
        "{message}"
    );
    let input = deploy("1.0.0", "ci");
    let ended = fixture.begin_by_hand("b", DeploymentPath::Delivery, input).await.unwrap_err();
    assert_eq!((ended.kind, ended.message), (FailureKind::Cancelled, message));
    fixture.complete("a").await.unwrap();
    assert_eq!(fixture.cloud.woken().last(), Some(&wake("c", 1)));
    let (status, again) = fixture.ask(cancel("b")).await;
    assert_eq!(status, 409, "{again}");
}

#[tokio::test]
async fn a_cancellation_reaches_a_deployment_that_began_meanwhile() {
    let fixture = deploying().await;
    begin(&fixture, "b").await;
    fail(&fixture, "a").await;
    assert!(!begin(&fixture, "b").await.queued);
    assert_eq!(fixture.ask(cancel("b")).await.1["changed"], true);
    let running = fixture.deployment("b").await;
    assert_eq!(running.state, DeploymentState::Running);
    assert!(running.cancellation.is_some());
    let (status, unknown) = fixture.ask(cancel("never-asked")).await;
    assert_eq!(status, 404, "{unknown}");
}

#[tokio::test]
async fn a_cancelled_teardown_and_deployment_keep_what_was_asked() {
    let fixture = deploying().await;
    fixture.plan("a", true).await;
    fixture.complete("a").await.unwrap();
    begin(&fixture, "b").await;
    fixture.begin_teardown("t", DeploymentPath::Delivery, "ci", None).await.unwrap();
    let mut input = deploy("1.0.0", "ci");
    input.overrides.insert("Size".into(), "9".into());
    fixture.begin("c", DeploymentPath::Delivery, input.clone()).await.unwrap();
    for name in ["t", "c"] {
        assert_eq!(fixture.ask(cancel(name)).await.1["changed"], true, "{name}");
    }
    assert!(fixture.deployment("t").await.teardown().is_some());
    assert_eq!(fixture.deployment("c").await.deploy().unwrap().overrides, input.overrides);
    assert_eq!(queue(&fixture, "ci").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_deployment_that_waits_for_a_fortnight_expires() {
    let fixture = deploying().await;
    for name in ["b", "c"] {
        begin(&fixture, name).await;
    }
    fixture.let_pass(24 * 14 - 1);
    assert!(again(&fixture, "b").await.unwrap().queued);
    fixture.let_pass(1);
    let expired = again(&fixture, "b").await.unwrap_err();
    assert_eq!(expired.kind, FailureKind::Expired);
    assert_eq!(queue(&fixture, "ci").await, ["c"]);
    assert_eq!(fixture.deployment("b").await.state, DeploymentState::Expired);
    assert_eq!(again(&fixture, "b").await.unwrap_err(), expired);
    // The environment becomes free before the next one looks.
    fail(&fixture, "a").await;
    assert!(!again(&fixture, "c").await.unwrap().queued);
}

/// Lets a queued deployment ask again.
async fn again(fixture: &Fixture, name: &str) -> Result<Started, Failure> {
    fixture.begin_by_hand(name, DeploymentPath::Delivery, deploy("1.0.0", "ci")).await
}

#[tokio::test]
async fn a_repeated_push_is_no_deployment_of_a_person() {
    let fixture = deploying().await;
    let (old, new) = (pushed(&fixture, "1.0.1", 1).await, pushed(&fixture, "1.0.2", 2).await);
    let component = "logs".parse().unwrap();
    let repeated = gate::deploy_execution("the-same-push-again", &"ci".parse().unwrap(), &component);
    assert_ne!(repeated, old);
    assert!(begin_push(&fixture, &new, "1.0.2").await.unwrap().queued);
    let overtaken = begin_push(&fixture, &repeated, "1.0.1").await.unwrap_err();
    assert_eq!(overtaken.kind, FailureKind::Overtaken);
    assert_eq!(queue(&fixture, "ci").await, [new]);
}

#[tokio::test]
async fn promoting_a_superseded_release_says_what_is_missing() {
    let fixture = deploying().await;
    let (old, new) = (pushed(&fixture, "1.0.1", 1).await, pushed(&fixture, "1.0.2", 2).await);
    begin_push(&fixture, &new, "1.0.2").await.unwrap();
    begin_push(&fixture, &old, "1.0.1").await.unwrap_err();
    let promotion = deploy("1.0.1", "production");
    let closed = fixture.begin("prod-1", DeploymentPath::Promotion, promotion).await.unwrap_err();
    assert_eq!(closed.kind, FailureKind::GateClosed);
    assert!(closed.message.ends_with("lockstep deploy logs@1.0.1 --in ci"), "{closed}");
}

#[tokio::test]
async fn without_superseding_every_push_waits_for_its_turn() {
    let fixture = deploying().await;
    let text = super::fixture::stages_text().replacen(
        "propagates = true",
        "propagates = true\nsuperseding = false",
        1,
    );
    assert_eq!(fixture.ask(json!({"action": "apply_stages", "text": text})).await.0, 200);
    let (old, new) = (pushed(&fixture, "1.0.1", 1).await, pushed(&fixture, "1.0.2", 2).await);
    for (name, version) in [(&new, "1.0.2"), (&old, "1.0.1")] {
        assert!(begin_push(&fixture, name, version).await.unwrap().queued, "{version}");
    }
    fail(&fixture, "a").await;
    assert_eq!(fixture.cloud.woken(), [wake(&old, 1)], "the older commit comes first");
    assert!(!begin_push(&fixture, &old, "1.0.1").await.unwrap().queued);
    fail(&fixture, &old).await;
    assert!(!begin_push(&fixture, &new, "1.0.2").await.unwrap().queued);
}
