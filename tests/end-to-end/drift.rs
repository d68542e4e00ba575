//! Drift: changes by hand are found, explained, and gone once they are brought back.

use crate::test_cloud::{TestCloud, text};
use lockstep_aws::by_hand::ByHand;
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_local::{CallEffect, CallFault};
use serde_json::{Value, json};

const MANIFEST: &str = r#"[component]
name = "courier"
version = "1.0"
template = "template.yaml"
team = "platform"
function = "courier"
"#;

/// The detection knows a queue, a log group and a security group. Cloud Control alone knows a bus, and neither knows the
/// handle of a wait condition.
const TEMPLATE: &str = "Resources:
  Queue:
    Type: AWS::SQS::Queue
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {DelaySeconds: 5}
  Logs:
    Type: AWS::Logs::LogGroup
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: {RetentionInDays: 30}
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: of the courier
      SecurityGroupIngress:
        - {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 10.0.0.0/8}
  Bus:
    Type: AWS::Events::EventBus
    Properties: {Name: !Ref AWS::StackName}
  Handle:
    Type: AWS::CloudFormation::WaitConditionHandle
Outputs:
  Queue: {Value: !Ref Queue}
  Logs: {Value: !Ref Logs}
  Group: {Value: !GetAtt Group.GroupId}
";

const LOOK: [&str; 5] = ["drift", "--stage", "ci", "--component", "courier"];

/// Changes a queue, a log group and a security group by hand, and brings them back.
pub async fn changes_by_hand_are_found_explained_and_gone(cloud: &mut TestCloud) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    repository.write("courier/lockstep.toml", MANIFEST)?;
    repository.write("courier/template.yaml", TEMPLATE)?;
    cloud.push("A component whose resources are changed by hand", Exit::Done).await?;
    let before = look(cloud, Exit::NeedsHuman).await?;
    counts(&before, ("unknown", 0, 1, 5))?;

    let stack = cloud.demo.stacks("development")?.find("ci-courier").await?;
    let stack = stack.ok_or_else(|| Failure::new("ci-courier does not exist"))?;
    let made = |name: &str| {
        stack.outputs.get(name).cloned().ok_or_else(|| Failure::new(format!("there is no output {name}")))
    };
    let (queue, logs, group) = (made("Queue")?, made("Logs")?, made("Group")?);
    let hand = ByHand::new(&cloud.demo.session()?.root("development")?);
    hand.set_delay(&queue, 60).await?;
    hand.set_retention(&logs, 1).await?;
    hand.open(&group, 22, "0.0.0.0/0").await?;
    let found = look(cloud, Exit::NeedsHuman).await?;
    counts(&found, ("drifted", 3, 1, 5))?;
    explained(cloud).await?;
    let status = cloud.demo.type_in(&["status"], Exit::Done).await?;
    let drift = status["drift"].to_string();
    ensure(drift.contains("\"state\":\"drifted\""), format!("status shows the drift: {drift}"))?;

    hand.set_delay(&queue, 5).await?;
    hand.set_retention(&logs, 30).await?;
    hand.close(&group, 22, "0.0.0.0/0").await?;
    let back = look(cloud, Exit::NeedsHuman).await?;
    counts(&back, ("unknown", 0, 1, 5))?;
    ensure(back["change"] == "back_in_sync", format!("what had drifted is in sync: {back}"))?;
    denied(cloud).await?;
    a_stage_of_the_other_path_is_looked_at(cloud).await
}

/// The function of the promotion path looks at production. Some types of the log stack are unknown in the local cloud.
async fn a_stage_of_the_other_path_is_looked_at(cloud: &TestCloud) -> Result<(), Failure> {
    let due = cloud.demo.type_in(&["drift", "--due"], Exit::Done).await?;
    ensure(due["environments"] == json!([]), format!("without a schedule, nothing is due: {due}"))?;

    let production = ["drift", "--stage", "production", "--component", COMPONENT];
    let looked = cloud.demo.type_in(&production, Exit::NeedsHuman).await?;
    let report = &looked["environments"][0];
    let unknown = report["findings"]["unknown"].as_u64().unwrap_or_default();
    ensure(report["path"] == "promotion" && unknown > 0, format!("production is looked at: {report}"))
}

/// Looks at the component in ci. Returns its report.
async fn look(cloud: &TestCloud, exit: Exit) -> Result<Value, Failure> {
    let looked = cloud.demo.type_in(&LOOK, exit).await?;
    Ok(looked["environments"][0].clone())
}

/// Requires a state, and the numbers of drifted, unknown and all resources.
fn counts(report: &Value, (state, drifted, unknown, all): (&str, u64, u64, u64)) -> Result<(), Failure> {
    let found = &report["findings"];
    let is = |name: &str, count: u64| found[name] == count;
    let holds = report["state"] == state
        && is("drifted", drifted)
        && is("unknown", unknown)
        && is("resources", all)
        && is("in_sync", all - drifted - unknown);
    ensure(holds, format!("{state}, drifted {drifted}, unknown {unknown} of {all}: {report}"))
}

/// Requires that the command explains each change, and the resource that it does not know.
async fn explained(cloud: &TestCloud) -> Result<(), Failure> {
    let report = cloud.demo.type_in(&["drift", "explain", "courier", "--in", "ci"], Exit::NeedsHuman).await?;
    let drift = report["findings"]["drift"].to_string();
    for part in ["DelaySeconds", "RetentionInDays", "SecurityGroupIngress", "0.0.0.0/0", "\"since\""] {
        ensure(drift.contains(part), format!("{part} is explained: {drift}"))?;
    }
    let unknown = &report["findings"]["unknowns"][0];
    let named = (text(&unknown["name"])?, text(&unknown["cause"])?);
    ensure(
        named == ("Handle".to_owned(), "unsupported".to_owned()),
        format!("the handle is unsupported: {unknown}"),
    )
}

/// Cloud Control may not read the bus: the report says so, apart from what is unsupported.
async fn denied(cloud: &TestCloud) -> Result<(), Failure> {
    let faults = cloud.faults()?;
    let message = "User is not authorized to perform: events:DescribeEventBus".to_owned();
    let refusal = CallEffect::Error { code: "AccessDeniedException".to_owned(), status: 400, message };
    let refusal =
        CallFault::on("cloudcontrol", "GetResource", refusal).containing("AWS::Events::EventBus").times(0);
    let refusal = faults.on_call(&refusal).await.map_err(at("a fault"))?;
    let report = look(cloud, Exit::NeedsHuman).await?;
    faults.remove(refusal).await.map_err(at("a fault"))?;
    counts(&report, ("unknown", 0, 2, 5))?;
    let unknowns = report["findings"]["unknowns"].to_string();
    for part in ["\"denied\"", "\"unsupported\"", "events:DescribeEventBus"] {
        ensure(unknowns.contains(part), format!("{part} is said: {unknowns}"))?;
    }
    Ok(())
}
