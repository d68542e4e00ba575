//! Stacks in states that nobody wants, and stacks that are to go.

use super::*;
use lockstep_domain::records::{Cancellation, DeploymentKind, Proposal, ProposedAction};

fn recover(id: &DeploymentId) -> Request {
    Request::Recover { deployment: id.clone(), task: task() }
}

fn plan_teardown(id: &DeploymentId) -> Request {
    Request::PlanTeardown { deployment: id.clone() }
}

fn delete(id: &DeploymentId) -> Request {
    Request::Delete { deployment: id.clone(), task: task() }
}

async fn wait(world: &FakeWorld, request: Request) {
    assert_eq!(handle(world, request).await.unwrap(), Answer::Waiting);
}

/// A person allows what is proposed.
fn allow(world: &FakeWorld) -> Proposal {
    let proposal = world.deployment().proposal.expect("nothing is proposed");
    let subject = Subject::Proposal(proposal.clone());
    world.change_deployment(|deployment| {
        deployment.approvals.push(Approval {
            number: 1,
            reasons: vec![],
            subject,
            digest: deployment.digest.clone(),
            asked_at: jiff::Timestamp::UNIX_EPOCH,
            decision: Some(Decision::Approve),
            decided_by: Some("arn:person".into()),
            reason: None,
            decided_at: Some(world.now()),
        });
    });
    proposal
}

/// An update that failed, and so did its rollback.
async fn stuck(world: &FakeWorld) -> DeploymentId {
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    world.change_environment(|environment| environment.ever_stable = true);
    let id = deploy(world).await;
    world.cloud.resource("ci-logs", "Queue", "AWS::SQS::Queue", "UPDATE_FAILED");
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_FAILED");
    id
}

/// Row 6 of the failure modes.
#[tokio::test]
async fn a_rollback_that_failed_is_finished_plainly_before_the_failure_is_told() {
    let world = FakeWorld::new("ci");
    let id = stuck(&world).await;
    assert_eq!(go(&world, observe(&id)).await, NextStep::FinishRollback);
    wait(&world, recover(&id)).await;
    assert_eq!(go(&world, observe(&id)).await, NextStep::FinishRollback, "it runs");
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_COMPLETE");
    let told = failure(&world, observe(&id)).await;
    assert_eq!(told.kind, FailureKind::StackFailed);
    assert!(told.message.contains("UPDATE_ROLLBACK_COMPLETE"), "{told}");
    assert_eq!(world.environment().unwrap().taint, None);
    assert!(world.cloud.left_out.borrow().is_empty());
}

#[tokio::test]
async fn a_rollback_that_fails_twice_is_told_and_the_next_deployment_asks_what_it_may_skip() {
    let world = FakeWorld::new("ci");
    let id = stuck(&world).await;
    go(&world, observe(&id)).await;
    wait(&world, recover(&id)).await;
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_FAILED");
    assert!(failure(&world, observe(&id)).await.message.contains("UPDATE_ROLLBACK_FAILED"));
    let next = world.next_deployment();
    assert_eq!(
        go(&world, plan(&next)).await,
        NextStep::Recover,
        "plainly once more: somebody may have mended it"
    );
    wait(&world, recover(&next)).await;
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_FAILED");
    assert_eq!(go(&world, plan(&next)).await, NextStep::Approve);
    let proposal = allow(&world);
    assert_eq!(proposal.action, ProposedAction::Skip);
    assert_eq!(go(&world, plan(&next)).await, NextStep::Recover);
    wait(&world, recover(&next)).await;
    assert_eq!(world.cloud.left_out.borrow().as_slice(), ["Queue"]);
    // Row 8.
    assert!(world.environment().unwrap().taint.unwrap().contains("without Queue"));
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(go(&world, plan(&next)).await, NextStep::ChangeSet, "an update may reconcile it");
    assert!(world.cloud.deleted.borrow().is_empty(), "a stack that worked once is never deleted");
}

/// Row 8.
#[tokio::test]
async fn a_promotion_stops_after_it_had_to_skip_something() {
    let world = FakeWorld::new("ci");
    stuck(&world).await;
    let next = world.next_deployment();
    world.change_deployment(|deployment| {
        deployment.path = lockstep_domain::model::deployment_path::DeploymentPath::Promotion
    });
    world.change_environment(|environment| environment.taint = Some("its rollback was finished".into()));
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(failure(&world, plan(&next)).await.kind, FailureKind::GateClosed);
}

/// Row 10.
#[tokio::test]
async fn a_failed_update_that_was_kept_is_rolled_back_if_its_events_show_something_to_go_back_to() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::CreateComplete);
    world.own("ci-logs");
    world.cloud.finish("ci-logs", "UPDATE_FAILED");
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::Recover);
    wait(&world, recover(&id)).await;
    let begun = world.deployment().operations;
    assert_eq!(begun[0].operation, lockstep_domain::records::OperationKind::Rollback);
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_COMPLETE");
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
}

/// Row 13.
#[tokio::test]
async fn somebody_elses_operation_is_waited_for_and_then_told() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateInProgress);
    world.own("ci-logs");
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::Recover);
    assert!(world.deployment().waits_since.is_some());
    wait(&world, recover(&id)).await;
    assert!(world.waits.woken.borrow().is_empty(), "it still runs");
    world.change_deployment(|deployment| deployment.waits_since = Some(jiff::Timestamp::MIN));
    let told = failure(&world, plan(&id)).await;
    assert_eq!(told.kind, FailureKind::StackNeedsHuman);
    world.cloud.finish("ci-logs", "UPDATE_COMPLETE");
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(world.deployment().waits_since, None);
}

#[tokio::test]
async fn what_somebody_began_after_the_plan_is_waited_for_too() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    world.cloud.finish("ci-logs", "UPDATE_IN_PROGRESS");
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Recover);
    assert!(world.cloud.created.borrow().is_empty());
}

#[tokio::test]
async fn a_plan_shows_what_would_change_and_leaves_nothing_behind() {
    let world = FakeWorld::new("ci");
    world.change_deployment(|deployment| deployment.plan_only = true);
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Planned);
    assert!(world.deployment().change_set.is_some());
    assert!(world.cloud.change_set_names("ci-logs").is_empty());
    assert_eq!(world.cloud.deleted.borrow().len(), 1, "the placeholder of the new stack");
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Planned, "a retry shows the same");
    assert!(world.cloud.executed.borrow().is_empty());
}

#[tokio::test]
async fn a_plan_repairs_nothing() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::RollbackComplete);
    world.own("ci-logs");
    world.change_deployment(|deployment| deployment.plan_only = true);
    let told = failure(&world, plan(&world.id())).await;
    assert!(told.message.contains("needs this first"), "{told}");
    assert!(world.cloud.deleted.borrow().is_empty());
}

#[tokio::test]
async fn a_cancelled_deployment_begins_nothing_and_stops_the_update_that_runs() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    let id = deploy(&world).await;
    let wish = Cancellation {
        by: "arn:person".into(),
        reason: "wrong version".into(),
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    world.change_deployment(|deployment| deployment.cancellation = Some(wish));
    assert_eq!(go(&world, observe(&id)).await, NextStep::Wait);
    assert_eq!(go(&world, observe(&id)).await, NextStep::Wait, "it is on its way back");
    world.cloud.finish("ci-logs", "UPDATE_ROLLBACK_COMPLETE");
    let told = failure(&world, observe(&id)).await;
    assert_eq!(told.kind, FailureKind::Cancelled);
    assert!(told.message.contains("wrong version"), "{told}");
    assert_eq!(failure(&world, plan(&id)).await.kind, FailureKind::Cancelled);
}

fn teardown(stage: &str) -> FakeWorld {
    let world = FakeWorld::new(stage);
    world.change_deployment(|deployment| {
        let DeploymentKind::Deploy { environment, stack } = deployment.kind.clone() else { unreachable!() };
        deployment.kind = DeploymentKind::Teardown { environment, stack };
    });
    world
}

/// Invariants 5 and 6.
#[tokio::test]
async fn a_stack_is_torn_down_once_a_person_has_named_what_it_holds() {
    let world = teardown("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    world.cloud.resource("ci-logs", "Archive", "AWS::S3::Bucket", "CREATE_COMPLETE");
    let id = world.id();
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Approve);
    assert_eq!(allow(&world).resources[0].name, "Archive");
    // What is not what was allowed is asked about anew.
    world.cloud.resource("ci-logs", "Table", "AWS::DynamoDB::Table", "CREATE_COMPLETE");
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Approve);
    assert_eq!(allow(&world).resources.len(), 2);
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Delete);
    wait(&world, delete(&id)).await;
    wait(&world, delete(&id)).await;
    let arn = world.cloud.arn("ci-logs");
    let token = client_token(id.as_str(), "delete", 1);
    assert_eq!(world.cloud.deleted.borrow().as_slice(), [(arn, token)]);
    world.cloud.finish("ci-logs", "DELETE_COMPLETE");
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Done);
}

#[tokio::test]
async fn who_is_asked_about_a_teardown_is_told_what_deletion_policies_leave_behind() {
    let world = teardown("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    world.cloud.resource("ci-logs", "Topic", "AWS::SNS::Topic", "CREATE_COMPLETE");
    world.cloud.nested("ci-logs", "Child", "ci-logs-Child");
    let id = world.id();
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Approve);
    let proposal = world.deployment().proposal.unwrap();
    assert_eq!(proposal.left_behind(), ["Child.Queue", "Topic"]);
    assert_eq!(proposal.policy("Topic"), Some("Retain"));
    allow(&world);
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Delete);
}

/// Row 21.
#[tokio::test]
async fn what_refuses_to_go_is_left_behind_only_if_a_person_says_so_and_is_written_down() {
    let world = teardown("ci");
    world.cloud.stack("ci-logs", StackStatus::CreateComplete);
    world.own("ci-logs");
    let id = world.id();
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Approve);
    allow(&world);
    wait(&world, delete(&id)).await;
    world.cloud.resource("ci-logs", "Network", "AWS::EC2::VPC", "DELETE_FAILED");
    world.cloud.finish("ci-logs", "DELETE_FAILED");
    assert_eq!(go(&world, plan_teardown(&id)).await, NextStep::Approve);
    assert_eq!(allow(&world).action, ProposedAction::Retain);
    wait(&world, delete(&id)).await;
    assert_eq!(world.cloud.left_out.borrow().as_slice(), ["Network"]);
    assert_eq!(world.deployment().orphans[0].name, "Network");
    assert_eq!(world.deployment().operations[1].attempt, 2);
}

/// Row 22.
#[tokio::test]
async fn a_teardown_never_lifts_termination_protection() {
    let world = teardown("ci");
    world.cloud.stack("ci-logs", StackStatus::CreateComplete);
    world.cloud.termination_protection.set(true);
    world.own("ci-logs");
    let told = failure(&world, plan_teardown(&world.id())).await;
    assert_eq!(told.kind, FailureKind::StackNeedsHuman);
    assert!(told.message.contains("termination protection"), "{told}");
}

#[tokio::test]
async fn a_stack_that_is_gone_needs_no_teardown() {
    let world = teardown("ci");
    assert_eq!(go(&world, plan_teardown(&world.id())).await, NextStep::Done);
}

/// Row 4.
#[tokio::test]
async fn a_change_set_that_validation_refuses_is_explained_and_leaves_no_empty_stack() {
    let world = FakeWorld::new("ci");
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    *world.cloud.next_state.borrow_mut() = Some(ChangeSetState::Failed("validation failed".into()));
    world
        .cloud
        .invalid
        .borrow_mut()
        .push("Topic (AWS::SNS::Topic, /Properties/Nmae): no such property".into());
    let told = failure(&world, change_set(&id)).await;
    assert_eq!(told.kind, FailureKind::StackFailed);
    assert!(told.message.contains("no such property"), "{told}");
    assert!(world.cloud.change_set_names("ci-logs").is_empty());
    assert_eq!(world.cloud.deleted.borrow().len(), 1);
}

/// Row 24.
#[tokio::test]
async fn an_update_that_withdraws_what_another_stack_imports_is_refused_before_it_begins() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    world.cloud.exports.borrow_mut().insert("Host".into(), "ci-logs-host".into());
    let id = world.id();
    go(&world, plan(&id)).await;
    world.cloud.importers.borrow_mut().push("ci-web".into());
    let told = failure(&world, change_set(&id)).await;
    assert_eq!(told.kind, FailureKind::Rejected);
    assert!(told.message.contains("ci-web"), "{told}");
    assert!(world.cloud.created.borrow().is_empty());
    world.cloud.importers.borrow_mut().clear();
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Execute);
}

/// Rows 11 and 12.
#[tokio::test]
async fn an_empty_update_after_a_rollback_is_no_change_and_no_failure() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateRollbackComplete);
    world.own("ci-logs");
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    *world.cloud.next_state.borrow_mut() = Some(ChangeSetState::Empty);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Check);
}

/// Row 30: the stack that was planned for is watched, not whichever has its name.
#[tokio::test]
async fn a_stack_that_was_deleted_and_made_anew_meanwhile_is_not_taken_for_ours() {
    let world = FakeWorld::new("ci");
    let id = deploy(&world).await;
    let planned = world.deployment().stack_arn.unwrap();
    world.cloud.stack("ci-logs", StackStatus::CreateComplete);
    assert_ne!(world.cloud.arn("ci-logs"), planned);
    assert_eq!(go(&world, observe(&id)).await, NextStep::Wait, "nothing is known of ours");
}
