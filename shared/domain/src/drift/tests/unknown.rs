use super::{check, check_in, context, drifted, facts, undeclared};
use crate::drift::path::Pattern;
use crate::drift::{Live, Resource, Shown, UnknownReason, Verdict, compare};
use serde_json::json;

fn reason(
    resource_type: &str,
    declared: &serde_json::Value,
    live: &serde_json::Value,
) -> Option<UnknownReason> {
    let compared = check(resource_type, declared, live);
    assert_eq!(compared.drifted, vec![]);
    compared.unknown.first().map(|unknown| unknown.reason)
}

#[test]
fn a_value_that_no_read_returns_is_unknown() {
    let function = json!({ "Code": { "ZipFile": "exports" } });
    assert_eq!(
        reason("AWS::Lambda::Function", &function, &json!({ "Code": {} })),
        Some(UnknownReason::WriteOnly)
    );
    let cluster = json!({ "DBSubnetGroupName": "main" });
    assert_eq!(reason("AWS::RDS::DBCluster", &cluster, &json!({})), Some(UnknownReason::Unreadable));
}

#[test]
fn a_value_that_the_template_does_not_say_is_unknown() {
    for value in
        [json!({ "Ref": "Zone" }), json!({ "Fn::GetAtt": ["A", "B"] }), json!("{{resolve:ssm:zone}}")]
    {
        let declared = json!({ "AvailabilityZone": value });
        let live = json!({ "AvailabilityZone": "eu-central-1a" });
        assert_eq!(reason("AWS::EC2::Subnet", &declared, &live), Some(UnknownReason::Unresolved));
    }
    let masked = json!({ "Value": "gr??n" });
    assert_eq!(
        reason("AWS::SSM::Parameter", &masked, &json!({ "Value": "grüün" })),
        Some(UnknownReason::Unresolved)
    );
}

#[test]
fn a_resource_that_cannot_be_read_is_unknown_as_a_whole() {
    let (declared, context) = (json!({ "QueueName": "q" }), context());
    let facts = facts("AWS::SQS::Queue");
    let resource =
        Resource { resource_type: "AWS::SQS::Queue", declared: &declared, facts, context: &context };
    for (live, reason) in
        [(Live::Denied, UnknownReason::Denied), (Live::Unsupported, UnknownReason::Unsupported)]
    {
        let compared = compare(&resource, live);
        assert_eq!((compared.verdict(), compared.unknown[0].reason), (Verdict::Unknown, reason));
    }
    assert_eq!(compare(&resource, Live::Gone).verdict(), Verdict::Drifted);
}

#[test]
fn a_removed_configuration_is_drift() {
    let declared = json!({ "Environment": { "Variables": { "A": "1" } }, "Timeout": 3 });
    let compared = check("AWS::Lambda::Function", &declared, &json!({ "Timeout": 3 }));
    assert_eq!(drifted(&compared), ["Environment"]);
    let compared = check(
        "AWS::Lambda::Function",
        &declared,
        &json!({ "Environment": { "Variables": {} }, "Timeout": 3 }),
    );
    assert_eq!(drifted(&compared), ["Environment.Variables.A"]);
}

#[test]
fn a_removed_value_is_in_sync_only_if_it_is_the_default() {
    let open = json!({ "CidrIp": "0.0.0.0/0", "IpProtocol": "-1" });
    let origins =
        |protocols: &[&str]| json!({ "VpcOriginEndpointConfig": { "OriginSSLProtocols": protocols } });
    let cases = [
        ("AWS::EC2::SecurityGroup", json!({ "SecurityGroupEgress": [open] }), json!({}), true),
        (
            "AWS::EC2::SecurityGroup",
            json!({ "SecurityGroupEgress": [{ "CidrIp": "10.0.0.0/8", "IpProtocol": "tcp" }] }),
            json!({}),
            false,
        ),
        (
            "AWS::CloudTrail::Trail",
            json!({ "EventSelectors": [{ "IncludeManagementEvents": false, "ReadWriteType": "ReadOnly" }] }),
            json!({}),
            false,
        ),
        (
            "AWS::CloudFront::VpcOrigin",
            origins(&["TLSv1", "SSLv3"]),
            json!({ "VpcOriginEndpointConfig": {} }),
            true,
        ),
        (
            "AWS::CloudFront::VpcOrigin",
            origins(&["TLSv1.2"]),
            json!({ "VpcOriginEndpointConfig": {} }),
            false,
        ),
        ("AWS::Redshift::Cluster", json!({ "Port": "5439" }), json!({}), true),
        ("AWS::Redshift::Cluster", json!({ "Port": "5440" }), json!({}), false),
    ];
    for (resource_type, declared, live, is_default) in cases {
        let compared = check(resource_type, &declared, &live);
        assert_eq!(compared.verdict() == Verdict::InSync, is_default, "{resource_type} {declared}");
    }
}

#[test]
fn an_undeclared_value_is_listed_and_is_no_drift() {
    let live =
        json!({ "Arn": "arn", "Environment": { "Variables": { "A": "1", "B": "2" } }, "MemorySize": 128 });
    let declared = json!({ "Environment": { "Variables": { "A": "1" } } });
    let compared = check("AWS::Lambda::Function", &declared, &live);
    assert_eq!(compared.verdict(), Verdict::InSync);
    assert_eq!(undeclared(&compared), ["Environment.Variables.B", "MemorySize"]);
}

#[test]
fn a_drift_beats_an_unknown_value() {
    let declared = json!({ "Code": { "ZipFile": "exports" }, "Timeout": 3 });
    let compared = check("AWS::Lambda::Function", &declared, &json!({ "Code": {}, "Timeout": 4 }));
    assert_eq!((compared.verdict(), compared.unknown.len()), (Verdict::Drifted, 1));
}

#[test]
fn a_secret_value_is_compared_and_never_shown() {
    let mut context = context();
    context.secrets = vec![Pattern::new("Environment.Variables.*")];
    let declared = json!({ "Environment": { "Variables": { "TOKEN": "canary-one" } } });
    let changed =
        json!({ "Environment": { "Variables": { "TOKEN": "canary-two", "MORE": "canary-three" } } });
    for live in [&changed, &json!({ "Environment": {} }), &json!({})] {
        let compared = check_in(&context, "AWS::Lambda::Function", &declared, live);
        assert_eq!(compared.drifted[0].wanted, Shown::Hidden);
        assert!(!format!("{compared:?}").contains("canary"), "{compared:?}");
    }
    let undeclared = check_in(&context, "AWS::Lambda::Function", &json!({}), &changed);
    assert!(!format!("{undeclared:?}").contains("canary"), "{undeclared:?}");
    assert_eq!(Shown::Hidden.to_string(), "(hidden, changed)");
}
