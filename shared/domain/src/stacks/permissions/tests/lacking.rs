use super::*;
use crate::model::missing_permissions::MissingPermissions;
use crate::stacks::permissions::missing::{Decision, SimulationResult, by_resource, judge, questions};

const STACK: &str = "ci-shop";

fn place() -> TemplateContext {
    TemplateContext {
        account: Some("222222222222".into()),
        region: Some("eu-west-1".into()),
        partition: Some("aws".into()),
        stack: Some(STACK.into()),
        ..TemplateContext::default()
    }
}

/// Returns the result of answering every request with the decision of `decide` for the action and the ARN.
fn answered(needs: &Needs, decide: impl Fn(&str, &str) -> (Decision, Vec<String>)) -> MissingPermissions {
    let answers: Vec<SimulationResult> = questions(needs, STACK)
        .into_iter()
        .flat_map(|question| {
            let resource = question.resource;
            question.actions.into_iter().map(move |action| (action, resource.clone()))
        })
        .map(|(action, resource)| {
            let (decision, missing_context) = decide(&action, &resource);
            SimulationResult { action, resource, decision, missing_context }
        })
        .collect();
    judge(needs, STACK, &answers)
}

fn queue() -> Needs {
    found("Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n", &place())
}

#[test]
fn a_denied_permission_is_missing() {
    let lack = answered(&queue(), |action, _| match action {
        "sqs:TagQueue" => (Decision::NotAllowed, vec![]),
        _ => (Decision::Allowed, vec![]),
    });
    assert_eq!((lack.asked, lack.allowed, lack.missing.len()), (6, 5, 1));
    assert_eq!(lack.missing[0].need.action, "sqs:TagQueue");
    assert!(lack.unknown.is_empty() && !lack.is_empty());
}

#[test]
fn a_queue_is_simulated_with_a_name_as_cloudformation_generates_it() {
    let questions = questions(&queue(), STACK);
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].resource, "arn:aws:sqs:eu-west-1:222222222222:ci-shop-Queue-EXAMPLE12345");
}

#[test]
fn a_role_that_the_stack_makes_is_simulated_as_a_whole() {
    let text = "Resources:\n  Code:\n    Type: AWS::Lambda::Function\n    Properties: {Role: !GetAtt Runner.Arn}\n  \
        Runner:\n    Type: AWS::IAM::Role\n";
    let needs = found(text, &place());
    let asked =
        questions(&needs, STACK).into_iter().find(|question| question.actions == ["iam:PassRole"]).unwrap();
    assert_eq!(asked.resource, "arn:aws:iam::222222222222:role/ci-shop-Runner-EXAMPLE12345");
    let lack = answered(&needs, |action, _| match action {
        "iam:PassRole" => (Decision::NotAllowed, vec![]),
        _ => (Decision::Allowed, vec![]),
    });
    assert_eq!(lack.missing[0].need.action, "iam:PassRole");
}

#[test]
fn the_actions_of_each_resource_are_listed_by_line() {
    let listed = by_resource(&found(BRANCHES, &place()));
    let lines: Vec<(u32, &str)> = listed.iter().map(|one| (one.line, one.resource.as_str())).collect();
    assert_eq!(lines, [(6, "Queue"), (10, "Extra")]);
    assert!(listed[0].required.contains("sqs:TagQueue"));
    assert_eq!(listed[0].conditional, ["kms:DescribeKey".to_owned()].into());
}

#[test]
fn no_answer_is_unknown() {
    let needs = queue();
    let lack = judge(&needs, STACK, &[]);
    assert_eq!((lack.missing.len(), lack.unknown.get("AWS gave no answer")), (0, Some(&6)));
    let lack = MissingPermissions::without_answer(&needs, "the deployer may not ask");
    assert_eq!((lack.allowed, lack.missing.len(), lack.unknown["the deployer may not ask"]), (0, 0, 6));
}

#[test]
fn a_condition_without_a_value_in_the_simulation_is_unknown() {
    for decision in [Decision::Allowed, Decision::NotAllowed, Decision::Denied] {
        let lack = answered(&queue(), |_, _| (decision, vec!["aws:ResourceTag/team".into()]));
        assert_eq!((lack.allowed, lack.missing.len()), (0, 0), "{decision:?}");
        let why: Vec<&String> = lack.unknown.keys().collect();
        assert!(why.len() == 1 && why[0].contains("aws:ResourceTag/team"), "{why:?}");
    }
}

#[test]
fn a_denial_for_a_resource_without_a_known_name_is_unknown() {
    let text = "Parameters:\n  Key: {Type: String}\nResources:\n  Queue:\n    Type: AWS::SQS::Queue\n    \
        Properties: {KmsMasterKeyId: !Ref Key}\n";
    let lack = answered(&found(text, &place()), |action, _| match action {
        "kms:DescribeKey" => (Decision::NotAllowed, vec![]),
        _ => (Decision::Allowed, vec![]),
    });
    assert_eq!(lack.missing.len(), 0);
    assert_eq!(lack.unknown.get("the name of the resource is not known"), Some(&1));
}

#[test]
fn a_permission_that_no_statement_can_allow_is_reported_as_such() {
    for (decision, says) in [
        (Decision::Denied, "a statement denies it"),
        (Decision::BeyondBoundary, "permissions boundary"),
        (Decision::BeyondOrganization, "organization"),
    ] {
        let lack = answered(&queue(), |_, _| (decision, vec![]));
        assert!(lack.missing[0].obstacle.as_ref().unwrap().contains(says), "{decision:?}");
    }
    let other = answered(&queue(), |_, _| (Decision::Other, vec![]));
    assert!(other.missing.is_empty() && other.allowed == 0);
}

#[test]
fn a_type_outside_the_table_is_unknown_for_every_answer() {
    let needs = found("Resources:\n  A:\n    Type: Acme::Shop::Thing\n", &place());
    let lack = answered(&needs, |_, _| (Decision::Allowed, vec![]));
    assert_eq!(lack.unknown.len(), 1);
}

/// CloudFormation's role may make roles with the boundary alone, so a simulation without it would always be a denial.
#[test]
fn a_role_is_simulated_with_the_boundary_that_it_will_have() {
    let template =
        "Resources:\n  Runner:\n    Type: AWS::IAM::Role\n  Logs:\n    Type: AWS::Logs::LogGroup\n";
    let needs = found(template, &place());
    let asked = questions(&needs, STACK);
    let of =
        |action: &str| asked.iter().find(|question| question.actions.iter().any(|a| a == action)).unwrap();
    let condition = of("iam:CreateRole").condition.clone().unwrap();
    assert_eq!(condition.key, "iam:PermissionsBoundary");
    assert_eq!(condition.value, "arn:aws:iam::222222222222:policy/lockstep-boundary");
    assert_eq!(of("logs:CreateLogGroup").condition, None);
}
