//! Stacks in failed states, and teardowns.

use super::*;
use lockstep_domain::records::{Cancellation, Proposal, ProposedAction, TeardownBody};

fn recover(id: &DeploymentId) -> Request {
    Request::Recover { deployment: id.clone(), task: task() }
}

fn plan_teardown(id: &DeploymentId) -> Request {
    Request::PlanTeardown { deployment: id.clone() }
}

fn delete(id: &DeploymentId) -> Request {
    Request::Delete { deployment: id.clone(), task: task() }
}

async fn wait(fixture: &Fixture, request: Request) {
    assert_eq!(handle(&fixture.context, request).await.unwrap(), Reply::Waiting);
}

/// Approves the proposal of the deployment and returns it.
fn allow(fixture: &Fixture) -> Proposal {
    let proposal = fixture.run().proposal.expect("nothing is proposed");
    let subject = Subject::Proposal(proposal.clone());
    fixture.change_deployment(|deployment| {
        let question = Approval {
            shown: None,
            number: u32::try_from(deployment.approvals.len()).unwrap() + 1,
            reasons: vec![],
            subject,
            digest: deployment.digest().cloned(),
            asked_at: jiff::Timestamp::UNIX_EPOCH,
        };
        deployment.approvals.push(question);
    });
    fixture.approve();
    proposal
}

/// Starts an update that fails and whose rollback fails too.
async fn stuck(fixture: &Fixture) -> DeploymentId {
    fixture.own_stack(StackStatus::UpdateComplete);
    fixture.change_environment(|environment| environment.ever_stable = true);
    fixture.cloud.trouble("Topic", Trouble::Update);
    fixture.cloud.trouble("Topic", Trouble::Rollback);
    let id = deploy(fixture).await;
    fixture.pass();
    id
}

/// Row 6 of the failure modes.
#[tokio::test]
async fn a_failed_rollback_is_continued_before_the_failure_is_reported() {
    let fixture = Fixture::new("ci");
    let id = stuck(&fixture).await;
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::FinishRollback);
    fixture.cloud.end_trouble();
    wait(&fixture, recover(&id)).await;
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::FinishRollback, "it runs");
    fixture.pass();
    let failed = failure(&fixture, observe(&id)).await;
    assert_eq!(failed.kind, FailureKind::StackFailed);
    assert!(failed.message.contains("UPDATE_ROLLBACK_COMPLETE"), "{failed}");
    assert_eq!(fixture.environment().unwrap().taint, None);
    assert!(fixture.left_out().is_empty());
}

#[tokio::test]
async fn a_rollback_that_fails_twice_needs_an_approval_to_skip_resources() {
    let fixture = Fixture::new("ci");
    let id = stuck(&fixture).await;
    go(&fixture, observe(&id)).await;
    wait(&fixture, recover(&id)).await;
    fixture.pass();
    assert!(failure(&fixture, observe(&id)).await.message.contains("UPDATE_ROLLBACK_FAILED"));
    let next = fixture.next_deployment();
    assert_eq!(
        go(&fixture, plan(&next)).await,
        NextStep::Recover,
        "plainly once more: an operator may have repaired it"
    );
    wait(&fixture, recover(&next)).await;
    fixture.pass();
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::Approve);
    let proposal = allow(&fixture);
    assert_eq!(proposal.action, ProposedAction::Skip);
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::Recover);
    wait(&fixture, recover(&next)).await;
    assert_eq!(fixture.left_out(), ["Topic"]);
    // Row 8.
    assert!(fixture.environment().unwrap().taint.unwrap().contains("without Topic"));
    fixture.pass();
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::ChangeSet, "an update may reconcile it");
    assert!(fixture.deleted().is_empty(), "a stack that worked once is never deleted");
}

/// Row 8.
#[tokio::test]
async fn a_promotion_stops_after_a_skipped_resource() {
    let fixture = Fixture::new("ci");
    stuck(&fixture).await;
    let next = fixture.next_deployment();
    fixture.change_deployment(|deployment| {
        deployment.path = lockstep_domain::model::deployment_path::DeploymentPath::Promotion
    });
    fixture.change_environment(|environment| environment.taint = Some("its rollback was finished".into()));
    fixture.cloud.set_status(&fixture.cloud.arn("ci-logs").unwrap(), StackStatus::UpdateRollbackComplete);
    assert_eq!(failure(&fixture, plan(&next)).await.kind, FailureKind::GateClosed);
}

/// Row 10.
#[tokio::test]
async fn a_failed_update_is_rolled_back_if_its_events_prove_a_stable_state() {
    let fixture = Fixture::new("ci");
    let arn = fixture.own_stack(StackStatus::CreateComplete);
    fixture.cloud.set_status(&arn, StackStatus::UpdateFailed);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover);
    wait(&fixture, recover(&id)).await;
    let operations = fixture.deployment().operations;
    assert_eq!(operations[0].operation, lockstep_domain::records::OperationKind::Rollback);
    fixture.pass();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
}

/// Returns a fixture with a stack that runs a release, on which an express operation of another caller failed.
async fn failed_in_express_mode() -> Fixture {
    let fixture = Fixture::new("ci");
    deploy(&fixture).await;
    fixture.pass();
    fixture.record_as_deployed();
    let arn = fixture.cloud.arn("ci-logs").unwrap();
    fixture.change_environment(|environment| environment.ever_stable = true);
    fixture.cloud.fail_in_express_mode(&arn, &with_resources("  Extra:\n    Type: AWS::SNS::Topic\n"));
    fixture
}

/// Row 10.
#[tokio::test]
async fn a_failed_express_update_is_replayed_before_the_next_change_set() {
    let fixture = failed_in_express_mode().await;
    let before = fixture.deploy().parameters;
    let id = fixture.next_deployment();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover);
    wait(&fixture, recover(&id)).await;
    assert_eq!(fixture.calls("RollbackStack"), []);
    assert_eq!(fixture.calls("UpdateStack").len(), 1);
    fixture.pass();
    let (template, parameters, status) = fixture.cloud.runs("ci-logs").unwrap();
    assert_eq!((status, parameters), (StackStatus::UpdateComplete, before));
    assert!(!template.contains("Extra"), "{template}");
    fixture.change_deploy(|deploy| deploy.revert_drift = true);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet, "each mode is possible again");
}

/// Row 10.
#[tokio::test]
async fn a_failed_replay_needs_a_person() {
    let fixture = failed_in_express_mode().await;
    fixture.cloud.trouble("Extra", Trouble::Update);
    let id = fixture.next_deployment();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover);
    wait(&fixture, recover(&id)).await;
    fixture.pass();
    let failed = failure(&fixture, plan(&id)).await;
    assert_eq!(failed.kind, FailureKind::StackNeedsHuman);
    assert!(failed.message.contains("express mode") && failed.message.contains("failed again"), "{failed}");
}

/// Row 13.
#[tokio::test]
async fn another_callers_operation_is_awaited_and_then_reported() {
    let fixture = Fixture::new("ci");
    let arn = fixture.own_stack(StackStatus::UpdateInProgress);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover);
    assert!(fixture.run().waits_since.is_some());
    wait(&fixture, recover(&id)).await;
    assert!(fixture.account.woken().is_empty(), "it still runs");
    fixture.change_deploy(|deploy| deploy.stack.waits_since = Some(jiff::Timestamp::MIN));
    let failed = failure(&fixture, plan(&id)).await;
    assert_eq!(failed.kind, FailureKind::StackNeedsHuman);
    fixture.cloud.set_status(&arn, StackStatus::UpdateComplete);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(fixture.run().waits_since, None);
}

#[tokio::test]
async fn an_operation_that_begins_after_the_plan_is_awaited_too() {
    let fixture = Fixture::new("ci");
    let arn = fixture.own_stack(StackStatus::UpdateComplete);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    fixture.cloud.update_as_other_caller(&arn, "another-caller");
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Recover);
    assert!(fixture.cloud.change_set_requests().is_empty());
}

#[tokio::test]
async fn a_plan_shows_the_changes_and_leaves_nothing_behind() {
    let fixture = Fixture::new("ci");
    fixture.change_deploy(|deploy| deploy.plan_only = true);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Planned);
    assert!(fixture.deploy().change_set.is_some());
    assert!(fixture.change_sets("ci-logs").await.is_empty());
    assert_eq!(fixture.deleted().len(), 1, "the placeholder of the new stack");
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Planned, "a retry shows the same");
    assert!(fixture.calls("ExecuteChangeSet").is_empty());
}

#[tokio::test]
async fn a_plan_repairs_nothing() {
    let fixture = Fixture::new("ci");
    fixture.own_stack(StackStatus::RollbackComplete);
    fixture.change_deploy(|deploy| deploy.plan_only = true);
    let failed = failure(&fixture, plan(&fixture.id())).await;
    assert!(failed.message.contains("needs this first"), "{failed}");
    assert!(fixture.deleted().is_empty());
}

#[tokio::test]
async fn a_cancelled_deployment_stops_its_update_and_begins_no_other() {
    let fixture = Fixture::new("ci");
    fixture.own_stack(StackStatus::UpdateComplete);
    let id = deploy(&fixture).await;
    let spec = Cancellation {
        by: "arn:person".into(),
        reason: "wrong version".into(),
        at: jiff::Timestamp::UNIX_EPOCH,
    };
    fixture.change_deployment(|deployment| deployment.cancellation = Some(spec));
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Wait);
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Wait, "it is on its way back");
    fixture.pass();
    let failed = failure(&fixture, observe(&id)).await;
    assert_eq!(failed.kind, FailureKind::Cancelled);
    assert!(failed.message.contains("wrong version"), "{failed}");
    assert_eq!(failure(&fixture, plan(&id)).await.kind, FailureKind::Cancelled);
}

fn teardown(stage: &str) -> Fixture {
    let fixture = Fixture::new(stage);
    fixture.change_deployment(|deployment| {
        let stack = deployment.stack().unwrap().clone();
        deployment.body = TeardownBody { stack, digest: deployment.digest().cloned() }.into();
    });
    fixture
}

/// Invariants 5 and 6.
#[tokio::test]
async fn a_stack_is_deleted_only_after_an_approval_names_its_resources() {
    let fixture = teardown("ci");
    let archive = "  Archive:\n    Type: AWS::S3::Bucket\n";
    let arn = fixture.own_stack_of(StackStatus::UpdateComplete, &with_resources(archive));
    let id = fixture.id();
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Approve);
    assert_eq!(allow(&fixture).resources[0].name, "Archive");
    // A resource that the approval does not name needs another approval.
    let table = format!("{archive}  Table:\n    Type: AWS::DynamoDB::Table\n");
    fixture.cloud.set_template(&arn, &with_resources(&table));
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Approve);
    assert_eq!(allow(&fixture).resources.len(), 2);
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Delete);
    wait(&fixture, delete(&id)).await;
    wait(&fixture, delete(&id)).await;
    let token = client_token(id.as_str(), "delete", 1);
    assert_eq!(fixture.deleted(), [(arn, token)]);
    fixture.pass();
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Done);
}

#[tokio::test]
async fn the_proposal_of_a_teardown_shows_what_deletion_policies_retain() {
    let fixture = teardown("ci");
    let arn = fixture.own_stack_of(StackStatus::UpdateComplete, &with_resources(&nested_stack("Child")));
    let child = fixture.stack_of("ci-logs-Child", StackStatus::UpdateComplete, CHILD);
    fixture.cloud.nest(&arn, "Child", &child);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Approve);
    let proposal = fixture.run().proposal.unwrap();
    assert_eq!(proposal.left_behind(), ["Child.Queue", "Topic"]);
    assert_eq!(proposal.policy("Topic"), Some("Retain"));
    allow(&fixture);
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Delete);
}

/// Row 21.
#[tokio::test]
async fn undeletable_resources_are_retained_if_approved_and_are_recorded() {
    let fixture = teardown("ci");
    fixture
        .own_stack_of(StackStatus::CreateComplete, &with_resources("  Network:\n    Type: AWS::EC2::VPC\n"));
    fixture.cloud.trouble("Network", Trouble::Delete);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Approve);
    allow(&fixture);
    wait(&fixture, delete(&id)).await;
    fixture.pass();
    assert_eq!(go(&fixture, plan_teardown(&id)).await, NextStep::Approve);
    assert_eq!(allow(&fixture).action, ProposedAction::Retain);
    wait(&fixture, delete(&id)).await;
    assert_eq!(fixture.left_out(), ["Network"]);
    assert_eq!(fixture.run().orphans[0].name, "Network");
    assert_eq!(fixture.deployment().operations[1].attempt, 2);
}

/// Row 22.
#[tokio::test]
async fn a_teardown_never_lifts_termination_protection() {
    let fixture = teardown("ci");
    let arn = fixture.own_stack(StackStatus::CreateComplete);
    fixture.cloud.protect(&arn, true);
    let failed = failure(&fixture, plan_teardown(&fixture.id())).await;
    assert_eq!(failed.kind, FailureKind::StackNeedsHuman);
    assert!(failed.message.contains("termination protection"), "{failed}");
}

#[tokio::test]
async fn a_missing_stack_needs_no_teardown() {
    let fixture = teardown("ci");
    assert_eq!(go(&fixture, plan_teardown(&fixture.id())).await, NextStep::Done);
}

/// Row 4.
#[tokio::test]
async fn a_refused_change_set_is_explained_and_leaves_no_empty_stack() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    let finding = "Topic (AWS::SNS::Topic, /Properties/Nmae): no such property";
    fixture.cloud.refuse_change_set("validation failed", &[finding]);
    let failed = failure(&fixture, change_set(&id)).await;
    assert_eq!(failed.kind, FailureKind::StackFailed);
    assert!(failed.message.contains("no such property"), "{failed}");
    assert!(fixture.change_sets("ci-logs").await.is_empty());
    assert_eq!(fixture.deleted().len(), 1);
    assert!(fixture.calls("DeleteChangeSet").is_empty(), "the placeholder goes with its change set");
}

/// Row 24.
#[tokio::test]
async fn an_update_that_withdraws_an_imported_export_is_refused() {
    let fixture = Fixture::new("ci");
    let exporting = format!("{TEMPLATE}    Export:\n      Name: ci-logs-host\n");
    fixture.own_stack_of(StackStatus::UpdateComplete, &exporting);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    let importing = "    Properties:\n      DisplayName: !ImportValue ci-logs-host\n";
    let web = fixture.stack_of("ci-web", StackStatus::CreateComplete, &with_resources(importing));
    let failed = failure(&fixture, change_set(&id)).await;
    assert_eq!(failed.kind, FailureKind::Rejected);
    assert!(failed.message.contains("ci-web"), "{failed}");
    assert!(fixture.cloud.change_set_requests().is_empty());
    fixture.cloud.set_status(&web, StackStatus::DeleteComplete);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
}

/// Rows 11 and 12.
#[tokio::test]
async fn an_empty_update_after_a_rollback_is_no_change_and_no_failure() {
    let fixture = Fixture::new("ci");
    let id = deployed(&fixture).await;
    fixture.cloud.set_status(&fixture.cloud.arn("ci-logs").unwrap(), StackStatus::UpdateRollbackComplete);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Check);
    assert_eq!(fixture.calls("DeleteChangeSet").len(), 1);
}

/// Row 30: the deployment watches the planned stack, not the one that has its name now.
#[tokio::test]
async fn a_recreated_stack_is_not_taken_for_the_planned_one() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    let planned = fixture.run().arn.unwrap();
    fixture.cloud.forget(&planned);
    assert_ne!(fixture.stack("ci-logs", StackStatus::CreateComplete), planned);
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Wait, "nothing is known of ours");
}
