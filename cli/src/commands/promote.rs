//! `lockstep promote` and `lockstep approve`: into the stages that no push reaches by itself.

use super::{Global, follow_to_end};
use crate::Report;
use crate::failure::Failure;
use crate::follow::is_asking;
use crate::names::{DeploymentPrefix, ReleaseName};
use crate::output::Output;
use crate::plane::Plane;
use crate::surroundings::Surroundings;
use crate::views::{change_set, why};
use clap::Args;
use jiff::Timestamp;
use lockstep_domain::ids::StageName;
use lockstep_domain::payloads::inputs;
use lockstep_domain::payloads::operator::Request;
use lockstep_domain::records::{Approval, Decision, Deployment, Subject};
use lockstep_platform::executions::{Executions, Started};
use serde_json::json;

/// What `promote` takes.
#[derive(Args, Debug)]
pub struct Promote {
    /// The release, such as logs-broker@2.1.0
    release: ReleaseName,
    /// The stage it goes to
    #[arg(long, value_name = "STAGE")]
    to: StageName,
}

/// What `approve` takes.
#[derive(Args, Debug)]
pub struct Approve {
    /// The deployment that waits, or the beginning of its id
    deployment: DeploymentPrefix,
    /// Stop the deployment instead
    #[arg(long, requires = "reason")]
    refuse: bool,
    /// Why; required to refuse
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The number of the question you answer: another one, asked since, is left alone
    #[arg(long, value_name = "NUMBER")]
    question: Option<u32>,
    /// Do not wait for the end of the deployment
    #[arg(long)]
    no_wait: bool,
}

/// Starts a promotion and follows it to its end, or to the question.
pub async fn run(
    arguments: &Promote,
    global: &Global,
    surroundings: &Surroundings,
) -> Result<Report, Failure> {
    let plane = Plane::open(global, surroundings).await?;
    let ReleaseName { component, version } = arguments.release.clone();
    let input = inputs::Promote { component, version, to: arguments.to.clone() };
    let value = serde_json::to_value(&input).map_err(|error| Failure::new(error.to_string()))?;
    // Whoever promotes twice means it: a first attempt may have failed.
    let name = format!("promote-{}", uuid::Uuid::new_v4());
    let promote = &plane.found.state_machines.promote;
    let Started::New(execution) = Executions::new(plane.aws()).start(promote, &name, &value).await? else {
        return Err(Failure::new(format!("an execution called {name} exists")).next("promote again"));
    };
    follow_to_end(&plane, &execution, Timestamp::UNIX_EPOCH, surroundings).await
}

/// Answers the question of a deployment.
pub async fn approve(
    arguments: &Approve,
    global: &Global,
    surroundings: &Surroundings,
) -> Result<Report, Failure> {
    let plane = Plane::open(global, surroundings).await?;
    let deployment = plane.deployment_called(&arguments.deployment).await?;
    let question = question(&deployment, arguments.question)?;
    let decision = if arguments.refuse { Decision::Refuse } else { Decision::Approve };
    let output = &surroundings.output;
    // Whoever names the question has seen it.
    if arguments.question.is_none() {
        show(&deployment, question, output);
    }
    let request = Request::Decide {
        deployment: deployment.id.clone(),
        subject: question.subject.key(),
        digest: question.digest.clone(),
        decision,
        reason: arguments.reason.clone(),
        names: Vec::new(),
    };
    plane.ask(&request).await?;
    output.line(if arguments.refuse { "refused" } else { "approved" });
    if arguments.no_wait || arguments.refuse {
        return Ok(Report::done(json!({ "deployment": deployment.id, "decision": decision })));
    }
    follow_to_end(&plane, &deployment.execution, question.asked_at, surroundings).await
}

/// The question that waits, if it is the one that is meant.
fn question(deployment: &Deployment, wanted: Option<u32>) -> Result<&Approval, Failure> {
    let open = change_set::open_question(deployment).filter(|_| is_asking(deployment)).ok_or_else(|| {
        Failure::new(format!(
            "deployment {} ({}) waits for nobody: it is {}",
            deployment.id.short(),
            why::title(deployment),
            why::state(deployment.state)
        ))
        .next(format!("lockstep why {}", deployment.id.short()))
    })?;
    match wanted.filter(|number| *number != open.number) {
        None => Ok(open),
        Some(number) => Err(Failure::new(format!(
            "deployment {} asks question {} now, not {number}: its plan has changed",
            deployment.id.short(),
            open.number
        ))
        .next(format!("look at it (lockstep why {}), then answer that one", deployment.id.short()))),
    }
}

/// What a person is asked, as they see it.
pub fn show(deployment: &Deployment, question: &Approval, output: &Output) {
    output.line(format!(
        "{} would change account {} ({}):",
        why::title(deployment),
        deployment.location.account,
        deployment.location.region
    ));
    match &question.subject {
        Subject::ChangeSet(asked) => output.table(change_set::HEAD, change_set::rows(&asked.changes)),
        Subject::Proposal(proposal) => output.line(format!("  {}", proposal.key())),
    }
    question.reasons.iter().for_each(|reason| output.line(format!("  asked because {reason}")));
}

/// The command that answers a question.
pub fn answer_with(deployment: &Deployment, question: &Approval) -> String {
    format!("lockstep approve {} --question {}", deployment.id.short(), question.number)
}
