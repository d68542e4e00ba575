//! Deployments that revert drift.

use super::*;

/// Returns a fixture with two levels of nested stacks, and a deployment that also reverts drift.
async fn drifted() -> (Fixture, DeploymentId) {
    let fixture = Fixture::with_template("ci", &with_resources(&nested_stack("Child")));
    let id = deployed(&fixture).await;
    let child = format!("Resources:\n{}", nested_stack("Inner"));
    let child = fixture.stack_of("ci-logs-Child", StackStatus::UpdateComplete, &child);
    let inner = fixture.stack_of("ci-logs-Child-Inner", StackStatus::UpdateComplete, CHILD);
    fixture.cloud.nest(&fixture.cloud.arn("ci-logs").unwrap(), "Child", &child);
    fixture.cloud.nest(&child, "Inner", &inner);
    fixture.change_deploy(|deploy| deploy.revert_drift = true);
    (fixture, id)
}

#[tokio::test]
async fn unexamined_nested_stacks_block_until_an_approval_names_each() {
    // FAILURES 25 and 26.
    let (fixture, id) = drifted().await;
    let arn = fixture.cloud.arn("ci-logs").unwrap();
    fixture.cloud.drift(&arn, "Topic", "DisplayName", "typed by hand".into());
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve, "though nothing is destroyed");
    assert!(fixture.cloud.change_set_requests()[1].revert_drift);
    let made = fixture.deploy().change_set.unwrap();
    assert_eq!(made.changes[0].impact, Impact::None);
    let names: Vec<&str> = made.unexamined.iter().map(|nested| nested.name.as_str()).collect();
    assert_eq!(names, ["Child", "Child.Inner"]);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::Bug);
    approve(&fixture);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
}

#[tokio::test]
async fn drift_is_examined_even_if_the_same_release_runs() {
    let (fixture, id) = drifted().await;
    go(&fixture, plan(&id)).await;
    fixture.record_as_deployed();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    fixture.change_deploy(|deploy| deploy.revert_drift = false);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Check);
}

#[tokio::test]
async fn an_empty_change_set_lists_the_unexamined_nested_stacks() {
    let (fixture, id) = drifted().await;
    fixture.change_deploy(|deploy| deploy.plan_only = true);
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Planned);
    let shown = fixture.deploy().change_set.unwrap();
    assert!(shown.changes.is_empty());
    assert_eq!(shown.unexamined.len(), 2);
    assert!(!fixture.change_sets("ci-logs").await.contains(&client_token(id.as_str(), "change-set", 1)));
}

#[tokio::test]
async fn a_new_stack_is_created_without_a_drift_revert() {
    let fixture = Fixture::new("ci");
    fixture.change_deploy(|deploy| deploy.revert_drift = true);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert!(!fixture.cloud.change_set_requests()[0].revert_drift);
}
