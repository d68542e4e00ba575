//! What a person does about a run: not freeing what is in use, stopping it, doing it again, and letting it past the gate.

use crate::gates::unproven;
use crate::world::{World, text, until};
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::outcome::Outcome;
use lockstep_domain::records::{DeliveryEnd, Deployment, WebhookDelivery, WebhookDeliveryState};
use lockstep_local::{CallEffect, CallFault};
use serde_json::Value;

/// Types `command`, which ends so; while its call of `action` is held back in the development account, `meanwhile` acts
/// on the deployment that holds ci.
async fn while_held(
    world: &World,
    action: &str,
    command: (&[&str], Exit),
    meanwhile: impl AsyncFnOnce(&World, DeploymentId) -> Result<(), Failure>,
) -> Result<Value, Failure> {
    let development = world.story.session()?.account("development")?.to_owned();
    let faults = world.faults()?;
    let hold = CallFault::on("cloudformation", action, CallEffect::Hold).account(&development);
    let hold = faults.on_call(&hold).await.map_err(at("a fault"))?;
    let interfere = async {
        until("the call is held back", async || {
            let status = faults.get(hold).await.map_err(at("a fault"))?;
            Ok(status.is_some_and(|status| status.struck > 0))
        })
        .await?;
        let done = match holder(world).await {
            Ok(deployment) => meanwhile(world, deployment).await,
            Err(failure) => Err(failure),
        };
        faults.release(hold).await.map_err(at("a fault"))?;
        done
    };
    let (answer, done) = tokio::join!(world.story.type_in(command.0, command.1), interfere);
    faults.remove(hold).await.map_err(at("a fault"))?;
    done?;
    answer
}

async fn holder(world: &World) -> Result<DeploymentId, Failure> {
    let ci = "ci".parse().map_err(at("the stage"))?;
    let environment = world.story.plane().await?.environment(&ci, COMPONENT).await?;
    let holder = environment.and_then(|environment| environment.holder);
    holder.map(|holder| holder.deployment).ok_or_else(|| Failure::new("nobody holds ci"))
}

/// The first release of all comes to ci again; while it does, somebody tries to take ci away from it.
pub async fn a_living_holder_keeps_its_environment(world: &mut World) -> Result<(), Failure> {
    let first = world.story.facts.first.clone();
    let release = format!("{COMPONENT}@{first}");
    let production = ["deploy", &release, "--to", "production"];
    world.story.type_in(&production, Exit::Usage).await?;
    let deploy = ["deploy", &release, "--to", "ci"];
    while_held(world, "ExecuteChangeSet", (&deploy, Exit::Done), async |world, deployment| {
        let unlock = ["unlock", COMPONENT, "--in", "ci"];
        let refused = world.story.type_in(&unlock, Exit::Failed).await?;
        let next = text(&refused["next"])?;
        ensure(next.contains(deployment.short()), format!("who holds it is named: {next}"))?;
        ensure(holder(world).await? == deployment, "it still holds ci")?;
        let status = world.story.type_in(&["status"], Exit::Done).await?;
        let held_by = &status["components"][COMPONENT]["ci"]["held_by"];
        ensure(held_by == deployment.as_str(), format!("status says who holds ci: {held_by}"))
    })
    .await?;
    ensure(world.story.version_in("ci").await? == Some(first), "ci runs the first release again")?;
    let free = world.story.type_in(&["unlock", COMPONENT, "--in", "ci"], Exit::Done).await?;
    ensure(free["changed"] == false, "what is free is left alone")
}

/// Its change set is about to be made when it is told to stop. (The emulator does not stop an update that runs.)
pub async fn cancelled_in_time_changes_nothing(world: &mut World) -> Result<(), Failure> {
    let before = world.story.stacks("development")?.find("ci-logs-broker").await?;
    let running = world.story.version_in("ci").await?;
    let release = format!("{COMPONENT}@{}", world.story.facts.promoted);
    let deploy = ["deploy", &release, "--to", "ci"];
    let answer = while_held(world, "CreateChangeSet", (&deploy, Exit::Failed), async |world, deployment| {
        let cancel = ["cancel", deployment.short(), "--reason", "the wrong one", "--no-wait"];
        world.story.type_in(&cancel, Exit::Done).await.map(drop)
    })
    .await?;
    let error = &answer["execution"]["error"];
    ensure(error == "Cancelled", format!("the execution ends as cancelled: {}", answer["execution"]))?;
    let id = text(&answer["deployments"][0]["id"])?;
    let story = world.story.type_in(&["why", &id], Exit::Done).await?;
    ensure(story["deployment"]["cancellation"]["reason"] == "the wrong one", "the reason is on record")?;
    let after = world.story.stacks("development")?.find("ci-logs-broker").await?;
    ensure(after == before, "the stack is as it was")?;
    ensure(world.story.version_in("ci").await? == running, "ci runs what it ran")?;
    world.story.type_in(&["cancel", &id, "--reason", "again"], Exit::Failed).await.map(drop)
}

/// The organisation has forgotten a parameter; when it remembers, the same delivery goes through.
pub async fn a_failed_delivery_is_retried(world: &mut World) -> Result<(), Failure> {
    let apply = ["parameters", "apply", "parameters.toml"];
    let file = world.story.context.directory.join("parameters.toml");
    let complete = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let without: Vec<&str> = complete.lines().filter(|line| !line.starts_with("ClientCidr")).collect();
    ensure(without.len() < complete.lines().count(), "the organisation knows who may send logs")?;
    std::fs::write(&file, without.join("\n") + "\n").map_err(at(file.display()))?;
    world.story.type_in(&apply, Exit::Done).await?;
    let repository = world.story.repository();
    let readme = repository.read("broker/README.md")?;
    repository.write("broker/README.md", &format!("{readme}\nOn call: Ada.\n"))?;
    world.push("Whom to call", Exit::Failed).await?;
    let event = delivery(world).await?;
    let of_the_author =
        |end: &DeliveryEnd| end.outcome == Outcome::Rejected && end.reason.contains("ClientCidr");
    let rejected = event.end.as_ref().is_some_and(of_the_author);
    ensure(rejected, format!("the delivery was rejected for what is missing: {:?}", event.end))?;

    std::fs::write(&file, complete).map_err(at(file.display()))?;
    world.story.type_in(&apply, Exit::Done).await?;
    let before = world.story.version_in("ci").await?;
    let answer = world.story.type_in(&["retry", &event.delivery], Exit::Done).await?;
    let input = &answer["execution"]["input"];
    ensure(input["delivery"] == event.delivery.as_str(), format!("it is the same delivery: {input}"))?;
    let now = world.story.version_in("ci").await?;
    ensure(now != before, "ci runs the release of that push")?;
    let done = text(&answer["deployments"][0]["id"])?;
    world.story.type_in(&["retry", &done], Exit::Failed).await.map(drop)
}

/// The finished delivery of what was pushed last.
async fn delivery(world: &World) -> Result<WebhookDelivery, Failure> {
    let head = world.story.repository().head().await?;
    let events = world.records::<WebhookDelivery>().await?;
    let found = events
        .into_iter()
        .find(|event| event.commit.as_str() == head && event.state == WebhookDeliveryState::Finished);
    found.ok_or_else(|| Failure::new("the push was not delivered"))
}

/// A release that failed in ci, for production: refused, let in, refused again.
pub async fn glass_is_broken_once(world: &mut World) -> Result<(), Failure> {
    let release = format!("{COMPONENT}@{}", unproven(world).await?.version);
    let promote = ["promote", &release, "--to", "production"];
    let refused = world.story.type_in(&promote, Exit::Failed).await?;
    ensure(refused["execution"]["error"] == "GateClosed", "without evidence the gate is closed")?;

    let broken = [&promote[..], &["--break-glass", "logs are being lost"]].concat();
    let asked = world.story.type_in(&broken, Exit::NeedsHuman).await?;
    ensure(world.said().contains("!! BREAK-GLASS !!"), "it is said loudly")?;
    let id = text(&asked["deployment"]["id"])?;
    let story = world.story.type_in(&["why", &id], Exit::Done).await?;
    let glass = &story["deployment"]["break_glass"];
    ensure(glass["reason"] == "logs are being lost", format!("why tells the reason: {glass}"))?;
    ensure(glass["by"].as_str().is_some_and(|by| by.contains("lockstep-you")), "and who it was")?;
    ensure(world.said().contains("BREAK-GLASS without the evidence"), "for people too")?;
    let refuse = ["approve", &id, "--refuse", "--reason", "found them again"];
    world.story.type_in(&refuse, Exit::Done).await?;
    let id: DeploymentId = id.parse().map_err(at("the deployment"))?;
    world.ended(&world.record::<Deployment>(&Deployment::key_of(&id)).await?.execution).await?;

    let again = world.story.type_in(&promote, Exit::Failed).await?;
    ensure(again["execution"]["error"] == "GateClosed", "the glass was broken for one time only")
}
