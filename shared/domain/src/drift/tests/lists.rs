use super::{check, check_in, context, drifted, kinds, undeclared};
use crate::drift::{RuleKind, Verdict};
use serde_json::json;

#[test]
fn a_list_has_an_order_unless_a_source_says_otherwise() {
    let declared = json!({ "ContainerDefinitions": [{ "Name": "app", "Command": ["sleep", "10"] }] });
    let live = json!({ "ContainerDefinitions": [{ "Name": "app", "Command": ["10", "sleep"] }] });
    let compared = check("AWS::ECS::TaskDefinition", &declared, &live);
    let path = "ContainerDefinitions[app].Command";
    assert_eq!(drifted(&compared), [format!("{path}[0]"), format!("{path}[1]")]);
}

#[test]
fn members_of_a_set_are_found_in_any_order() {
    let declared = json!({ "SecurityGroupIngress": [
        { "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8" },
        { "IpProtocol": "-1", "FromPort": 443, "CidrIp": "10.1.0.0/16" },
    ] });
    let live = json!({ "SecurityGroupIngress": [
        { "IpProtocol": "-1", "FromPort": -1, "ToPort": -1, "CidrIp": "10.1.0.0/16" },
        { "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8" },
    ] });
    let resource_type = "AWS::EC2::SecurityGroup";
    let compared = check(resource_type, &declared, &live);
    assert_eq!(compared.verdict(), Verdict::InSync, "{compared:?}");
    assert!(kinds(&compared).contains(&RuleKind::Set) && kinds(&compared).contains(&RuleKind::Port));

    let mut added = live.clone();
    let open = json!({ "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0" });
    added["SecurityGroupIngress"].as_array_mut().expect("rules").push(open);
    assert_eq!(check(resource_type, &declared, &added).drifted.len(), 1);
}

#[test]
fn ids_of_subnets_are_a_set_in_each_type() {
    let subnets = |ids: [&str; 2]| json!({ "VpcConfig": { "SubnetIds": ids } });
    let declared = subnets(["subnet-0aaaaa111111", "subnet-0bbbbb222222"]);
    let live = subnets(["subnet-0bbbbb222222", "subnet-0aaaaa111111"]);
    assert_eq!(check("AWS::Lambda::Function", &declared, &live).verdict(), Verdict::InSync);
    let live = subnets(["subnet-0bbbbb222222", "subnet-0ccccc333333"]);
    assert_eq!(check("AWS::Lambda::Function", &declared, &live).drifted.len(), 2);
}

#[test]
fn a_keyed_member_is_compared_with_its_namesake() {
    let policy =
        |action: &str| json!({ "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }] });
    let declared = json!({ "Policies": [
        { "PolicyName": "read", "PolicyDocument": policy("s3:GetObject") },
        { "PolicyName": "list", "PolicyDocument": policy("s3:ListBucket") },
    ] });
    let live = json!({ "Policies": [
        { "PolicyName": "list", "PolicyDocument": policy("s3:ListBucket") },
        { "PolicyName": "read", "PolicyDocument": policy("s3:*") },
    ] });
    let paths = drifted(&check("AWS::IAM::Role", &declared, &live));
    assert_eq!(paths, ["Policies[read].PolicyDocument.Statement[0].Action"]);
}

#[test]
fn an_added_policy_is_drift_unless_the_template_attaches_it() {
    let declared = json!({ "Policies": [] });
    let live = json!({ "Policies": [{ "PolicyName": "extra", "PolicyDocument": {} }] });
    assert_eq!(drifted(&check("AWS::IAM::Role", &declared, &live)), ["Policies[extra]"]);
    let mut context = context();
    context.attached = ["extra".to_owned()].into();
    let compared = check_in(&context, "AWS::IAM::Role", &declared, &live);
    assert_eq!((drifted(&compared), undeclared(&compared)), (vec![], vec!["Policies[extra]".to_owned()]));
}

#[test]
fn aws_completes_an_attribute_bag() {
    let bag = |pairs: &[(&str, &str)]| {
        let members: Vec<_> =
            pairs.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        json!({ "LoadBalancerAttributes": members })
    };
    let resource_type = "AWS::ElasticLoadBalancingV2::LoadBalancer";
    let declared = bag(&[("idle_timeout.timeout_seconds", "120")]);
    let compared =
        check(resource_type, &declared, &bag(&[("a", "1"), ("idle_timeout.timeout_seconds", "120")]));
    assert_eq!((compared.verdict(), undeclared(&compared).len()), (Verdict::InSync, 1));
    let compared =
        check(resource_type, &declared, &bag(&[("a", "1"), ("idle_timeout.timeout_seconds", "300")]));
    assert_eq!(drifted(&compared), ["LoadBalancerAttributes[idle_timeout.timeout_seconds].Value"]);
}

#[test]
fn an_operator_of_an_event_pattern_keeps_its_place() {
    let pattern = |list: serde_json::Value| json!({ "EventPattern": { "detail": { "n": [{ "numeric": list }] }, "source": ["a", "b"] } });
    let declared = pattern(json!([">", 5]));
    let mut live = pattern(json!([">", 5]));
    live["EventPattern"]["source"] = json!(["b", "a"]);
    assert_eq!(check("AWS::Events::Rule", &declared, &live).verdict(), Verdict::InSync);
    assert_eq!(check("AWS::Events::Rule", &declared, &pattern(json!([5, ">"]))).verdict(), Verdict::Drifted);
}
