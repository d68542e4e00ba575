//! The function against a CloudFormation in memory.

mod fakes;
mod recovery;

use super::*;
use fakes::{FakeWorld, SHIPPED, failed_event};
use lockstep_domain::messages::Task;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::resource_change::Impact;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Approval, Decision, Deployed, Deployment, Environment, Subject};
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::plan::{StackStatus, operation_key};
use lockstep_platform::cloudformation::{ChangeSetState, TemplateSource};
use lockstep_platform::ports::Records;

fn task() -> Task {
    Task {
        token: "task-token".into(),
        execution: "arn:execution".into(),
        entered_at: jiff::Timestamp::UNIX_EPOCH,
        retry: 0,
    }
}

async fn go(world: &FakeWorld, request: Request) -> NextStep {
    match handle(world, request).await.unwrap() {
        Answer::Next(next) => next.next,
        Answer::Waiting => panic!("it waits"),
    }
}

async fn failure(world: &FakeWorld, request: Request) -> Failure {
    handle(world, request).await.unwrap_err()
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

fn approve(world: &FakeWorld) {
    world.change_deployment(|deployment| {
        let change_set = deployment.change_set.clone().unwrap();
        deployment.approvals.push(Approval {
            number: 1,
            reasons: vec![],
            subject: Subject::ChangeSet(change_set),
            digest: deployment.digest.clone(),
            asked_at: jiff::Timestamp::UNIX_EPOCH,
            decision: Some(Decision::Approve),
            decided_by: Some("arn:person".into()),
            reason: None,
            decided_at: Some(world.now()),
        });
    });
}

/// As far as the operation that was started.
async fn deploy(world: &FakeWorld) -> DeploymentId {
    let id = world.id();
    assert_eq!(go(world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(world, change_set(&id)).await, NextStep::Execute);
    assert_eq!(handle(world, execute(&id)).await.unwrap(), Answer::Waiting);
    id
}

#[tokio::test]
async fn a_new_stack_is_created_through_a_change_set_and_its_outputs_are_kept() {
    let world = FakeWorld::new("ci");
    let id = deploy(&world).await;
    let arn = world.cloud.arn("ci-logs");
    let key = operation_key(&arn, &client_token(id.as_str(), "execute", 1));
    assert_eq!(world.waits.registered.borrow().as_slice(), std::slice::from_ref(&key));
    assert_eq!(go(&world, observe(&id)).await, NextStep::Wait);
    world.cloud.finish("ci-logs", "CREATE_COMPLETE");
    assert_eq!(go(&world, observe(&id)).await, NextStep::Check);
    let (deployment, environment) = (world.deployment(), world.environment().unwrap());
    assert_eq!(deployment.outputs["Host"], "h");
    assert!(deployment.stack_changed && environment.ever_stable);
    assert_eq!(environment.stack_arn, Some(arn));
    assert_eq!(deployment.parameters["Size"], "7");
}

#[tokio::test]
async fn the_stack_is_tagged_and_made_by_the_execution_role_from_a_template_in_the_bucket() {
    let world = FakeWorld::new("ci");
    deploy(&world).await;
    let made = world.cloud.created.borrow()[0].clone();
    let keys: Vec<&str> = made.tags.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["environment", "application", "function", "team", "environment:version"]);
    assert_eq!(made.role, "role-of-111111111111");
    let digest = world.deployment().template_digest.unwrap();
    assert_eq!(made.template, TemplateSource::Url(format!("bucket/templates/{digest}")));
    assert_eq!(made.name, made.token);
}

#[tokio::test]
async fn what_the_execution_role_lacks_is_noted_with_the_change_set() {
    let world = FakeWorld::new("ci");
    world.lacks.borrow_mut().push("sns:TagResource".into());
    go(&world, plan(&world.id())).await;
    assert_eq!(go(&world, change_set(&world.id())).await, NextStep::Execute);
    let lack = world.deployment().lack.unwrap();
    assert_eq!((lack.asked, lack.allowed, lack.missing.len()), (2, 1, 1));
    let need = &lack.missing[0].need;
    assert_eq!((need.action.as_str(), need.resource.as_str(), need.line), ("sns:TagResource", "Topic", 6));
}

#[tokio::test]
async fn what_aws_does_not_say_of_the_execution_role_is_unknown_and_stops_nothing() {
    let world = FakeWorld::new("ci");
    world.mute.set(true);
    go(&world, plan(&world.id())).await;
    assert_eq!(go(&world, change_set(&world.id())).await, NextStep::Execute);
    let lack = world.deployment().lack.unwrap();
    assert_eq!((lack.allowed, lack.missing.len(), lack.unknown["the deployer may not ask"]), (0, 0, 2));
}

#[tokio::test]
async fn an_environment_that_runs_the_same_is_not_touched() {
    let world = FakeWorld::new("ci");
    let id = deploy(&world).await;
    world.cloud.finish("ci-logs", "CREATE_COMPLETE");
    assert_eq!(go(&world, observe(&id)).await, NextStep::Check);
    let made = world.cloud.created.borrow().len();
    let before = world.deployment();
    world.change_environment(|environment| {
        environment.deployed = Some(Deployed {
            version: before.version.clone(),
            digest: before.digest.clone().unwrap(),
            template_digest: before.template_digest.clone().unwrap(),
            parameters_digest: before.parameters_digest.clone().unwrap(),
            stack_version: before.version.clone(),
            deployment: before.id.clone(),
            checked: true,
            since: jiff::Timestamp::UNIX_EPOCH,
        });
    });
    let next = world.next_deployment();
    assert_eq!(go(&world, plan(&next)).await, NextStep::Check);
    assert_eq!(world.cloud.created.borrow().len(), made);
    assert_eq!(world.deployment().outputs["Host"], "h");
    assert!(!world.deployment().stack_changed);
}

#[tokio::test]
async fn an_empty_change_set_is_removed_and_is_success() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    world.cloud.next_state.replace(Some(ChangeSetState::Empty));
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Check);
    assert!(world.cloud.change_set_names("ci-logs").is_empty());
}

#[tokio::test]
async fn a_stage_that_wants_approval_gets_it_for_exactly_this_change_set() {
    let world = FakeWorld::new("production");
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve);
    assert_eq!(failure(&world, execute(&id)).await.kind, FailureKind::Bug);
    assert_eq!(world.cloud.executed.borrow().len(), 0);
    approve(&world);
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Execute);
    assert_eq!(world.cloud.created.borrow().len(), 1, "the approved change set is found again");
    handle(&world, execute(&id)).await.unwrap();
    assert_eq!(world.cloud.executed.borrow().len(), 1);
}

#[tokio::test]
async fn an_approved_change_set_that_became_obsolete_is_made_anew_and_asked_about_again() {
    let world = FakeWorld::new("production");
    let id = world.id();
    go(&world, plan(&id)).await;
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve);
    approve(&world);
    world.cloud.set_change_sets("production-logs", ChangeSetState::Obsolete);
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve);
    assert_eq!(world.deployment().change_set.unwrap().attempt, 2);
}

#[tokio::test]
async fn a_change_set_made_from_other_parameters_is_not_used() {
    let world = FakeWorld::new("production");
    let id = world.id();
    go(&world, plan(&id)).await;
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve);
    approve(&world);
    world.change_deployment(|deployment| drop(deployment.overrides.insert("Size".into(), "8".into())));
    go(&world, plan(&id)).await;
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve);
    assert_eq!(world.cloud.created.borrow()[1].parameters["Size"], "8");
    assert_eq!(world.deployment().change_set.unwrap().attempt, 2);
}

#[tokio::test]
async fn what_would_destroy_data_is_asked_about_in_every_stage() {
    let world = FakeWorld::new("ci");
    world.cloud.next_changes.replace(vec![ProposedChange {
        logical_id: "Archive".into(),
        resource_type: "AWS::S3::Bucket".into(),
        action: "Remove".into(),
        ..ProposedChange::default()
    }]);
    let id = world.id();
    go(&world, plan(&id)).await;
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve);
    assert_eq!(world.deployment().change_set.unwrap().changes[0].impact, Impact::DataLoss);
}

/// A stack with a nested one in it, and another in that; what is deployed also brings drift back.
fn drifted() -> FakeWorld {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.cloud.nested("ci-logs", "Child", "ci-logs-Child");
    world.cloud.nested("ci-logs-Child", "Inner", "ci-logs-Child-Inner");
    world.own("ci-logs");
    world.change_deployment(|deployment| deployment.revert_drift = true);
    world
}

#[tokio::test]
async fn nested_stacks_are_not_examined_where_drift_is_reverted_and_block_until_each_is_named() {
    // FAILURES 25 and 26.
    let world = drifted();
    let id = world.id();
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Approve, "though nothing is destroyed");
    assert!(world.cloud.created.borrow()[0].revert_drift);
    let made = world.deployment().change_set.unwrap();
    let names: Vec<&str> = made.unexamined.iter().map(|nested| nested.name.as_str()).collect();
    assert_eq!(names, ["Child", "Child.Inner"]);
    assert_eq!(failure(&world, execute(&id)).await.kind, FailureKind::Bug);
    approve(&world);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Execute);
}

#[tokio::test]
async fn drift_is_looked_for_though_the_same_release_runs() {
    let world = drifted();
    let id = world.id();
    go(&world, plan(&id)).await;
    let (before, digest) = (world.deployment(), world.release.digest.clone());
    world.change_environment(|environment| {
        environment.deployed = Some(Deployed {
            version: before.version.clone(),
            digest,
            template_digest: before.template_digest.clone().unwrap(),
            parameters_digest: before.parameters_digest.clone().unwrap(),
            stack_version: before.version.clone(),
            deployment: before.id.clone(),
            checked: true,
            since: jiff::Timestamp::UNIX_EPOCH,
        });
    });
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
    world.change_deployment(|deployment| deployment.revert_drift = false);
    assert_eq!(go(&world, plan(&id)).await, NextStep::Check);
}

#[tokio::test]
async fn an_empty_change_set_says_which_nested_stacks_nobody_looked_into() {
    let world = drifted();
    world.change_deployment(|deployment| deployment.plan_only = true);
    world.cloud.next_state.replace(Some(ChangeSetState::Empty));
    let id = world.id();
    go(&world, plan(&id)).await;
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Planned);
    let shown = world.deployment().change_set.unwrap();
    assert!(shown.changes.is_empty());
    assert_eq!(shown.unexamined.len(), 2);
    assert!(world.cloud.change_set_names("ci-logs").is_empty());
}

#[tokio::test]
async fn what_is_yet_to_be_created_has_not_drifted() {
    let world = FakeWorld::new("ci");
    world.change_deployment(|deployment| deployment.revert_drift = true);
    let id = world.id();
    go(&world, plan(&id)).await;
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Execute);
    assert!(!world.cloud.created.borrow()[0].revert_drift);
}

#[tokio::test]
async fn a_change_set_that_cannot_be_read_needs_a_person() {
    let world = FakeWorld::new("ci");
    world.cloud.unreadable.set(true);
    let id = world.id();
    go(&world, plan(&id)).await;
    assert_eq!(failure(&world, change_set(&id)).await.kind, FailureKind::StackNeedsHuman);
}

#[tokio::test]
async fn a_change_set_whose_answer_was_lost_is_found_again() {
    let world = FakeWorld::new("ci");
    let id = world.id();
    go(&world, plan(&id)).await;
    world.cloud.lose_next_answer.set(true);
    assert_eq!(failure(&world, change_set(&id)).await.kind, FailureKind::Transient);
    assert_eq!(go(&world, change_set(&id)).await, NextStep::Execute);
    assert_eq!(world.cloud.change_set_names("ci-logs").len(), 1);
}

#[tokio::test]
async fn an_execution_whose_answer_was_lost_is_not_begun_twice() {
    let world = FakeWorld::new("ci");
    let id = world.id();
    go(&world, plan(&id)).await;
    go(&world, change_set(&id)).await;
    world.cloud.lose_next_answer.set(true);
    assert_eq!(failure(&world, execute(&id)).await.kind, FailureKind::Transient);
    handle(&world, execute(&id)).await.unwrap();
    assert!(world.waits.woken.borrow().is_empty(), "it runs: its event will tell");
    world.cloud.finish("ci-logs", "CREATE_COMPLETE");
    handle(&world, execute(&id)).await.unwrap();
    assert_eq!(world.waits.woken.borrow().len(), 1, "it is over and nobody would tell");
    assert_eq!(world.cloud.executed.borrow().len(), 1);
}

#[tokio::test]
async fn a_change_set_that_cannot_be_executed_any_more_ends_the_deployment() {
    let world = FakeWorld::new("ci");
    let id = world.id();
    go(&world, plan(&id)).await;
    go(&world, change_set(&id)).await;
    world.cloud.set_change_sets("ci-logs", ChangeSetState::Obsolete);
    assert_eq!(failure(&world, execute(&id)).await.kind, FailureKind::StackFailed);
}

#[tokio::test]
async fn what_a_failed_creation_left_is_deleted_by_arn_and_then_created_again() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::RollbackComplete);
    world.own("ci-logs");
    let (id, arn) = (world.id(), world.cloud.arn("ci-logs"));
    assert_eq!(go(&world, plan(&id)).await, NextStep::Recover);
    handle(&world, Request::Recover { deployment: id.clone(), task: task() }).await.unwrap();
    let token = client_token(id.as_str(), "clear", 1);
    assert_eq!(world.cloud.deleted.borrow().as_slice(), [(arn.clone(), token.clone())]);
    assert_eq!(world.waits.registered.borrow().as_slice(), [operation_key(&arn, &token)]);
    assert!(world.waits.woken.borrow().is_empty());
    assert_eq!(go(&world, plan(&id)).await, NextStep::Recover, "the deletion runs");
    world.cloud.finish("ci-logs", "DELETE_COMPLETE");
    assert_eq!(go(&world, plan(&id)).await, NextStep::ChangeSet);
}

#[tokio::test]
async fn clearing_again_uses_the_same_token_and_waits_for_the_same_operation() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::RollbackComplete);
    world.own("ci-logs");
    let id = world.id();
    go(&world, plan(&id)).await;
    for _ in 0..2 {
        handle(&world, Request::Recover { deployment: id.clone(), task: task() }).await.unwrap();
    }
    assert_eq!(world.cloud.deleted.borrow().len(), 1);
    let registered = world.waits.registered.borrow();
    assert_eq!(registered[0], registered[1]);
}

#[tokio::test]
async fn adopting_what_has_ended_meanwhile_answers_at_once() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::UpdateComplete);
    world.own("ci-logs");
    let id = world.id();
    go(&world, plan(&id)).await;
    handle(&world, Request::Recover { deployment: id, task: task() }).await.unwrap();
    assert_eq!(world.waits.woken.borrow().as_slice(), world.waits.registered.borrow().as_slice());
}

#[tokio::test]
async fn a_failed_update_is_explained_by_its_first_cause_with_its_line() {
    let world = FakeWorld::new("ci");
    let id = deploy(&world).await;
    let token = client_token(id.as_str(), "execute", 1);
    world.cloud.event("ci-logs", failed_event("Topic", "name taken", &token));
    world.cloud.event("ci-logs", failed_event("Other", "Resource creation cancelled", &token));
    world.cloud.finish("ci-logs", "ROLLBACK_COMPLETE");
    let failure = failure(&world, observe(&id)).await;
    assert_eq!(failure.kind, FailureKind::StackFailed);
    let start = "Topic (AWS::SNS::Topic, template.yaml:6) failed to create: name taken. The stack ci-logs is";
    assert!(failure.message.starts_with(start), "{}", failure.message);
    assert_eq!(world.deployment().diagnosis.len(), 1);
    assert!(!world.environment().unwrap().ever_stable);
}

#[tokio::test]
async fn an_update_that_validation_stopped_is_explained_by_what_validation_found() {
    let world = FakeWorld::new("ci");
    let id = deploy(&world).await;
    world.cloud.invalid.replace(vec!["Topic: the name is taken".to_owned()]);
    world.cloud.finish("ci-logs", "ROLLBACK_COMPLETE");
    let failure = failure(&world, observe(&id)).await;
    assert_eq!(failure.kind, FailureKind::StackFailed);
    assert!(failure.message.starts_with("Topic: the name is taken. The stack ci-logs is"), "{failure}");
    assert!(world.deployment().diagnosis.is_empty());
}

#[tokio::test]
async fn a_deployment_that_lost_its_environment_stops() {
    for change in
        [(|environment: &mut Environment| environment.epoch += 1) as fn(&mut Environment), |environment| {
            environment.holder = None
        }]
    {
        let world = FakeWorld::new("ci");
        world.change_environment(change);
        assert_eq!(failure(&world, plan(&world.id())).await.kind, FailureKind::Superseded);
    }
}

#[tokio::test]
async fn a_stack_that_somebody_else_made_is_left_alone() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::CreateComplete);
    let failure = failure(&world, plan(&world.id())).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
    assert!(failure.message.contains("did not make it"));
}

#[tokio::test]
async fn the_throw_away_stack_runs_the_derived_template() {
    let world = FakeWorld::new("test");
    go(&world, plan(&world.id())).await;
    let deployment = world.deployment();
    assert_eq!(deployment.template_digest.as_ref(), Some(&world.release.test_template_digest));
    assert_ne!(world.release.test_template_digest, world.release.template_digest);
}

#[tokio::test]
async fn an_output_of_another_component_is_read_from_its_stack() {
    let world = FakeWorld::new("ci");
    world.change_deployment(|d| drop(d.overrides.insert("Size".into(), "${outputs.network.Size}".into())));
    let refused = failure(&world, plan(&world.id())).await;
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("deploy network first"), "{}", refused.message);
    world.cloud.stack("ci-network", StackStatus::CreateComplete);
    world.cloud.set_output("ci-network", "Size", "9");
    go(&world, plan(&world.id())).await;
    assert_eq!(world.deployment().parameters["Size"], "9");
}

#[tokio::test]
async fn the_code_of_a_function_goes_where_the_release_goes_before_the_change_set_names_it() {
    let world = FakeWorld::with_function("ci");
    deploy(&world).await;
    assert_eq!(world.deployment().parameters["Size"], SHIPPED);
    assert_eq!(*world.carried.borrow(), [format!("{SHIPPED} to 111111111111")]);
    let other = FakeWorld::new("ci");
    deploy(&other).await;
    assert!(other.carried.borrow().is_empty());
}

#[tokio::test]
async fn a_function_that_no_value_names_any_more_is_not_carried() {
    let world = FakeWorld::with_function("ci");
    world.change_deployment(|d| drop(d.overrides.insert("Size".into(), "9".into())));
    deploy(&world).await;
    assert!(world.carried.borrow().is_empty());
}

fn destroy(stage: &str) -> Request {
    Request::Destroy { stage: stage.parse().unwrap(), environment: "logs".into(), task: task() }
}

fn destroyed() -> Request {
    Request::Destroyed { stage: "test".parse().unwrap(), environment: "logs".into() }
}

#[tokio::test]
async fn a_throw_away_stack_is_deleted_and_its_environment_forgotten() {
    let world = FakeWorld::new("test");
    let id = deploy(&world).await;
    world.cloud.finish("test-logs", "CREATE_COMPLETE");
    go(&world, observe(&id)).await;
    world.change_environment(|environment| environment.holder = None);
    handle(&world, destroy("test")).await.unwrap();
    let arn = world.cloud.arn("test-logs");
    assert_eq!(world.cloud.deleted.borrow().as_slice(), [(arn.clone(), client_token(&arn, "destroy", 1))]);
    assert_eq!(go(&world, destroyed()).await, NextStep::Wait);
    world.cloud.finish("test-logs", "DELETE_COMPLETE");
    assert_eq!(go(&world, destroyed()).await, NextStep::Done);
    assert_eq!(world.environment(), None);
    assert_eq!(go(&world, destroyed()).await, NextStep::Done, "again is no error");
}

#[tokio::test]
async fn destroying_what_is_not_there_answers_at_once() {
    let world = FakeWorld::new("test");
    handle(&world, destroy("test")).await.unwrap();
    assert_eq!(world.waits.woken.borrow().len(), 1);
    assert!(world.cloud.deleted.borrow().is_empty());
}

#[tokio::test]
async fn only_throw_away_stacks_are_destroyed() {
    let world = FakeWorld::new("ci");
    world.cloud.stack("ci-logs", StackStatus::CreateComplete);
    world.own("ci-logs");
    assert_eq!(failure(&world, destroy("ci")).await.kind, FailureKind::Rejected);
    assert!(world.cloud.deleted.borrow().is_empty());
}

#[tokio::test]
async fn a_throw_away_stack_that_cannot_be_deleted_is_told_with_what_blocks_it() {
    let world = FakeWorld::new("test");
    world.cloud.stack("test-logs", StackStatus::DeleteFailed);
    world.cloud.resource("test-logs", "Vpc", "AWS::EC2::VPC", "DELETE_FAILED");
    let failure = failure(&world, destroyed()).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
    assert!(failure.message.contains("because of Vpc"), "{}", failure.message);
}

#[tokio::test]
async fn running_a_finished_step_again_writes_nothing() {
    let world = FakeWorld::new("ci");
    let id = deploy(&world).await;
    world.cloud.finish("ci-logs", "CREATE_COMPLETE");
    go(&world, observe(&id)).await;
    let written = world.records.written().len();
    assert_eq!(go(&world, observe(&id)).await, NextStep::Check);
    assert_eq!(world.records.written().len(), written);
    let stored = world.records.get::<Deployment>(&Deployment::key_of(&id)).await.unwrap();
    assert!(stored.is_some());
}
