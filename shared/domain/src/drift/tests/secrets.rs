//! Values that no report shows.

use super::{context, facts};
use crate::drift::look::{Detected, Look, ResourceVerdict, judge};
use crate::drift::secrets::{fed_parameters, secret_parameters, secret_paths};
use crate::model::drift_status::DriftStatus;
use crate::records::ReportedValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const CANARY: &str = "canary-7f3a";

/// Judges a resource whose properties differ from what is live.
fn verdict(resource_type: &str, properties: &Value, expected: &Value, actual: &Value) -> ResourceVerdict {
    let template = json!({
        "Parameters": {"Secret": {"Type": "String", "NoEcho": "true"}, "Plain": {"Type": "String"}},
        "Resources": {
            "R": {"Type": resource_type, "Properties": properties},
            "Custom": {"Type": "Custom::Code"},
            "Key": {"Type": "AWS::IAM::AccessKey"},
            "Client": {"Type": "AWS::Cognito::UserPoolClient"},
            "Stream": {"Type": "AWS::IVS::StreamKey"},
            "Api": {"Type": "AWS::AppSync::ApiKey"},
            "Role": {"Type": "AWS::IAM::Role"},
        },
    });
    let secrets = secret_parameters(&template, &BTreeSet::new());
    let context = crate::drift::Context {
        secrets: secret_paths(&template, "R", &secrets, &[expected, actual]),
        ..context()
    };
    let detected = Detected {
        status: DriftStatus::Modified,
        expected: Some(expected.clone()),
        actual: Some(actual.clone()),
    };
    let facts = facts(resource_type);
    let look = Look {
        resource_type,
        detected: Some(&detected),
        reading: None,
        declared: None,
        facts,
        context: &context,
        shared: &[],
    };
    judge(&look)
}

fn differences(verdict: ResourceVerdict) -> Vec<(String, ReportedValue, ReportedValue)> {
    match verdict {
        ResourceVerdict::Drifted(differences) => differences,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_that_a_secret_feeds_is_found_and_hidden() {
    for fed in [
        json!({"Ref": "Secret"}),
        json!({"Fn::Sub": "x${Secret}"}),
        json!({"Fn::Join": ["", ["x", {"Ref": "Secret"}]]}),
        json!({"Fn::If": ["C", {"Ref": "Secret"}, "x"]}),
        json!("{{resolve:ssm:/path}}"),
        json!({"Fn::GetAtt": ["Custom", "Key"]}),
        json!({"Fn::Sub": "${Custom.Key}"}),
        json!({"Fn::GetAtt": ["Key", "SecretAccessKey"]}),
        json!({"Fn::GetAtt": "Client.ClientSecret"}),
        json!({"Fn::Sub": "x${Stream.Value}"}),
        json!({"Fn::GetAtt": ["Api", "ApiKey"]}),
        json!({"Fn::Transform": {"Name": "M"}}),
    ] {
        let verdict = verdict(
            "AWS::SNS::Topic",
            &json!({"DisplayName": fed}),
            &json!({"DisplayName": "before"}),
            &json!({"DisplayName": CANARY}),
        );
        let hidden = ("DisplayName".to_owned(), ReportedValue::Hidden, ReportedValue::Hidden);
        assert_eq!(differences(verdict), [hidden], "{fed}");
    }
}

#[test]
fn a_plain_value_is_shown() {
    let (wanted, found) = (json!({"DisplayName": "before"}), json!({"DisplayName": "after"}));
    let shown =
        differences(verdict("AWS::SNS::Topic", &json!({"DisplayName": {"Ref": "Plain"}}), &wanted, &found));
    let after = ReportedValue::Value(json!("after"));
    assert_eq!(shown, [("DisplayName".to_owned(), ReportedValue::Value(json!("before")), after)]);
}

#[test]
fn an_attribute_that_is_no_secret_is_shown() {
    for fed in
        [json!({"Fn::GetAtt": ["Role", "Arn"]}), json!({"Fn::Sub": "${Role.Arn}"}), json!({"Ref": "Role"})]
    {
        let (declared, before) = (json!({"DisplayName": fed}), json!({"DisplayName": "before"}));
        let verdict = verdict("AWS::SNS::Topic", &declared, &before, &json!({"DisplayName": "after"}));
        assert!(format!("{:?}", differences(verdict)).contains("after"), "{fed}");
    }
}

#[test]
fn environments_and_user_data_are_hidden_however_they_are_declared() {
    let cases = [
        (
            "AWS::Lambda::Function",
            json!({"Environment": {"Variables": {"A": "1"}}}),
            json!({"Environment": {"Variables": {"A": CANARY}}}),
        ),
        ("AWS::EC2::Instance", json!({"UserData": "before"}), json!({"UserData": CANARY})),
    ];
    for (resource_type, expected, actual) in cases {
        let found = verdict(resource_type, &expected, &expected, &actual);
        let text = format!("{:?}", differences(found));
        assert!(text.contains("Hidden") && !text.contains(CANARY), "{resource_type}: {text}");
    }
}

#[test]
fn the_path_of_a_secret_member_of_a_list_does_not_hold_it() {
    let (expected, actual) = (json!({"SecurityGroupIds": [CANARY]}), json!({"SecurityGroupIds": ["x"]}));
    let declared = json!({"SecurityGroupIds": [{"Ref": "Secret"}]});
    let text = format!("{:?}", differences(verdict("AWS::EC2::Instance", &declared, &expected, &actual)));
    assert!(text.contains("Hidden") && !text.contains(CANARY), "{text}");
}

#[test]
fn a_secret_in_an_object_with_free_keys_is_hidden() {
    let declared = json!({"Parameters": {"key": {"Ref": "Secret"}, "other.name": {"Ref": "Secret"}}});
    let (expected, actual) = (
        json!({"Parameters": {"key": "a", "other.name": "b"}}),
        json!({"Parameters": {"key": CANARY, "other.name": CANARY}}),
    );
    let text =
        format!("{:?}", differences(verdict("AWS::RDS::DBParameterGroup", &declared, &expected, &actual)));
    assert!(!text.contains(CANARY), "{text}");
}

#[test]
fn a_secret_that_a_parent_passes_on_is_one_in_the_child() {
    let parent = json!({
        "Parameters": {"Secret": {"Type": "String", "NoEcho": true}},
        "Resources": {"Child": {"Type": "AWS::CloudFormation::Stack", "Properties": {"Parameters": {
            "Passed": {"Fn::Sub": "${Secret}"}, "Plain": "x",
        }}}},
    });
    let fed = fed_parameters(&parent, &secret_parameters(&parent, &BTreeSet::new()));
    assert_eq!(fed["Child"], ["Passed".to_owned()].into());
    let child = json!({"Parameters": {"Passed": {"Type": "String"}, "Plain": {"Type": "String"}}});
    assert_eq!(secret_parameters(&child, &fed["Child"]), ["Passed".to_owned()].into());
}
