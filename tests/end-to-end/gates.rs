//! What must not happen, and does not.

use crate::test_cloud::{TestCloud, until};
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{DeploymentState, Rejection, Release, ReleaseState};
use lockstep_local::{CallEffect, CallFault};
use lockstep_platform::functions::{Called, Functions};
use lockstep_platform::operator::executions::Status;
use serde_json::{Value, json};
use std::time::Duration;

const PRODUCTION_STACK: &str = "production-logs-broker";

/// A mistake that production would find first, found before anything was built.
pub async fn reject_what_cannot_be_resolved(cloud: &mut TestCloud) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    let file = "broker/parameters/production.toml";
    let before = repository.read(file)?;
    repository.write(file, &format!("{before}InstanceTipe = \"m6i.large\"\n"))?;
    let answer = cloud.push("A typing error that only production would meet", Exit::Failed).await?;
    ensure(answer["deployments"].as_array().is_some_and(Vec::is_empty), "nothing was deployed")?;
    let head = repository.head().await?;
    let rejections = cloud.records::<Rejection>().await?;
    let rejection = rejections.iter().find(|rejection| rejection.commit.as_str() == head);
    let rejection = rejection.ok_or_else(|| Failure::new("the rejection was not recorded"))?;
    let line = u32::try_from(before.lines().count() + 1).map_err(at("the line"))?;
    let told = rejection.problems.iter().find(|problem| problem.message.contains("InstanceTipe"));
    ensure(
        told.is_some_and(|problem| problem.file == file && problem.line == Some(line)),
        format!("the record names {file}:{line}: {:?}", rejection.problems),
    )?;
    ensure(rejection.author.contains("Ada"), "the record names the author")?;
    repository.write(file, &before)?;
    repository.replace("broker/lockstep.toml", "^not a port$", "^[0-9]{1,5}$")?;
    cloud.push("Everything in order again", Exit::Done).await.map(drop)
}

/// The release that passed its test and failed in ci.
pub async fn unproven(cloud: &TestCloud) -> Result<Release, Failure> {
    let component = COMPONENT.parse().map_err(at("the component"))?;
    let releases = cloud.demo.plane().await?.releases(Some(&component)).await?;
    let facts = &cloud.demo.facts;
    let found = releases.into_iter().find(|release| {
        let version = release.version.to_string();
        release.state == ReleaseState::Published
            && ![&facts.first, &facts.promoted, &facts.unchanged].contains(&&version)
            && release.failure.is_none()
            && version.ends_with(".3")
    });
    found.ok_or_else(|| Failure::new("there is no release that failed in ci"))
}

/// The fourth release never passed ci.
pub async fn want_evidence(cloud: &mut TestCloud) -> Result<(), Failure> {
    let failed = unproven(cloud).await?;
    let name = format!("{COMPONENT}@{}", failed.version);
    let answer = cloud.demo.type_in(&["promote", &name, "--to", "production"], Exit::Failed).await?;
    let execution = &answer["execution"];
    ensure(execution["error"] == "GateClosed", format!("the gate is closed: {execution}"))?;
    let cause = execution["cause"].as_str().unwrap_or_default();
    ensure(
        cause.contains(failed.digest.as_str()) && cause.contains("ci"),
        format!("the evidence is named: {cause}"),
    )
}

/// A release that changes production, brought as far as the question.
async fn asking(cloud: &TestCloud, old: &str, new: &str) -> Result<(String, Value), Failure> {
    cloud.demo.repository().replace("broker/parameters/production.toml", old, new)?;
    let answer = cloud.push("Another size for production", Exit::Done).await?;
    let version =
        answer["deployments"].as_array().and_then(|all| all.last()).map(|last| last["version"].clone());
    let name = format!("{COMPONENT}@{}", version.as_ref().and_then(Value::as_str).unwrap_or_default());
    let answer = cloud.demo.type_in(&["promote", &name, "--to", "production"], Exit::NeedsHuman).await?;
    let id = answer["deployment"]["id"].as_str().unwrap_or_default().to_owned();
    Ok((id, answer))
}

/// Nobody answers: the execution keeps running, the stack stays as it is. Somebody refuses: it ends.
pub async fn wait_for_a_person(cloud: &mut TestCloud) -> Result<(), Failure> {
    let stacks = cloud.demo.stacks("production")?;
    let before = stacks.find(PRODUCTION_STACK).await?;
    let version = cloud.demo.version_in("production").await?;
    let (id, answer) = asking(cloud, "MaxSize = 4", "MaxSize = 5").await?;
    let execution = answer["deployment"]["execution"].as_str().unwrap_or_default().to_owned();
    ensure(cloud.execution(&execution).await?.status == Status::Running, "the execution waits")?;
    ensure(stacks.find(PRODUCTION_STACK).await? == before, "the stack in production is untouched")?;
    ensure(cloud.demo.version_in("production").await? == version, "production runs what it ran")?;
    let refuse = ["approve", &id, "--refuse", "--reason", "not on a Friday"];
    cloud.demo.type_in(&refuse, Exit::Done).await?;
    let ended = cloud.ended(&execution).await?;
    ensure(
        matches!(&ended.status, Status::Failed { error, .. } if error == "ApprovalRefused"),
        format!("the execution ends as refused: {:?}", ended.status),
    )?;
    let id: DeploymentId = id.parse().map_err(at("the deployment"))?;
    let deployment = cloud.demo.plane().await?.deployment(&id).await?;
    ensure(deployment.state == DeploymentState::Refused, "the deployment is recorded as refused")?;
    let reason = deployment.approvals.last().and_then(|approval| approval.reason.clone());
    ensure(reason.as_deref() == Some("not on a Friday"), "the reason is recorded")?;
    ensure(stacks.find(PRODUCTION_STACK).await? == before, "the stack in production is still untouched")
}

/// While production's deployment is carried out, the function of the other path is told to work on it.
pub async fn keep_delivery_out_of_production(cloud: &mut TestCloud) -> Result<(), Failure> {
    let (id, _) = asking(cloud, "MaxSize = 5", "MaxSize = 6").await?;
    let production = cloud.demo.session()?.account("production")?.to_owned();
    let faults = cloud.faults()?;
    let hold = CallFault::on("cloudformation", "ExecuteChangeSet", CallEffect::Hold).account(&production);
    let hold = faults.on_call(&hold).await.map_err(at("a fault"))?;
    let intrude = async {
        until("production's change set is about to be executed", async || {
            let status = faults.get(hold).await.map_err(at("a fault"))?;
            Ok(status.is_some_and(|status| status.struck > 0))
        })
        .await?;
        let refused = intruded(cloud, &id).await;
        faults.release(hold).await.map_err(at("a fault"))?;
        refused
    };
    let approve = ["approve", id.as_str()];
    let (approved, refused) = tokio::join!(cloud.demo.type_in(&approve, Exit::Done), intrude);
    faults.remove(hold).await.map_err(at("a fault"))?;
    refused?;
    approved.map(drop)
}

/// As root, since nobody else may even ask: `lockstep-delivery-stack` works on a deployment to production.
async fn intruded(cloud: &TestCloud, deployment: &str) -> Result<(), Failure> {
    let root = cloud.demo.session()?.root("tooling")?;
    let payload = json!({ "action": "plan", "deployment": deployment });
    let called =
        Functions::new(&root).call("lockstep-delivery-stack", &payload, Duration::from_secs(60)).await?;
    let Called::Answered { error: Some(_), payload, .. } = called else {
        return Err(Failure::new("the delivery path may act in production"));
    };
    let said: Value = serde_json::from_slice(&payload).map_err(at("the function's answer"))?;
    ensure(said["errorType"] == "AccessDenied", format!("IAM refuses it: {said}"))?;
    let sentence = said["errorMessage"].as_str().unwrap_or_default();
    ensure(
        sentence.contains("lockstep-delivery-deployer"),
        format!("the role it may not assume is named: {sentence}"),
    )
}

/// After everything that happened here.
pub async fn share_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.nothing_is_shared().await?;
    cloud.demo.no_test_stacks().await
}
