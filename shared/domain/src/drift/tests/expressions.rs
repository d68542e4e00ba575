use super::{check, check_in, context, drifted, kinds, undeclared};
use crate::drift::{RuleKind, Verdict};
use serde_json::json;

/// Compares one property of a type.
fn kinds_of(resource_type: &str, property: &str, wanted: &str, found: &str) -> Option<Vec<RuleKind>> {
    let compared = check(resource_type, &json!({ property: wanted }), &json!({ property: found }));
    compared.drifted.is_empty().then(|| kinds(&compared))
}

#[test]
fn texts_of_one_value_are_equal_by_a_named_rule() {
    let cases = [
        ("AWS::RDS::DBSubnetGroup", "DBSubnetGroupName", "Main-Group", "main-group", RuleKind::LowerCase),
        ("AWS::RDS::DBInstance", "EngineVersion", "8.0", "8.0.36", RuleKind::Version),
        ("AWS::ElastiCache::CacheCluster", "EngineVersion", "1.6.22", "1.6", RuleKind::ShortVersion),
        ("AWS::Route53::HostedZone", "Name", "Example.com", "example.com.", RuleKind::TrailingDot),
        ("AWS::Events::Rule", "ScheduleExpression", "rate(60 minutes)", "rate(1 hour)", RuleKind::Expression),
        ("AWS::Events::Rule", "Description", "nightly\n", "nightly", RuleKind::TrailingSpace),
        ("AWS::EC2::Subnet", "CidrBlock", "10.0.0.9/16", "10.0.0.0/16", RuleKind::Network),
        ("AWS::EC2::SecurityGroupIngress", "IpProtocol", "6", "tcp", RuleKind::Protocol),
        (
            "AWS::EC2::KeyPair",
            "PublicKeyMaterial",
            "ssh-ed25519 AAAA me",
            "ssh-ed25519 AAAA pair\n",
            RuleKind::PublicKey,
        ),
        (
            "AWS::Lambda::Alias",
            "FunctionName",
            "reader",
            "arn:aws:lambda:eu-central-1:111111111111:function:reader",
            RuleKind::Arn,
        ),
        (
            "AWS::SNS::Topic",
            "KmsMasterKeyId",
            "alias/aws/sns",
            "arn:aws:kms:eu-central-1:111111111111:key/0a1b2c3d-0000-4000-8000-000000000001",
            RuleKind::Arn,
        ),
        (
            "AWS::CloudWatch::Dashboard",
            "DashboardBody",
            "{\"a\":1,\"b\":2}",
            "{ \"b\": 2.0, \"a\": 1 }",
            RuleKind::Json,
        ),
    ];
    for (resource_type, property, wanted, found, kind) in cases {
        let kinds = kinds_of(resource_type, property, wanted, found);
        assert!(
            kinds.clone().is_some_and(|kinds| kinds.contains(&kind)),
            "{resource_type} {property}: {kinds:?}"
        );
    }
}

#[test]
fn texts_of_two_values_are_drift() {
    let cases = [
        ("AWS::RDS::DBInstance", "EngineVersion", "8.0", "8.4.1"),
        ("AWS::RDS::DBInstance", "EngineVersion", "8.0", "8.01"),
        (
            "AWS::ECS::Service",
            "TaskDefinition",
            "web:3",
            "arn:aws:ecs:eu-central-1:111111111111:task-definition/api:3",
        ),
        (
            "AWS::SNS::Topic",
            "KmsMasterKeyId",
            "alias/aws/sns",
            "arn:aws:kms:eu-central-1:222222222222:alias/aws/s3",
        ),
        ("AWS::RDS::DBSubnetGroup", "DBSubnetGroupName", "main-group", "MAIN-GROUP"),
        ("AWS::Events::Rule", "ScheduleExpression", "rate(60 minutes)", "rate(2 hours)"),
        ("AWS::Events::Rule", "Description", "nightly", "Nightly"),
        ("AWS::EC2::Subnet", "CidrBlock", "10.0.0.9/16", "10.1.0.0/16"),
        (
            "AWS::Lambda::Alias",
            "Description",
            "reader",
            "arn:aws:lambda:eu-central-1:222222222222:function:reader",
        ),
        (
            "AWS::Lambda::Alias",
            "Description",
            "ader",
            "arn:aws:lambda:eu-central-1:111111111111:function:reader",
        ),
        ("AWS::SNS::Topic", "KmsMasterKeyId", "alias/aws/sns", "0a1b2c3d-0000-4000-8000-000000000002"),
        ("AWS::CloudWatch::Dashboard", "DashboardBody", "{\"a\":1}", "{\"a\":2}"),
    ];
    for (resource_type, property, wanted, found) in cases {
        assert_eq!(
            kinds_of(resource_type, property, wanted, found),
            None,
            "{resource_type} {property} {found}"
        );
    }
}

#[test]
fn numbers_and_switches_may_be_texts() {
    let declared = json!({ "VisibilityTimeout": "30", "FifoQueue": "true", "MaximumMessageSize": 1024 });
    let live = json!({ "VisibilityTimeout": 30, "FifoQueue": true, "MaximumMessageSize": "1024" });
    assert_eq!(check("AWS::SQS::Queue", &declared, &live).verdict(), Verdict::InSync);
    let live = json!({ "VisibilityTimeout": 31, "FifoQueue": false, "MaximumMessageSize": "1025" });
    assert_eq!(drifted(&check("AWS::SQS::Queue", &declared, &live)).len(), 3);
}

#[test]
fn policies_are_compared_by_what_they_allow() {
    let declared = json!({ "PolicyDocument": { "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["sns:Publish", "sns:GetTopicAttributes"], "Resource": "*",
          "Principal": { "AWS": "111111111111" }, "Condition": { "StringEquals": { "aws:SourceAccount": "1" } } },
        { "Effect": "Deny", "Action": "sns:Subscribe", "Resource": "*", "Principal": "*" },
    ] } });
    let live = json!({ "PolicyDocument": { "Version": "2012-10-17", "Id": "generated", "Statement": [
        { "Sid": "", "Effect": "Deny", "Action": ["SNS:Subscribe"], "Resource": ["*"], "Principal": { "AWS": "*" } },
        { "Effect": "Allow", "Action": ["sns:GetTopicAttributes", "sns:Publish"], "Resource": ["*"],
          "Principal": { "AWS": ["arn:aws:iam::111111111111:root"] },
          "Condition": { "StringEquals": { "AWS:SourceAccount": ["1"] } } },
    ] } });
    let resource_type = "AWS::SNS::TopicPolicy";
    assert_eq!(drifted(&check(resource_type, &declared, &live)), Vec::<String>::new());

    let mut open = live.clone();
    open["PolicyDocument"]["Statement"][1].as_object_mut().expect("a statement").remove("Condition");
    assert!(drifted(&check(resource_type, &declared, &open))[0].ends_with("Condition"));
    let mut added = live.clone();
    let more = json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*" });
    added["PolicyDocument"]["Statement"].as_array_mut().expect("statements").push(more);
    assert_eq!(check(resource_type, &declared, &added).verdict(), Verdict::Drifted);
}

#[test]
fn a_choice_without_members_is_not_empty() {
    let rule =
        |action: serde_json::Value| json!({ "Rules": [{ "Name": "geo", "Priority": 1, "Action": action }] });
    let resource_type = "AWS::WAFv2::RuleGroup";
    for live in [json!({ "Allow": {} }), json!({})] {
        let compared = check(resource_type, &rule(json!({ "Block": {} })), &rule(live));
        assert_eq!(compared.verdict(), Verdict::Drifted);
    }
    let removed = json!({ "Rules": [{ "Name": "geo", "Priority": 1 }] });
    assert_eq!(check(resource_type, &rule(json!({ "Block": {} })), &removed).verdict(), Verdict::Drifted);
}

#[test]
fn tags_of_the_stack_and_of_aws_are_neither_drift_nor_undeclared() {
    let declared = json!({ "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" }] });
    let live = json!({ "Tags": [
        { "Key": "aws:cloudformation:stack-name", "Value": "s" }, { "Key": "team", "Value": "logs" },
        { "Key": "b", "Value": "2" }, { "Key": "a", "Value": "1" },
    ] });
    let compared = check("AWS::SQS::Queue", &declared, &live);
    assert_eq!((compared.verdict(), undeclared(&compared)), (Verdict::InSync, vec![]));
    let live = json!({ "Tags": [{ "Key": "a", "Value": "2" }, { "Key": "c", "Value": "3" }] });
    let compared = check("AWS::SQS::Queue", &declared, &live);
    assert_eq!(drifted(&compared), ["Tags[a].Value", "Tags[b]"]);
    assert_eq!(undeclared(&compared), ["Tags[c]"]);
}

#[test]
fn a_target_group_is_a_forward_to_it_alone() {
    let arn =
        |name: &str| format!("arn:aws:elasticloadbalancing:eu-central-1:111111111111:targetgroup/{name}/1");
    let declared = json!({ "Actions": [{ "Type": "forward", "TargetGroupArn": arn("blue") }] });
    let live = |name: &str| json!({ "Actions": [{ "Type": "forward", "ForwardConfig": { "TargetGroups": [{ "TargetGroupArn": arn(name) }] } }] });
    let resource_type = "AWS::ElasticLoadBalancingV2::ListenerRule";
    assert_eq!(check(resource_type, &declared, &live("blue")).verdict(), Verdict::InSync);
    assert_eq!(check(resource_type, &declared, &live("green")).verdict(), Verdict::Drifted);
    let mut context = context();
    context.shifting_target_groups = [arn("blue"), arn("green")].into();
    assert_eq!(check_in(&context, resource_type, &declared, &live("green")).verdict(), Verdict::InSync);
}
