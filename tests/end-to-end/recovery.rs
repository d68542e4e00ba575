//! Plans, rollbacks and clones.

use crate::test_cloud::{TestCloud, text, until};
use lockstep_aws::cloudformation::Stack;
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure};
use lockstep_domain::records::Environment;
use lockstep_domain::stacks::plan::StackStatus;
use serde_json::Value;

/// The stack of the component in ci.
const CI_STACK: &str = "ci-logs-broker";

/// The clone and its stack.
const CLONE: &str = "logs-twin";
const CLONE_STACK: &str = "ci-logs-twin";

/// The visible state of ci.
#[derive(Debug, PartialEq)]
struct StackSnapshot {
    stack: Option<Stack>,
    change_sets: Vec<String>,
    version: Option<String>,
}

/// Reads the state of ci.
async fn look(cloud: &TestCloud) -> Result<StackSnapshot, Failure> {
    let stacks = cloud.demo.stacks("development")?;
    Ok(StackSnapshot {
        stack: stacks.find(CI_STACK).await?,
        change_sets: stacks.change_sets(CI_STACK).await?,
        version: cloud.demo.version_in("ci").await?,
    })
}

fn release(version: &str) -> String {
    format!("{COMPONENT}@{version}")
}

/// Plans an update, the running release, a new stack, and a deployment that needs approval.
pub async fn a_plan_changes_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = look(cloud).await?;
    let newest = before.version.clone().ok_or_else(|| Failure::new("ci runs no release"))?;

    let first = release(&cloud.demo.facts.first);
    let update = cloud.demo.type_in(&["plan", &first, "--to", "ci"], Exit::Done).await?;
    ensure(update["plan"]["finding"] == "changes", format!("an older release would change ci: {update}"))?;
    ensure(update["deployment"]["state"] == "planned", "the deployment is recorded as planned")?;
    let changes = update["deployment"]["change_set"]["changes"].as_array();
    ensure(changes.is_some_and(|changes| !changes.is_empty()), "the changes are listed")?;
    ensure(
        update["do_with"] == format!("lockstep deploy {first} --in ci"),
        "the document names the command that deploys it",
    )?;

    let same = cloud.demo.type_in(&["plan", &release(&newest), "--to", "ci"], Exit::Done).await?;
    ensure(
        same["plan"]["finding"] == "nothing",
        format!("the running release would change nothing: {same}"),
    )?;
    let diff =
        cloud.demo.type_in(&["diff", "ci", "production", "--component", COMPONENT], Exit::Done).await?;
    let [in_ci, in_production] = [0, 1].map(|side| diff["components"][0]["versions"][side].clone());
    ensure(
        in_ci == newest.as_str() && in_production == cloud.demo.facts.promoted.as_str(),
        format!("diff names what runs in both stages: {diff}"),
    )?;
    ensure(look(cloud).await? == before, "ci is unchanged")?;

    let fresh = ["plan", &release(&newest), "--to", "ci", "--environment", CLONE];
    let fresh = cloud.demo.type_in(&fresh, Exit::Done).await?;
    ensure(fresh["plan"]["finding"] == "changes", format!("a new stack would be made: {fresh}"))?;
    gone(cloud, "the plan of a new stack leaves no stack").await?;

    let production = ["plan", &release(&newest), "--to", "production"];
    let asks = cloud.demo.type_in(&production, Exit::NeedsHuman).await?;
    let reasons = asks["plan"]["asked_because"].as_array();
    ensure(reasons.is_some_and(|reasons| !reasons.is_empty()), "the plan gives the reason for an approval")?;
    let waiting = cloud.demo.type_in(&["status"], Exit::Done).await?;
    let holder = &waiting["components"][COMPONENT]["production"]["held_by"];
    ensure(holder.is_null(), "no deployment holds production after a plan")
}

/// Waits until the stack of the clone is deleted.
async fn gone(cloud: &TestCloud, what: &str) -> Result<(), Failure> {
    let stacks = cloud.demo.stacks("development")?;
    until(what, async || {
        let found = stacks.find(CLONE_STACK).await?;
        Ok(found.is_none_or(|stack| stack.status == StackStatus::DeleteComplete))
    })
    .await
}

/// A later release comes to ci, and the rollback returns to the one before. It shows its plan first, and holds ci.
pub async fn a_rollback_restores_the_previous_release(cloud: &mut TestCloud) -> Result<(), Failure> {
    let first = cloud.demo.version_in("ci").await?;
    if history(cloud).await?.is_empty() {
        let later = format!("{COMPONENT}@{}", cloud.demo.facts.promoted);
        cloud.demo.type_in(&["deploy", &later, "--to", "ci"], Exit::Done).await?;
    }
    let now = cloud.demo.version_in("ci").await?;
    let target = history(cloud).await?.pop().ok_or_else(|| Failure::new("ci has no history"))?;
    let back = ["rollback", COMPONENT, "--in", "ci"];
    let plan = cloud.demo.type_in(&back, Exit::NeedsHuman).await?;
    let command = format!("lockstep rollback {COMPONENT} --in ci --to {target} --yes");
    ensure(plan["do_with"] == command.as_str(), format!("the plan names the target: {}", plan["do_with"]))?;
    ensure(cloud.demo.version_in("ci").await? == now, "the plan changed nothing")?;
    cloud.demo.type_in(&[&back[..], &["--yes"]].concat(), Exit::Done).await?;
    ensure(cloud.demo.version_in("ci").await?.as_ref() == Some(&target), "ci runs the previous release")?;
    let held = environment(cloud, COMPONENT).await?.and_then(|environment| environment.hold);
    ensure(held.is_some(), "the next push does not undo the rollback")?;
    let resumed = cloud.demo.type_in(&["resume", COMPONENT, "--in", "ci"], Exit::Done).await?;
    ensure(resumed["changed"] == true, "pushes reach ci again")?;
    match first.filter(|first| *first != target) {
        Some(first) => {
            let first = format!("{COMPONENT}@{first}");
            cloud.demo.type_in(&["deploy", &first, "--to", "ci"], Exit::Done).await.map(drop)
        }
        None => Ok(()),
    }
}

/// Returns the releases that ran in ci before the current one and passed their checks there, oldest first.
async fn history(cloud: &TestCloud) -> Result<Vec<String>, Failure> {
    let history = environment(cloud, COMPONENT).await?.map(|environment| environment.history);
    Ok(history.into_iter().flatten().map(|deployed| deployed.version.to_string()).collect())
}

async fn environment(cloud: &TestCloud, name: &str) -> Result<Option<Environment>, Failure> {
    let ci = "ci".parse().map_err(lockstep_cli::failure::at("the stage"))?;
    cloud.demo.plane().await?.environment(&ci, name).await
}

/// The clone of ci has the parameters of the test stack. It is deleted once an approval names its log group.
pub async fn a_clone_exists_until_its_data_is_given_up(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = look(cloud).await?;
    let version = before.version.clone().ok_or_else(|| Failure::new("ci runs no release"))?;
    let clone =
        ["clone", &release(&version), "--environment", CLONE, "--in", "ci", "--parameters-of", "test"];
    let made = cloud.demo.type_in(&clone, Exit::Done).await?;
    ensure(
        made["deployments"][0]["parameters_of"] == "test",
        "the document names the stage of the parameters",
    )?;
    let stacks = cloud.demo.stacks("development")?;
    let (own, theirs) = (stacks.parameters(CLONE_STACK).await?, stacks.parameters(CI_STACK).await?);
    let days = |all: &std::collections::BTreeMap<String, String>| all.get("LogRetentionDays").cloned();
    ensure(days(&own).as_deref() == Some("7"), format!("the clone has the parameters of test: {own:?}"))?;
    ensure(days(&theirs).as_deref() == Some("14"), format!("ci has parameters of its own: {theirs:?}"))?;
    let status = cloud.demo.type_in(&["status"], Exit::Done).await?;
    ensure(status["others"][0]["name"] == CLONE, "the clone is listed beside the matrix")?;

    let teardown = ["teardown", COMPONENT, "--in", "ci", "--environment", CLONE];
    let asked = cloud.demo.type_in(&teardown, Exit::NeedsHuman).await?;
    let id = text(&asked["deployment"]["id"])?;
    let approve = text(&asked["approve_with"])?;
    ensure(approve.contains("--give-up BrokerLogs"), format!("the approval names the lost data: {approve}"))?;
    ensure(cloud.output().contains("AWS::Logs::LogGroup"), "and the output its type")?;
    cloud.demo.type_in(&["approve", &id, "--yes", "--as", "grace"], Exit::NeedsHuman).await?;
    let other = ["approve", &id, "--give-up", "SomethingElse", "--as", "grace"];
    cloud.demo.type_in(&other, Exit::Usage).await?;
    let found = stacks.find(CLONE_STACK).await?;
    ensure(
        found.is_some_and(|stack| stack.status == StackStatus::CreateComplete),
        "the stack exists until the approval names all data",
    )?;
    let ended: Value = cloud.demo.approve(&asked, Exit::Done).await?;
    ensure(ended["deployments"][0]["state"] == "succeeded", format!("the teardown succeeded: {ended}"))?;
    gone(cloud, "the stack of the clone is deleted").await?;
    ensure(environment(cloud, CLONE).await?.is_none(), "its environment is deleted")?;
    ensure(look(cloud).await? == before, "ci is unchanged")
}
