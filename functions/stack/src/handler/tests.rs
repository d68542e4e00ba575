//! Tests of the function over the simulated clouds.

mod drift;
mod fixture;
mod late;
mod limits;
mod nested;
mod public;
mod recovery;

use super::*;
use fixture::{CHILD, CHILD_KEPT, Fixture, SHIPPED, TEMPLATE, nested_stack, with_resources};
use lockstep_aws::cloudformation::{ChangeSetView, Stacks as _, TemplateSource};
use lockstep_domain::delivery::packaging;
use lockstep_domain::messages::Task;
use lockstep_domain::messages::stack::NextStep;
use lockstep_domain::model::error::FailureKind;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::resource_change::Impact;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{Approval, Deployment, Environment, Input, Subject};
use lockstep_domain::stacks::plan::{StackStatus, operation_key};
use lockstep_domain::stacks::template::Template;
use lockstep_runtime::HasLedger as _;
use lockstep_sim::cloudformation::Trouble;
use lockstep_sim::context::{BUCKET, EXTERNAL_ID};
use lockstep_sim::faults::Kind;
use lockstep_sim::faulty::Mistake;
use std::collections::BTreeMap;

fn task() -> Task {
    Task {
        token: "task-token".into(),
        execution: "arn:execution".into(),
        entered_at: jiff::Timestamp::UNIX_EPOCH,
        retry: 0,
    }
}

async fn go(fixture: &Fixture, request: Request) -> NextStep {
    match handle(&fixture.context, request).await.unwrap() {
        Reply::Next(next) => next.next,
        Reply::Waiting => panic!("it waits"),
    }
}

async fn failure(fixture: &Fixture, request: Request) -> Failure {
    handle(&fixture.context, request).await.unwrap_err()
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
        let question = Approval {
            shown: None,
            number: u32::try_from(deployment.approvals.len()).unwrap() + 1,
            reasons: vec![],
            subject: Subject::ChangeSet(change_set),
            digest: deployment.digest().cloned(),
            asked_at: jiff::Timestamp::UNIX_EPOCH,
        };
        deployment.approvals.push(question);
    });
    fixture.approve();
}

/// Runs a deployment up to the start of its operation.
async fn deploy(fixture: &Fixture) -> DeploymentId {
    let id = fixture.id();
    assert_eq!(go(fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(handle(&fixture.context, execute(&id)).await.unwrap(), Reply::Waiting);
    id
}

/// Deploys the release and begins another deployment of it.
async fn deployed(fixture: &Fixture) -> DeploymentId {
    let id = deploy(fixture).await;
    fixture.pass();
    assert_eq!(go(fixture, observe(&id)).await, NextStep::Check);
    fixture.next_deployment()
}

#[tokio::test]
async fn a_new_stack_is_created_by_change_set_and_its_outputs_are_stored() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    let arn = fixture.cloud.arn("ci-logs").unwrap();
    let key = operation_key(&arn, &client_token(id.as_str(), "execute", 1));
    assert_eq!(fixture.account.registered().as_slice(), std::slice::from_ref(&key));
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Wait);
    fixture.pass();
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Check);
    let (deploy, environment) = (fixture.deploy(), fixture.environment().unwrap());
    assert_eq!(deploy.outputs["Host"], fixture.cloud.physical_ids("ci-logs")["Topic"]);
    assert!(deploy.stack_changed && environment.ever_stable);
    assert_eq!(environment.stack_arn, Some(arn));
    assert_eq!(deploy.parameters["Size"], "7");
}

#[tokio::test]
async fn a_change_set_has_tags_execution_role_and_a_template_in_the_bucket() {
    let fixture = Fixture::new("ci");
    deploy(&fixture).await;
    let made = fixture.cloud.change_set_requests().remove(0);
    let keys: Vec<&str> = made.tags.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "environment",
            "application",
            "function",
            "team",
            "environment:version",
            "lockstep:environment",
            "lockstep:component",
            "lockstep:installation",
        ]
    );
    assert_eq!([&*made.tags[5].1, &*made.tags[6].1], ["ci/logs", "logs"]);
    assert!(made.tags.iter().all(|(_, value)| !value.contains(EXTERNAL_ID)));
    assert_eq!(made.role, "arn:aws:iam::111111111111:role/lockstep-delivery-cloudformation");
    let digest = fixture.deploy().template_digest;
    assert_eq!(made.template, TemplateSource::Url(format!("https://bucket/templates/{digest}")));
    assert_eq!(made.name, made.token);
}

#[tokio::test]
async fn a_component_can_leave_the_version_out_of_its_tags() {
    let fixture = Fixture::without_version_tag("ci");
    deploy(&fixture).await;
    let made = fixture.cloud.change_set_requests().remove(0);
    assert!(made.tags.iter().all(|(key, _)| key != "environment:version"), "{:?}", made.tags);
    assert_eq!(made.tags.len(), 7);
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
    fixture.pass();
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Check);
    fixture.record_as_deployed();
    let next = fixture.next_deployment();
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::Check);
    assert_eq!(fixture.cloud.change_set_requests().len(), 1);
    assert_eq!(fixture.deploy().outputs["Host"], fixture.cloud.physical_ids("ci-logs")["Topic"]);
    assert!(!fixture.deploy().stack_changed);
}

#[tokio::test]
async fn an_empty_change_set_is_removed_and_is_success() {
    let fixture = Fixture::new("ci");
    let id = deployed(&fixture).await;
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Check);
    assert_eq!(fixture.cloud.change_set_requests().len(), 2);
    assert_eq!(fixture.calls("DeleteChangeSet").len(), 1);
    assert!(!fixture.change_sets("ci-logs").await.contains(&client_token(id.as_str(), "change-set", 1)));
}

#[tokio::test]
async fn an_approval_covers_exactly_one_change_set() {
    let fixture = Fixture::new("production");
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::Bug);
    assert!(fixture.calls("ExecuteChangeSet").is_empty());
    approve(&fixture);
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(fixture.cloud.change_set_requests().len(), 1, "the approved change set is found again");
    handle(&fixture.context, execute(&id)).await.unwrap();
    assert_eq!(fixture.calls("ExecuteChangeSet").len(), 1);
}

#[tokio::test]
async fn the_successor_of_an_obsolete_change_set_needs_its_own_approval() {
    let fixture = Fixture::new("production");
    let arn = fixture.own_stack(StackStatus::UpdateComplete);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    approve(&fixture);
    fixture.cloud.update_as_other_caller(&arn, "another-caller");
    fixture.pass();
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
    assert_eq!(fixture.cloud.change_set_requests()[1].parameters["Size"], "8");
    assert_eq!(fixture.deploy().change_set.unwrap().attempt, 2);
}

#[tokio::test]
async fn a_question_compares_the_templates_that_the_stack_runs() {
    let with_role = |path: &str| {
        let properties = format!("Path: {path}, AssumeRolePolicyDocument: {{}}");
        with_resources(&format!("  Runner:\n    Type: AWS::IAM::Role\n    Properties: {{{properties}}}\n"))
    };
    let fixture = Fixture::with_template("production", &with_role("/new/"));
    let running = Template::parse("template.yaml", &with_role("/old/")).unwrap().deployed_text();
    assert!(running.contains("PermissionsBoundary"));
    fixture.own_stack_of(StackStatus::UpdateComplete, &running);
    fixture.cloud.warn_of("the quota of roles is nearly used up");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    let review = fixture.deploy().change_set.unwrap().review;
    assert_eq!(review.access, []);
    assert_eq!(review.warnings, ["the quota of roles is nearly used up"]);
}

#[tokio::test]
async fn a_change_that_destroys_data_needs_approval_in_every_stage() {
    let fixture = Fixture::new("ci");
    let archive = with_resources("  Archive:\n    Type: AWS::S3::Bucket\n");
    fixture.own_stack_of(StackStatus::UpdateComplete, &archive);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    let changes = fixture.deploy().change_set.unwrap().changes;
    let archive = changes.iter().find(|change| change.logical_id == "Archive").unwrap();
    assert_eq!((archive.action.as_str(), archive.impact), ("Remove", Impact::DataLoss));
}

/// The changes of a change set have an unknown form.
struct UnknownForm;

impl Mistake for UnknownForm {
    fn change_set(&self, seen: ChangeSetView) -> ChangeSetView {
        ChangeSetView { changes: None, ..seen }
    }
}

#[tokio::test]
async fn an_unreadable_change_set_needs_an_operator() {
    let fixture = Fixture::new("ci").with_mistake(UnknownForm);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(failure(&fixture, change_set(&id)).await.kind, FailureKind::StackNeedsHuman);
}

#[tokio::test]
async fn a_change_set_with_a_lost_reply_is_found_again() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    fixture.faults.strike_next("CreateChangeSet", Kind::Lost);
    assert_eq!(failure(&fixture, change_set(&id)).await.kind, FailureKind::Transient);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(fixture.change_sets("ci-logs").await.len(), 1);
}

#[tokio::test]
async fn an_execution_with_a_lost_reply_is_not_started_twice() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    go(&fixture, change_set(&id)).await;
    fixture.faults.strike_next("ExecuteChangeSet", Kind::Lost);
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::Transient);
    handle(&fixture.context, execute(&id)).await.unwrap();
    assert!(fixture.account.woken().is_empty(), "it runs: its event wakes the task");
    fixture.pass();
    handle(&fixture.context, execute(&id)).await.unwrap();
    assert_eq!(fixture.account.woken().len(), 1, "it has ended and no event follows");
    assert_eq!(fixture.calls("ExecuteChangeSet").len(), 1);
}

#[tokio::test]
async fn a_change_set_that_is_obsolete_at_execution_fails_the_deployment() {
    let fixture = Fixture::new("ci");
    let arn = fixture.own_stack(StackStatus::UpdateComplete);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    fixture.cloud.update_as_other_caller(&arn, "another-caller");
    fixture.pass();
    assert_eq!(failure(&fixture, execute(&id)).await.kind, FailureKind::StackFailed);
}

#[tokio::test]
async fn remains_of_a_failed_creation_are_deleted_by_arn_before_the_next() {
    let fixture = Fixture::new("ci");
    let (id, arn) = (fixture.id(), fixture.own_stack(StackStatus::RollbackComplete));
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover);
    handle(&fixture.context, Request::Recover { deployment: id.clone(), task: task() }).await.unwrap();
    let token = client_token(id.as_str(), "clear", 1);
    assert_eq!(fixture.deleted(), [(arn.clone(), token.clone())]);
    assert_eq!(fixture.account.registered().as_slice(), [operation_key(&arn, &token)]);
    assert!(fixture.account.woken().is_empty());
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::Recover, "the deletion runs");
    fixture.pass();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
}

#[tokio::test]
async fn a_repeated_clear_uses_the_same_token_and_operation() {
    let fixture = Fixture::new("ci");
    fixture.own_stack(StackStatus::RollbackComplete);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    for entry in [1, 2] {
        let entered_at = jiff::Timestamp::from_second(entry).unwrap();
        let task = Task { token: format!("token-{entry}"), entered_at, ..task() };
        handle(&fixture.context, Request::Recover { deployment: id.clone(), task }).await.unwrap();
    }
    assert_eq!(fixture.deleted().len(), 1);
    let registered = fixture.account.registered();
    assert_eq!(registered.len(), 2);
    assert_eq!(registered[0], registered[1]);
}

#[tokio::test]
async fn an_adopted_operation_that_has_ended_wakes_at_once() {
    let fixture = Fixture::new("ci");
    fixture.own_stack(StackStatus::UpdateComplete);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    handle(&fixture.context, Request::Recover { deployment: id, task: task() }).await.unwrap();
    assert_eq!(fixture.account.woken().as_slice(), fixture.account.registered().as_slice());
}

#[tokio::test]
async fn a_failed_update_is_explained_by_its_first_cause_with_its_line() {
    let fixture = Fixture::new("ci");
    fixture.cloud.trouble("Topic", Trouble::Create);
    let id = deploy(&fixture).await;
    fixture.pass();
    let (arn, other) = (fixture.cloud.arn("ci-logs").unwrap(), ("Other", "AWS::SNS::Topic"));
    fixture.cloud.add_event(&arn, other, "CREATE_FAILED", "Resource creation cancelled");
    let failure = failure(&fixture, observe(&id)).await;
    assert_eq!(failure.kind, FailureKind::StackFailed);
    let start = "Topic (AWS::SNS::Topic, template.yaml:6) failed to create: Topic already exists. The stack ci-logs is";
    assert!(failure.message.starts_with(start), "{}", failure.message);
    assert_eq!(fixture.deploy().diagnosis.len(), 1);
    assert!(!fixture.environment().unwrap().ever_stable);
}

#[tokio::test]
async fn an_update_stopped_by_validation_reports_the_findings() {
    let fixture = Fixture::new("ci");
    fixture.cloud.invalidate("Topic: the name is taken");
    let id = deploy(&fixture).await;
    fixture.pass();
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
    fixture.stack("ci-logs", StackStatus::CreateComplete);
    let failure = failure(&fixture, plan(&fixture.id())).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
    assert!(failure.message.contains("did not make it"));
}

/// The stages `ci` and `ci-eu` had one stack in common; another installation has tokens of the same form.
#[tokio::test]
async fn a_stack_of_another_environment_or_installation_is_left_alone() {
    for (tags, words) in [
        (
            [("lockstep:environment", "ci-eu/logs"), ("lockstep:component", "logs")],
            "is `ci-eu/logs`, not `ci/logs`",
        ),
        (
            [("lockstep:component", "eu-logs"), ("lockstep:installation", "another")],
            "no tag lockstep:environment",
        ),
    ] {
        let fixture = Fixture::new("ci");
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let token = client_token("another deployment", "execute", 1);
        let none = BTreeMap::new();
        let arn = fixture.cloud.add_stack(
            "ci-logs",
            StackStatus::CreateComplete,
            TEMPLATE,
            (&none, &tags),
            Some(&token),
        );
        for recorded in [None, Some(arn.clone())] {
            fixture.change_environment(|environment| environment.stack_arn = recorded);
            let failure = failure(&fixture, plan(&fixture.id())).await;
            assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
            assert!(failure.message.contains(words), "{failure}");
        }
        assert!(fixture.cloud.effects().is_empty());
    }
}

#[tokio::test]
async fn a_stack_with_the_tags_of_the_environment_is_updated_without_a_record() {
    let fixture = Fixture::new("ci");
    fixture.tagged_stack_of(("ci", "logs"), "logs", StackStatus::CreateComplete, TEMPLATE);
    assert_eq!(go(&fixture, plan(&fixture.id())).await, NextStep::ChangeSet);
}

#[tokio::test]
async fn tags_of_a_change_set_identify_an_earlier_placeholder() {
    let fixture = Fixture::new("ci");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    let next = fixture.next_deployment();
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::Recover);
    let arn = fixture.cloud.arn("ci-logs").unwrap();
    let name = fixture.change_sets("ci-logs").await.remove(0);
    fixture.cloud.stacks().delete_change_set(&arn, &name).await.unwrap();
    let failure = failure(&fixture, plan(&next)).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman, "nothing shows whose placeholder it is");
}

#[tokio::test]
async fn equal_releases_have_equal_tags() {
    let fixture = Fixture::new("ci");
    deploy(&fixture).await;
    fixture.cloud.forget(&fixture.cloud.arn("ci-logs").unwrap());
    fixture.next_deployment();
    deploy(&fixture).await;
    let requests = fixture.cloud.change_set_requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].tags, requests[1].tags);
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
    let network = TEMPLATE.replace("Host:\n    Value: !Ref Topic", "Size:\n    Value: '9'");
    let created = StackStatus::CreateComplete;
    fixture.tagged_stack_of(("ci", "network"), "network", created, &network);
    go(&fixture, plan(&fixture.id())).await;
    assert_eq!(fixture.deploy().parameters["Size"], "9");
    let input = fixture.deploy().inputs.into_iter().next().unwrap();
    assert_eq!(input, ("network.Size".parse().unwrap(), Input::new("9", false)));
}

#[tokio::test]
async fn an_output_of_a_stack_that_only_has_the_right_name_is_not_read() {
    let network = TEMPLATE.replace("Host:\n    Value: !Ref Topic", "Size:\n    Value: '9'");
    let created = StackStatus::CreateComplete;
    let reads = |fixture: &Fixture| {
        fixture.change_deploy(|deploy| {
            drop(deploy.overrides.insert("Size".into(), "${outputs.network.Size}".into()))
        });
    };
    let fixture = Fixture::new("ci");
    reads(&fixture);
    let arn = fixture.stack_of("ci-network", created.clone(), &network);
    let refused = failure(&fixture, plan(&fixture.id())).await;
    assert_eq!(refused.kind, FailureKind::Rejected);
    let words = "the stack ci-network is not the stack of network in ci: it has no tags of Lockstep";
    assert!(refused.message.contains(words), "{}", refused.message);
    let mut recorded = fixture.environment().unwrap();
    (recorded.name, recorded.component) = ("network".into(), "network".parse().unwrap());
    recorded.stack_arn = Some(arn);
    fixture.account.put(&recorded);
    go(&fixture, plan(&fixture.id())).await;
    assert_eq!(fixture.deploy().parameters["Size"], "9", "the ledger names a stack without tags");

    let clone = Fixture::new("ci");
    reads(&clone);
    clone.tagged_stack_of(("ci", "network"), "web", created, &network);
    let refused = failure(&clone, plan(&clone.id())).await;
    assert!(refused.message.contains("is `web`, not `network`"), "{}", refused.message);
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

#[tokio::test]
async fn local_files_are_copied_to_the_target_before_the_change_set() {
    let template = with_resources(
        "  Nested:\n    Type: AWS::CloudFormation::Stack\n    Properties: {TemplateURL: child.yaml}\n  Code:\n    Type: \
         AWS::Lambda::Function\n    Properties: {Runtime: python3.12, Handler: app.run, Code: src}\n",
    );
    let files = [("child.yaml", CHILD_KEPT), ("src/app.py", "def run(event, context): pass\n")];
    for (stage, is_test) in [("ci", false), ("test", true)] {
        let fixture = Fixture::with_files(stage, &template, &files);
        let artifact = fixture.account.object(BUCKET, &fixture.release.artifact).unwrap();
        let contents = packaging::open_packed(&fixture.release, &artifact).unwrap();
        let expected: Vec<String> =
            contents.local.objects(is_test).map(|(key, _)| format!("{key} to 111111111111")).collect();
        deploy(&fixture).await;
        assert_eq!(expected.len(), 2);
        assert_eq!(*fixture.accounts.files.borrow(), expected, "{stage}");
        let bucket = &fixture.deploy().parameters["LockstepArtifactBucket"];
        assert_eq!(bucket, "lockstep-artifacts-111111111111-eu-west-1");
    }
}

fn destroy(stage: &str) -> Request {
    Request::Destroy { stage: stage.parse().unwrap(), environment: "logs".into(), task: task() }
}

fn destroyed() -> Request {
    Request::Destroyed { stage: "test".parse().unwrap(), environment: "logs".into() }
}

#[tokio::test]
async fn a_test_stack_is_deleted_and_its_record_left_to_the_ledger() {
    let fixture = Fixture::new("test");
    let id = deploy(&fixture).await;
    fixture.pass();
    go(&fixture, observe(&id)).await;
    fixture.change_environment(|environment| environment.holder = None);
    handle(&fixture.context, destroy("test")).await.unwrap();
    let arn = fixture.cloud.arn("test-logs").unwrap();
    assert_eq!(fixture.deleted(), [(arn.clone(), client_token(&arn, "destroy", 1))]);
    assert_eq!(go(&fixture, destroyed()).await, NextStep::Wait);
    fixture.pass();
    assert_eq!(go(&fixture, destroyed()).await, NextStep::Done);
    assert!(fixture.environment().is_some());
    assert_eq!(go(&fixture, destroyed()).await, NextStep::Done, "again is no error");
}

#[tokio::test]
async fn the_deletion_of_a_missing_stack_wakes_at_once() {
    let fixture = Fixture::new("test");
    handle(&fixture.context, destroy("test")).await.unwrap();
    assert_eq!(fixture.account.woken().len(), 1);
    assert!(fixture.deleted().is_empty());
}

#[tokio::test]
async fn only_test_stacks_are_destroyed() {
    let fixture = Fixture::new("ci");
    fixture.own_stack(StackStatus::CreateComplete);
    assert_eq!(failure(&fixture, destroy("ci")).await.kind, FailureKind::Rejected);
    assert!(fixture.deleted().is_empty());
}

#[tokio::test]
async fn a_test_stack_that_cannot_be_deleted_is_reported_with_its_blocker() {
    let fixture = Fixture::new("test");
    let arn =
        fixture.own_stack_of(StackStatus::DeleteFailed, &with_resources("  Vpc:\n    Type: AWS::EC2::VPC\n"));
    fixture.cloud.set_resource_status(&arn, "Vpc", "DELETE_FAILED");
    let failure = failure(&fixture, destroyed()).await;
    assert_eq!(failure.kind, FailureKind::StackNeedsHuman);
    assert!(failure.message.contains("because of Vpc"), "{}", failure.message);
}

#[tokio::test]
async fn a_repeated_finished_step_writes_nothing() {
    let fixture = Fixture::new("ci");
    let id = deploy(&fixture).await;
    fixture.pass();
    go(&fixture, observe(&id)).await;
    let written = fixture.account.written().len();
    assert_eq!(go(&fixture, observe(&id)).await, NextStep::Check);
    assert_eq!(fixture.account.written().len(), written);
    let stored = fixture.ledger().get::<Deployment>(&Deployment::key_of(&id)).await.unwrap();
    assert!(stored.is_some());
}
