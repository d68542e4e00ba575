//! The result of `lockstep plan`.

use super::{change_set, permissions, question, review, why};
use crate::output::Output;
use lockstep_domain::records::{DeployBody, Deployment, Proposal};
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
        /// The values that changed and that the stack does not read again.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        not_read: Vec<String>,
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
pub fn finding(deploy: &DeployBody, stage_wants_approval: bool) -> Finding<'_> {
    match (&deploy.stack.proposal, &deploy.change_set) {
        (Some(proposal), _) => Finding::First { proposal },
        (None, Some(made)) if !made.changes.is_empty() => {
            Finding::Changes { asked_because: change_set_review::reasons(made, stage_wants_approval) }
        }
        (None, made) => {
            let nested = made.iter().flat_map(|made| &made.unexamined);
            let late = made.iter().flat_map(|made| &made.review.late);
            Finding::Nothing {
                not_examined: nested.map(|nested| nested.name.as_str()).collect(),
                not_read: late.map(ToString::to_string).collect(),
            }
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
        Finding::Nothing { not_examined, not_read } => {
            output.line(format!("nothing would change: {what} has the template and the parameters that run"));
            if !not_examined.is_empty() {
                output.line(format!("NOT EXAMINED: the nested stacks {}", not_examined.join(", ")));
            }
            for value in not_read {
                output.line(format!(
                    "NOT COVERED: {value}; CloudFormation reads it again only with another change of its resource"
                ));
            }
            return;
        }
        Finding::Changes { asked_because } => {
            let region = &deployment.location.region;
            output.line(format!("{what} would change account {account} ({region}):"));
            let made = deployment.deploy().and_then(|deploy| deploy.change_set.as_ref());
            if let Some(made) = made {
                change_set::show(made, output);
                review::show(&made.review, output);
            }
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
    use crate::views::testing::{change, deploy, deployment_of, stack_run};
    use lockstep_domain::model::ids::Digest;
    use lockstep_domain::model::late_values::{LateChange, LateReading};
    use lockstep_domain::model::resource_change::{Change, Impact};
    use lockstep_domain::records::{ChangeSet, NamedResource, ProposedAction, StackRun};

    fn planned(changes: Vec<Change>) -> DeployBody {
        let digest = Digest::of(b"x");
        let change_set = ChangeSet {
            review: Default::default(),
            arn: "arn".into(),
            attempt: 1,
            changes,
            unexamined: Vec::new(),
            template_digest: digest.clone(),
            parameters_digest: digest,
            late_digest: None,
        };
        DeployBody { plan_only: true, change_set: Some(change_set), ..deploy() }
    }

    fn shown(deploy: &DeployBody, stage_wants_approval: bool) -> (bool, String) {
        let output = Output::memory(false);
        let finding = finding(deploy, stage_wants_approval);
        show(&deployment_of(deploy.clone()), &finding, "lockstep deploy logs@2.1.3 --in ci", &output);
        (finding.asks(), output.captured())
    }

    #[test]
    fn an_equal_stack_would_not_change() {
        for nothing in [DeployBody { plan_only: true, ..deploy() }, planned(vec![])] {
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
        let mut deploy = planned(vec![]);
        let child = NamedResource {
            name: "Child".into(),
            resource_type: lockstep_domain::model::resource_change::NESTED_STACK.into(),
            physical_id: "arn:child".into(),
        };
        deploy.change_set.as_mut().unwrap().unexamined = vec![child];
        let (asks, text) = shown(&deploy, false);
        assert!(!asks && text.ends_with("NOT EXAMINED: the nested stacks Child\n"), "{text}");
        deploy.change_set.as_mut().unwrap().changes = vec![change("Queue", Impact::None, false)];
        let (asks, text) = shown(&deploy, false);
        assert!(asks && text.contains("because Child (nested stack arn:child) was not examined"), "{text}");
    }

    #[test]
    fn a_value_that_the_stack_does_not_read_again_is_told() {
        let mut deploy = planned(vec![]);
        deploy.change_set.as_mut().unwrap().review.late = vec![LateChange {
            name: "{{resolve:secretsmanager:db}}".into(),
            old: Some(LateReading::Secret("v1".into())),
            new: LateReading::Secret("v2".into()),
        }];
        let (asks, text) = shown(&deploy, false);
        let shown_line =
            "NOT COVERED: {{resolve:secretsmanager:db}}: (hidden, version v1) -> (hidden, version v2); ";
        assert!(!asks && text.contains(shown_line), "{text}");
    }

    #[test]
    fn safe_changes_need_approval_only_if_the_stage_asks_for_it() {
        let deploy = planned(vec![change("Queue", Impact::None, false)]);
        let (asks, text) = shown(&deploy, false);
        assert!(!asks && text.contains("no approval would be needed"), "{text}");
        assert!(
            text.ends_with("nothing was changed; to carry it out: lockstep deploy logs@2.1.3 --in ci\n"),
            "{text}"
        );
        let (asks, text) = shown(&deploy, true);
        assert!(asks && text.contains("approval would be needed, because every deployment"), "{text}");
    }

    #[test]
    fn a_destructive_change_is_marked_and_needs_approval() {
        let deploy = planned(vec![change("Queue", Impact::DataLoss, false)]);
        let (asks, text) = shown(&deploy, false);
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
        let stack = StackRun { proposal: Some(proposal), ..stack_run() };
        let (asks, text) = shown(&DeployBody { stack, ..planned(vec![]) }, false);
        assert!(asks, "{text}");
        insta::assert_snapshot!(text);
    }
}
