//! S11 C5: a template of any branch, or a function whose role it makes, changes what Lockstep builds and deploys.
//!
//! Fails without the policy `keep-off-lockstep` of CloudFormation's role, without the boundary `lockstep-boundary` of
//! the roles that templates make, and without the boundary in each deployed template.

use crate::{STACKS, in_development};
use lockstep_domain::stacks::template::Template;
use lockstep_tests::installed::DEVELOPMENT;
use lockstep_tests::policy::{Context, Statement, denied, statements};
use lockstep_tests::stack::Stack;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Returns the statements of the boundary in the development account.
fn boundary() -> Vec<Statement> {
    let of_development = |s: &&Stack| s.name == "lockstep-target" && s.account == DEVELOPMENT;
    let target = STACKS.iter().find(of_development).unwrap();
    let policies = target.resources("AWS::IAM::ManagedPolicy");
    let (_, policy) = policies.iter().find(|(_, p)| p["ManagedPolicyName"] == "lockstep-boundary").unwrap();
    statements(&policy["PolicyDocument"])
}

/// Returns the policies under which a template and its children act, each with its name.
fn fences() -> &'static [(&'static str, Vec<Statement>); 2] {
    static FENCES: LazyLock<[(&str, Vec<Statement>); 2]> = LazyLock::new(|| {
        let execution = in_development("lockstep-delivery-cloudformation");
        [("CloudFormation", execution.statements), ("a role of a template", boundary())]
    });
    &FENCES
}

/// Asserts that both fences deny a request, whatever another policy allows.
fn refused(action: &str, resource: &str, context: &Context<'_>) {
    for (who, fence) in fences() {
        assert!(
            denied(fence, action, resource, context),
            "{who} may {action} on {resource} with {context:?}"
        );
    }
}

fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:eu-west-1:{DEVELOPMENT}:{resource}")
}

#[test]
fn a_template_and_its_functions_keep_off_what_belongs_to_lockstep() {
    let bucket = format!("arn:aws:s3:::lockstep-artifacts-{DEVELOPMENT}-eu-west-1");
    let role = |name: &str| format!("arn:aws:iam::{DEVELOPMENT}:role/{name}");
    let attacks = [
        ("s3:PutBucketPolicy", bucket.clone()),
        ("s3:DeleteBucketPolicy", bucket.clone()),
        ("s3:PutObject", format!("{bucket}/functions/elb-logs/0.zip")),
        ("s3:PutObject", format!("{bucket}/tools/packer.zip")),
        ("codebuild:UpdateProject", arn("codebuild", "project/lockstep-image-build")),
        ("codebuild:StartBuild", arn("codebuild", "project/lockstep-image-build")),
        ("kms:UpdateAlias", arn("kms", "alias/lockstep-images")),
        ("kms:CreateAlias", arn("kms", "alias/lockstep-images")),
        ("kms:PutKeyPolicy", arn("kms", "key/AlarmKey")),
        ("ssm:PutParameter", arn("ssm", "parameter/lockstep/images/logstash/latest")),
        ("ssm:PutParameter", arn("ssm", "parameter/lockstep/tools/packer.zip")),
        ("iam:UpdateAssumeRolePolicy", role("lockstep-image-build")),
        ("iam:PutRolePolicy", role("lockstep-delivery-deployer")),
        ("iam:PassRole", role("lockstep-image-instance")),
        (
            "iam:AddRoleToInstanceProfile",
            format!("arn:aws:iam::{DEVELOPMENT}:instance-profile/lockstep-image-instance"),
        ),
        ("iam:CreatePolicyVersion", format!("arn:aws:iam::{DEVELOPMENT}:policy/lockstep-boundary")),
        ("events:PutRule", arn("events", "rule/lockstep-forward-stacks")),
        ("events:RemoveTargets", arn("events", "rule/lockstep-forward-images")),
        ("sqs:SetQueueAttributes", arn("sqs", "lockstep-undelivered-events")),
        ("sns:SetTopicAttributes", arn("sns", "lockstep-alarms")),
        ("cloudwatch:DeleteAlarms", arn("cloudwatch", "alarm:lockstep-undelivered-events")),
        ("cloudformation:UpdateStack", arn("cloudformation", "stack/lockstep-target/1")),
        ("lambda:UpdateFunctionCode", arn("lambda", "function:lockstep-webhook")),
        ("dynamodb:PutItem", arn("dynamodb", "table/lockstep-authority")),
    ];
    for (action, resource) in attacks {
        refused(action, &resource, &[].into());
    }
    let ours = [("aws:resourcetag/lockstep:image", "logstash")].into();
    refused("ec2:DeregisterImage", "arn:aws:ec2:eu-west-1::image/ami-1", &ours);
    refused("ec2:ModifyImageAttribute", "arn:aws:ec2:eu-west-1::image/ami-1", &ours);
    let accepted = [("aws:tagkeys", "lockstep:build")].into();
    refused("ec2:CreateTags", "arn:aws:ec2:eu-west-1::image/ami-1", &accepted);
}

#[test]
fn a_component_may_do_what_is_its_own() {
    for (who, fence) in fences() {
        for (action, resource) in [
            ("s3:PutBucketPolicy", "arn:aws:s3:::ci-logs-bucket".to_owned()),
            ("ssm:GetParameters", arn("ssm", "parameter/lockstep/images/logstash/latest")),
            ("ssm:PutParameter", arn("ssm", "parameter/logs/size")),
            ("lambda:CreateFunction", arn("lambda", "function:ci-logs-Function")),
            ("sns:Publish", arn("sns", "lockstep-alarms")),
            ("kms:PutKeyPolicy", arn("kms", "key/1234")),
            ("iam:UpdateAssumeRolePolicy", format!("arn:aws:iam::{DEVELOPMENT}:role/ci-logs-Role")),
        ] {
            assert!(!denied(fence, action, &resource, &[].into()), "{who} may not {action} on {resource}");
        }
    }
}

#[test]
fn no_role_is_made_without_the_boundary() {
    let role = format!("arn:aws:iam::{DEVELOPMENT}:role/ci-logs-Role");
    let ours = format!("arn:aws:iam::{DEVELOPMENT}:policy/lockstep-boundary");
    let makes =
        ["iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PutRolePermissionsBoundary"];
    for action in makes {
        refused(action, &role, &[].into());
        refused(
            action,
            &role,
            &[("iam:permissionsboundary", "arn:aws:iam::aws:policy/AdministratorAccess")].into(),
        );
        for (who, fence) in fences() {
            let bounded = [("iam:permissionsboundary", ours.as_str())].into();
            assert!(!denied(fence, action, &role, &bounded), "{who} may not {action} with the boundary");
        }
    }
    refused("iam:DeleteRolePermissionsBoundary", &role, &[].into());
    refused("iam:CreateUser", &format!("arn:aws:iam::{DEVELOPMENT}:user/mallory"), &[].into());
}

/// The boundary repeats the statements of the policy, which a role of a template does not have.
#[test]
fn both_fences_deny_the_same() {
    let [(_, execution), (_, boundary)] = fences();
    let denials = |fence: &[Statement]| {
        let shown = |s: &Statement| format!("{:?} {:?} {}", s.actions, s.resources, s.condition);
        fence.iter().filter(|s| !s.allows).map(shown).collect::<Vec<_>>()
    };
    assert!(denials(execution).len() > 15);
    assert_eq!(denials(execution), denials(boundary));
}

#[test]
fn a_deployed_template_gives_its_roles_the_boundary_of_the_fence() {
    let text = "Resources:\n  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      AssumeRolePolicyDocument: {}\n";
    let template = Template::parse("template.yaml", text).unwrap();
    for deployed in [template.deployed_text(), template.derive_test_template(&BTreeSet::new()).0] {
        let deployed: Value = serde_json::from_str(&deployed).unwrap();
        let written =
            deployed["Resources"]["Role"]["Properties"]["PermissionsBoundary"]["Fn::Sub"].as_str().unwrap();
        let resolved = written.replace("${AWS::Partition}", "aws").replace("${AWS::AccountId}", DEVELOPMENT);
        assert_eq!(resolved, format!("arn:aws:iam::{DEVELOPMENT}:policy/lockstep-boundary"));
    }
}
