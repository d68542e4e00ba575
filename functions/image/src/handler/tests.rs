//! Tests of the function against the simulated EC2, with two accounts.

mod channels;
mod fixture;
mod fleet;

use super::*;
use fixture::{COPY_ACCOUNT, Fixture, SOURCE, SOURCE_ACCOUNT, location};
use lockstep_domain::images::promotion::{AmiState, KEY_ALIAS};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::inputs::PromoteImage;
use lockstep_domain::model::caught_error::CaughtError;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::{AmiId, DeploymentId};
use lockstep_domain::model::image_version_state::ImageVersionState;
use lockstep_domain::model::operator_action::OperatorAction;
use lockstep_domain::records::{Deployment, DeploymentState, Image, ImageState, ImageVersion, Revocation};
use lockstep_sim::stages::stage_text;

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

async fn inspected(fixture: &Fixture) -> NextStep {
    match handle(&**fixture, inspect(EXECUTION)).await.unwrap() {
        Reply::Inspected(inspected) => inspected.next,
        other => panic!("{other:?}"),
    }
}

async fn ok(fixture: &Fixture, request: Request) -> Reply {
    handle(&**fixture, request).await.unwrap()
}

async fn failure(fixture: &Fixture, request: Request) -> Failure {
    handle(&**fixture, request).await.unwrap_err()
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

/// Returns a fixture that has the image in `ci`.
async fn imported() -> Fixture {
    let fixture = Fixture::new();
    ok(&fixture, import(SOURCE)).await;
    fixture
}

/// Returns a fixture whose image is encrypted under a customer key, and the key of the target for copies.
async fn encrypted() -> (Fixture, String) {
    let fixture = imported().await;
    let key = fixture.ec2.add_key(&location(SOURCE_ACCOUNT), "alias/source");
    fixture.ec2.encrypt(&SOURCE.parse().unwrap(), Some(&key));
    let image_key = fixture.ec2.add_key(&fixture.target(), KEY_ALIAS);
    (fixture, image_key)
}

/// Returns a fixture with a pending copy, and the copy.
async fn copying() -> (Fixture, AmiId) {
    let fixture = imported().await;
    assert_eq!(inspected(&fixture).await, NextStep::Copy);
    ok(&fixture, share()).await;
    ok(&fixture, copy()).await;
    let ami = fixture.copy_record().unwrap().ami.unwrap();
    (fixture, ami)
}

#[tokio::test]
async fn an_image_is_shared_copied_compared_unshared_and_recorded() {
    let (fixture, ami) = copying().await;
    assert_eq!(fixture.sharing().len(), 1);
    assert_eq!(fixture.account.registered().as_slice(), [format!("arn:aws:ec2:eu-west-1::image/{ami}")]);
    assert!(fixture.account.woken().is_empty(), "a pending copy waits for its event");
    assert_eq!(ok(&fixture, observe()).await, next(NextStep::Wait));
    fixture.ec2.end(&ami, AmiState::Available);
    assert_eq!(ok(&fixture, observe()).await, next(NextStep::Compare));
    ok(&fixture, compare()).await;
    ok(&fixture, unshare()).await;
    assert!(fixture.nothing_is_shared());
    assert!(fixture.sharing().is_empty());
    let Reply::Promoted(promoted) = ok(&fixture, record()).await else { panic!() };
    assert_eq!(promoted.ami, ami);
    let copy = fixture.copy_record().unwrap();
    assert_eq!(
        (copy.state, copy.snapshots.len(), copy.source_ami.as_str()),
        (ImageState::Available, 1, SOURCE)
    );
    assert_eq!(fixture.promotion().state, DeploymentState::Succeeded);
}

#[tokio::test]
async fn the_copy_and_its_snapshots_carry_the_tags_from_the_first_moment() {
    let (fixture, ami) = copying().await;
    let tags = fixture.ec2.ami(&ami).unwrap().tags;
    assert_eq!(tags["lockstep:image"], "logstash");
    assert_eq!(tags["source-ami"], SOURCE);
    assert_eq!(tags["deployment"], id().to_string());
    assert_eq!(fixture.snapshot_tags_of(&ami)["version"], "2.1.37");
}

#[tokio::test]
async fn share_is_recorded_before_it_is_made() {
    let fixture = imported().await;
    inspected(&fixture).await;
    fixture.ec2.lose_next_answer("ModifySnapshotAttribute");
    failure(&fixture, share()).await;
    assert_eq!(fixture.sharing().len(), 1);
    ok(&fixture, unshare()).await;
    assert!(fixture.sharing().is_empty() && fixture.nothing_is_shared());
}

#[tokio::test]
async fn copy_with_a_lost_response_is_not_made_twice() {
    let fixture = imported().await;
    inspected(&fixture).await;
    ok(&fixture, share()).await;
    fixture.ec2.lose_next_answer("CopyImage");
    assert_eq!(failure(&fixture, copy()).await.kind, FailureKind::Transient);
    ok(&fixture, copy()).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn repeated_request_for_a_finished_copy_completes_at_once() {
    let (fixture, ami) = copying().await;
    fixture.ec2.end(&ami, AmiState::Available);
    ok(&fixture, copy()).await;
    assert_eq!(fixture.account.woken().len(), 1);
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn image_that_stays_unshared_fails_after_some_tries() {
    let fixture = imported().await;
    inspected(&fixture).await;
    let failure = failure(&fixture, copy()).await;
    assert_eq!(failure.kind, FailureKind::ImageUnusable);
    assert_eq!(fixture.ec2.take_calls().iter().filter(|call| **call == "CopyImage").count(), 6);
}

#[tokio::test]
async fn failed_copy_is_discarded_with_its_snapshots_and_unshared() {
    let (fixture, ami) = copying().await;
    fixture.ec2.end(&ami, AmiState::Broken("failed: no key".into()));
    assert_eq!(ok(&fixture, observe()).await, next(NextStep::Again));
    for _ in 0..2 {
        ok(&fixture, discard()).await;
        ok(&fixture, unshare()).await;
    }
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 0);
    assert_eq!(fixture.snapshots_of_account(COPY_ACCOUNT), 0);
    assert!(fixture.nothing_is_shared());
    assert_eq!(fixture.copy_record(), None);
    let caught = CaughtError { error: "ImageUnusable".into(), cause: "failed: no key".into() };
    let Reply::Failed(failed) = ok(&fixture, Request::Fail { promotion: id(), error: caught }).await else {
        panic!()
    };
    assert_eq!(failed.cause, "failed: no key");
    assert_eq!(fixture.promotion().state, DeploymentState::Failed);
}

#[tokio::test]
async fn copy_without_a_recorded_id_is_discarded() {
    let fixture = imported().await;
    inspected(&fixture).await;
    ok(&fixture, share()).await;
    fixture.ec2.lose_next_answer("CopyImage");
    failure(&fixture, copy()).await;
    ok(&fixture, discard()).await;
    assert_eq!((fixture.owned_by(COPY_ACCOUNT), fixture.snapshots_of_account(COPY_ACCOUNT)), (0, 0));
}

#[tokio::test]
async fn promotion_of_a_stopped_execution_leaves_no_share_and_no_copy() {
    let (fixture, _) = copying().await;
    let abandon = || Request::Abandon { promotion: id() };
    for may_run in [Some(true), None] {
        fixture.executions_run(may_run);
        assert_eq!(failure(&fixture, abandon()).await.kind, FailureKind::EnvironmentBusy);
        assert!(!fixture.nothing_is_shared());
    }
    fixture.executions_run(Some(false));
    for _ in 0..2 {
        ok(&fixture, abandon()).await;
        assert!(fixture.nothing_is_shared() && fixture.sharing().is_empty());
        assert_eq!((fixture.owned_by(COPY_ACCOUNT), fixture.snapshots_of_account(COPY_ACCOUNT)), (0, 0));
        assert!(fixture.copy_record().is_none());
    }
    let closed = fixture.promotion();
    assert_eq!(closed.state, DeploymentState::Abandoned);
    assert!(closed.failure.unwrap().message.contains("what it had shared is withdrawn"));
    let Reply::Inspected(again) = ok(&fixture, inspect("arn:other")).await else { panic!() };
    assert_eq!(again.next, NextStep::Copy, "the next promotion begins anew");
}

#[tokio::test]
async fn abandoning_leaves_a_successor_and_a_usable_copy_untouched() {
    let (fixture, ami) = copying().await;
    fixture.executions_run(Some(false));
    let Reply::Inspected(again) = ok(&fixture, inspect("arn:other")).await else { panic!() };
    ok(&fixture, Request::Abandon { promotion: id() }).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
    assert_eq!(fixture.sharing(), [again.promotion.clone()].into());
    fixture.ec2.end(&ami, AmiState::Available);
    ok(&fixture, Request::Record { promotion: again.promotion.clone() }).await;
    ok(&fixture, Request::Abandon { promotion: again.promotion }).await;
    assert_eq!((fixture.owned_by(COPY_ACCOUNT), fixture.nothing_is_shared()), (1, true));
}

#[tokio::test]
async fn a_usable_copy_is_never_discarded() {
    let (fixture, ami) = copying().await;
    fixture.ec2.end(&ami, AmiState::Available);
    ok(&fixture, observe()).await;
    ok(&fixture, record()).await;
    ok(&fixture, discard()).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn discarding_before_anything_was_copied_does_nothing() {
    let fixture = imported().await;
    inspected(&fixture).await;
    ok(&fixture, discard()).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 0);
    assert!(!fixture.ec2.take_calls().contains(&"DeregisterImage"));
}

/// The sweep may propose it while the copy has no id yet.
#[tokio::test]
async fn the_record_of_a_copy_in_progress_is_not_forgotten() {
    let fixture = imported().await;
    assert_eq!(inspected(&fixture).await, NextStep::Copy);
    ok(&fixture, share()).await;
    ok(&fixture, copy()).await;
    let coming = Image { ami: None, ..fixture.copy_record().unwrap() };
    fixture.account.put(&coming);
    fixture.account.put(&ImageVersion { state: ImageVersionState::Retired, ..fixture.version() });
    let forget = Request::Forget {
        image: coming.name.clone(),
        version: coming.version.clone(),
        location: coming.location.clone(),
    };
    let Reply::Forgotten(forgotten) = ok(&fixture, forget).await else { panic!() };
    assert_eq!(forgotten.why_not.as_deref(), Some("a copy of it runs, so its record stays"));
    assert_eq!(fixture.copy_record(), Some(coming));
}

#[tokio::test]
async fn a_copy_that_differs_is_refused() {
    let (fixture, ami) = copying().await;
    fixture.ec2.end(&ami, AmiState::Available);
    fixture.ec2.change(&ami, |ami| ami.architecture = "x86_64".into());
    let failure = failure(&fixture, compare()).await;
    assert!(failure.message.contains("the architecture is x86_64, not arm64"), "{}", failure.message);
}

#[tokio::test]
async fn a_copy_is_recorded_only_if_it_is_usable() {
    let (fixture, _) = copying().await;
    assert_eq!(failure(&fixture, record()).await.kind, FailureKind::Transient, "it may be a stale response");
    assert_eq!(fixture.copy_record().unwrap().state, ImageState::Promoting);
}

#[tokio::test]
async fn image_that_is_present_is_not_copied_again() {
    let (fixture, ami) = copying().await;
    fixture.ec2.end(&ami, AmiState::Available);
    ok(&fixture, observe()).await;
    ok(&fixture, record()).await;
    let other = "arn:other";
    let Reply::Inspected(again) = ok(&fixture, inspect(other)).await else { panic!() };
    assert_eq!(again.next, NextStep::Present);
    let Reply::Promoted(promoted) = ok(&fixture, Request::Record { promotion: again.promotion }).await else {
        panic!()
    };
    assert_eq!(promoted.ami, ami);
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn failed_copy_is_discarded_and_repeated_until_the_third_failure() {
    let (fixture, first) = copying().await;
    let mut ami = first;
    for attempt in 2..=3 {
        fixture.ec2.end(&ami, AmiState::Broken("failed: internal error".into()));
        assert_eq!(ok(&fixture, observe()).await, next(NextStep::Again));
        for _ in 0..2 {
            ok(&fixture, retry()).await;
        }
        assert_eq!((fixture.owned_by(COPY_ACCOUNT), fixture.snapshots_of_account(COPY_ACCOUNT)), (0, 0));
        assert_eq!(fixture.promotion().operations.last().unwrap().attempt, attempt);
        ok(&fixture, copy()).await;
        let again = fixture.copy_record().unwrap().ami.unwrap();
        assert_ne!(again, ami);
        ami = again;
    }
    let tokens: std::collections::BTreeSet<_> =
        fixture.promotion().operations.iter().map(|operation| operation.token.clone()).collect();
    assert_eq!(tokens.len(), 3, "each attempt has a token of its own");
    fixture.ec2.end(&ami, AmiState::Broken("failed: internal error".into()));
    let error = failure(&fixture, observe()).await;
    assert_eq!(error.kind, FailureKind::ImageUnusable);
    assert!(error.message.contains("failed: internal error (after 3 attempts)"), "{}", error.message);
}

/// Rows 32 to 34: an image that is encrypted under a customer key.
#[tokio::test]
async fn use_of_a_key_is_granted_for_the_copy_and_revoked_after_any_outcome() {
    let (fixture, image_key) = encrypted().await;
    inspected(&fixture).await;
    for _ in 0..2 {
        ok(&fixture, share()).await;
        let granted = fixture.ec2.held_grants();
        let grantees: Vec<&str> = granted.iter().map(|(_, grantee)| grantee.as_str()).collect();
        assert_eq!(grantees, [format!("arn:aws:iam::{COPY_ACCOUNT}:role/lockstep-promotion-image-target")]);
    }
    ok(&fixture, copy()).await;
    let copied = fixture.ec2.held_snapshots().into_iter().find(|held| held.location == fixture.target());
    assert_eq!(copied.unwrap().key, Some(image_key), "never copied as it is");
    ok(&fixture, discard()).await;
    ok(&fixture, unshare()).await;
    assert!(fixture.nothing_is_shared());
}

#[tokio::test]
async fn key_that_the_target_may_not_use_is_found_before_the_copy() {
    let (fixture, _) = encrypted().await;
    inspected(&fixture).await;
    ok(&fixture, share()).await;
    fixture.ec2.revoke_all();
    fixture.ec2.take_calls();
    let failure = failure(&fixture, copy()).await;
    assert_eq!(failure.kind, FailureKind::ImageUnusable);
    assert!(failure.message.contains("may not use it"), "{}", failure.message);
    assert!(!fixture.ec2.take_calls().contains(&"CopyImage"));
}

#[tokio::test]
async fn encrypted_image_is_refused_without_a_key_for_the_target() {
    let (fixture, image_key) = encrypted().await;
    fixture.ec2.let_launch(&image_key, false);
    let refusal = failure(&fixture, inspect(EXECUTION)).await.message;
    assert!(refusal.contains("aws kms create-grant"), "{refusal}");
    let fixture = imported().await;
    let key = fixture.ec2.add_key(&location(SOURCE_ACCOUNT), "alias/source");
    fixture.ec2.encrypt(&SOURCE.parse().unwrap(), Some(&key));
    let refusal = failure(&fixture, inspect(EXECUTION)).await.message;
    assert!(refusal.contains("has no key alias/lockstep-images"), "{refusal}");
}

/// Row 45: copies by others count for the limit of AWS but not for ours.
#[tokio::test]
async fn copy_that_aws_refuses_for_now_is_logged_and_keeps_its_turn() {
    let fixture = imported().await;
    inspected(&fixture).await;
    ok(&fixture, share()).await;
    fixture.ec2.set_copies_at_once(0);
    for n in 1..=2 {
        ok(&fixture, copy()).await;
        let room = format!("room#{COPY_ACCOUNT}#eu-west-1#{}#{n}", id());
        assert_eq!(fixture.account.registered().last(), Some(&room));
        assert_eq!(ok(&fixture, observe()).await, next(NextStep::Wait));
    }
    assert!(fixture.notes(&id()).iter().any(|note| note.contains("copies no further image")));
    fixture.ec2.set_copies_at_once(20);
    ok(&fixture, copy()).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
}

#[tokio::test]
async fn promotion_waits_for_a_copy_slot_before_it_reads_or_shares() {
    let fixture = imported().await;
    fixture.only_one_at_once();
    fixture.fill_the_place("arn:other");
    assert_eq!(inspected(&fixture).await, NextStep::Wait);
    assert!(
        fixture.notes(&id())[0]
            .contains("waiting for a copy slot in account 222222222222 (eu-west-1): 1 copies run")
    );
    let wait = || Request::Wait { promotion: id(), task: task() };
    ok(&fixture, wait()).await;
    assert!(fixture.account.woken().is_empty());
    crate::room::leave(&*fixture, &DeploymentId::of_execution("arn:other"), &fixture.target()).await.unwrap();
    assert_eq!(fixture.account.woken().as_slice(), [format!("room#{COPY_ACCOUNT}#eu-west-1#{}#1", id())]);
    assert_eq!(inspected(&fixture).await, NextStep::Copy);
}

#[tokio::test]
async fn waiting_promotion_frees_the_slot_of_an_ended_execution() {
    let fixture = imported().await;
    fixture.only_one_at_once();
    fixture.fill_the_place("arn:dead");
    assert_eq!(inspected(&fixture).await, NextStep::Wait);
    fixture.clock.advance(std::time::Duration::from_secs(20 * 60));
    for unknown in [Some(true), None] {
        fixture.executions_run(unknown);
        assert_eq!(inspected(&fixture).await, NextStep::Wait, "only a known end frees a slot");
    }
    fixture.executions_run(Some(false));
    assert_eq!(inspected(&fixture).await, NextStep::Copy);
}

#[tokio::test]
async fn promotion_waits_for_a_pending_source() {
    let fixture = imported().await;
    let source: AmiId = SOURCE.parse().unwrap();
    fixture.ec2.end(&source, AmiState::Pending);
    assert_eq!(inspected(&fixture).await, NextStep::Wait);
    ok(&fixture, Request::Wait { promotion: id(), task: task() }).await;
    let key = format!("arn:aws:ec2:eu-west-1::image/{SOURCE}");
    assert_eq!(fixture.account.registered().as_slice(), [key]);
    assert!(fixture.account.woken().is_empty() && fixture.nothing_is_shared());
    fixture.ec2.end(&source, AmiState::Available);
    assert_eq!(inspected(&fixture).await, NextStep::Copy);
}

/// Row 35: a licensed image.
#[tokio::test]
async fn licensed_image_fails_with_its_own_error() {
    let fixture = imported().await;
    fixture.ec2.change(&SOURCE.parse().unwrap(), |ami| ami.platform_details = "Windows".into());
    assert_eq!(failure(&fixture, inspect(EXECUTION)).await.kind, FailureKind::ImageStays);
    let caught = CaughtError { error: "ImageStays".into(), cause: "licensed".into() };
    ok(&fixture, Request::Close { execution: EXECUTION.into(), error: caught }).await;
    let closed = fixture.promotion();
    assert_eq!(
        (closed.state, closed.failure.unwrap().error.as_str()),
        (DeploymentState::Failed, "ImageStays")
    );
}

#[tokio::test]
async fn two_copies_into_one_account_share_once_and_the_last_one_unshares() {
    let (fixture, _) = copying().await;
    let other = DeploymentId::of_execution("arn:other");
    fixture.shares_for(&other);
    ok(&fixture, unshare()).await;
    assert!(!fixture.nothing_is_shared(), "the other copy still needs it");
    assert_eq!(fixture.sharing(), [other].into());
}

#[tokio::test]
async fn two_promotions_of_one_version_do_not_make_two_copies() {
    let (fixture, ami) = copying().await;
    let other = "arn:other";
    for running in [Some(true), None] {
        fixture.executions_run(running);
        assert_eq!(failure(&fixture, inspect(other)).await.kind, FailureKind::EnvironmentBusy);
    }
    fixture.executions_run(Some(false));
    let Reply::Inspected(taken_over) = ok(&fixture, inspect(other)).await else { panic!() };
    assert_eq!(fixture.promotion().state, DeploymentState::Abandoned);
    let copy = Request::Copy { promotion: taken_over.promotion.clone(), task: task() };
    ok(&fixture, copy).await;
    assert_eq!(fixture.copy_record().unwrap().ami, Some(ami.clone()));
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
    fixture.ec2.end(&ami, AmiState::Available);
    ok(&fixture, Request::Compare { promotion: taken_over.promotion }).await;
    assert_eq!(failure(&fixture, observe()).await.kind, FailureKind::Superseded);
    // The earlier promotion must not record the copy of the later one as usable.
    assert_eq!(failure(&fixture, record()).await.kind, FailureKind::Superseded);
}

/// Row 38: the index lacks the copy and no record has its id, so the successor repeats the same request.
#[tokio::test]
async fn successor_gets_the_copy_whose_response_was_lost_and_no_second_one() {
    let fixture = imported().await;
    inspected(&fixture).await;
    ok(&fixture, share()).await;
    fixture.ec2.lose_next_answer("CopyImage");
    failure(&fixture, copy()).await;
    fixture.ec2.set_lag(std::time::Duration::from_secs(600));
    fixture.executions_run(Some(false));
    let Reply::Inspected(taken_over) = ok(&fixture, inspect("arn:other")).await else { panic!() };
    ok(&fixture, Request::Share { promotion: taken_over.promotion.clone() }).await;
    ok(&fixture, Request::Copy { promotion: taken_over.promotion.clone(), task: task() }).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 1);
    // The successor withdraws the shares of the dead promotion.
    ok(&fixture, Request::Unshare { promotion: taken_over.promotion }).await;
    assert!(fixture.nothing_is_shared() && fixture.sharing().is_empty());
}

/// Row 37: a copy that is not visible yet.
#[tokio::test]
async fn invisible_copy_is_awaited_for_a_limited_time() {
    let fixture = imported().await;
    inspected(&fixture).await;
    ok(&fixture, share()).await;
    fixture.ec2.set_lag(std::time::Duration::from_secs(7200));
    // The share is old enough, but the copy is new.
    fixture.clock.advance(std::time::Duration::from_secs(7200));
    ok(&fixture, copy()).await;
    assert_eq!(ok(&fixture, observe()).await, next(NextStep::Wait));
    fixture.clock.advance(std::time::Duration::from_secs(1000));
    assert!(failure(&fixture, observe()).await.message.contains("is gone"));
}

#[tokio::test]
async fn image_that_was_not_imported_is_not_found() {
    let failure = failure(&Fixture::new(), inspect(EXECUTION)).await;
    assert_eq!(failure.kind, FailureKind::NotFound);
    assert!(failure.message.contains("lockstep images import"));
}

#[tokio::test]
async fn a_snapshot_under_the_key_that_aws_manages_is_explained() {
    let fixture = imported().await;
    inspected(&fixture).await;
    fixture.ec2.encrypt(&SOURCE.parse().unwrap(), None);
    let failure = failure(&fixture, share()).await;
    assert_eq!(failure.kind, FailureKind::ImageUnusable);
    assert!(failure.message.contains("key that AWS manages"), "{}", failure.message);
}

#[tokio::test]
async fn an_image_without_a_claim_to_its_name_is_not_imported() {
    let fixture = Fixture::new();
    let import = Request::Import {
        ami: SOURCE.parse().unwrap(),
        name: "kibana".parse().unwrap(),
        version: "2.1.37".parse().unwrap(),
        stage: "ci".parse().unwrap(),
    };
    let failure = failure(&fixture, import).await;
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(fixture.account.records::<ImageVersion>().is_empty());
}

#[tokio::test]
async fn import_tags_and_records_the_image_and_a_repeat_changes_nothing() {
    let fixture = imported().await;
    let first = fixture.source_record();
    assert_eq!((first.state, first.ami.as_ref().unwrap().as_str()), (ImageState::Available, SOURCE));
    assert_eq!(fixture.ec2.ami(&SOURCE.parse().unwrap()).unwrap().tags["version"], "2.1.37");
    ok(&fixture, import(SOURCE)).await;
    assert_eq!(fixture.source_record(), first);
}

#[tokio::test]
async fn a_version_is_never_given_to_a_second_image() {
    let fixture = imported().await;
    let other = fixture.ec2.register(&location(SOURCE_ACCOUNT));
    let failure = failure(&fixture, import(other.as_str())).await;
    assert!(failure.message.contains("never given twice"), "{}", failure.message);
    assert!(!fixture.ec2.ami(&other).unwrap().tags.contains_key("version"));
}

#[tokio::test]
async fn images_of_a_deployment_are_checked_again_at_its_location() {
    let fixture = imported().await;
    let deployment = fixture.deployment_to_ci();
    let verify = || Request::Verify { deployment: deployment.clone() };
    ok(&fixture, verify()).await;
    fixture
        .ec2
        .change(&SOURCE.parse().unwrap(), |ami| drop(ami.tags.insert("version".into(), "9.9.9".into())));
    assert_eq!(failure(&fixture, verify()).await.kind, FailureKind::ImageUnusable);
    let action = OperatorAction::new("arn", "hole", jiff::Timestamp::UNIX_EPOCH).unwrap();
    fixture.account.put(&Revocation::new(&fixture.version().name, &fixture.version().version, &action));
    assert!(failure(&fixture, verify()).await.message.contains("revoked"));
}

#[tokio::test]
async fn an_image_that_was_not_promoted_is_named() {
    let fixture = Fixture::new();
    fixture.account.put(&imported().await.version());
    let deployment = fixture.deployment_to_ci();
    let failure = failure(&fixture, Request::Verify { deployment }).await;
    assert!(
        failure.message.contains("logstash@2.1.37 is not in account 111111111111"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn a_retried_inspection_begins_one_promotion() {
    let fixture = imported().await;
    inspected(&fixture).await;
    let first: Deployment = fixture.promotion();
    assert_eq!(inspected(&fixture).await, NextStep::Copy);
    assert_eq!(fixture.promotion(), first);
}

/// Row 41: a copy that succeeded remains, and only the failed one is repeated.
#[tokio::test]
async fn only_the_failed_region_is_copied_again_from_the_nearest_image() {
    let fixture = imported().await;
    fixture.apply_stages(2, &format!("{}{}", fixture::stages_text(), other_region()));
    let to = |stage: &str| PromoteImage { to: stage.parse().unwrap(), ..input() };
    let began =
        |execution: &str, stage: &str| Request::Inspect { execution: execution.into(), input: to(stage) };
    // The copy to Ireland succeeds.
    let Reply::Inspected(first) = ok(&fixture, began("arn:ireland", "production")).await else { panic!() };
    let step = |request: fn(DeploymentId) -> Request| request(first.promotion.clone());
    ok(&fixture, step(|promotion| Request::Share { promotion })).await;
    ok(&fixture, step(|promotion| Request::Copy { promotion, task: task() })).await;
    let ireland = fixture.copy_record().unwrap().ami.unwrap();
    fixture.ec2.end(&ireland, AmiState::Available);
    ok(&fixture, step(|promotion| Request::Observe { promotion })).await;
    ok(&fixture, step(|promotion| Request::Unshare { promotion })).await;
    ok(&fixture, step(|promotion| Request::Record { promotion })).await;
    // The copy to Frankfurt comes from Ireland, within the account, so nothing is shared.
    let Reply::Inspected(second) = ok(&fixture, began("arn:frankfurt", "frankfurt")).await else { panic!() };
    assert_eq!(second.next, NextStep::Copy);
    fixture.ec2.take_calls();
    ok(&fixture, Request::Share { promotion: second.promotion.clone() }).await;
    assert!(fixture.ec2.take_calls().is_empty() && fixture.nothing_is_shared());
    ok(&fixture, Request::Copy { promotion: second.promotion.clone(), task: task() }).await;
    assert_eq!(fixture.owned_by(COPY_ACCOUNT), 2);
    let Reply::Inspected(again) = ok(&fixture, began("arn:again", "production")).await else { panic!() };
    assert_eq!(again.next, NextStep::Present, "a copy that succeeded is not repeated");
    fixture.apply_stages(
        3,
        &format!("{}{}[images]\ncopies_at_once = 1\n", fixture::stages_text(), other_region()),
    );
    fixture.fill_the_place("arn:busy");
    let Reply::Inspected(again) = ok(&fixture, began("arn:at-once", "production")).await else { panic!() };
    assert_eq!(again.next, NextStep::Present, "and needs no copy slot");
}

fn other_region() -> String {
    stage_text("frankfurt", fixture::COPY_ACCOUNT).in_region("eu-central-1").to_string()
}

#[tokio::test]
async fn allowed_amis_is_named_if_the_shared_image_is_invisible() {
    for closed in [true, false] {
        let fixture = imported().await;
        assert_eq!(inspected(&fixture).await, NextStep::Copy);
        ok(&fixture, share()).await;
        if closed {
            fixture.ec2.close(&fixture.target().account);
        } else {
            fixture.ec2.set_lag(std::time::Duration::from_secs(3600));
        }
        let failed = failure(&fixture, copy()).await;
        assert!(failed.message.contains("was shared, yet cannot be seen"), "{failed:?}");
        assert_eq!(failed.message.contains("Allowed AMIs is enabled"), closed, "{failed:?}");
    }
}
