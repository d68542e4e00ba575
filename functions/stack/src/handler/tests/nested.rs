//! Change sets that cannot examine their nested stacks.

use super::*;
use lockstep_aws::ledger::Order;
use lockstep_domain::records::LogEntry;

const REASON: &str = "Parameter 'Subnet' must match pattern subnet-[0-9a-f]+";

/// Returns a fixture whose release adds a resource to a stack with a nested one, which no change set can examine.
fn unexaminable() -> Fixture {
    let more = format!("{}  More:\n    Type: AWS::SNS::Topic\n", nested_stack("Child"));
    let fixture = Fixture::with_template("ci", &with_resources(&more));
    fixture.cloud.refuse_nested_change_set("Child", REASON);
    fixture
}

/// Adds the stack as it was before the release.
fn before(fixture: &Fixture) {
    let arn = fixture.own_stack_of(StackStatus::UpdateComplete, &with_resources(&nested_stack("Child")));
    let child = fixture.stack_of("ci-logs-Child", StackStatus::UpdateComplete, CHILD);
    fixture.cloud.nest(&arn, "Child", &child);
}

async fn log(fixture: &Fixture, id: &DeploymentId) -> String {
    let entries =
        fixture.context.ledger().list::<LogEntry>(&LogEntry::all_of(id), Order::Oldest, 99).await.unwrap();
    entries.into_iter().map(|entry| entry.record.note).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_update_without_a_look_at_nested_stacks_needs_an_approval() {
    let fixture = unexaminable();
    before(&fixture);
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    let asked: Vec<bool> = fixture.cloud.change_set_requests().iter().map(|made| made.with_nested).collect();
    assert_eq!(asked, [true, false]);
    let made = fixture.deploy().change_set.unwrap();
    let names: Vec<&str> = made.unexamined.iter().map(|nested| nested.name.as_str()).collect();
    assert_eq!((made.attempt, names), (2, vec!["Child"]));
    let log = log(&fixture, &id).await;
    assert!(log.contains(REASON) && log.contains("ci-logs-Child"), "{log}");
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve, "a retry finds both change sets");
    assert_eq!(fixture.cloud.change_set_requests().len(), 2);
    approve(&fixture);
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Execute);
    assert_eq!(handle(&fixture.context, execute(&id)).await.unwrap(), Reply::Waiting);
}

#[tokio::test]
async fn a_new_stack_is_created_without_a_look_at_nested_stacks() {
    let fixture = unexaminable();
    deploy(&fixture).await;
    assert!(fixture.deploy().change_set.unwrap().unexamined.is_empty(), "nothing can be lost");
}

#[tokio::test]
async fn the_reason_is_that_of_the_nested_stack_if_nothing_helps() {
    let fixture = Fixture::with_template("ci", &with_resources(&nested_stack("Child")));
    let id = fixture.id();
    assert_eq!(go(&fixture, plan(&id)).await, NextStep::ChangeSet);
    fixture.cloud.refuse_nested_change_set("Child", REASON);
    fixture.cloud.refuse_change_set_without_nested("no such bucket");
    let failed = failure(&fixture, change_set(&id)).await;
    assert_eq!(failed.kind, FailureKind::StackFailed);
    for part in ["no such bucket", REASON, "ci-logs-Child"] {
        assert!(failed.message.contains(part), "{failed}");
    }
}

/// Returns a template of a nested stack whose address range is that of its parameter.
fn opening(group: &str) -> String {
    format!(
        "Parameters:\n  Cidr: {{Type: String}}\nResources:\n  Rule:\n    Type: AWS::EC2::SecurityGroupIngress\n    \
         Properties: {{CidrIp: !Ref Cidr, GroupId: {group}, IpProtocol: tcp}}\n"
    )
}

#[tokio::test]
async fn a_question_shows_the_access_of_a_nested_template() {
    let child = |url: &str| {
        with_resources(&format!(
            "  Net:\n    Type: AWS::CloudFormation::Stack\n    DeletionPolicy: Delete\n    Properties:\n      TemplateURL: \
             {url}\n      Parameters: {{Cidr: 0.0.0.0/0}}\n"
        ))
    };
    let files = [("network.yaml", opening("sg-2"))];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let fixture = Fixture::with_files("production", &child("network.yaml"), &files);
    let arn = fixture.own_stack_of(StackStatus::UpdateComplete, &child("https://bucket/nested"));
    let nested = fixture.cloud.add_stack(
        "production-logs-Net",
        StackStatus::UpdateComplete,
        &opening("sg-2"),
        (&BTreeMap::from([("Cidr".to_owned(), "10.0.0.0/8".to_owned())]), &[]),
        None,
    );
    fixture.cloud.nest(&arn, "Net", &nested);
    let id = fixture.id();
    go(&fixture, plan(&id)).await;
    assert_eq!(go(&fixture, change_set(&id)).await, NextStep::Approve);
    let review = fixture.deploy().change_set.unwrap().review;
    let lines: Vec<String> = review
        .access
        .iter()
        .map(|it| format!("{}{} {}", if it.is_new { '+' } else { '-' }, it.resource, it.line))
        .collect();
    let rule = |cidr: &str| format!("Net.Rule {{CidrIp: {cidr}, GroupId: sg-2, IpProtocol: tcp}}");
    assert_eq!(lines, [format!("-{}", rule("10.0.0.0/8")), format!("+{}", rule("0.0.0.0/0"))]);
    assert_eq!(review.unseen, Vec::<String>::new());
}
