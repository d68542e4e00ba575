//! Events are hints: they may come early, late, twice, or never.

use crate::test_cloud::{TestCloud, until};
use lockstep_aws::operator::executions::Status;
use lockstep_aws::operator::signed;
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_local::{AwaitedEvent, CallEffect, CallFault, CallFilter, EventEffect, EventFault};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Timeout of the waiting states, as the state machines write it.
const TIMEOUT: &str = "TimeoutSeconds: 1320";

/// Returns the version that a push deployed to ci.
fn version(answer: &Value) -> String {
    let last = answer["deployments"].as_array().and_then(|all| all.last());
    last.and_then(|deployment| deployment["version"].as_str()).unwrap_or_default().to_owned()
}

/// The copy of an image finishes before the reply of `CopyImage`, which carries its id. No callback is registered then.
pub async fn an_event_before_its_callback_is_not_missed(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.base_image("logstash-2.1.2", "logstash@2.1.2").await?;
    cloud.demo.repository().replace("broker/lockstep.toml", "logstash@^2.1.1\"", "logstash@^2.1.2\"")?;
    let released = cloud.push("Logstash 2.1.2", Exit::Done).await?;
    let until = AwaitedEvent {
        source: Some("aws.ec2".into()),
        contains: Some("available".into()),
        ..Default::default()
    };
    let effect = CallEffect::HoldReply { until: Some(until), settle: Duration::from_millis(300) };
    let faults = cloud.faults()?;
    let early = faults.on_call(&CallFault::on("ec2", "CopyImage", effect)).await.map_err(at("a fault"))?;
    let release = format!("{COMPONENT}@{}", version(&released));
    let asked = cloud.demo.type_in(&["promote", &release, "--to", "production"], Exit::NeedsHuman).await?;
    let struck = faults.get(early).await.map_err(at("a fault"))?.is_some_and(|fault| fault.struck == 1);
    faults.remove(early).await.map_err(at("a fault"))?;
    ensure(struck, "the reply of CopyImage came after the event")?;
    let id = asked["deployment"]["id"].as_str().unwrap_or_default();
    cloud.demo.type_in(&["approve", id, "--yes", "--as", "grace"], Exit::Done).await?;
    let running = cloud.demo.version_in("production").await?;
    ensure(running.as_deref() == Some(version(&released).as_str()), "production runs the new release")
}

/// The test holds the first event that ends an operation while it reads the run. Every other event comes twice.
pub async fn a_late_or_repeated_event_does_not_break_a_run(cloud: &mut TestCloud) -> Result<(), Failure> {
    let faults = cloud.faults()?;
    let of_stacks = |effect| EventFault::on("aws.cloudformation", effect).containing("CREATE_COMPLETE");
    let late = faults.on_event(&of_stacks(EventEffect::Hold)).await.map_err(at("a fault"))?;
    let twice = EventFault::on("aws.cloudformation", EventEffect::Duplicate).times(0);
    let twice = faults.on_event(&twice).await.map_err(at("a fault"))?;
    let held = async {
        until("the event is held", async || {
            let status = faults.get(late).await.map_err(at("a fault"))?;
            Ok(status.is_some_and(|status| status.held > 0))
        })
        .await?;
        let plane = cloud.demo.plane().await?;
        let newest = plane.executions.newest(&plane.found.state_machines.release, 1).await?;
        let (arn, _) = newest.into_iter().next().ok_or_else(|| Failure::new("no release runs"))?;
        let is_waiting = cloud.execution(&arn).await?.status == Status::Running;
        faults.release(late).await.map_err(at("a fault"))?;
        ensure(is_waiting, "the run waits for the event")
    };
    cloud.raise_max_size("default")?;
    let (pushed, held) = tokio::join!(cloud.push("Another broker", Exit::Done), held);
    for fault in [late, twice] {
        faults.remove(fault).await.map_err(at("a fault"))?;
    }
    held?;
    let running = cloud.demo.version_in("ci").await?;
    ensure(running == Some(version(&pushed?)), "ci runs the new release")
}

/// Reads every call so far.
pub async fn only_resume_answers_task_tokens(cloud: &mut TestCloud) -> Result<(), Failure> {
    let page = cloud.calls()?.read(&CallFilter::default()).await.map_err(at("the log of calls"))?;
    let calls = page.complete().ok_or_else(|| Failure::new("the log of calls is incomplete"))?;
    let answers: Vec<_> = calls.iter().filter(|call| call.action.starts_with("SendTask")).collect();
    ensure(answers.len() > 10, "tokens were answered")?;
    let others = answers.iter().filter(|call| !call.principal.contains("assumed-role/lockstep-resume-role/"));
    let others: Vec<&str> = others.map(|call| call.principal.as_str()).collect();
    ensure(others.is_empty(), format!("only resume answers tokens: {}", others.join(", ")))
}

/// The state machines are installed again with shorter timeouts, and no other difference.
pub async fn a_lost_event_or_deleted_rule_delays_a_run(cloud: &mut TestCloud) -> Result<(), Failure> {
    let impatient = tempfile::tempdir().map_err(at("a folder"))?;
    copy_with_shorter_timeouts(&cloud.demo.context.sources()?, impatient.path())?;
    let sources = impatient.path().display().to_string();
    let original = cloud.demo.context.variables.insert("LOCKSTEP_SOURCES".to_owned(), sources);
    let binaries = cloud.binaries.display().to_string();
    let installed = cloud.demo.type_in(&["install", "--functions", &binaries], Exit::Done).await;
    cloud.demo.context.variables.extend(original.map(|sources| ("LOCKSTEP_SOURCES".to_owned(), sources)));
    installed?;

    let faults = cloud.faults()?;
    let lost = EventFault::on("aws.cloudformation", EventEffect::Lose).containing("UPDATE_COMPLETE").times(0);
    let lost = faults.on_event(&lost).await.map_err(at("a fault"))?;
    cloud.raise_max_size("default")?;
    let pushed = cloud.push("A broker more", Exit::Done).await?;
    let struck = faults.get(lost).await.map_err(at("a fault"))?.is_some_and(|fault| fault.struck > 0);
    faults.remove(lost).await.map_err(at("a fault"))?;
    ensure(struck, "an event was lost")?;
    ensure(cloud.demo.version_in("ci").await? == Some(version(&pushed)), "ci runs the new release")?;

    delete_rule(cloud, "lockstep-forward-stacks").await?;
    cloud.raise_max_size("default")?;
    let pushed = cloud.push("The last broker", Exit::Done).await?;
    ensure(
        cloud.demo.version_in("ci").await? == Some(version(&pushed)),
        "ci runs the new release without the rule",
    )
}

/// Copies the sources that `lockstep install` reads, with another timeout.
fn copy_with_shorter_timeouts(from: &Path, to: &Path) -> Result<(), Failure> {
    for folder in ["infra/bootstrap", "infra/control-plane", "statemachines"] {
        std::fs::create_dir_all(to.join(folder)).map_err(at(folder))?;
        for entry in std::fs::read_dir(from.join(folder)).map_err(at(folder))? {
            let path = entry.map_err(at(folder))?.path();
            if !path.is_file() {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(at(path.display()))?;
            let name = path.file_name().unwrap_or_default();
            let is_deploy = name == "deploy.asl.yaml";
            ensure(!is_deploy || text.contains(TIMEOUT), "deployments wait as long as this promise expects")?;
            let text = text.replace(TIMEOUT, "TimeoutSeconds: 1");
            std::fs::write(to.join(folder).join(name), text).map_err(at(path.display()))?;
        }
    }
    Ok(())
}

/// Deletes a forwarding rule of the development account.
async fn delete_rule(cloud: &TestCloud, rule: &str) -> Result<(), Failure> {
    let session = cloud.demo.session()?;
    let root = session.root("development")?;
    let targets = json!({ "Rule": rule, "Ids": ["lockstep-events"] });
    for (action, body) in [("RemoveTargets", targets), ("DeleteRule", json!({ "Name": rule }))] {
        let target = format!("AWSEvents.{action}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        let body = body.to_string().into_bytes();
        let answer = signed::post(&root, "events", &format!("{}/", session.endpoint), &headers, body).await?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure(answer.status == 200, format!("{action} of {rule}: {body}"))?;
    }
    Ok(())
}
