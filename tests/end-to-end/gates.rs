//! Gates: rejections, evidence, approvals, and the separation of the paths.

use crate::test_cloud::{TestCloud, text, until};
use lockstep_aws::cloudformation::{CloudFormation, Stacks as _};
use lockstep_aws::functions::{Called, Functions};
use lockstep_aws::operator::executions::Status;
use lockstep_aws::simulation::Simulator;
use lockstep_cli::demo::{COMPONENT, REPOSITORY, ensure};
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::model::permission::Condition;
use lockstep_domain::records::{DeploymentState, Rejection, Release};
use lockstep_domain::stacks::permissions::missing::{Decision, SimulationRequest};
use lockstep_local::{CallEffect, CallFault};
use serde_json::{Value, json};
use std::time::Duration;

const CI_STACK: &str = "ci-logs-broker";
const PRODUCTION_STACK: &str = "production-logs-broker";

/// The mistake is in the parameters of production. The packaging finds it before any deployment.
pub async fn an_unknown_parameter_is_rejected_with_its_line(cloud: &mut TestCloud) -> Result<(), Failure> {
    let repository = cloud.demo.repository();
    let file = "broker/parameters/production.toml";
    let before = repository.read(file)?;
    repository.write(file, &format!("{before}InstanceTipe = \"m6i.large\"\n"))?;
    let answer = cloud.push("A typing error that only production would find", Exit::Failed).await?;
    ensure(answer["deployments"].as_array().is_some_and(Vec::is_empty), "nothing was deployed")?;
    let head = repository.head().await?;
    let rejections = cloud.records::<Rejection>().await?;
    let rejection = rejections.iter().find(|rejection| rejection.commit.as_str() == head);
    let rejection = rejection.ok_or_else(|| Failure::new("the rejection was not recorded"))?;
    let line = u32::try_from(before.lines().count() + 1).map_err(at("the line"))?;
    let reported = rejection.problems.iter().find(|problem| problem.message.contains("InstanceTipe"));
    ensure(
        reported.is_some_and(|problem| problem.file == file && problem.line == Some(line)),
        format!("the record names {file}:{line}: {:?}", rejection.problems),
    )?;
    ensure(rejection.author.contains("Ada"), "the record names the author")?;
    repository.write(file, &before)?;
    cloud.push("Everything in order again", Exit::Done).await.map(drop)
}

/// A registered repository that never pushes.
pub const ELSEWHERE: &str = "github:acme/elsewhere";

/// The component belongs to another repository for a while, so a push of the demo's repository is a foreign one.
pub async fn a_push_of_a_foreign_name_changes_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    let demo = &cloud.demo;
    demo.type_in(&["repositories", "add", ELSEWHERE], Exit::Done).await?;
    demo.type_in(&["components", "assign", COMPONENT, "--to", ELSEWHERE], Exit::Done).await?;
    let releases = cloud.records::<Release>().await?.len();
    let running = demo.version_in("ci").await?;
    cloud.raise_max_size("default")?;
    let answer = cloud.push("A change of a component of another repository", Exit::Failed).await?;
    ensure(answer["deployments"].as_array().is_some_and(Vec::is_empty), "nothing was deployed")?;
    ensure(
        answer.to_string().contains("belongs to acme/elsewhere"),
        format!("it names the owner: {answer}"),
    )?;
    ensure(
        answer.to_string().contains("lockstep components assign"),
        format!("it names the remedy: {answer}"),
    )?;
    ensure(cloud.records::<Release>().await?.len() == releases, "nothing was released")?;
    ensure(demo.version_in("ci").await? == running, "ci runs the release before")?;
    demo.type_in(&["components", "assign", COMPONENT, "--to", REPOSITORY], Exit::Done).await?;
    demo.type_in(&["repositories", "remove", ELSEWHERE], Exit::Done).await?;
    cloud.raise_max_size("default")?;
    cloud.push("The name is ours again", Exit::Done).await?;
    ensure(demo.version_in("ci").await? != running, "ci runs the release of the owner")
}

/// Returns the release that passed its test and failed in ci.
pub async fn unproven(cloud: &TestCloud) -> Result<Release, Failure> {
    let component = COMPONENT.parse().map_err(at("the component"))?;
    let releases = cloud.demo.plane().await?.releases(Some(&component)).await?;
    let failed = &cloud.demo.facts.failed;
    let found = releases.into_iter().find(|release| release.version.to_string() == *failed);
    found.ok_or_else(|| Failure::new("there is no release that failed in ci"))
}

pub async fn a_release_without_evidence_is_not_promoted(cloud: &mut TestCloud) -> Result<(), Failure> {
    let failed = unproven(cloud).await?;
    let name = format!("{COMPONENT}@{}", failed.version);
    let answer = cloud.demo.type_in(&["promote", &name, "--to", "production"], Exit::Failed).await?;
    let execution = &answer["execution"];
    ensure(execution["error"] == "GateClosed", format!("the gate is closed: {execution}"))?;
    let cause = execution["cause"].as_str().unwrap_or_default();
    ensure(
        cause.contains(failed.digest.short()) && cause.contains("ci"),
        format!("the cause names the missing evidence: {cause}"),
    )?;
    names_are_looked_up_first(cloud, &name).await?;
    lists_agree_with_the_installation(cloud).await
}

/// A misspelt name starts nothing, and `where` says how far a release got.
async fn names_are_looked_up_first(cloud: &TestCloud, failed: &str) -> Result<(), Failure> {
    let misspelt = failed.replacen("logs-broker", "logs-brokr", 1);
    for line in
        [["promote", misspelt.as_str(), "--in", "production"], ["plan", misspelt.as_str(), "--in", "ci"]]
    {
        let refused = cloud.demo.type_in(&line, Exit::Usage).await?;
        let error = refused["error"].as_str().unwrap_or_default();
        ensure(error.contains("did you mean `logs-broker`?"), format!("a near name is suggested: {error}"))?;
    }
    let way = cloud.demo.type_in(&["where", failed], Exit::Done).await?;
    let failed_in = &way["release"]["reach"]["failed_in"];
    ensure(failed_in[0] == "ci", format!("the release failed in ci: {way}"))
}

/// Only an installer lists accounts, so this asks for the lists of other people.
async fn lists_agree_with_the_installation(cloud: &TestCloud) -> Result<(), Failure> {
    let repositories = cloud.demo.type_in(&["repositories", "list"], Exit::Done).await?;
    ensure(
        repositories["repositories"][0]["id"].is_string(),
        format!("a repository is listed: {repositories}"),
    )?;
    let refused = cloud.demo.type_in(&["accounts", "remove", "production"], Exit::Usage).await?;
    ensure(
        refused["next"].as_str().is_some_and(|next| next.contains("stages apply")),
        "an account in use remains",
    )
}

/// Promotes a release that changes production up to its question. Returns the deployment and the document.
async fn asking(cloud: &TestCloud) -> Result<(String, Value), Failure> {
    cloud.raise_max_size("production")?;
    let answer = cloud.push("Another size for production", Exit::Done).await?;
    let version =
        answer["deployments"].as_array().and_then(|all| all.last()).map(|last| last["version"].clone());
    let name = format!("{COMPONENT}@{}", version.as_ref().and_then(Value::as_str).unwrap_or_default());
    let answer = cloud.demo.type_in(&["promote", &name, "--to", "production"], Exit::NeedsHuman).await?;
    Ok((text(&answer["deployment"]["id"])?, answer))
}

/// The status and the list of deployments name the question. To look at it, or to approve it without a terminal and without
/// `--yes`, answers nothing.
async fn a_question_is_found_and_shown_without_an_answer(cloud: &TestCloud, id: &str) -> Result<(), Failure> {
    let status = cloud.demo.type_in(&["status"], Exit::Done).await?;
    let kinds: Vec<&Value> =
        status["attention"].as_array().into_iter().flatten().map(|found| &found["kind"]).collect();
    for kind in ["question", "queue"] {
        ensure(kinds.iter().any(|found| *found == kind), format!("the status shows a {kind}: {kinds:?}"))?;
    }
    let waiting = ["deployments", "--waiting", "--in", "production", "--component", COMPONENT];
    let waiting = cloud.demo.type_in(&waiting, Exit::Done).await?;
    let listed = waiting["deployments"].as_array().map_or(0, Vec::len);
    ensure(listed == 2, format!("the question and the queued deployment wait: {waiting}"))?;
    let shown = cloud.demo.type_in(&["question", id, "--as", "grace"], Exit::NeedsHuman).await?;
    ensure(shown["question"]["number"] == 1, "the open question is shown")?;
    for part in ["asked because", "started by", "MaxSize"] {
        ensure(cloud.output_of_promise().contains(part), format!("the question shows `{part}`"))?;
    }
    let unconfirmed = ["approve", id, "--question", "1", "--as", "grace"];
    let refused = cloud.demo.type_in(&unconfirmed, Exit::NeedsHuman).await?;
    ensure(text(&refused["next"])?.ends_with("--yes"), format!("the refusal names the option: {refused}"))?;
    cloud.demo.type_in(&["question", id, "--as", "grace"], Exit::NeedsHuman).await.map(drop)
}

/// Without an answer the execution waits and the stack remains unchanged. A refusal ends the execution.
pub async fn a_refusal_ends_a_deployment_that_did_nothing(cloud: &mut TestCloud) -> Result<(), Failure> {
    let stacks = cloud.demo.stacks("production")?;
    let before = stacks.find(PRODUCTION_STACK).await?;
    let version = cloud.demo.version_in("production").await?;
    let (id, answer) = asking(cloud).await?;
    let execution = text(&answer["deployment"]["execution"])?;
    ensure(cloud.execution(&execution).await?.status == Status::Running, "the execution waits")?;
    ensure(stacks.find(PRODUCTION_STACK).await? == before, "the stack in production is unchanged")?;
    ensure(cloud.demo.version_in("production").await? == version, "production runs the release before")?;
    let asked = &answer["deployment"]["approvals"][0]["subject"]["change_set"]["review"]["parameters"];
    let sizes = asked.as_array().and_then(|all| all.iter().find(|it| it["name"] == "MaxSize"));
    ensure(sizes.is_some(), format!("the question shows the parameter that changes: {asked}"))?;
    ensure(answer["deployment"]["starter"]["caller"]["arn"].is_string(), "the starter is on record")?;
    // A later promotion waits behind the question, and begins once it is answered.
    let later = format!("{COMPONENT}@{}", version.as_ref().map(ToString::to_string).unwrap_or_default());
    let waits = cloud.demo.type_in(&["promote", &later, "--to", "production"], Exit::NeedsHuman).await?;
    ensure(waits["deployment"]["id"] == id.as_str(), "the later promotion names the open question")?;
    let queued = text(&waits["queued"]["execution"])?;
    a_question_is_found_and_shown_without_an_answer(cloud, &id).await?;
    let refuse = ["approve", &id, "--refuse", "--reason", "not on a Friday", "--as", "grace"];
    cloud.demo.type_in(&refuse, Exit::Done).await?;
    let ended = cloud.ended(&execution).await?;
    let later = cloud.ended(&queued).await?;
    ensure(matches!(later.status, Status::Succeeded { .. }), format!("its turn came: {:?}", later.status))?;
    ensure(
        matches!(&ended.status, Status::Failed { error, .. } if error == "ApprovalRefused"),
        format!("the execution ends as refused: {:?}", ended.status),
    )?;
    let id: DeploymentId = id.parse().map_err(at("the deployment"))?;
    let deployment = cloud.demo.plane().await?.deployment(&id).await?;
    ensure(deployment.state == DeploymentState::Refused, "the deployment is recorded as refused")?;
    let decisions = cloud.demo.plane().await?.decisions(&id).await?;
    let reason = decisions.last().and_then(|decision| decision.reason().map(str::to_owned));
    ensure(reason.as_deref() == Some("not on a Friday"), "the reason is recorded")?;
    cloud.demo.type_in(&["question", id.short(), "--as", "grace"], Exit::Done).await?;
    ensure(stacks.find(PRODUCTION_STACK).await? == before, "the stack in production is still unchanged")
}

/// During the deployment to production, the test asks the function of the delivery path to work on it.
pub async fn the_delivery_path_cannot_act_in_production(cloud: &mut TestCloud) -> Result<(), Failure> {
    let (id, _) = asking(cloud).await?;
    let production = cloud.demo.session()?.account("production")?.to_owned();
    let faults = cloud.faults()?;
    let hold = CallFault::on("cloudformation", "ExecuteChangeSet", CallEffect::Hold).account(&production);
    let hold = faults.on_call(&hold).await.map_err(at("a fault"))?;
    let intrusion = async {
        until("the execution of production's change set is held", async || {
            let status = faults.get(hold).await.map_err(at("a fault"))?;
            Ok(status.is_some_and(|status| status.struck > 0))
        })
        .await?;
        let refused = is_refused(cloud, &id).await;
        faults.release(hold).await.map_err(at("a fault"))?;
        refused
    };
    let approve = ["approve", id.as_str(), "--yes", "--as", "grace"];
    let (approved, refused) = tokio::join!(cloud.demo.type_in(&approve, Exit::Done), intrusion);
    faults.remove(hold).await.map_err(at("a fault"))?;
    refused?;
    approved.map(drop)
}

/// Asks `lockstep-delivery-stack` to work on a deployment to production. Only root may ask it.
async fn is_refused(cloud: &TestCloud, deployment: &str) -> Result<(), Failure> {
    let root = cloud.demo.session()?.root("tooling")?;
    let payload = json!({ "action": "plan", "deployment": deployment });
    let called =
        Functions::new(&root).call("lockstep-delivery-stack", &payload, Duration::from_secs(60)).await?;
    let Called::Answered { error: Some(_), payload, .. } = called else {
        return Err(Failure::new("the delivery path may act in production"));
    };
    let error: Value = serde_json::from_slice(&payload).map_err(at("the error of the function"))?;
    ensure(error["errorType"] == "AccessDenied", format!("IAM refuses it: {error}"))?;
    let message = error["errorMessage"].as_str().unwrap_or_default();
    ensure(
        message.contains("table/lockstep-promotion"),
        format!("the message names the table that it may not read: {message}"),
    )
}

/// The deployed template gave the component's role the boundary, and CloudFormation's role makes no role without it.
pub async fn a_component_cannot_change_what_lockstep_builds(cloud: &mut TestCloud) -> Result<(), Failure> {
    let (account, root) = {
        let session = cloud.demo.session()?;
        (session.account("development")?.to_owned(), session.root("development")?)
    };
    let deployed = CloudFormation::new(&root).resources(CI_STACK).await?;
    let own = deployed.iter().find(|resource| resource.resource_type == "AWS::IAM::Role");
    let own = own.ok_or_else(|| Failure::new(format!("{CI_STACK} has no role")))?;
    let role = |name: &str| format!("arn:aws:iam::{account}:role/{name}");
    let decision = async |of: &str, action: &str, resource: String, condition: Option<Condition>| {
        let question = SimulationRequest { actions: vec![action.to_owned()], resource, condition };
        let answers = Simulator::new(&root).ask(&role(of), &[question]).await?;
        answers.first().map(|answer| answer.decision).ok_or_else(|| Failure::new("IAM gave no answer"))
    };
    let project = format!("arn:aws:codebuild:{}:{account}:project/", root.region());
    for (name, expected) in
        [("lockstep-image-build", Decision::BeyondBoundary), ("of-a-team", Decision::NotAllowed)]
    {
        let resource = format!("{project}{name}");
        let decided = decision(&own.physical_id, "codebuild:UpdateProject", resource, None).await?;
        ensure(decided == expected, format!("a component's role and the project {name}: {decided:?}"))?;
    }
    for (boundary, expected) in
        [("lockstep-boundary", Decision::Allowed), ("of-the-author", Decision::Denied)]
    {
        let value = format!("arn:aws:iam::{account}:policy/{boundary}");
        let condition = Condition { key: "iam:PermissionsBoundary".to_owned(), value };
        let made = role("ci-logs-broker-Other");
        let decided =
            decision("lockstep-delivery-cloudformation", "iam:CreateRole", made, Some(condition)).await?;
        ensure(decided == expected, format!("a role with the boundary {boundary}: {decided:?}"))?;
    }
    Ok(())
}

/// Leftover test stacks are counted too.
pub async fn no_image_and_no_snapshot_is_shared(cloud: &mut TestCloud) -> Result<(), Failure> {
    cloud.demo.nothing_is_shared().await?;
    cloud.demo.no_test_stacks().await
}
