//! Declared properties with intrinsics resolved.

use crate::drift::resolve::StackValues;
use serde_json::{Value, json};

fn values() -> StackValues {
    StackValues {
        template: json!({
            "Parameters": {
                "Days": {"Type": "Number"},
                "Zones": {"Type": "CommaDelimitedList"},
                "Secret": {"Type": "String", "NoEcho": true},
                "Image": {"Type": "AWS::SSM::Parameter::Value<String>"},
            },
            "Mappings": {"Sizes": {"eu-central-1": {"Size": "large"}}},
            "Conditions": {
                "IsLong": {"Fn::Equals": [{"Ref": "Days"}, "30"]},
                "IsShort": {"Fn::Not": [{"Condition": "IsLong"}]},
                "IsSecret": {"Fn::Equals": [{"Ref": "Secret"}, "x"]},
                "Loop": {"Condition": "Loop"},
            },
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"DelaySeconds": {"Ref": "Days"}}}},
        }),
        parameters: [("Days", "30"), ("Zones", "a, b"), ("Secret", "****"), ("Image", "/path")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        physical_ids: [("Queue".to_owned(), "https://sqs/q".to_owned())].into(),
        pseudo: [("AWS::Region".to_owned(), "eu-central-1".to_owned())].into(),
    }
}

#[test]
fn certain_intrinsics_are_resolved() {
    for (declared, expected) in [
        (json!({"Ref": "Days"}), json!("30")),
        (json!({"Ref": "Queue"}), json!("https://sqs/q")),
        (json!({"Ref": "Zones"}), json!(["a", "b"])),
        (json!({"Fn::Select": ["1", {"Ref": "Zones"}]}), json!("b")),
        (json!({"Fn::Join": ["-", ["x", {"Ref": "AWS::Region"}]]}), json!("x-eu-central-1")),
        (json!({"Fn::Sub": "${AWS::Region}/${!Literal}/${Days}"}), json!("eu-central-1/${Literal}/30")),
        (json!({"Fn::Sub": ["${Own}", {"Own": {"Ref": "Days"}}]}), json!("30")),
        (json!({"Fn::Split": [",", "a,b"]}), json!(["a", "b"])),
        (json!({"Fn::FindInMap": ["Sizes", {"Ref": "AWS::Region"}, "Size"]}), json!("large")),
        (json!({"Fn::If": ["IsLong", "yes", "no"]}), json!("yes")),
        (json!({"Fn::If": ["IsShort", "yes", "no"]}), json!("no")),
        (json!({"A": {"Ref": "AWS::NoValue"}, "B": 1}), json!({"B": 1})),
    ] {
        assert_eq!(values().resolve(&declared), expected, "{declared}");
    }
    assert_eq!(values().declared("Queue"), Some(json!({"DelaySeconds": "30"})));
    assert_eq!(values().declared("Other"), None);
}

#[test]
fn what_is_not_certain_remains_an_intrinsic() {
    for declared in [
        json!({"Ref": "Secret"}),
        json!({"Ref": "Image"}),
        json!({"Ref": "Missing"}),
        json!({"Fn::GetAtt": ["Queue", "Arn"]}),
        json!({"Fn::Sub": "${Queue.Arn}"}),
        json!({"Fn::Sub": "a${Secret}"}),
        json!({"Fn::Join": ["", [{"Ref": "Secret"}]]}),
        json!({"Fn::If": ["IsSecret", 1, 2]}),
        json!({"Fn::If": ["Loop", 1, 2]}),
        json!({"Fn::ImportValue": "x"}),
    ] {
        let resolved: Value = values().resolve(&declared);
        assert_eq!(resolved, declared);
    }
}
