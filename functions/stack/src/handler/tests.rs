//! Tests of the function over a CloudFormation in memory.

mod fixture;
mod recovery;

use super::*;
use fixture::{Fixture, SHIPPED, failed_event};
use lockstep_aws::cloudformation::{ChangeSetState, TemplateSource};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::resource_change::Impact;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Approval, Decision, Deployed, Deployment, Environment, Subject};
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::plan::{StackStatus, operation_key};
use lockstep_runtime::{Clock as _, HasLedger as _};

fn task() -> Task {
    Task {
        token: "task-token".into(),
        execution: "arn:execution".into(),
        entered_at: jiff::Timestamp::UNIX_EPOCH,
        retry: 0,
    }
}

async fn go(fixture: &Fixture, request: Request) -> NextStep {
    match handle(&fixture.sim, request).await.unwrap() {
        Reply::Next(next) => next.next,
        Reply::Waiting => panic!("it waits"),
    }
}

async fn failure(fixture: &Fixture, request: Request) -> Failure {
    handle(&fixture.sim, request).await.unwrap_err()
}

fn plan(id: &DeploymentId) -> Request {
    Request::Plan { deployment: id.clone() }
}

fn change_set(id: &DeploymentId) -> Request {
    Request::ChangeSet { deployment: id.clone() }
}

fn execute(id: &DeploymentId) -> Request {
    Request::Execute { deployment: id.clone(), task: task() }
}

fn observe(id: &DeploymentId) -> Request {
    Request::Observe { deployment: id.clone() }
}

fn approve(fixture: &Fixture) {
    fixture.change_deployment(|deployment| {
        let change_set = deployment.deploy().unwrap().change_set.clone().unwrap();
        deployment.approvals.push(Approval {
            number: 1,
            reasons: vec![],
            subject: Subject::ChangeSet(change_set),
            digest: deployment.digest().cloned(),
            asked_at: jiff::Timestamp::UNIX_EPOCH,
            answers: Vec::new(),
            decision: Some(Decision::Approve),
            decided_by: Some("arn:person".into()),
            reason: None,
            decided_at: Some(fixture.now()),
            valid_until: fixture.now().checked_add(jiff::Span::new().hours(Approval::VALID_HOURS)).ok(),
        });
    });
}

/// Runs a deployment up to the start of its operation.
async fn deploy(fixture: &Fixture) -> DeploymentId {
    let id = fixture.id();
    assert_eq!(go(fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(handle(&fixture.sim, execute(&id)).await.unwrap(), Reply::Waiting);
    id
}

#[tokio::test]
async fn a_new_stack_is_created_by_change_set_and_its_outputs_are_stored() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    let arn = fixture.cloud.arn("ci-logs");
    let key = operation_key(&arn, &client_token(id.as_str(), "execute", 1));
    assert_eq!(fixture.account.registered().as_slice(), std::slice::from_ref(&key));
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Wait);
    fixture.cloud.finish("ci-logs", "CREATE_COMPLETE");
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Check);
    let (deploy, environment) = (fixture.deploy(), fixture.environment().unwrap());
    assert_eq!(deploy.outputs["Host"], "h");
    assert!(deploy.stack_changed && environment.ever_stable);
    assert_eq!(environment.stack_arn, Some(arn));
    assert_eq!(deploy.parameters["Size"], "7");
}

#[tokio::test]
async fn a_change_set_has_tags_execution_role_and_a_template_in_the_bucket() {
    let fixture = Fixture::new("ci");
    deploy(&fixture).await;
    let made = fixture.cloud.created.borrow()[0].clone();
    let keys: Vec<&str> = made.tags.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["environment", "application", "function", "team", "environment:version"]);
    assert_eq!(made.role, "arn:aws:iam::111111111111:role/lockstep-delivery-cloudformation");
    let digest = fixture.deploy().template_digest;
    assert_eq!(made.template, TemplateSource::Url(format!("https://bucket/templates/{digest}")));
    assert_eq!(made.name, made.token);
}

#[tokio::test]
async fn missing_permissions_are_recorded_with_the_change_set() {
    let fixture = Fixture::new("ci");
    fixture.accounts.lacks.borrow_mut().insert("sns:TagResource".into());
    go(&fixture, plan(&fixture.id())).await;
    assert_eq!(go(&fixture, change_set(&fixture.id())).await, NextStep::Execute);
    let lack = fixture.deploy().lack.unwrap();
    assert_eq!((lack.asked, lack.allowed, lack.missing.len()), (2, 1, 1));
    let need = &lack.missing[0].need;
    assert_eq!((need.action.as_str(), need.resource.as_str(), need.line), ("sns:TagResource", "Topic", 6));
}

#[tokio::test]
async fn an_unanswered_permission_check_is_unknown_and_stops_nothing() {
    let fixture = Fixture::new("ci");
    fixture.accounts.is_mute.set(true);
    go(&fixture, plan(&fixture.id())).await;
    assert_eq!(go(&fixture, change_set(&fixture.id())).await, NextStep::Execute);
    let lack = fixture.deploy().lack.unwrap();
    assert_eq!((lack.allowed, lack.missing.len(), lack.unknown["the deployer may not ask"]), (0, 0, 2));
}

#[tokio::test]
async fn an_environment_that_runs_the_same_digests_is_not_changed() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    fixture.cloud.finish("ci-logs", "CREATE_COMPLETE");
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Check);
    let made = fixture.cloud.created.borrow().len();
    let (before, deploy) = (fixture.deployment(), fixture.deploy());
    fixture.change_environment(|environment| {
        environment.deployed = Some(Deployed {
            version: before.version.clone(),
            digest: deploy.digest,
            template_digest: deploy.template_digest,
            parameters_digest: deploy.parameters_digest.unwrap(),
            stack_version: before.version.clone(),
            deployment: before.id.clone(),
            checked: true,
            since: jiff::Timestamp::UNIX_EPOCH,
        });
    });
    let next = fixture.next_deployment();
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::Check);
    assert_eq!(fixture.cloud.created.borrow().len(), made);
    assert_eq!(fixture.deploy().outputs["Host"], "h");
    assert!(!fixture.deploy().stack_changed);
}

#[tokio::test]
async fn an_empty_change_set_is_removed_and_is_success() {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    fixture.own("ci-logs");
    fixture.cloud.next_state.replace(Some(ChangeSetState::Empty));
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Check);
    assert!(fixture.cloud.change_set_names("ci-logs").is_empty());
}

#[tokio::test]
async fn an_approval_covers_exactly_one_change_set() {
    let fixture = Fixture::new("production");
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::Bug);
    assert_eq!(fixture.cloud.executed.borrow().len(), 0);
    approve(&fixture);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(fixture.cloud.created.borrow().len(), 1, "the approved change set is found again");
    handle(&fixture.sim, execute(&id)).await.unwrap();
    assert_eq!(fixture.cloud.executed.borrow().len(), 1);
}

#[tokio::test]
async fn the_successor_of_an_obsolete_change_set_needs_its_own_approval() {
    let fixture = Fixture::new("production");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    approve(&fixture);
    fixture.cloud.set_change_sets("production-logs", ChangeSetState::Obsolete);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    assert_eq!(fixture.deploy().change_set.unwrap().attempt, 2);
}

#[tokio::test]
async fn a_change_set_made_from_other_parameters_is_not_used() {
    let fixture = Fixture::new("production");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    approve(&fixture);
    fixture.change_deploy(|deploy| drop(deploy.overrides.insert("Size".into(), "8".into())));
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    assert_eq!(fixture.cloud.created.borrow()[1].parameters["Size"], "8");
    assert_eq!(fixture.deploy().change_set.unwrap().attempt, 2);
}

#[tokio::test]
async fn a_change_that_destroys_data_needs_approval_in_every_stage() {
    let fixture = Fixture::new("ci");
    fixture.cloud.next_changes.replace(vec![ProposedChange {
        logical_id: "Archive".into(),
        resource_type: "AWS::S3::Bucket".into(),
        action: "Remove".into(),
        ..ProposedChange::default()
    }]);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    assert_eq!(fixture.deploy().change_set.unwrap().changes[0].impact, Impact::DataLoss);
}

/// Returns a fixture with two levels of nested stacks, whose deployment also reverts drift.
fn drifted() -> Fixture {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    fixture.cloud.nested("ci-logs", "Child", "ci-logs-Child");
    fixture.cloud.nested("ci-logs-Child", "Inner", "ci-logs-Child-Inner");
    fixture.own("ci-logs");
    fixture.change_deploy(|deploy| deploy.revert_drift = true);
    fixture
}

#[tokio::test]
async fn unexamined_nested_stacks_block_until_an_approval_names_each() {
    // FAILURES 25 and 26.
    let fixture = drifted();
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve, "though nothing is destroyed");
    assert!(fixture.cloud.created.borrow()[0].revert_drift);
    let made = fixture.deploy().change_set.unwrap();
    let names: Vec<&str> = made.unexamined.iter().map(|nested| nested.name.as_str()).collect();
    assert_eq!(names, ["Child", "Child.Inner"]);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::Bug);
    approve(&fixture);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
}

#[tokio::test]
async fn drift_is_examined_even_if_the_same_release_runs() {
    let fixture = drifted();
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    let (before, deploy) = (fixture.deployment(), fixture.deploy());
    let digest = fixture.release.digest.clone();
    fixture.change_environment(|environment| {
        environment.deployed = Some(Deployed {
            version: before.version.clone(),
            digest,
            template_digest: deploy.template_digest,
            parameters_digest: deploy.parameters_digest.unwrap(),
            stack_version: before.version.clone(),
            deployment: before.id.clone(),
            checked: true,
            since: jiff::Timestamp::UNIX_EPOCH,
        });
    });
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    fixture.change_deploy(|deploy| deploy.revert_drift = false);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Check);
}

#[tokio::test]
async fn an_empty_change_set_lists_the_unexamined_nested_stacks() {
    let fixture = drifted();
    fixture.change_deploy(|deploy| deploy.plan_only = true);
    fixture.cloud.next_state.replace(Some(ChangeSetState::Empty));
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Planned);
    let shown = fixture.deploy().change_set.unwrap();
    assert!(shown.changes.is_empty());
    assert_eq!(shown.unexamined.len(), 2);
    assert!(fixture.cloud.change_set_names("ci-logs").is_empty());
}

#[tokio::test]
async fn a_new_stack_is_created_without_a_drift_revert() {
    let fixture = Fixture::new("ci");
    fixture.change_deploy(|deploy| deploy.revert_drift = true);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert!(!fixture.cloud.created.borrow()[0].revert_drift);
}

#[tokio::test]
async fn an_unreadable_change_set_needs_an_operator() {
    let fixture = Fixture::new("ci");
    fixture.cloud.unreadable.set(true);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(failure(&fixture, change_set(&id)).await.kind, FailureKind::StackNeedsHuman);
}

#[tokio::test]
async fn a_change_set_with_a_lost_reply_is_found_again() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    fixture.cloud.lose_next_answer.set(true);
    assert_eq!(failure(&fixture, change_set(&id)).await.kind, FailureKind::Transient);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(fixture.cloud.change_set_names("ci-logs").len(), 1);
}

#[tokio::test]
async fn an_execution_with_a_lost_reply_is_not_started_twice() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    go(&fixture, change_set(&id)).await;
    fixture.cloud.lose_next_answer.set(true);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::Transient);
    handle(&fixture.sim, execute(&id)).await.unwrap();
    assert!(fixture.account.woken().is_empty(), "it runs: its event wakes the task");
    fixture.cloud.finish("ci-logs", "CREATE_COMPLETE");
    handle(&fixture.sim, execute(&id)).await.unwrap();
    assert_eq!(fixture.account.woken().len(), 1, "it has ended and no event follows");
    assert_eq!(fixture.cloud.executed.borrow().len(), 1);
}

#[tokio::test]
async fn a_change_set_that_is_obsolete_at_execution_fails_the_deployment() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    go(&fixture, change_set(&id)).await;
    fixture.cloud.set_change_sets("ci-logs", ChangeSetState::Obsolete);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::StackFailed);
}

#[tokio::test]
async fn remains_of_a_failed_creation_are_deleted_by_arn_before_the_next() {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::RollbackComplete);
    fixture.own("ci-logs");
    let (id, arn) = (fixture.id(), fixture.cloud.arn("ci-logs"));
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover);
    handle(&fixture.sim, Request::Recover { deployment: id.clone(), task: task() }).await.unwrap();
    let token = client_token(id.as_str(), "clear", 1);
    assert_eq!(fixture.cloud.deleted.borrow().as_slice(), [(arn.clone(), token.clone())]);
    assert_eq!(fixture.account.registered().as_slice(), [operation_key(&arn, &token)]);
    assert!(fixture.account.woken().is_empty());
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover, "the deletion runs");
    fixture.cloud.finish("ci-logs", "DELETE_COMPLETE");
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
}

#[tokio::test]
async fn a_repeated_clear_uses_the_same_token_and_operation() {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::RollbackComplete);
    fixture.own("ci-logs");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    for entry in [1, 2] {
        let entered_at = jiff::Timestamp::from_second(entry).unwrap();
        let task = Task { token: format!("token-{entry}"), entered_at, ..task() };
        handle(&fixture.sim, Request::Recover { deployment: id.clone(), task }).await.unwrap();
    }
    assert_eq!(fixture.cloud.deleted.borrow().len(), 1);
    let registered = fixture.account.registered();
    assert_eq!(registered.len(), 2);
    assert_eq!(registered[0], registered[1]);
}

#[tokio::test]
async fn an_adopted_operation_that_has_ended_wakes_at_once() {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    fixture.own("ci-logs");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    handle(&fixture.sim, Request::Recover { deployment: id, task: task() }).await.unwrap();
    assert_eq!(fixture.account.woken().as_slice(), fixture.account.registered().as_slice());
}

#[tokio::test]
async fn a_failed_update_is_explained_by_its_first_cause_with_its_line() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    let token = client_token(id.as_str(), "execute", 1);
    fixture.cloud.event("ci-logs", failed_event("Topic", "name taken", &token));
    fixture.cloud.event("ci-logs", failed_event("Other", "Resource creation cancelled", &token));
    fixture.cloud.finish("ci-logs", "ROLLBACK_COMPLETE");
    let failure = failure(&fixture, observe(&id)).await;
    assert_eq!(failure.kind, FailureKind::StackFailed);
    let start = "Topic (AWS::SNS::Topic, template.yaml:6) failed to create: name taken. The stack ci-logs is";
    assert!(failure.message.starts_with(start), "{}", failure.message);
    assert_eq!(fixture.deploy().diagnosis.len(), 1);
    assert!(!fixture.environment().unwrap().ever_stable);
}

#[tokio::test]
async fn an_update_stopped_by_validation_reports_the_findings() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    fixture.cloud.invalid.replace(vec!["Topic: the name is taken".to_owned()]);
    fixture.cloud.finish("ci-logs", "ROLLBACK_COMPLETE");
    let failure = failure(&fixture, observe(&id)).await;
    assert_eq!(failure.kind, FailureKind::StackFailed);
    assert!(failure.message.starts_with("Topic: the name is taken. The stack ci-logs is"), "{failure}");
    assert!(fixture.deploy().diagnosis.is_empty());
}

#[tokio::test]
async fn a_deployment_that_lost_its_environment_stops() {
    for change in
        [(|environment: &mut Environment| environment.epoch += 1) as fn(&mut Environment), |environment| {
            environment.holder = None
        }]
    {
        let fixture = Fixture::new("ci");
        fixture.change_environment(change);
        assert_eq!(failure(&fixture, plan(&fixture.id())).await.kind, FailureKind::Superseded);
    }
}

#[tokio::test]
async fn a_stack_of_another_creator_is_left_alone() {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::CreateComplete);
    let failure = failure(&fixture, plan(&fixture.id())).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
    assert!(failure.message.contains("did not make it"));
}

#[tokio::test]
async fn the_test_stack_runs_the_derived_template() {
    let fixture = Fixture::new("test");
    go(&fixture, plan(&fixture.id())).await;
    assert_eq!(fixture.deploy().template_digest, fixture.release.test_template_digest);
    assert_ne!(fixture.release.test_template_digest, fixture.release.template_digest);
}

#[tokio::test]
async fn an_output_of_another_component_is_read_from_its_stack() {
    let fixture = Fixture::new("ci");
    fixture.change_deploy(|deploy| {
        drop(deploy.overrides.insert("Size".into(), "${outputs.network.Size}".into()))
    });
    let refused = failure(&fixture, plan(&fixture.id())).await;
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("deploy network first"), "{}", refused.message);
    fixture.cloud.stack("ci-network", StackStatus::CreateComplete);
    fixture.cloud.set_output("ci-network", "Size", "9");
    go(&fixture, plan(&fixture.id())).await;
    assert_eq!(fixture.deploy().parameters["Size"], "9");
}

#[tokio::test]
async fn function_code_is_copied_to_the_target_before_the_change_set() {
    let fixture = Fixture::with_function("ci");
    deploy(&fixture).await;
    assert_eq!(fixture.deploy().parameters["Size"], SHIPPED);
    assert_eq!(*fixture.accounts.functions.borrow(), [format!("{SHIPPED} to 111111111111")]);
    let other = Fixture::new("ci");
    deploy(&other).await;
    assert!(other.accounts.functions.borrow().is_empty());
}

#[tokio::test]
async fn function_code_that_no_parameter_names_is_not_copied() {
    let fixture = Fixture::with_function("ci");
    fixture.change_deploy(|deploy| drop(deploy.overrides.insert("Size".into(), "9".into())));
    deploy(&fixture).await;
    assert!(fixture.accounts.functions.borrow().is_empty());
}

fn destroy(stage: &str) -> Request {
    Request::Destroy { stage: stage.parse().unwrap(), environment: "logs".into(), task: task() }
}

fn destroyed() -> Request {
    Request::Destroyed { stage: "test".parse().unwrap(), environment: "logs".into() }
}

#[tokio::test]
async fn a_test_stack_is_deleted_and_its_environment_removed() {
    let fixture = Fixture::new("test");
    let id = deploy(&fixture).await;
    fixture.cloud.finish("test-logs", "CREATE_COMPLETE");
    go(&fixture, observe(&id)).await;
    fixture.change_environment(|environment| environment.holder = None);
    handle(&fixture.sim, destroy("test")).await.unwrap();
    let arn = fixture.cloud.arn("test-logs");
    assert_eq!(fixture.cloud.deleted.borrow().as_slice(), [(arn.clone(), client_token(&arn, "destroy", 1))]);
    assert_eq!(go(&fixture, destroyed()).await, NextStep::Wait);
    fixture.cloud.finish("test-logs", "DELETE_COMPLETE");
    assert_eq!(go(&fixture, destroyed()).await, NextStep::Done);
    assert_eq!(fixture.environment(), None);
    assert_eq!(go(&fixture, destroyed()).await, NextStep::Done, "again is no error");
}

#[tokio::test]
async fn the_deletion_of_a_missing_stack_wakes_at_once() {
    let fixture = Fixture::new("test");
    handle(&fixture.sim, destroy("test")).await.unwrap();
    assert_eq!(fixture.account.woken().len(), 1);
    assert!(fixture.cloud.deleted.borrow().is_empty());
}

#[tokio::test]
async fn only_test_stacks_are_destroyed() {
    let fixture = Fixture::new("ci");
    fixture.cloud.stack("ci-logs", StackStatus::CreateComplete);
    fixture.own("ci-logs");
    assert_eq!(failure(&fixture, destroy("ci")).await.kind, FailureKind::Rejected);
    assert!(fixture.cloud.deleted.borrow().is_empty());
}

#[tokio::test]
async fn a_test_stack_that_cannot_be_deleted_is_reported_with_its_blocker() {
    let fixture = Fixture::new("test");
    fixture.cloud.stack("test-logs", StackStatus::DeleteFailed);
    fixture.cloud.resource("test-logs", "Vpc", "AWS::EC2::VPC", "DELETE_FAILED");
    let failure = failure(&fixture, destroyed()).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
    assert!(failure.message.contains("because of Vpc"), "{}", failure.message);
}

#[tokio::test]
async fn a_repeated_finished_step_writes_nothing() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    fixture.cloud.finish("ci-logs", "CREATE_COMPLETE");
    go(&fixture, observe(&id)).await;
    let written = fixture.account.written().len();
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Check);
    assert_eq!(fixture.account.written().len(), written);
    let stored = fixture.ledger().get::<Deployment>(&Deployment::key_of(&id)).await.unwrap();
    assert!(stored.is_some());
}
