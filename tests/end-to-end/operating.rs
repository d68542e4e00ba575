//! Actions of an operator on a run: unlock, cancel, retry, break-glass.

use crate::gates::unproven;
use crate::test_cloud::{TestCloud, text, until};
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::{DeliveryEnd, Deployment, WebhookDelivery, WebhookDeliveryState};
use lockstep_local::{CallEffect, CallFault};
use serde_json::Value;

/// Runs a command and requires its exit code. `meanwhile` acts on the deployment that holds ci, while a fault holds the
/// call of `action` in the development account.
async fn while_held(
    cloud: &TestCloud,
    action: &str,
    command: (&[&str], Exit),
    meanwhile: impl AsyncFnOnce(&TestCloud, DeploymentId) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let development = cloud.demo.session()?.account("development")?.to_owned();
    let faults = cloud.faults()?;
    let hold = CallFault::on("cloudformation", action, CallEffect::Hold).account(&development);
    let hold = faults.on_call(&hold).await.map_err(at("a fault"))?;
    let interference = async {
        until("the call is held", async || {
            let status = faults.get(hold).await.map_err(at("a fault"))?;
            Ok(status.is_some_and(|status| status.struck > 0))
        })
        .await?;
        let done = match holder(cloud).await {
            Ok(deployment) => meanwhile(cloud, deployment).await,
            Err(failure) => Err(failure),
        };
        faults.release(hold).await.map_err(at("a fault"))?;
        done
    };
    let (answer, done) = tokio::join!(cloud.demo.type_in(command.0, command.1), interference);
    faults.remove(hold).await.map_err(at("a fault"))?;
    done?;
    answer
}

/// Returns the deployment that holds ci.
async fn holder(cloud: &TestCloud) -> Result<DeploymentId, Failure> {
    let ci = "ci".parse().map_err(at("the stage"))?;
    let environment = cloud.demo.plane().await?.environment(&ci, COMPONENT).await?;
    let holder = environment.and_then(|environment| environment.holder);
    holder.map(|holder| holder.deployment).ok_or_else(|| Failure::new("no deployment holds ci"))
}

/// The first release is deployed to ci again. Meanwhile the operator tries to unlock ci.
pub async fn an_environment_with_a_live_holder_is_not_unlocked(cloud: &mut TestCloud) -> Result<(), Failure> {
    let first = cloud.demo.facts.first.clone();
    let release = format!("{COMPONENT}@{first}");
    let production = ["deploy", &release, "--to", "production"];
    cloud.demo.type_in(&production, Exit::Usage).await?;
    let deploy = ["deploy", &release, "--to", "ci"];
    while_held(cloud, "ExecuteChangeSet", (&deploy, Exit::Done), async |cloud, deployment| {
        let unlock = ["unlock", COMPONENT, "--in", "ci"];
        let refused = cloud.demo.type_in(&unlock, Exit::Failed).await?;
        let next = text(&refused["next"])?;
        ensure(next.contains(deployment.short()), format!("the refusal names the holder: {next}"))?;
        ensure(holder(cloud).await? == deployment, "the deployment still holds ci")?;
        let status = cloud.demo.type_in(&["status"], Exit::Done).await?;
        let held_by = &status["components"][COMPONENT]["ci"]["held_by"];
        ensure(held_by == deployment.as_str(), format!("status names the holder of ci: {held_by}"))?;
        a_second_deployment_is_cancelled_in_the_queue(cloud, &deploy).await
    })
    .await?;
    ensure(cloud.demo.version_in("ci").await? == Some(first), "ci runs the first release again")?;
    let free = cloud.demo.type_in(&["unlock", COMPONENT, "--in", "ci"], Exit::Done).await?;
    ensure(free["changed"] == false, "a free environment is not changed")
}

/// A deployment waits behind the one that holds ci, and an operator cancels it.
async fn a_second_deployment_is_cancelled_in_the_queue(
    cloud: &TestCloud,
    deploy: &[&str],
) -> Result<(), Failure> {
    let cancels = async {
        until("a deployment waits for ci", async || Ok(waiting(cloud).await?.is_some())).await?;
        let queued = waiting(cloud).await?.ok_or_else(|| Failure::new("no deployment waits for ci"))?;
        let cancel = ["cancel", queued.short(), "--reason", "once is enough"];
        let cancelled = cloud.demo.type_in(&cancel, Exit::Done).await?;
        ensure(cancelled["outcome"] == "cancelled", format!("it is cancelled: {cancelled}"))?;
        let why = cloud.demo.type_in(&["why", queued.short()], Exit::Done).await?;
        ensure(why["deployment"]["state"] == "cancelled", format!("it is on record: {why}"))
    };
    let (ended, cancelled) = tokio::join!(cloud.demo.type_in(deploy, Exit::Failed), cancels);
    cancelled?;
    let error = ended?["execution"]["error"].clone();
    ensure(error == "Cancelled", format!("the execution ends as cancelled: {error}"))?;
    ensure(waiting(cloud).await?.is_none(), "no deployment waits for ci")
}

/// Returns the first deployment that waits for ci.
async fn waiting(cloud: &TestCloud) -> Result<Option<DeploymentId>, Failure> {
    let ci = "ci".parse().map_err(at("the stage"))?;
    let environment = cloud.demo.plane().await?.environment(&ci, COMPONENT).await?;
    let queue = environment.map(|environment| environment.queue).unwrap_or_default();
    Ok(queue.into_iter().next().map(|queued| queued.deployment))
}

/// The cancellation comes while the deployment creates its change set. The emulator cannot stop a running update.
pub async fn a_deployment_cancelled_in_time_changes_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = cloud.demo.stacks("development")?.find("ci-logs-broker").await?;
    let running = cloud.demo.version_in("ci").await?;
    let release = format!("{COMPONENT}@{}", cloud.demo.facts.promoted);
    let deploy = ["deploy", &release, "--to", "ci"];
    let answer = while_held(cloud, "CreateChangeSet", (&deploy, Exit::Failed), async |cloud, deployment| {
        let cancel = ["cancel", deployment.short(), "--reason", "the wrong one", "--no-wait"];
        cloud.demo.type_in(&cancel, Exit::Done).await.map(drop)
    })
    .await?;
    let error = &answer["execution"]["error"];
    ensure(error == "Cancelled", format!("the execution ends as cancelled: {}", answer["execution"]))?;
    let id = text(&answer["deployments"][0]["id"])?;
    let why = cloud.demo.type_in(&["why", &id], Exit::Done).await?;
    ensure(why["deployment"]["cancellation"]["reason"] == "the wrong one", "the reason is on record")?;
    let after = cloud.demo.stacks("development")?.find("ci-logs-broker").await?;
    ensure(after == before, "the stack is unchanged")?;
    ensure(cloud.demo.version_in("ci").await? == running, "ci runs the release before")?;
    cloud.demo.type_in(&["cancel", &id, "--reason", "again"], Exit::Failed).await.map(drop)
}

/// A parameter of the organisation is missing. Once it is set, the retry of the same delivery succeeds.
pub async fn a_failed_delivery_is_retried_once_its_cause_is_gone(
    cloud: &mut TestCloud,
) -> Result<(), Failure> {
    let apply = ["parameters", "apply", "parameters.toml"];
    let file = cloud.demo.context.directory.join("parameters.toml");
    let complete = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let without: Vec<&str> = complete.lines().filter(|line| !line.starts_with("ClientCidr")).collect();
    ensure(without.len() < complete.lines().count(), "the organisation has the parameter ClientCidr")?;
    std::fs::write(&file, without.join("\n") + "\n").map_err(at(file.display()))?;
    cloud.demo.type_in(&apply, Exit::Done).await?;
    cloud.append("broker/README.md", "\nOn call: Ada.")?;
    cloud.push("Whom to call", Exit::Failed).await?;
    let delivery = last_delivery(cloud).await?;
    let names_it = |end: &DeliveryEnd| end.outcome == Outcome::Rejected && end.reason.contains("ClientCidr");
    let rejected = delivery.end.as_ref().is_some_and(names_it);
    ensure(rejected, format!("the rejection names the missing parameter: {:?}", delivery.end))?;

    std::fs::write(&file, complete).map_err(at(file.display()))?;
    cloud.demo.type_in(&apply, Exit::Done).await?;
    let before = cloud.demo.version_in("ci").await?;
    let answer = cloud.demo.type_in(&["retry", &delivery.delivery], Exit::Done).await?;
    let input = &answer["execution"]["input"];
    ensure(input["delivery"] == delivery.delivery.as_str(), format!("it is the same delivery: {input}"))?;
    let now = cloud.demo.version_in("ci").await?;
    ensure(now != before, "ci runs the release of that push")?;
    let done = text(&answer["deployments"][0]["id"])?;
    cloud.demo.type_in(&["retry", &done], Exit::Failed).await.map(drop)
}

/// Returns the finished delivery of the last push.
async fn last_delivery(cloud: &TestCloud) -> Result<WebhookDelivery, Failure> {
    let head = cloud.demo.repository().head().await?;
    let deliveries = cloud.records::<WebhookDelivery>().await?;
    let found = deliveries.into_iter().find(|delivery| {
        delivery.commit.as_str() == head && delivery.state == WebhookDeliveryState::Finished
    });
    found.ok_or_else(|| Failure::new("the push was not delivered"))
}

/// The gate of production refuses the release that failed in ci, admits it once by break-glass, and refuses it again.
pub async fn a_break_glass_admits_one_release_and_is_recorded(cloud: &mut TestCloud) -> Result<(), Failure> {
    let release = format!("{COMPONENT}@{}", unproven(cloud).await?.version);
    let promote = ["promote", &release, "--to", "production"];
    let refused = cloud.demo.type_in(&promote, Exit::Failed).await?;
    ensure(refused["execution"]["error"] == "GateClosed", "without evidence the gate is closed")?;

    let with_break_glass = [&promote[..], &["--break-glass", "logs are being lost"]].concat();
    let asked = cloud.demo.type_in(&with_break_glass, Exit::NeedsHuman).await?;
    ensure(cloud.output().contains("!! BREAK-GLASS !!"), "the command prints a warning")?;
    let id = text(&asked["deployment"]["id"])?;
    let why = cloud.demo.type_in(&["why", &id], Exit::Done).await?;
    let glass = &why["deployment"]["break_glass"];
    ensure(glass["reason"] == "logs are being lost", format!("why gives the reason: {glass}"))?;
    ensure(glass["by"].as_str().is_some_and(|by| by.ends_with(":user/ada")), "and the operator")?;
    ensure(cloud.output().contains("BREAK-GLASS without the evidence"), "why prints both")?;
    let refuse = ["approve", &id, "--refuse", "--reason", "found them again", "--as", "grace"];
    cloud.demo.type_in(&refuse, Exit::Done).await?;
    let id: DeploymentId = id.parse().map_err(at("the deployment"))?;
    cloud.ended(&cloud.record::<Deployment>(&Deployment::key_of(&id)).await?.execution).await?;

    let again = cloud.demo.type_in(&promote, Exit::Failed).await?;
    ensure(again["execution"]["error"] == "GateClosed", "the break-glass counts once")
}
