use super::*;
use crate::stacks::permissions::policy::{Form, Statement, document, template};

/// Checks that the policies fit, allow every need, and that no two statements have one id.
pub(super) fn assert_complete(needs: &[Need], policies: &[Vec<Statement>]) {
    let mut sids = BTreeSet::new();
    for policy in policies {
        for form in [Form::Json, Form::CloudFormation] {
            let chars =
                document(policy, form).to_string().replace(r#"{"Fn::Sub":"#, "").replace("\"}", "\"").len();
            assert!(chars <= POLICY_CHARS_MAX, "{chars}");
        }
        assert!(policy.iter().all(|statement| sids.insert(statement.sid.clone())));
    }
    for need in needs {
        let allows = |statement: &Statement| {
            statement.actions.contains(&need.action)
                && statement.resources.iter().any(|wide| covers(wide, &need.arn))
                && statement.level <= need.level
        };
        assert!(policies.iter().flatten().any(allows), "{need:?}");
    }
}

#[test]
fn a_policy_separates_required_and_conditional_permissions() {
    let needs = found(BRANCHES, &TemplateContext::default());
    let policies = split(statements(&needs.needs));
    assert_complete(&needs.needs, &policies);
    let document = document(&policies[0], Form::Json);
    let statements = document["Statement"].as_array().unwrap();
    let sids: Vec<&str> = statements.iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["RequiredSqs", "ConditionalKms", "ConditionalLogs"]);
    assert_eq!(statements[1]["Resource"], "arn:*:kms:*:*:key/*");
}

#[test]
fn a_template_keeps_the_pseudo_parameters() {
    let needs = found("Resources:\n  Queue:\n    Type: AWS::SQS::Queue\n", &TemplateContext::default());
    let template = template(&split(statements(&needs.needs)));
    let policy = &template["Resources"]["ExecutionPolicy1"];
    assert_eq!(policy["Type"], "AWS::IAM::ManagedPolicy");
    let resource = &policy["Properties"]["PolicyDocument"]["Statement"][0]["Resource"];
    assert_eq!(resource["Fn::Sub"], "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:*");
    let text = template.to_string();
    assert!(Template::parse("policy.json", &text).is_ok(), "{text}");
}

#[test]
fn a_service_linked_role_is_limited_to_its_service() {
    let needs = found(
        "Resources:\n  G:\n    Type: AWS::AutoScaling::AutoScalingGroup\n",
        &TemplateContext::default(),
    );
    let document = document(&statements(&needs.needs), Form::Json);
    let statements = document["Statement"].as_array().unwrap();
    let linked = statements.iter().find(|s| s["Action"] == "iam:CreateServiceLinkedRole").unwrap();
    assert_eq!(linked["Condition"]["StringEquals"]["iam:AWSServiceName"], "autoscaling.amazonaws.com");
}

#[test]
fn a_role_is_passed_to_the_service_of_its_type_alone() {
    let text = "Resources:\n  Code:\n    Type: AWS::Lambda::Function\n    Properties: {Role: runner}\n";
    let document = document(&statements(&found(text, &TemplateContext::default()).needs), Form::Json);
    let statements = document["Statement"].as_array().unwrap();
    let passed = statements.iter().find(|s| s["Action"] == "iam:PassRole").unwrap();
    assert_eq!(passed["Condition"]["StringEquals"]["iam:PassedToService"], "lambda.amazonaws.com");
    assert_eq!(passed["Resource"], "arn:*:iam::*:role/runner");
}

#[test]
fn a_narrow_arn_beside_a_wide_one_is_omitted() {
    let text = "Resources:\n  A:\n    Type: AWS::SQS::Queue\n  B:\n    Type: AWS::SQS::Queue\n    \
        Properties: {QueueName: orders}\n";
    let statements = statements(&found(text, &TemplateContext::default()).needs);
    assert!(statements.iter().all(|statement| statement.resources.len() == 1), "{statements:?}");
}

#[test]
fn an_arn_covers_what_it_matches() {
    for (wide, narrow, expected) in [
        ("*", "arn:x", true),
        ("arn:*:b", "arn:a:b", true),
        ("arn:a*", "arn:a*b", true),
        ("arn:a?", "arn:ab", true),
        ("arn:a?", "arn:a*", false),
        ("arn:a", "arn:a*", false),
        ("arn:*:b", "arn:a:c", false),
        ("a*b*c", "axxbyyc", true),
        ("a*b*c", "axxbyy", false),
    ] {
        assert_eq!(covers(wide, narrow), expected, "{wide} {narrow}");
    }
}
