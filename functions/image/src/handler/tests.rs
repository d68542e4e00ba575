//! The function against the simulated EC2, with two accounts.

mod fakes;
mod fleet;

use super::*;
use fakes::{COPY_ACCOUNT, FakeWorld, SOURCE, SOURCE_ACCOUNT, location};
use lockstep_domain::images::promotion::{AmiState, KEY_ALIAS};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::inputs::PromoteImage;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{AmiId, DeploymentId};
use lockstep_domain::records::{Deployment, DeploymentState, ImageState, ImageVersion, Revocation};

const EXECUTION: &str = "arn:aws:states:eu-west-1:999999999999:execution:lockstep-promote-image:1";

fn task() -> Task {
    Task {
        token: "task-token".into(),
        execution: EXECUTION.into(),
        entered_at: jiff::Timestamp::UNIX_EPOCH,
        retry: 0,
    }
}

fn input() -> PromoteImage {
    PromoteImage {
        image: "logstash".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        to: "production".parse().unwrap(),
    }
}

fn id() -> DeploymentId {
    DeploymentId::of_execution(EXECUTION)
}

fn inspect(execution: &str) -> Request {
    Request::Inspect { execution: execution.into(), input: input() }
}

async fn inspected(world: &FakeWorld) -> NextStep {
    match handle(world, inspect(EXECUTION)).await.unwrap() {
        Answer::Inspected(inspected) => inspected.next,
        other => panic!("{other:?}"),
    }
}

async fn ok(world: &FakeWorld, request: Request) -> Answer {
    handle(world, request).await.unwrap()
}

async fn failure(world: &FakeWorld, request: Request) -> Failure {
    handle(world, request).await.unwrap_err()
}

fn share() -> Request {
    Request::Share { promotion: id() }
}

fn copy() -> Request {
    Request::Copy { promotion: id(), task: task() }
}

fn observe() -> Request {
    Request::Observe { promotion: id() }
}

fn compare() -> Request {
    Request::Compare { promotion: id() }
}

fn retry() -> Request {
    Request::Retry { promotion: id() }
}

fn unshare() -> Request {
    Request::Unshare { promotion: id() }
}

fn record() -> Request {
    Request::Record { promotion: id() }
}

fn discard() -> Request {
    Request::Discard { promotion: id() }
}

fn import(ami: &str) -> Request {
    Request::Import {
        ami: ami.parse().unwrap(),
        name: "logstash".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        stage: "ci".parse().unwrap(),
    }
}

/// A world that has the image in `ci`.
async fn imported() -> FakeWorld {
    let world = FakeWorld::new();
    ok(&world, import(SOURCE)).await;
    world
}

/// A world whose image is encrypted under a customer key, and whose target has one for copies; that one.
async fn encrypted() -> (FakeWorld, String) {
    let world = imported().await;
    let key = world.ec2.add_key(&location(SOURCE_ACCOUNT), "alias/source");
    world.ec2.encrypt(&SOURCE.parse().unwrap(), Some(&key));
    let image_key = world.ec2.add_key(&world.target(), KEY_ALIAS);
    (world, image_key)
}

/// As far as the pending copy.
async fn copying() -> (FakeWorld, AmiId) {
    let world = imported().await;
    assert_eq!(inspected(&world).await, NextStep::Copy);
    ok(&world, share()).await;
    ok(&world, copy()).await;
    let ami = world.copy_record().unwrap().ami.unwrap();
    (world, ami)
}

#[tokio::test]
async fn an_image_is_shared_copied_compared_unshared_and_recorded() {
    let (world, ami) = copying().await;
    assert_eq!(world.source_record().shared_with.len(), 1);
    assert_eq!(world.waits.registered.borrow().as_slice(), [format!("arn:aws:ec2:eu-west-1::image/{ami}")]);
    assert!(world.waits.woken.borrow().is_empty(), "it is pending: its event will tell");
    assert_eq!(ok(&world, observe()).await, next(NextStep::Wait));
    world.ec2.end(&ami, AmiState::Available);
    assert_eq!(ok(&world, observe()).await, next(NextStep::Compare));
    ok(&world, compare()).await;
    ok(&world, unshare()).await;
    assert!(world.nothing_is_shared());
    assert!(world.source_record().shared_with.is_empty());
    let Answer::Promoted(promoted) = ok(&world, record()).await else { panic!() };
    assert_eq!(promoted.ami, ami);
    let copy = world.copy_record().unwrap();
    assert_eq!(
        (copy.state, copy.snapshots.len(), copy.source_ami.as_str()),
        (ImageState::Available, 1, SOURCE)
    );
    assert_eq!(world.promotion().state, DeploymentState::Succeeded);
}

#[tokio::test]
async fn the_copy_and_its_snapshots_carry_the_tags_from_the_first_moment() {
    let (world, ami) = copying().await;
    let tags = world.ec2.ami(&ami).unwrap().tags;
    assert_eq!(tags["lockstep:image"], "logstash");
    assert_eq!(tags["source-ami"], SOURCE);
    assert_eq!(tags["deployment"], id().to_string());
    assert_eq!(world.snapshot_tags_of(&ami)["version"], "2.1.37");
}

#[tokio::test]
async fn what_is_to_be_shared_is_written_down_before_it_is_shared() {
    let world = imported().await;
    inspected(&world).await;
    world.ec2.lose_next_answer("ModifySnapshotAttribute");
    failure(&world, share()).await;
    assert_eq!(world.source_record().shared_with.len(), 1);
    ok(&world, unshare()).await;
    assert!(world.source_record().shared_with.is_empty() && world.nothing_is_shared());
}

#[tokio::test]
async fn a_copy_whose_answer_was_lost_is_not_made_twice() {
    let world = imported().await;
    inspected(&world).await;
    ok(&world, share()).await;
    world.ec2.lose_next_answer("CopyImage");
    assert_eq!(failure(&world, copy()).await.kind, FailureKind::Transient);
    ok(&world, copy()).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn a_finished_copy_answers_at_once_when_it_is_asked_for_again() {
    let (world, ami) = copying().await;
    world.ec2.end(&ami, AmiState::Available);
    ok(&world, copy()).await;
    assert_eq!(world.waits.woken.borrow().len(), 1);
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn an_image_that_is_not_shared_is_tried_for_a_while_and_then_given_up() {
    let world = imported().await;
    inspected(&world).await;
    let failure = failure(&world, copy()).await;
    assert_eq!(failure.kind, FailureKind::ImageUnusable);
    assert_eq!(world.ec2.take_calls().iter().filter(|call| **call == "CopyImage").count(), 3);
}

#[tokio::test]
async fn a_failed_copy_is_discarded_with_its_snapshots_and_the_sharing_undone() {
    let (world, ami) = copying().await;
    world.ec2.end(&ami, AmiState::Broken("failed: no key".into()));
    assert_eq!(ok(&world, observe()).await, next(NextStep::Again));
    for _ in 0..2 {
        ok(&world, discard()).await;
        ok(&world, unshare()).await;
    }
    assert_eq!(world.owned_by(COPY_ACCOUNT), 0);
    assert_eq!(world.snapshots_of_account(COPY_ACCOUNT), 0);
    assert!(world.nothing_is_shared());
    assert_eq!(world.copy_record(), None);
    let caught = CaughtError { error: "ImageUnusable".into(), cause: "failed: no key".into() };
    let Answer::Failed(failed) = ok(&world, Request::Fail { promotion: id(), error: caught }).await else {
        panic!()
    };
    assert_eq!(failed.cause, "failed: no key");
    assert_eq!(world.promotion().state, DeploymentState::Failed);
}

#[tokio::test]
async fn a_copy_whose_id_was_never_learned_is_discarded_too() {
    let world = imported().await;
    inspected(&world).await;
    ok(&world, share()).await;
    world.ec2.lose_next_answer("CopyImage");
    failure(&world, copy()).await;
    ok(&world, discard()).await;
    assert_eq!((world.owned_by(COPY_ACCOUNT), world.snapshots_of_account(COPY_ACCOUNT)), (0, 0));
}

#[tokio::test]
async fn a_promotion_whose_execution_was_stopped_leaves_nothing_shared_and_no_copy() {
    let (world, _) = copying().await;
    let abandon = || Request::Abandon { promotion: id() };
    for may_run in [Some(true), None] {
        world.running.set(may_run);
        assert_eq!(failure(&world, abandon()).await.kind, FailureKind::EnvironmentBusy);
        assert!(!world.nothing_is_shared());
    }
    world.running.set(Some(false));
    for _ in 0..2 {
        ok(&world, abandon()).await;
        assert!(world.nothing_is_shared() && world.source_record().shared_with.is_empty());
        assert_eq!((world.owned_by(COPY_ACCOUNT), world.snapshots_of_account(COPY_ACCOUNT)), (0, 0));
        assert!(world.copy_record().is_none());
    }
    let closed = world.promotion();
    assert_eq!(closed.state, DeploymentState::Abandoned);
    assert!(closed.failure.unwrap().message.contains("what it had shared is withdrawn"));
    let Answer::Inspected(again) = ok(&world, inspect("arn:other")).await else { panic!() };
    assert_eq!(again.next, NextStep::Copy, "the next promotion begins anew");
}

#[tokio::test]
async fn abandoning_takes_nothing_from_whoever_took_over_or_from_a_usable_copy() {
    let (world, ami) = copying().await;
    world.running.set(Some(false));
    let Answer::Inspected(again) = ok(&world, inspect("arn:other")).await else { panic!() };
    ok(&world, Request::Abandon { promotion: id() }).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
    assert_eq!(world.source_record().shared_with.values().flatten().next(), Some(&again.promotion));
    world.ec2.end(&ami, AmiState::Available);
    ok(&world, Request::Record { promotion: again.promotion.clone() }).await;
    ok(&world, Request::Abandon { promotion: again.promotion }).await;
    assert_eq!((world.owned_by(COPY_ACCOUNT), world.nothing_is_shared()), (1, true));
}

#[tokio::test]
async fn a_usable_copy_is_never_discarded() {
    let (world, ami) = copying().await;
    world.ec2.end(&ami, AmiState::Available);
    ok(&world, observe()).await;
    ok(&world, record()).await;
    ok(&world, discard()).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn discarding_before_anything_was_copied_does_nothing() {
    let world = imported().await;
    inspected(&world).await;
    ok(&world, discard()).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 0);
    assert!(!world.ec2.take_calls().contains(&"DeregisterImage"));
}

#[tokio::test]
async fn a_copy_that_differs_is_refused() {
    let (world, ami) = copying().await;
    world.ec2.end(&ami, AmiState::Available);
    world.ec2.change(&ami, |ami| ami.architecture = "x86_64".into());
    let failure = failure(&world, compare()).await;
    assert!(failure.message.contains("the architecture is x86_64, not arm64"), "{}", failure.message);
}

#[tokio::test]
async fn a_copy_is_recorded_only_if_it_is_usable() {
    let (world, _) = copying().await;
    assert_eq!(failure(&world, record()).await.kind, FailureKind::Transient, "it may be an old answer");
    assert_eq!(world.copy_record().unwrap().state, ImageState::Promoting);
}

#[tokio::test]
async fn an_image_that_is_there_already_is_not_copied_again() {
    let (world, ami) = copying().await;
    world.ec2.end(&ami, AmiState::Available);
    ok(&world, observe()).await;
    ok(&world, record()).await;
    let other = "arn:other";
    let Answer::Inspected(again) = ok(&world, inspect(other)).await else { panic!() };
    assert_eq!(again.next, NextStep::Present);
    let Answer::Promoted(promoted) = ok(&world, Request::Record { promotion: again.promotion }).await else {
        panic!()
    };
    assert_eq!(promoted.ami, ami);
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn a_copy_that_fails_is_discarded_and_begun_again_and_the_third_failure_is_the_last() {
    let (world, first) = copying().await;
    let mut ami = first;
    for attempt in 2..=3 {
        world.ec2.end(&ami, AmiState::Broken("failed: internal error".into()));
        assert_eq!(ok(&world, observe()).await, next(NextStep::Again));
        for _ in 0..2 {
            ok(&world, retry()).await;
        }
        assert_eq!((world.owned_by(COPY_ACCOUNT), world.snapshots_of_account(COPY_ACCOUNT)), (0, 0));
        assert_eq!(world.promotion().operations.last().unwrap().attempt, attempt);
        ok(&world, copy()).await;
        let again = world.copy_record().unwrap().ami.unwrap();
        assert_ne!(again, ami);
        ami = again;
    }
    let tokens: std::collections::BTreeSet<_> =
        world.promotion().operations.iter().map(|operation| operation.token.clone()).collect();
    assert_eq!(tokens.len(), 3, "each attempt has a token of its own");
    world.ec2.end(&ami, AmiState::Broken("failed: internal error".into()));
    let error = failure(&world, observe()).await;
    assert_eq!(error.kind, FailureKind::ImageUnusable);
    assert!(error.message.contains("failed: internal error (after 3 attempts)"), "{}", error.message);
}

/// Rows 32 to 34: encrypted under a customer key.
#[tokio::test]
async fn the_use_of_a_key_is_granted_for_the_copy_and_taken_back_whatever_happened() {
    let (world, image_key) = encrypted().await;
    inspected(&world).await;
    for _ in 0..2 {
        ok(&world, share()).await;
        let granted = world.ec2.held_grants();
        let grantees: Vec<&str> = granted.iter().map(|(_, grantee)| grantee.as_str()).collect();
        assert_eq!(grantees, [format!("arn:aws:iam::{COPY_ACCOUNT}:role/lockstep-promotion-image-target")]);
    }
    ok(&world, copy()).await;
    let copied = world.ec2.held_snapshots().into_iter().find(|held| held.location == world.target());
    assert_eq!(copied.unwrap().key, Some(image_key), "never copied as it is");
    ok(&world, discard()).await;
    ok(&world, unshare()).await;
    assert!(world.nothing_is_shared());
}

#[tokio::test]
async fn a_key_that_the_target_may_not_use_is_seen_before_the_copy_is_begun() {
    let (world, _) = encrypted().await;
    inspected(&world).await;
    ok(&world, share()).await;
    world.ec2.revoke_all();
    world.ec2.take_calls();
    let failure = failure(&world, copy()).await;
    assert_eq!(failure.kind, FailureKind::ImageUnusable);
    assert!(failure.message.contains("may not use it"), "{}", failure.message);
    assert!(!world.ec2.take_calls().contains(&"CopyImage"));
}

#[tokio::test]
async fn an_encrypted_image_is_refused_without_a_key_from_which_the_target_may_launch() {
    let (world, image_key) = encrypted().await;
    world.ec2.let_launch(&image_key, false);
    let told = failure(&world, inspect(EXECUTION)).await.message;
    assert!(told.contains("aws kms create-grant"), "{told}");
    let world = imported().await;
    let key = world.ec2.add_key(&location(SOURCE_ACCOUNT), "alias/source");
    world.ec2.encrypt(&SOURCE.parse().unwrap(), Some(&key));
    let told = failure(&world, inspect(EXECUTION)).await.message;
    assert!(told.contains("has no key alias/lockstep-images"), "{told}");
}

/// Row 45: what others copy counts for AWS, and not for us.
#[tokio::test]
async fn a_copy_that_aws_has_no_room_for_waits_visibly_and_keeps_its_turn() {
    let world = imported().await;
    inspected(&world).await;
    ok(&world, share()).await;
    world.ec2.set_copies_at_once(0);
    for n in 1..=2 {
        ok(&world, copy()).await;
        let room = format!("room#{COPY_ACCOUNT}#eu-west-1#{}#{n}", id());
        assert_eq!(world.waits.registered.borrow().last(), Some(&room));
        assert_eq!(ok(&world, observe()).await, next(NextStep::Wait));
    }
    assert!(world.notes(&id()).iter().any(|note| note.contains("copies no further image")));
    world.ec2.set_copies_at_once(20);
    ok(&world, copy()).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn a_promotion_without_room_waits_before_it_looks_or_shares_and_is_woken_when_its_turn_comes() {
    let world = imported().await;
    world.only_one_at_once();
    world.fill_the_place("arn:other");
    assert_eq!(inspected(&world).await, NextStep::Wait);
    assert!(
        world.notes(&id())[0].contains("waiting for room in account 222222222222 (eu-west-1): 1 copies run")
    );
    let wait = || Request::Wait { promotion: id(), task: task() };
    ok(&world, wait()).await;
    assert!(world.waits.woken.borrow().is_empty());
    crate::room::leave(&world, &DeploymentId::of_execution("arn:other"), &world.target()).await.unwrap();
    assert_eq!(world.waits.woken.borrow().as_slice(), [format!("room#{COPY_ACCOUNT}#eu-west-1#{}#1", id())]);
    assert_eq!(inspected(&world).await, NextStep::Copy);
}

#[tokio::test]
async fn a_slot_whose_execution_has_ended_is_freed_by_who_waits() {
    let world = imported().await;
    world.only_one_at_once();
    world.fill_the_place("arn:dead");
    assert_eq!(inspected(&world).await, NextStep::Wait);
    world.clock.advance(std::time::Duration::from_secs(20 * 60));
    for unknown in [Some(true), None] {
        world.running.set(unknown);
        assert_eq!(inspected(&world).await, NextStep::Wait, "only a known end frees a slot");
    }
    world.running.set(Some(false));
    assert_eq!(inspected(&world).await, NextStep::Copy);
}

#[tokio::test]
async fn a_source_that_is_still_being_made_is_waited_for() {
    let world = imported().await;
    let source: AmiId = SOURCE.parse().unwrap();
    world.ec2.end(&source, AmiState::Pending);
    assert_eq!(inspected(&world).await, NextStep::Wait);
    ok(&world, Request::Wait { promotion: id(), task: task() }).await;
    let key = format!("arn:aws:ec2:eu-west-1::image/{SOURCE}");
    assert_eq!(world.waits.registered.borrow().as_slice(), [key]);
    assert!(world.waits.woken.borrow().is_empty() && world.nothing_is_shared());
    world.ec2.end(&source, AmiState::Available);
    assert_eq!(inspected(&world).await, NextStep::Copy);
}

/// Row 35.
#[tokio::test]
async fn a_licensed_image_ends_in_an_error_of_its_own() {
    let world = imported().await;
    world.ec2.change(&SOURCE.parse().unwrap(), |ami| ami.platform_details = "Windows".into());
    assert_eq!(failure(&world, inspect(EXECUTION)).await.kind, FailureKind::ImageStays);
    let caught = CaughtError { error: "ImageStays".into(), cause: "licensed".into() };
    ok(&world, Request::Close { execution: EXECUTION.into(), error: caught }).await;
    let closed = world.promotion();
    assert_eq!(
        (closed.state, closed.failure.unwrap().error.as_str()),
        (DeploymentState::Failed, "ImageStays")
    );
}

#[tokio::test]
async fn two_copies_into_one_account_share_once_and_the_last_one_withdraws() {
    let (world, _) = copying().await;
    let other = DeploymentId::of_execution("arn:other");
    let account: lockstep_domain::model::ids::AccountId = COPY_ACCOUNT.parse().unwrap();
    let mut source = world.source_record();
    source.shared_with.entry(account.clone()).or_default().insert(other.clone());
    world.records.put(&source);
    ok(&world, unshare()).await;
    assert!(!world.nothing_is_shared(), "the other copy still needs it");
    assert_eq!(world.source_record().shared_with[&account], [other].into());
}

#[tokio::test]
async fn two_promotions_of_one_version_do_not_make_two_copies() {
    let (world, ami) = copying().await;
    let other = "arn:other";
    for running in [Some(true), None] {
        world.running.set(running);
        assert_eq!(failure(&world, inspect(other)).await.kind, FailureKind::EnvironmentBusy);
    }
    world.running.set(Some(false));
    let Answer::Inspected(taken_over) = ok(&world, inspect(other)).await else { panic!() };
    assert_eq!(world.promotion().state, DeploymentState::Abandoned);
    let copy = Request::Copy { promotion: taken_over.promotion.clone(), task: task() };
    ok(&world, copy).await;
    assert_eq!(world.copy_record().unwrap().ami, Some(ami.clone()));
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
    world.ec2.end(&ami, AmiState::Available);
    ok(&world, Request::Compare { promotion: taken_over.promotion }).await;
    assert_eq!(failure(&world, observe()).await.kind, FailureKind::Superseded);
    // What the later one brings is not for the earlier one to call usable.
    assert_eq!(failure(&world, record()).await.kind, FailureKind::Superseded);
}

/// Row 38: the index does not show the copy yet, and nobody learned its id; whoever takes over asks with the same words.
#[tokio::test]
async fn who_takes_over_a_copy_whose_answer_was_lost_gets_that_copy_and_not_a_second() {
    let world = imported().await;
    inspected(&world).await;
    ok(&world, share()).await;
    world.ec2.lose_next_answer("CopyImage");
    failure(&world, copy()).await;
    world.ec2.set_lag(std::time::Duration::from_secs(600));
    world.running.set(Some(false));
    let Answer::Inspected(taken_over) = ok(&world, inspect("arn:other")).await else { panic!() };
    ok(&world, Request::Share { promotion: taken_over.promotion.clone() }).await;
    ok(&world, Request::Copy { promotion: taken_over.promotion.clone(), task: task() }).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 1);
    // What the dead one had shared is the other's to withdraw.
    ok(&world, Request::Unshare { promotion: taken_over.promotion }).await;
    assert!(world.nothing_is_shared() && world.source_record().shared_with.is_empty());
}

/// Row 37.
#[tokio::test]
async fn a_copy_that_cannot_be_seen_yet_is_waited_for_but_not_for_ever() {
    let world = imported().await;
    inspected(&world).await;
    ok(&world, share()).await;
    world.ec2.set_lag(std::time::Duration::from_secs(7200));
    // It was shared long enough ago; the copy itself is new.
    world.clock.advance(std::time::Duration::from_secs(7200));
    ok(&world, copy()).await;
    assert_eq!(ok(&world, observe()).await, next(NextStep::Wait));
    world.clock.advance(std::time::Duration::from_secs(1000));
    assert!(failure(&world, observe()).await.message.contains("is gone"));
}

#[tokio::test]
async fn an_image_nobody_imported_is_not_found() {
    let failure = failure(&FakeWorld::new(), inspect(EXECUTION)).await;
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert!(failure.message.contains("lockstep images import"));
}

#[tokio::test]
async fn a_snapshot_under_the_key_that_aws_manages_is_explained() {
    let world = imported().await;
    inspected(&world).await;
    world.ec2.encrypt(&SOURCE.parse().unwrap(), None);
    let failure = failure(&world, share()).await;
    assert_eq!(failure.kind, FailureKind::ImageUnusable);
    assert!(failure.message.contains("key that AWS manages"), "{}", failure.message);
}

#[tokio::test]
async fn importing_tags_and_records_the_image_and_again_changes_nothing() {
    let world = imported().await;
    let first = world.source_record();
    assert_eq!((first.state, first.ami.as_ref().unwrap().as_str()), (ImageState::Available, SOURCE));
    assert_eq!(world.ec2.ami(&SOURCE.parse().unwrap()).unwrap().tags["version"], "2.1.37");
    ok(&world, import(SOURCE)).await;
    assert_eq!(world.source_record(), first);
}

#[tokio::test]
async fn a_version_is_never_given_to_a_second_image() {
    let world = imported().await;
    let other = world.ec2.register(&location(SOURCE_ACCOUNT));
    let failure = failure(&world, import(other.as_str())).await;
    assert!(failure.message.contains("never given twice"), "{}", failure.message);
    assert!(!world.ec2.ami(&other).unwrap().tags.contains_key("version"));
}

#[tokio::test]
async fn images_of_a_deployment_are_looked_at_again_where_they_are_used() {
    let world = imported().await;
    let deployment = world.deployment_to_ci();
    let verify = || Request::Verify { deployment: deployment.clone() };
    ok(&world, verify()).await;
    world.ec2.change(&SOURCE.parse().unwrap(), |ami| drop(ami.tags.insert("version".into(), "9.9.9".into())));
    assert_eq!(failure(&world, verify()).await.kind, FailureKind::ImageUnusable);
    let revoked = Revocation { reason: "hole".into(), by: "arn".into(), at: jiff::Timestamp::UNIX_EPOCH };
    world.records.put(&ImageVersion { revoked: Some(revoked), ..world.version() });
    assert!(failure(&world, verify()).await.message.contains("revoked"));
}

#[tokio::test]
async fn an_image_that_was_not_promoted_is_named() {
    let world = FakeWorld::new();
    world.records.put(&imported().await.version());
    let deployment = world.deployment_to_ci();
    let failure = failure(&world, Request::Verify { deployment }).await;
    assert!(
        failure.message.contains("logstash@2.1.37 is not in account 111111111111"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_retried_inspection_begins_one_promotion() {
    let world = imported().await;
    inspected(&world).await;
    let first: Deployment = world.promotion();
    assert_eq!(inspected(&world).await, NextStep::Copy);
    assert_eq!(world.promotion(), first);
}

/// Row 41: what arrived stays, and only what did not is brought again.
#[tokio::test]
async fn of_several_regions_only_the_one_that_failed_is_brought_again_from_the_nearest_that_has_it() {
    let world = imported().await;
    world.apply(2, &format!("{}{}", fakes::STAGES, OTHER_REGION));
    let to = |stage: &str| PromoteImage { to: stage.parse().unwrap(), ..input() };
    let began =
        |execution: &str, stage: &str| Request::Inspect { execution: execution.into(), input: to(stage) };
    // Ireland arrives.
    let Answer::Inspected(first) = ok(&world, began("arn:ireland", "production")).await else { panic!() };
    let step = |request: fn(DeploymentId) -> Request| request(first.promotion.clone());
    ok(&world, step(|promotion| Request::Share { promotion })).await;
    ok(&world, step(|promotion| Request::Copy { promotion, task: task() })).await;
    let ireland = world.copy_record().unwrap().ami.unwrap();
    world.ec2.end(&ireland, AmiState::Available);
    ok(&world, step(|promotion| Request::Observe { promotion })).await;
    ok(&world, step(|promotion| Request::Unshare { promotion })).await;
    ok(&world, step(|promotion| Request::Record { promotion })).await;
    // Frankfurt is copied from Ireland: within the account, so that nothing is shared.
    let Answer::Inspected(second) = ok(&world, began("arn:frankfurt", "frankfurt")).await else { panic!() };
    assert_eq!(second.next, NextStep::Copy);
    world.ec2.take_calls();
    ok(&world, Request::Share { promotion: second.promotion.clone() }).await;
    assert!(world.ec2.take_calls().is_empty() && world.nothing_is_shared());
    ok(&world, Request::Copy { promotion: second.promotion.clone(), task: task() }).await;
    assert_eq!(world.owned_by(COPY_ACCOUNT), 2);
    let Answer::Inspected(again) = ok(&world, began("arn:again", "production")).await else { panic!() };
    assert_eq!(again.next, NextStep::Present, "what arrived is not brought again");
    world.apply(3, &format!("{}{}[images]\ncopies_at_once = 1\n", fakes::STAGES, OTHER_REGION));
    world.fill_the_place("arn:busy");
    let Answer::Inspected(again) = ok(&world, began("arn:at-once", "production")).await else { panic!() };
    assert_eq!(again.next, NextStep::Present, "and needs no room");
}

const OTHER_REGION: &str =
    "[[stages]]\nname = \"frankfurt\"\naccount = \"222222222222\"\nregion = \"eu-central-1\"\n";

#[tokio::test]
async fn an_account_that_allows_some_images_only_is_told_of_when_what_is_shared_cannot_be_seen() {
    for closed in [true, false] {
        let world = imported().await;
        assert_eq!(inspected(&world).await, NextStep::Copy);
        ok(&world, share()).await;
        if closed {
            world.ec2.close(&world.target().account);
        } else {
            world.ec2.set_lag(std::time::Duration::from_secs(3600));
        }
        let failed = failure(&world, copy()).await;
        assert!(failed.message.contains("was shared, yet cannot be seen"), "{failed:?}");
        assert_eq!(failed.message.contains("Allowed AMIs is enabled"), closed, "{failed:?}");
    }
}
