//! Looking before acting, going back, and environments that come and go.

use crate::test_cloud::{TestCloud, text, until};
use lockstep_cli::demo::{COMPONENT, ensure};
use lockstep_cli::failure::{Exit, Failure};
use lockstep_domain::records::Environment;
use lockstep_domain::stacks::plan::StackStatus;
use lockstep_platform::cloudformation::Stack;
use serde_json::Value;

/// The stack of the component in ci.
const CI_STACK: &str = "ci-logs-broker";

/// The clone, and its stack.
const CLONE: &str = "logs-twin";
const CLONE_STACK: &str = "ci-logs-twin";

/// What can be seen of ci from outside.
#[derive(Debug, PartialEq)]
struct StackSnapshot {
    stack: Option<Stack>,
    change_sets: Vec<String>,
    version: Option<String>,
}

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

/// A plan of an update, of nothing, of a new stack, and of something that a person would have to approve.
pub async fn plan_changes_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = look(cloud).await?;
    let newest = before.version.clone().ok_or_else(|| Failure::new("nothing runs in ci"))?;

    let first = release(&cloud.demo.facts.first);
    let update = cloud.demo.type_in(&["plan", &first, "--to", "ci"], Exit::Done).await?;
    ensure(update["plan"]["finding"] == "changes", format!("an older release would change ci: {update}"))?;
    ensure(update["deployment"]["state"] == "planned", "the deployment says that it only planned")?;
    let changes = update["deployment"]["change_set"]["changes"].as_array();
    ensure(changes.is_some_and(|changes| !changes.is_empty()), "the changes are listed")?;
    ensure(update["do_with"] == format!("lockstep deploy {first} --to ci"), "the way to do it is named")?;

    let same = cloud.demo.type_in(&["plan", &release(&newest), "--to", "ci"], Exit::Done).await?;
    ensure(same["plan"]["finding"] == "nothing", format!("what runs would change nothing: {same}"))?;
    ensure(look(cloud).await? == before, "ci is as it was")?;

    let fresh = ["plan", &release(&newest), "--to", "ci", "--as", CLONE];
    let fresh = cloud.demo.type_in(&fresh, Exit::Done).await?;
    ensure(fresh["plan"]["finding"] == "changes", format!("a new stack would be made: {fresh}"))?;
    gone(cloud, "no stack is left of a plan to make one").await?;

    let production = ["plan", &release(&newest), "--to", "production"];
    let asks = cloud.demo.type_in(&production, Exit::NeedsHuman).await?;
    let reasons = asks["plan"]["asked_because"].as_array();
    ensure(reasons.is_some_and(|reasons| !reasons.is_empty()), "it says why a person would be asked")?;
    let waiting = cloud.demo.type_in(&["status"], Exit::Done).await?;
    let holder = &waiting["components"][COMPONENT]["production"]["held_by"];
    ensure(holder.is_null(), "nobody holds production after a plan")
}

async fn gone(cloud: &TestCloud, what: &str) -> Result<(), Failure> {
    let stacks = cloud.demo.stacks("development")?;
    until(what, async || {
        let found = stacks.find(CLONE_STACK).await?;
        Ok(found.is_none_or(|stack| stack.status == StackStatus::DeleteComplete))
    })
    .await
}

/// The first release runs in ci since the last promise but one; before that, the newest did.
pub async fn rollback_brings_the_previous_release_back(cloud: &mut TestCloud) -> Result<(), Failure> {
    let environment = environment(cloud, COMPONENT).await?;
    let environment = environment.ok_or_else(|| Failure::new("ci has no environment"))?;
    let previous = environment.previous.map(|previous| previous.version.to_string());
    let now = cloud.demo.version_in("ci").await?;
    ensure(previous.is_some() && previous != now, format!("there is something to go back to: {previous:?}"))?;
    let answer = cloud.demo.type_in(&["rollback", COMPONENT, "--in", "ci"], Exit::Done).await?;
    ensure(answer["deployments"][0]["stack_changed"] == true, "the stack was changed back")?;
    ensure(cloud.demo.version_in("ci").await? == previous, "ci runs what ran before")
}

async fn environment(cloud: &TestCloud, name: &str) -> Result<Option<Environment>, Failure> {
    let ci = "ci".parse().map_err(lockstep_cli::failure::at("the stage"))?;
    cloud.demo.plane().await?.environment(&ci, name).await
}

/// ci with the parameters of the throw-away stack, beside ci itself.
pub async fn a_clone_comes_and_goes(cloud: &mut TestCloud) -> Result<(), Failure> {
    let before = look(cloud).await?;
    let version = before.version.clone().ok_or_else(|| Failure::new("nothing runs in ci"))?;
    let clone = ["clone", &release(&version), "--as", CLONE, "--in", "ci", "--parameters-of", "test"];
    let made = cloud.demo.type_in(&clone, Exit::Done).await?;
    ensure(made["deployments"][0]["parameters_of"] == "test", "it says whose parameters it has")?;
    let stacks = cloud.demo.stacks("development")?;
    let (own, theirs) = (stacks.parameters(CLONE_STACK).await?, stacks.parameters(CI_STACK).await?);
    let days = |all: &std::collections::BTreeMap<String, String>| all.get("LogRetentionDays").cloned();
    ensure(days(&own).as_deref() == Some("7"), format!("the clone has the parameters of test: {own:?}"))?;
    ensure(days(&theirs).as_deref() == Some("14"), format!("ci has its own: {theirs:?}"))?;
    let status = cloud.demo.type_in(&["status"], Exit::Done).await?;
    ensure(status["others"][0]["name"] == CLONE, "the clone is listed beside the matrix")?;

    let teardown = ["teardown", COMPONENT, "--in", "ci", "--environment", CLONE];
    let asked = cloud.demo.type_in(&teardown, Exit::NeedsHuman).await?;
    let id = text(&asked["deployment"]["id"])?;
    let approve = text(&asked["approve_with"])?;
    ensure(approve.contains("--give-up BrokerLogs"), format!("what would be lost is named: {approve}"))?;
    ensure(cloud.said().contains("AWS::Logs::LogGroup"), "and shown with its type")?;
    cloud.demo.type_in(&["approve", &id], Exit::NeedsHuman).await?;
    let other = ["approve", &id, "--give-up", "SomethingElse"];
    cloud.demo.type_in(&other, Exit::Usage).await?;
    let there = stacks.find(CLONE_STACK).await?;
    ensure(
        there.is_some_and(|stack| stack.status == StackStatus::CreateComplete),
        "nothing is deleted before everything is given up by name",
    )?;
    let arguments: Vec<&str> = approve.split(' ').skip(1).collect();
    let ended: Value = cloud.demo.type_in(&arguments, Exit::Done).await?;
    ensure(ended["deployments"][0]["state"] == "succeeded", format!("the teardown succeeded: {ended}"))?;
    gone(cloud, "the clone's stack is gone").await?;
    ensure(environment(cloud, CLONE).await?.is_none(), "and so is its environment")?;
    ensure(look(cloud).await? == before, "ci is as it was")
}
