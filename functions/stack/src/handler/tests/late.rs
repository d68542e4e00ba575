//! Tests of the values that CloudFormation reads when it deploys.

use super::*;
use lockstep_domain::model::late_values::LateReading;

const REFERENCE: &str = "{{resolve:secretsmanager:db:SecretString:user}}";

/// Returns a template with a parameter from Parameter Store, and a queue whose tag is a reference to a secret.
fn template() -> String {
    let late = "Parameters:\n  Limit: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /shop/limit}\n";
    let tags = format!("Tags: [{{Key: user, Value: '{REFERENCE}'}}]");
    let queue = format!(
        "  Jobs:\n    Type: AWS::SQS::Queue\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n    \
         Properties: {{{tags}}}\n"
    );
    with_resources(&queue).replacen("Parameters:\n", late, 1)
}

fn fixture(stage: &str) -> Fixture {
    let fixture = Fixture::with_template(stage, &template());
    fixture.stored.put_parameter("/shop/limit", Some("7"));
    fixture.stored.put_secret("db", "v1");
    fixture
}

/// Deploys the release, records it in the environment, and begins another deployment of it.
async fn again(fixture: &Fixture) -> DeploymentId {
    let id = deploy(fixture).await;
    fixture.pass();
    assert_eq!(go(fixture, observe(&id)).await, NextStep::Check);
    fixture.record_as_deployed();
    fixture.next_deployment()
}

fn reading(fixture: &Fixture, name: &str) -> LateReading {
    fixture.deploy().late_values.0[name].reading.clone()
}

#[tokio::test]
async fn equal_values_make_no_change_set() {
    let fixture = fixture("ci");
    let next = again(&fixture).await;
    fixture.stored.put_parameter("/shop/limit", Some("7"));
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::Check, "another version has the same value");
    assert_eq!(fixture.cloud.change_set_requests().len(), 1);
    assert_eq!(reading(&fixture, "Limit (/shop/limit)"), LateReading::Text { version: 2, value: "7".into() });
    assert_eq!(reading(&fixture, REFERENCE), LateReading::Secret("v1".into()));
}

#[tokio::test]
async fn another_value_of_parameter_store_is_compared_by_a_change_set() {
    let fixture = fixture("ci");
    let next = again(&fixture).await;
    fixture.change_deploy(|deploy| deploy.plan_only = true);
    fixture.stored.put_parameter("/shop/limit", Some("8"));
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&next)).await, NextStep::Planned);
    assert_eq!(fixture.cloud.change_set_requests().len(), 2);
    // CloudFormation compares the value of a parameter. This simulation has none, so its change set is empty.
    let limit = LateReading::Text { version: 2, value: "8".into() };
    assert_eq!(reading(&fixture, "Limit (/shop/limit)"), limit);
}

#[tokio::test]
async fn a_secret_that_did_not_reach_the_stack_is_shown_again() {
    let fixture = fixture("ci");
    let next = again(&fixture).await;
    fixture.change_deploy(|deploy| deploy.plan_only = true);
    fixture.stored.put_secret("db", "v2");
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::ChangeSet);
    assert_eq!(reading(&fixture, REFERENCE), LateReading::Secret("v2".into()));
    assert_eq!(go(&fixture, change_set(&next)).await, NextStep::Planned);
    let shown = fixture.deploy().change_set.unwrap().review.late;
    let lines: Vec<String> = shown.iter().map(ToString::to_string).collect();
    assert_eq!(lines, [format!("{REFERENCE}: (hidden, version v1) -> (hidden, version v2)")]);
    assert_eq!(reading(&fixture, REFERENCE), LateReading::Secret("v1".into()), "the stack has the old one");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_is_never_taken_for_equal() {
    let fixture = fixture("ci");
    fixture.stored.refuse("db");
    let next = again(&fixture).await;
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::ChangeSet);
    assert!(matches!(reading(&fixture, REFERENCE), LateReading::Unknown(_)));
}

#[tokio::test]
async fn a_question_shows_the_values_and_a_change_after_it_is_not_executed() {
    let fixture = fixture("production");
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    let shown = fixture.deploy().change_set.unwrap().review.late;
    let lines: Vec<String> = shown.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["Limit (/shop/limit): 7 (version 1)".to_owned(), format!("{REFERENCE}: (hidden, version v1)")]
    );
    approve(&fixture);
    for (limit, secret, expected) in
        [("8", "v1", "7 (version 1) -> 8 (version 2)"), ("7", "v2", "version v1) -> (hidden, version v2)")]
    {
        fixture.stored.put_parameter("/shop/limit", Some(limit));
        fixture.stored.put_secret("db", secret);
        let refused = failure(&fixture, execute(&id)).await;
        assert_eq!(refused.kind, FailureKind::StackFailed);
        assert!(refused.message.contains(expected), "{refused}");
        assert!(fixture.calls("ExecuteChangeSet").is_empty());
    }
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    let refused = failure(&fixture, execute(&id)).await;
    assert!(refused.message.contains("is not the one that was planned and approved"), "{refused}");
    assert!(fixture.calls("ExecuteChangeSet").is_empty(), "the plan has values that no one approved");
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve, "the new values need an answer");
    assert_eq!(fixture.deploy().change_set.unwrap().attempt, 2);
}

#[tokio::test]
async fn a_nested_stack_hides_what_either_branch_gives_it() {
    let nested = "  Child:\n    Type: AWS::CloudFormation::Stack\n    Properties:\n      TemplateURL: child.yaml\n      \
                  Parameters:\n        \
                  Password: !If [IsLive, '{{resolve:ssm:/db/live}}', '{{resolve:ssm:/db/trial}}']\n";
    let choice = "Conditions:\n  IsLive: !Equals [!Ref Kind, live]\n\
                  Parameters:\n  Kind: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /kind}\n";
    let template = with_resources(nested).replacen("Parameters:\n", choice, 1);
    let child = format!("Parameters:\n  Password: {{Type: String, NoEcho: true}}\n{CHILD_KEPT}");
    let fixture = Fixture::with_files("ci", &template, &[("child.yaml", &child)]);
    for name in ["/kind", "/db/live", "/db/trial"] {
        fixture.stored.put_parameter(name, Some("text"));
    }
    assert_eq!(go(&fixture, plan(&fixture.id())).await, NextStep::ChangeSet);
    for name in ["{{resolve:ssm:/db/live}}", "{{resolve:ssm:/db/trial}}"] {
        assert_eq!(reading(&fixture, name), LateReading::Hidden(1), "{name}");
    }
}

#[tokio::test]
async fn a_value_that_changes_after_the_plan_makes_no_change_set() {
    let fixture = fixture("ci");
    let next = again(&fixture).await;
    fixture.stored.put_parameter("/shop/limit", Some("8"));
    assert_eq!(go(&fixture, plan(&next)).await, NextStep::ChangeSet);
    fixture.stored.put_parameter("/shop/limit", Some("9"));
    let refused = failure(&fixture, change_set(&next)).await;
    assert_eq!(refused.kind, FailureKind::StackFailed);
    assert!(refused.message.contains("8 (version 2) -> 9 (version 3)"), "{refused}");
    assert!(fixture.deploy().change_set.is_none());
    assert_eq!(fixture.calls("DeleteChangeSet").len(), 1);
}

#[tokio::test]
async fn the_secret_of_the_stack_itself_is_read_once_the_stack_exists() {
    let own = "  Db:\n    Type: AWS::SecretsManager::Secret\n    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n  \
               Other:\n    Type: AWS::SNS::Topic\n    Properties:\n      DisplayName: !Sub '{{resolve:secretsmanager:${Db}:SecretString:a}}'\n";
    let fixture = Fixture::with_template("ci", &with_resources(own));
    let next = again(&fixture).await;
    let id = fixture.cloud.physical_ids("ci-logs")["Db"].clone();
    fixture.stored.put_secret(&id, "v1");
    go(&fixture, plan(&next)).await;
    let name = format!("{{{{resolve:secretsmanager:{id}:SecretString:a}}}}");
    assert_eq!(reading(&fixture, &name), LateReading::Secret("v1".into()));
}
