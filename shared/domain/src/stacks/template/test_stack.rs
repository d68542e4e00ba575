//! Template of the test stack: it can be deleted completely, and it claims no name that another stage has.
//!
//! It differs from the deployed template in the deletion policies, in protections against deletion, in properties that keep
//! something after it, and in the names that the caller leaves out. Each difference is listed.

use super::node::Node;
use super::sections::loop_body;
use crate::model::test_difference::{TestDifference, TestDifferenceReason};
use crate::stacks::protected::is_protected;
use crate::stacks::resource_rules::{ProtectionRule, protections};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A name that the test stack does not claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOutName {
    /// Logical id of the resource, or the name of the output whose export is left out.
    pub logical_id: String,
    /// Path of the name below the resource's properties; `None` for an export.
    pub property: Option<String>,
}

const POLICIES: [&str; 2] = ["DeletionPolicy", "UpdateReplacePolicy"];

/// Property of an output that publishes it.
const EXPORT: &str = "Export";

/// Changes `template` into that of the test stack. Returns the differences without lines.
pub(super) fn derive(template: &mut Value, left_out: &BTreeSet<LeftOutName>) -> Vec<TestDifference> {
    let mut found = Vec::new();
    each(template, "Resources", &mut |id, resource| {
        let kind = resource.get("Type").and_then(Value::as_str).unwrap_or_default().to_owned();
        delete_with_stack(resource, &kind).for_each(|policy| {
            found.push(difference(TestDifferenceReason::DeletionPolicy, id, policy));
        });
        for rule in protections(&kind).iter().filter(|rule| unprotect(resource, rule)) {
            found.push(difference(reason(rule), id, rule.property));
        }
        let names = left_out.iter().filter(|name| name.logical_id == id);
        for property in names.filter_map(|name| name.property.as_deref()) {
            if resource.get_mut("Properties").is_some_and(|properties| edit(properties, property, None)) {
                found.push(difference(TestDifferenceReason::Name, id, property));
            }
        }
    });
    each(template, "Outputs", &mut |id, output| {
        let is_left_out = left_out.iter().any(|name| name.logical_id == id && name.property.is_none());
        if is_left_out && output.remove(EXPORT).is_some() {
            found.push(difference(TestDifferenceReason::Name, id, EXPORT));
        }
    });
    found
}

/// Returns the line of a difference in the template of the author: that of the property, or of the part that has it.
pub(super) fn line(root: &Node, difference: &TestDifference) -> Option<u32> {
    let entry = |section: &str| {
        let entries = root.get(section).and_then(Node::entries).unwrap_or_default();
        let in_loops = entries.iter().filter_map(loop_body).flatten();
        entries.iter().chain(in_loops).find(|entry| entry.key == difference.logical_id)
    };
    let owner = if difference.property == EXPORT { entry("Outputs") } else { entry("Resources") }?;
    if let Some(attribute) = owner.node.entry(&difference.property) {
        return Some(attribute.line);
    }
    let mut line = owner.line;
    let mut node = owner.node.get("Properties");
    for part in difference.property.split('/') {
        let Some(entry) = node.and_then(|node| node.entry(part)) else { break };
        (line, node) = (entry.line, Some(&entry.node));
    }
    Some(line)
}

fn difference(reason: TestDifferenceReason, logical_id: &str, property: &str) -> TestDifference {
    TestDifference { reason, logical_id: logical_id.to_owned(), property: property.to_owned(), line: None }
}

fn reason(rule: &ProtectionRule) -> TestDifferenceReason {
    let words = ["protect", "Protect", "DisableApi", "Lock"];
    match words.iter().any(|word| rule.property.contains(word)) {
        true => TestDifferenceReason::Protection,
        false => TestDifferenceReason::Retention,
    }
}

/// Applies `change` to each declaration of a section, including the bodies of loops.
fn each(template: &mut Value, section: &str, change: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    if let Some(Value::Object(entries)) = template.get_mut(section) {
        each_of(entries, change);
    }
}

fn each_of(entries: &mut Map<String, Value>, change: &mut impl FnMut(&str, &mut Map<String, Value>)) {
    for (name, entry) in entries {
        if name.starts_with("Fn::ForEach::") {
            if let Some(Value::Object(body)) = entry.get_mut(2) {
                each_of(body, change);
            }
        } else if let Value::Object(entry) = entry {
            change(name, entry);
        }
    }
}

/// Lets CloudFormation delete a resource with its stack. Returns the policies that were others.
fn delete_with_stack(
    resource: &mut Map<String, Value>,
    kind: &str,
) -> impl Iterator<Item = &'static str> + use<> {
    let holds_data = is_protected(kind);
    let mut changed = Vec::new();
    for policy in POLICIES {
        let present = resource.contains_key(policy);
        if (holds_data || present)
            && resource.insert(policy.to_owned(), "Delete".into()) != Some("Delete".into())
        {
            changed.push(policy);
        }
    }
    changed.into_iter()
}

/// Switches one protection off. Returns true if it was on.
fn unprotect(resource: &mut Map<String, Value>, rule: &ProtectionRule) -> bool {
    if rule.on_by_default {
        let properties = resource.entry("Properties").or_insert_with(|| Value::Object(Map::new()));
        if let (Some(properties), Some(off)) = (properties.as_object_mut(), &rule.off)
            && !properties.contains_key(rule.property)
        {
            properties.insert(rule.property.to_owned(), off.clone());
            return true;
        }
    }
    let properties = resource.get_mut("Properties");
    properties.is_some_and(|properties| edit(properties, rule.property, rule.off.as_ref()))
}

/// Sets the property at `path` to `value`, or removes it without a value. Returns true if something changed. A property
/// that does not exist remains absent.
fn edit(node: &mut Value, path: &str, value: Option<&Value>) -> bool {
    if let Some(branches) = branches(node) {
        return branches.iter_mut().fold(false, |changed, branch| edit(branch, path, value) | changed);
    }
    let (part, rest) = match path.split_once('/') {
        Some((part, rest)) => (part, Some(rest)),
        None => (path, None),
    };
    if let (Value::Array(items), Some(rest)) = (&mut *node, rest) {
        let key = part.strip_prefix("[Key=").and_then(|key| key.strip_suffix(']'));
        if part != "*" && key.is_none() {
            return false;
        }
        return items.iter_mut().fold(false, |changed, item| edit_item(item, key, rest, value) | changed);
    }
    let Some(properties) = node.as_object_mut() else { return false };
    match rest {
        Some(rest) => properties.get_mut(part).is_some_and(|inner| edit(inner, rest, value)),
        None => match (properties.get_mut(part), value) {
            (Some(old), Some(new)) if !means(old, new) => {
                *old = new.clone();
                true
            }
            (Some(_), None) => properties.remove(part).is_some(),
            _ => false,
        },
    }
}

/// Edits an item of a list if it has the wanted `Key`, or if any item is wanted.
fn edit_item(item: &mut Value, key: Option<&str>, path: &str, value: Option<&Value>) -> bool {
    if let Some(branches) = branches(item) {
        return branches.iter_mut().fold(false, |changed, item| edit_item(item, key, path, value) | changed);
    }
    let is_wanted = key.is_none_or(|key| item.get("Key").and_then(Value::as_str) == Some(key));
    is_wanted && edit(item, path, value)
}

/// Returns the two values of an `Fn::If`, else `None`.
fn branches(node: &mut Value) -> Option<&mut [Value]> {
    let map = node.as_object_mut().filter(|map| map.len() == 1)?;
    map.get_mut("Fn::If")?.as_array_mut()?.get_mut(1..)
}

/// Returns true if CloudFormation reads both values as the same: `false` and `"false"`.
fn means(written: &Value, wanted: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.to_ascii_lowercase(),
        other => other.to_string().to_ascii_lowercase(),
    };
    text(written) == text(wanted)
}

#[cfg(test)]
mod tests {
    use super::super::Template;
    use super::*;
    use serde_json::json;

    fn derived(text: &str) -> (Value, Vec<(String, Option<u32>)>) {
        let (json, differences) =
            Template::parse("t.yaml", text).unwrap().derive_test_template(&BTreeSet::new());
        let shown =
            differences.iter().map(|d| (format!("{}.{}", d.logical_id, d.property), d.line)).collect();
        (serde_json::from_str(&json).unwrap(), shown)
    }

    #[test]
    fn each_spelling_of_a_protection_is_switched_off() {
        for (kind, properties, expected) in [
            ("RDS::DBInstance", "{DeletionProtection: true}", json!({"DeletionProtection": false})),
            ("RDS::DBInstance", "{DeletionProtection: 'true'}", json!({"DeletionProtection": false})),
            ("RDS::DBInstance", "{DeletionProtection: 'False'}", json!({"DeletionProtection": "False"})),
            ("DocDB::DBCluster", "{DeletionProtection: !Ref Protect}", json!({"DeletionProtection": false})),
            (
                "DynamoDB::Table",
                "{DeletionProtectionEnabled: !If [Live, true, false]}",
                json!({"DeletionProtectionEnabled": false}),
            ),
            ("Cognito::UserPool", "{DeletionProtection: ACTIVE}", json!({"DeletionProtection": "INACTIVE"})),
            ("EC2::Instance", "{DisableApiTermination: true}", json!({"DisableApiTermination": false})),
            (
                "EC2::LaunchTemplate",
                "{LaunchTemplateData: {DisableApiStop: true, DisableApiTermination: true}}",
                json!({"LaunchTemplateData": {"DisableApiStop": false, "DisableApiTermination": false}}),
            ),
            (
                "DynamoDB::GlobalTable",
                "{Replicas: [{Region: a, DeletionProtectionEnabled: true}, !If [Live, {DeletionProtectionEnabled: true}, !Ref AWS::NoValue]]}",
                json!({"Replicas": [
                    {"Region": "a", "DeletionProtectionEnabled": false},
                    {"Fn::If": ["Live", {"DeletionProtectionEnabled": false}, {"Ref": "AWS::NoValue"}]},
                ]}),
            ),
            (
                "ElasticLoadBalancingV2::LoadBalancer",
                "{LoadBalancerAttributes: [{Key: idle_timeout.timeout_seconds, Value: 4}, {Key: deletion_protection.enabled, Value: true}]}",
                json!({"LoadBalancerAttributes": [
                    {"Key": "idle_timeout.timeout_seconds", "Value": 4},
                    {"Key": "deletion_protection.enabled", "Value": "false"},
                ]}),
            ),
            (
                "EMR::Cluster",
                "{Instances: {TerminationProtected: true}}",
                json!({"Instances": {"TerminationProtected": false}}),
            ),
            (
                "VerifiedPermissions::PolicyStore",
                "{DeletionProtection: {Mode: ENABLED}}",
                json!({"DeletionProtection": {"Mode": "DISABLED"}}),
            ),
            ("S3::Bucket", "{ObjectLockEnabled: true, Tags: []}", json!({"Tags": []})),
            (
                "CloudTrail::EventDataStore",
                "{Name: a}",
                json!({"Name": "a", "TerminationProtectionEnabled": false}),
            ),
        ] {
            let text = format!(
                "Parameters: {{Protect: {{Type: String}}}}\nConditions: {{Live: !Equals [!Ref Protect, a]}}\nResources:\n  A:\n    Type: AWS::{kind}\n    Properties: {properties}\n"
            );
            let (json, differences) = derived(&text);
            assert_eq!(json["Resources"]["A"]["Properties"], expected, "{kind} {properties}");
            let is_changed = !properties.contains("'False'");
            let named = differences.iter().any(|(name, _)| !name.ends_with("Policy"));
            assert_eq!(named, is_changed, "{kind} {properties}: {differences:?}");
        }
    }

    #[test]
    fn nothing_is_kept_after_the_test_stack() {
        let text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  Layer:\n    Type: AWS::Serverless::LayerVersion\n  Child:\n    \
                    Type: AWS::CloudFormation::Stack\n    DeletionPolicy: Retain\n    Properties: {TemplateURL: https://a/b}\n  Cache:\n    \
                    Type: AWS::ElastiCache::ServerlessCache\n    Properties: {FinalSnapshotName: last}\n";
        let (json, differences) = derived(text);
        let resources = &json["Resources"];
        assert_eq!(resources["Layer"]["Properties"], json!({"RetentionPolicy": "Delete"}));
        assert_eq!(resources["Child"]["DeletionPolicy"], "Delete");
        assert_eq!(resources["Cache"]["Properties"], json!({}));
        let of = |name: &str, line| (name.to_owned(), Some(line));
        for expected in [
            of("Layer.RetentionPolicy", 3),
            of("Child.DeletionPolicy", 7),
            of("Cache.FinalSnapshotName", 11),
            of("Cache.DeletionPolicy", 9),
        ] {
            assert!(differences.contains(&expected), "{expected:?} of {differences:?}");
        }
    }

    #[test]
    fn a_template_without_anything_to_keep_has_no_difference() {
        let text = "Resources:\n  A:\n    Type: AWS::SNS::Topic\n  B:\n    Type: AWS::RDS::DBProxy\n    Properties: {DebugLogging: true}\n";
        let (json, differences) = derived(text);
        assert_eq!(json, Template::parse("t.yaml", text).unwrap().to_json());
        assert_eq!(differences, []);
    }

    #[test]
    fn a_name_that_is_left_out_is_listed_with_its_line() {
        let text = "Resources:\n  A:\n    Type: AWS::SQS::Queue\n    DeletionPolicy: Delete\n    UpdateReplacePolicy: Delete\n    Properties:\n      \
                    QueueName: a\nOutputs:\n  O:\n    Value: a\n    Export: {Name: a}\n";
        let name = |logical_id: &str, property: Option<&str>| LeftOutName {
            logical_id: logical_id.into(),
            property: property.map(str::to_owned),
        };
        let left_out = BTreeSet::from([name("A", Some("QueueName")), name("O", None)]);
        let (json, differences) = Template::parse("t.yaml", text).unwrap().derive_test_template(&left_out);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["Resources"]["A"]["Properties"], json!({}));
        assert_eq!(json["Outputs"]["O"], json!({"Value": "a"}));
        let lines: Vec<Option<u32>> = differences.iter().map(|difference| difference.line).collect();
        assert_eq!(lines, [Some(7), Some(11)]);
    }
}
