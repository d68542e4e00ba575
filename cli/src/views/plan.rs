//! The result of `lockstep plan`.

use super::{change_set, permissions, question, why};
use crate::output::Output;
use lockstep_domain::records::{Deployment, Proposal};
use lockstep_domain::stacks::change_set_review;
use serde::Serialize;

/// The result of a planned deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum Finding<'a> {
    /// The stack runs the same template with the same parameters.
    Nothing {
        /// The nested stacks that were not examined.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        not_examined: Vec<&'a str>,
    },
    /// The stack would change.
    Changes {
        /// The reasons for an approval; empty if none is needed.
        asked_because: Vec<String>,
    },
    /// The stack cannot be planned for before this proposal is approved.
    First {
        /// The proposal.
        proposal: &'a Proposal,
    },
}

/// Returns the result of a planned deployment.
pub fn finding(deployment: &Deployment, stage_wants_approval: bool) -> Finding<'_> {
    match (&deployment.proposal, &deployment.change_set) {
        (Some(proposal), _) => Finding::First { proposal },
        (None, Some(made)) if !made.changes.is_empty() => {
            Finding::Changes { asked_because: change_set_review::reasons(made, stage_wants_approval) }
        }
        (None, made) => {
            let nested = made.iter().flat_map(|made| &made.unexamined);
            Finding::Nothing { not_examined: nested.map(|nested| nested.name.as_str()).collect() }
        }
    }
}

impl Finding<'_> {
    /// Returns true if the deployment would need an approval.
    pub fn asks(&self) -> bool {
        match self {
            Self::Nothing { .. } => false,
            Self::Changes { asked_because } => !asked_because.is_empty(),
            Self::First { .. } => true,
        }
    }
}

/// Prints the result. `command` carries out the plan.
pub fn show(deployment: &Deployment, finding: &Finding<'_>, command: &str, output: &Output) {
    let (what, account) = (why::subject(deployment), &deployment.location.account);
    match finding {
        Finding::Nothing { not_examined } => {
            output.line(format!("nothing would change: {what} has the template and the parameters that run"));
            if !not_examined.is_empty() {
                output.line(format!("NOT EXAMINED: the nested stacks {}", not_examined.join(", ")));
            }
            return;
        }
        Finding::Changes { asked_because } => {
            let region = &deployment.location.region;
            output.line(format!("{what} would change account {account} ({region}):"));
            deployment.change_set.iter().for_each(|made| change_set::show(made, output));
            permissions::show_lack(deployment, output);
            if asked_because.is_empty() {
                output.line("no approval would be needed");
            }
            for reason in asked_because {
                output.line(format!("  approval would be needed, because {reason}"));
            }
        }
        Finding::First { proposal } => {
            output.line(format!("{what}: before its stack can be planned for, an approver must allow this:"));
            question::show_proposal(proposal, output);
        }
    }
    output.line(format!("nothing was changed; to carry it out: {command}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::{change, deployment};
    use lockstep_domain::model::ids::Digest;
    use lockstep_domain::model::resource_change::{Change, Impact};
    use lockstep_domain::records::{ChangeSet, NamedResource, ProposedAction};

    fn planned(changes: Vec<Change>) -> Deployment {
        let digest = Digest::of(b"x");
        let change_set = ChangeSet {
            arn: "arn".into(),
            attempt: 1,
            changes,
            unexamined: Vec::new(),
            template_digest: digest.clone(),
            parameters_digest: digest,
        };
        Deployment { plan_only: true, change_set: Some(change_set), ..deployment() }
    }

    fn shown(deployment: &Deployment, stage_wants_approval: bool) -> (bool, String) {
        let output = Output::memory(false);
        let finding = finding(deployment, stage_wants_approval);
        show(deployment, &finding, "lockstep deploy logs@2.1.3 --to ci", &output);
        (finding.asks(), output.captured())
    }

    #[test]
    fn an_equal_stack_would_not_change() {
        for nothing in [Deployment { plan_only: true, ..deployment() }, planned(vec![])] {
            let (asks, text) = shown(&nothing, true);
            assert!(!asks);
            assert_eq!(
                text,
                "nothing would change: logs 2.1.3 to ci has the template and the parameters that run\n"
            );
        }
    }

    #[test]
    fn an_unexamined_nested_stack_is_never_reported_as_unchanged() {
        let mut deployment = planned(vec![]);
        let child = NamedResource {
            name: "Child".into(),
            resource_type: lockstep_domain::model::resource_change::NESTED_STACK.into(),
            physical_id: "arn:child".into(),
        };
        deployment.change_set.as_mut().unwrap().unexamined = vec![child];
        let (asks, text) = shown(&deployment, false);
        assert!(!asks && text.ends_with("NOT EXAMINED: the nested stacks Child\n"), "{text}");
        deployment.change_set.as_mut().unwrap().changes = vec![change("Queue", Impact::None, false)];
        let (asks, text) = shown(&deployment, false);
        assert!(asks && text.contains("because Child (nested stack arn:child) was not examined"), "{text}");
    }

    #[test]
    fn safe_changes_need_approval_only_if_the_stage_asks_for_it() {
        let deployment = planned(vec![change("Queue", Impact::None, false)]);
        let (asks, text) = shown(&deployment, false);
        assert!(!asks && text.contains("no approval would be needed"), "{text}");
        assert!(
            text.ends_with("nothing was changed; to carry it out: lockstep deploy logs@2.1.3 --to ci\n"),
            "{text}"
        );
        let (asks, text) = shown(&deployment, true);
        assert!(asks && text.contains("approval would be needed, because every deployment"), "{text}");
    }

    #[test]
    fn a_destructive_change_is_marked_and_needs_approval() {
        let deployment = planned(vec![change("Queue", Impact::DataLoss, false)]);
        let (asks, text) = shown(&deployment, false);
        assert!(asks, "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_stack_that_needs_repair_first_shows_the_proposal() {
        let proposal = Proposal {
            stack: "arn".into(),
            action: ProposedAction::Skip,
            resources: vec![NamedResource {
                name: "Queue".into(),
                resource_type: "AWS::SQS::Queue".into(),
                physical_id: String::new(),
            }],
            policies: None,
        };
        let deployment = Deployment { proposal: Some(proposal), ..planned(vec![]) };
        let (asks, text) = shown(&deployment, false);
        assert!(asks, "{text}");
        insta::assert_snapshot!(text);
    }
}
