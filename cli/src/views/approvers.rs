//! The people of a question: who started the deployment, who pushed its release, who answered, and who may still approve.

use super::time;
use jiff::Timestamp;
use lockstep_domain::delivery::answers::Jury;
use lockstep_domain::delivery::approval_rule::Verdict;
use lockstep_domain::model::person::{Person, PersonId};
use lockstep_domain::records::{AnswerKind, Deployment, GivenAnswer};

/// Returns the lines about the people of a question.
pub fn lines(
    deployment: &Deployment,
    answers: &[GivenAnswer],
    jury: &Jury<'_>,
    now: Timestamp,
) -> Vec<String> {
    let mut lines = vec![match deployment.build() {
        Some(_) => {
            "  started by  unknown, and so is the author: no record of the ledger names them for a build"
                .to_owned()
        }
        None => format!("  started by  {}", shown(&jury.parts.starter, &deployment.starter.to_string())),
    }];
    if let Some(deploy) = deployment.deploy() {
        let pusher =
            deploy.pusher.as_ref().map_or("no account that the git host reported", |login| login.as_str());
        lines.push(format!("  pushed by   {}", shown(&jury.parts.author, pusher)));
    }
    lines.push(format!("  approvers   {}", jury.rule));
    lines.extend(answers.iter().map(|given| answer(given, jury)));
    lines.extend(verdict(&jury.verdict(answers, now)));
    lines
}

/// Returns the person with the identity that is on record.
fn shown(person: &Person, identity: &str) -> String {
    match person.known() {
        Some(person) => format!("{person} ({identity})"),
        None => format!("unknown: {identity}"),
    }
}

fn answer(given: &GivenAnswer, jury: &Jury<'_>) -> String {
    let word = match given.kind {
        AnswerKind::Approve => "approved",
        AnswerKind::Refuse => "refused",
        AnswerKind::Withdraw => "withdrew",
    };
    let reason = given.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "    {word} at {} by {}{reason}",
        time(given.at),
        shown(&jury.people.person(&given.by), &given.by.arn)
    )
}

fn verdict(verdict: &Verdict) -> Vec<String> {
    match verdict {
        Verdict::Passed { until } => vec![format!("  approved until {}", time(*until))],
        Verdict::Refused { by } => vec![format!("  refused by {by}")],
        Verdict::Waits { more, from, why } => {
            let mut lines = vec![format!("  {more} more must approve: {why}")];
            if let Some(from) = from {
                let left: Vec<&str> = from.iter().map(PersonId::as_str).collect();
                lines.push(format!("  may approve: {}", left.join(", ")));
            }
            lines
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{at, deployment};
    use lockstep_domain::delivery::approval_rule::ApprovalRule;
    use lockstep_domain::delivery::people::People;
    use lockstep_domain::model::person::{Caller, Starter};

    fn user(name: &str) -> Caller {
        Caller {
            arn: format!("arn:aws:iam::333333333333:user/{name}"),
            user_id: format!("AIDAEXAMPLE00000{}", name.to_uppercase()),
            account: "333333333333".into(),
        }
    }

    fn printed(starter: Starter, answers: Vec<GivenAnswer>) -> String {
        let text = "[[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE00000ADA\"]\ngithub = \"ada-l\"\n\
                    [[people]]\nname = \"grace\"\nusers = [\"AIDAEXAMPLE00000GRACE\"]\n";
        let people = People::parse("people.toml", text).unwrap();
        let from = ["ada", "grace"].map(|name| name.parse().unwrap()).into();
        let rule = ApprovalRule { from: Some(from), ..ApprovalRule::default() };
        let mut asked = Deployment { starter, ..deployment() };
        asked.deploy_mut().unwrap().pusher = Some("ada-l".parse().unwrap());
        lines(&asked, &answers, &Jury::new(&rule, &people, &asked), at(5)).join("\n")
    }

    #[test]
    fn a_question_names_its_starter_its_author_and_its_rule() {
        let text = printed(Starter::Caller(user("ada")), vec![]);
        assert!(text.starts_with("  started by  ada (arn:aws:iam::333333333333:user/ada)\n"), "{text}");
        assert!(text.contains("  pushed by   ada (ada-l)\n"), "{text}");
        assert!(text.contains("  approvers   one approver of ada, grace, not who started it\n"), "{text}");
        assert!(text.ends_with("  may approve: grace"), "{text}");
    }

    #[test]
    fn a_question_says_why_it_asks_for_two() {
        let approved = GivenAnswer {
            by: user("ada"),
            kind: AnswerKind::Approve,
            reason: Some("fine".into()),
            at: at(3),
        };
        let text = printed(Starter::Unknown, vec![approved]);
        assert!(text.starts_with("  started by  unknown: an execution that was started by hand\n"), "{text}");
        assert!(text.contains("    approved at "), "{text}");
        assert!(text.contains("by ada (arn:aws:iam::333333333333:user/ada): fine\n"), "{text}");
        assert!(
            text.contains("  1 more must approve: ") && text.contains("it is unknown who started it"),
            "{text}"
        );
    }
}
