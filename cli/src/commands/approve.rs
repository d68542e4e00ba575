//! `lockstep approve`: answers the open question of a deployment, and shows its people.

use crate::approvers;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::follow::follow_on;
use crate::global::Global;
use crate::names::{DeploymentPrefix, Reason};
use crate::recipe_difference;
use crate::report::Report;
use crate::views::{question, why};
use clap::Args;
use lockstep_domain::delivery::approval::{answers_to, open_question, shown};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::Request;
use lockstep_domain::records::{AnswerKind, Approval, ApprovalDecision, Deployment, DeploymentState};
use serde_json::json;

/// The arguments of `approve`.
#[derive(Args, Debug)]
pub struct Approve {
    /// The deployment that waits, or the beginning of its id
    deployment: DeploymentPrefix,
    /// Give up this resource, as the question names it; each one must be named (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with = "refuse")]
    give_up: Vec<String>,
    /// Continue although this nested stack was not examined; each one must be named (may be repeated)
    #[arg(long, value_name = "NAME", conflicts_with = "refuse")]
    unexamined: Vec<String>,
    /// Stop the deployment instead
    #[arg(long, requires = "reason")]
    refuse: bool,
    /// Take your earlier approval back
    #[arg(long, conflicts_with_all = ["refuse", "give_up", "unexamined"])]
    withdraw: bool,
    /// The reason; required to refuse
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
    /// The number of the question you answer: a question asked since is left unanswered
    #[arg(long, value_name = "NUMBER")]
    question: Option<u32>,
    /// Do not wait for the end of the deployment
    #[arg(long)]
    no_wait: bool,
}

/// Answers the question of a deployment.
pub async fn run(arguments: &Approve, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open_for(Callers::Approvers, global, context).await?;
    let deployment = plane.deployment_called(&arguments.deployment).await?;
    let decisions = plane.decisions(&deployment.id).await?;
    let asked = asked(&deployment, &decisions, arguments.question)?;
    let output = &context.output;
    // An approver who names the question has seen it.
    if arguments.question.is_none() {
        question::show(&deployment, asked, output);
        question::show_behind(plane.environment_of(&deployment).await?.as_ref(), output);
        recipe_difference::show(&plane, asked, output).await?;
        approvers::show(&plane, &deployment, answers_to(&decisions, asked.number), output).await?;
    }
    let names = [arguments.give_up.as_slice(), &arguments.unexamined].concat();
    let decision = match (arguments.refuse, arguments.withdraw) {
        (true, _) => AnswerKind::Refuse,
        (false, true) => AnswerKind::Withdraw,
        (false, false) => AnswerKind::Approve,
    };
    if decision == AnswerKind::Approve {
        question::check_names(&deployment, asked, &names)?;
    }
    let request = Request::Decide {
        deployment: deployment.id.clone(),
        subject: asked.subject.key(),
        digest: asked.digest.clone(),
        shown: shown(&deployment, asked)?,
        decision,
        reason: arguments.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        names,
    };
    plane.ask(&request).await?;
    output.line(match decision {
        AnswerKind::Approve => "approved",
        AnswerKind::Refuse => "refused",
        AnswerKind::Withdraw => "withdrawn",
    });
    let answered = plane.deployment(&deployment.id).await?;
    let decisions = plane.decisions(&deployment.id).await?;
    if let Some(open) = open_question(&answered, &decisions).filter(|open| open.number == asked.number) {
        approvers::show(&plane, &answered, answers_to(&decisions, open.number), &context.output).await?;
        let document = json!({ "deployment": answered, "decision": decision });
        return Ok(Report { document, exit: Exit::NeedsHuman });
    }
    if arguments.no_wait || arguments.refuse {
        return Ok(Report::done(json!({ "deployment": deployment.id, "decision": decision })));
    }
    follow_on(&plane, &deployment.execution, asked, context).await
}

/// Returns the open question of a deployment. Refuses if its number is not `wanted`.
fn asked<'a>(
    deployment: &'a Deployment,
    decisions: &[ApprovalDecision],
    wanted: Option<u32>,
) -> Result<&'a Approval, Failure> {
    let waits = deployment.state == DeploymentState::AwaitingApproval;
    let open = open_question(deployment, decisions).filter(|_| waits).ok_or_else(|| {
        Failure::new(format!(
            "deployment {} ({}) waits for no approval: it is {}",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{asking, decided, deployment};
    use lockstep_domain::records::{Proposal, ProposedAction, Subject};

    #[test]
    fn only_the_open_question_is_answered() {
        let proposal = Proposal {
            stack: "arn".into(),
            action: ProposedAction::Delete,
            resources: vec![],
            policies: None,
        };
        let mut deployment = deployment();
        assert!(
            asked(&deployment, &[], None).unwrap_err().what.contains("waits for no approval: it is running")
        );
        deployment.approvals.push(asking(Subject::Proposal(proposal)));
        deployment.state = DeploymentState::AwaitingApproval;
        assert_eq!(asked(&deployment, &[], None).unwrap().number, 1);
        assert_eq!(asked(&deployment, &[], Some(1)).unwrap().number, 1);
        assert!(asked(&deployment, &[], Some(2)).unwrap_err().what.contains("asks question 1 now, not 2"));
        let answered = [decided(&deployment, AnswerKind::Refuse, 2)];
        assert!(asked(&deployment, &answered, None).unwrap_err().what.contains("waits for no approval"));
    }
}
