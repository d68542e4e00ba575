//! The permissions of a role, by IAM's own simulation.

use crate::aws::Aws;
use crate::failure::failure;
use aws_sdk_iam::Client;
use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use lockstep_domain::model::error::Failure;
use lockstep_domain::stacks::permissions::missing::{Decision, SimulationRequest, SimulationResult};
use std::sync::OnceLock;

/// The simulation of IAM in the account of an [`Aws`].
pub struct Simulator {
    aws: Aws,
    client: OnceLock<Client>,
}

impl Simulator {
    /// Creates the simulator in the account of `aws`.
    pub fn new(aws: &Aws) -> Self {
        Self { aws: aws.clone(), client: OnceLock::new() }
    }

    /// Simulates the questions for the role with this ARN; changes nothing.
    ///
    /// # Errors
    /// Fails if IAM refuses or does not respond.
    /// <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>
    pub async fn ask(
        &self,
        role: &str,
        questions: &[SimulationRequest],
    ) -> Result<Vec<SimulationResult>, Failure> {
        let mut answers = Vec::new();
        for question in questions {
            let mut pages = self
                .client()
                .simulate_principal_policy()
                .policy_source_arn(role)
                .set_action_names(Some(question.actions.clone()))
                .resource_arns(&question.resource)
                .set_context_entries(question.condition.as_ref().map(|condition| {
                    let entry = ContextEntry::builder().context_key_name(&condition.key);
                    let entry = entry.context_key_type(ContextKeyTypeEnum::String);
                    vec![entry.context_key_values(&condition.value).build()]
                }))
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.map_err(|error| failure("SimulatePrincipalPolicy", role, &error))?;
                answers.extend(page.evaluation_results().iter().map(|result| answer(question, result)));
            }
        }
        Ok(answers)
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

/// Reads one result: the decision about the resource of the question, else the decision about the action.
fn answer(question: &SimulationRequest, result: &EvaluationResult) -> SimulationResult {
    let mut of_resources = result.resource_specific_results().iter();
    let specific = of_resources.find(|specific| specific.eval_resource_name() == question.resource);
    let decided = specific.map_or(result.eval_decision(), |specific| specific.eval_resource_decision());
    let mut missing: Vec<String> = result.missing_context_values().to_vec();
    missing.extend(specific.into_iter().flat_map(|specific| specific.missing_context_values().to_vec()));
    missing.sort();
    missing.dedup();
    let boundary = specific
        .and_then(|specific| specific.permissions_boundary_decision_detail())
        .or(result.permissions_boundary_decision_detail());
    let organization = result.organizations_decision_detail();
    SimulationResult {
        action: result.eval_action_name().to_owned(),
        resource: question.resource.clone(),
        decision: decision(
            decided,
            organization.is_none_or(|detail| detail.allowed_by_organizations()),
            boundary.is_none_or(|detail| detail.allowed_by_permissions_boundary()),
        ),
        missing_context: missing,
    }
}

/// Returns the decision; for a denial, also the policies that deny regardless of the role's own.
fn decision(said: &PolicyEvaluationDecisionType, organization: bool, boundary: bool) -> Decision {
    use PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
    match said {
        Allowed => Decision::Allowed,
        ImplicitDeny | ExplicitDeny if !organization => Decision::BeyondOrganization,
        ImplicitDeny | ExplicitDeny if !boundary => Decision::BeyondBoundary,
        ImplicitDeny => Decision::NotAllowed,
        ExplicitDeny => Decision::Denied,
        _ => Decision::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_iam::types::{PermissionsBoundaryDecisionDetail, ResourceSpecificResult};

    #[test]
    fn a_denial_names_the_policy_that_denies() {
        use PolicyEvaluationDecisionType::{Allowed, ExplicitDeny, ImplicitDeny};
        for (said, organization, boundary, expected) in [
            (Allowed, true, true, Decision::Allowed),
            (ImplicitDeny, true, true, Decision::NotAllowed),
            (ExplicitDeny, true, true, Decision::Denied),
            (ImplicitDeny, true, false, Decision::BeyondBoundary),
            (ImplicitDeny, false, false, Decision::BeyondOrganization),
            (PolicyEvaluationDecisionType::from("perhaps"), true, true, Decision::Other),
        ] {
            assert_eq!(decision(&said, organization, boundary), expected, "{said:?}");
        }
    }

    #[test]
    fn the_answer_about_the_resource_counts() {
        let question = SimulationRequest {
            actions: vec!["sqs:TagQueue".into()],
            resource: "arn:aws:sqs:eu-west-1:222222222222:orders".into(),
            condition: None,
        };
        let specific = ResourceSpecificResult::builder()
            .eval_resource_name(&question.resource)
            .eval_resource_decision(PolicyEvaluationDecisionType::ImplicitDeny)
            .missing_context_values("aws:ResourceTag/team")
            .permissions_boundary_decision_detail(
                PermissionsBoundaryDecisionDetail::builder().allowed_by_permissions_boundary(false).build(),
            )
            .build()
            .unwrap();
        let result = EvaluationResult::builder()
            .eval_action_name("sqs:TagQueue")
            .eval_decision(PolicyEvaluationDecisionType::Allowed)
            .resource_specific_results(specific)
            .build()
            .unwrap();
        let answer = answer(&question, &result);
        assert_eq!(answer.decision, Decision::BeyondBoundary);
        assert_eq!(answer.missing_context, ["aws:ResourceTag/team"]);
    }
}
