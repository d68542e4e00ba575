//! `lockstep approve`: shows the open question of a deployment with all that its approver must know, and answers it.

use crate::approvers;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Exit, Failure};
use crate::follow::follow_on;
use crate::global::Global;
use crate::names::{DeploymentPrefix, Reason};
use crate::question::show;
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
    /// Approve what this run shows, without a prompt; needed without a terminal
    #[arg(long, conflicts_with_all = ["refuse", "withdraw"])]
    yes: bool,
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

/// Shows the question of a deployment and answers it. No answer covers what this run did not show.
pub async fn run(arguments: &Approve, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open_for(Callers::Approvers, global, context).await?;
    let deployment = plane.deployment_called(&arguments.deployment).await?;
    let decisions = plane.decisions(&deployment.id).await?;
    let asked = asked(&deployment, &decisions, arguments.question)?;
    let output = &context.output;
    show(&plane, &deployment, asked, &decisions, output).await?;
    let decision = match (arguments.refuse, arguments.withdraw) {
        (true, _) => AnswerKind::Refuse,
        (false, true) => AnswerKind::Withdraw,
        (false, false) => AnswerKind::Approve,
    };
    let given = [arguments.give_up.as_slice(), &arguments.unexamined].concat();
    let names = match decision {
        AnswerKind::Approve => confirmed(&deployment, asked, given, arguments.yes, context)?,
        AnswerKind::Refuse | AnswerKind::Withdraw => Some(Vec::new()),
    };
    let Some(names) = names else {
        output.line("not answered: the question stays open");
        let document = json!({ "deployment": deployment, "decision": null });
        return Ok(Report { document, exit: Exit::NeedsHuman });
    };
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

/// A confirmation that an approval needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirmation {
    /// None: the command line has it.
    Given,
    /// The answer to a prompt.
    YesOrNo,
    /// The names of the question, typed at a prompt.
    Names,
    /// The option `--yes`, as there is no terminal to ask at.
    Needed,
}

/// Returns the confirmation that an approval of a question with `wanted` names needs.
fn confirmation(yes: bool, is_terminal: bool, wanted: &[String], given: &[String]) -> Confirmation {
    match (is_terminal, yes) {
        (_, true) => Confirmation::Given,
        (false, false) => Confirmation::Needed,
        (true, false) if given.is_empty() && !wanted.is_empty() => Confirmation::Names,
        (true, false) => Confirmation::YesOrNo,
    }
}

/// Returns the names that an approval gives up once it is confirmed; `None` if the approver declines.
fn confirmed(
    deployment: &Deployment,
    asked: &Approval,
    given: Vec<String>,
    yes: bool,
    context: &CommandContext,
) -> Result<Option<Vec<String>>, Failure> {
    let wanted = asked.subject.names();
    let needed = confirmation(yes, context.is_terminal(), &wanted, &given);
    if needed != Confirmation::Names {
        question::check_names(deployment, asked, &given)?;
    }
    match needed {
        Confirmation::Given => Ok(Some(given)),
        Confirmation::YesOrNo => Ok(is_yes(&context.ask("approve? [y/N] ")?).then_some(given)),
        Confirmation::Names => {
            let prompt =
                format!("to approve, type each name that the approval covers ({}): ", wanted.join(", "));
            let typed = names(&context.ask(&prompt)?);
            if typed.is_empty() {
                return Ok(None);
            }
            question::check_names(deployment, asked, &typed)?;
            Ok(Some(typed))
        }
        Confirmation::Needed => {
            let failure = Failure::new("not answered: there is no terminal to ask you at").next(format!(
                "to approve what is shown: {} --yes",
                question::answer_with(deployment, asked)
            ));
            Err(Failure { exit: Exit::NeedsHuman, ..failure })
        }
    }
}

/// Returns true for an answer that approves.
fn is_yes(typed: &str) -> bool {
    matches!(typed.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Returns the names in a line, which spaces or commas separate.
fn names(typed: &str) -> Vec<String> {
    let parts = typed.split(|c: char| c == ',' || c.is_whitespace());
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
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
        .next(format!("look at it: lockstep question {}", deployment.id.short()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{asking, decided, deployment};
    use lockstep_domain::records::{Proposal, ProposedAction, Subject};

    #[test]
    fn an_approval_is_confirmed_at_a_terminal_or_by_an_option() {
        let (none, a) = (Vec::new(), vec!["A".to_owned()]);
        for (yes, is_terminal, wanted, given, expected) in [
            (false, false, &none, &none, Confirmation::Needed),
            (false, false, &a, &a, Confirmation::Needed),
            (true, false, &a, &none, Confirmation::Given),
            (true, true, &none, &none, Confirmation::Given),
            (false, true, &none, &none, Confirmation::YesOrNo),
            (false, true, &a, &a, Confirmation::YesOrNo),
            (false, true, &a, &none, Confirmation::Names),
        ] {
            assert_eq!(
                confirmation(yes, is_terminal, wanted, given),
                expected,
                "{yes} {is_terminal} {given:?}"
            );
        }
    }

    #[test]
    fn without_a_terminal_the_refusal_names_the_option() {
        let folder = tempfile::tempdir().unwrap();
        let context = CommandContext::bare(folder.path(), crate::output::Output::memory(false));
        let proposal = Proposal {
            stack: "arn".into(),
            action: ProposedAction::Delete,
            resources: vec![],
            policies: None,
        };
        let (deployment, asked) = (deployment(), asking(Subject::Proposal(proposal)));
        let refused = confirmed(&deployment, &asked, Vec::new(), false, &context).unwrap_err();
        assert_eq!(refused.exit, Exit::NeedsHuman);
        let short = deployment.id.short();
        assert!(refused.next.ends_with(&format!("lockstep approve {short} --question 1 --yes")), "{refused}");
        assert_eq!(confirmed(&deployment, &asked, Vec::new(), true, &context), Ok(Some(Vec::new())));
    }

    #[test]
    fn only_yes_is_an_approval() {
        assert!(["y", "Y\n", " yes "].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yep", "no"].into_iter().any(is_yes));
        assert_eq!(names(" A, B.C  D,\n"), ["A", "B.C", "D"]);
    }

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
