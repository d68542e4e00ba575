//! The permissions boundary of the roles that a template makes.
//!
//! CloudFormation's role may not touch what belongs to Lockstep. A function that the same template makes has a role of its
//! own, to which that denial does not apply. So the deployed template gives the boundary `lockstep-boundary` to each
//! role and user, and CloudFormation's role may create none without it (`infra/target-account/template.yaml`).

use super::node::{Entry, Fault, Node};
use super::sections::loop_body;
use serde_json::{Map, Value, json};

/// The property that holds the boundary.
const PROPERTY: &str = "PermissionsBoundary";

/// The types that make a role or a user. A type of the serverless transform passes the boundary to the role that it makes.
const MAKERS: [&str; 4] =
    ["AWS::IAM::Role", "AWS::IAM::User", "AWS::Serverless::Function", "AWS::Serverless::StateMachine"];

/// Returns the boundary's ARN as a template writes it: the same text in every account, region and partition.
fn boundary() -> Value {
    json!({"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/lockstep-boundary"})
}

/// Sets the boundary of each role and user of `template`. Returns true if one had none.
pub(super) fn set(template: &mut Value) -> bool {
    match template.get_mut("Resources") {
        Some(Value::Object(resources)) => set_all(resources),
        _ => false,
    }
}

fn set_all(resources: &mut Map<String, Value>) -> bool {
    let mut is_changed = false;
    for (name, resource) in resources {
        is_changed |= if name.starts_with("Fn::ForEach::") {
            resource.get_mut(2).and_then(Value::as_object_mut).is_some_and(set_all)
        } else {
            resource.as_object_mut().is_some_and(set_one)
        };
    }
    is_changed
}

fn set_one(resource: &mut Map<String, Value>) -> bool {
    if !resource.get("Type").and_then(Value::as_str).is_some_and(|kind| MAKERS.contains(&kind)) {
        return false;
    }
    let properties = resource.entry("Properties").or_insert_with(|| json!({}));
    let Some(properties) = properties.as_object_mut() else { return false };
    if properties.contains_key(PROPERTY) {
        return false;
    }
    properties.insert(PROPERTY.to_owned(), boundary());
    true
}

/// Returns a fault for each role and user whose boundary is another one: CloudFormation's role may not create it.
pub(super) fn others(root: &Node) -> Vec<Fault> {
    let resources = root.get("Resources").and_then(Node::entries).unwrap_or_default();
    resources.iter().flat_map(faults).collect()
}

fn faults(entry: &Entry) -> Vec<Fault> {
    if let Some(body) = loop_body(entry) {
        return body.iter().flat_map(faults).collect();
    }
    let is_maker = entry.node.get("Type").and_then(Node::as_text).is_some_and(|kind| MAKERS.contains(&kind));
    let written = entry.node.get("Properties").and_then(|properties| properties.get(PROPERTY));
    let other = written.filter(|node| is_maker && node.to_json() != boundary());
    let fault = |node: &Node| {
        let message = format!(
            "{} has a permissions boundary of its own, but each role of a component has Lockstep's: leave the property out",
            entry.key
        );
        Fault::new(node.line, message)
    };
    other.map(fault).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::Template;
    use super::*;
    use std::collections::BTreeSet;

    fn template(text: &str) -> Template {
        Template::parse("template.yaml", text).unwrap()
    }

    const ROLE: &str = "Resources:\n  Role:\n    Type: AWS::IAM::Role\n    Properties:\n      Path: /\n";

    #[test]
    fn each_role_and_user_of_a_deployed_template_is_bounded() {
        let text = format!(
            "Transform: AWS::Serverless-2016-10-31\n{ROLE}  Plain:\n    Type: AWS::IAM::User\n  Topic:\n    Type: AWS::SNS::Topic\n  Job:\n    Type: AWS::Serverless::Function\n    \
             Properties: {{Handler: a}}\n"
        );
        let template = template(&text);
        for deployed in [template.deployed_text(), template.derive_test_template(&BTreeSet::new()).0] {
            let deployed: Value = serde_json::from_str(&deployed).unwrap();
            let resources = &deployed["Resources"];
            for bounded in ["Role", "Plain", "Job"] {
                assert_eq!(resources[bounded]["Properties"][PROPERTY], boundary(), "{bounded}");
            }
            assert_eq!(resources["Topic"].get("Properties"), None);
            assert_eq!(resources["Role"]["Properties"]["Path"], "/");
        }
    }

    #[test]
    fn a_role_made_by_a_loop_is_bounded() {
        let text = "Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Roles:\n    - Name\n    - [A, B]\n    - Role${Name}:\n        \
                    Type: AWS::IAM::Role\n        Properties: {}\n";
        let deployed: Value = serde_json::from_str(&template(text).deployed_text()).unwrap();
        let body = &deployed["Resources"]["Fn::ForEach::Roles"][2];
        assert_eq!(body["Role${Name}"]["Properties"][PROPERTY], boundary());
        let other = text.replace("Properties: {}", "Properties: {PermissionsBoundary: arn:mine}");
        assert_eq!(template(&other).lint(&[])[0].line, Some(8));
    }

    #[test]
    fn a_template_without_roles_is_deployed_as_it_is_written() {
        let text = "# A comment.\nResources:\n  Topic:\n    Type: AWS::SNS::Topic\n";
        assert_eq!(template(text).deployed_text(), text);
        let bounded = format!("{ROLE}      PermissionsBoundary: {}\n", boundary());
        assert_eq!(template(&bounded).deployed_text(), bounded);
        assert!(template(&bounded).lint(&[]).is_empty());
    }

    #[test]
    fn another_boundary_is_refused_with_its_line() {
        let text = format!("{ROLE}      PermissionsBoundary: arn:aws:iam::222222222222:policy/mine\n");
        let [problem] = template(&text).lint(&[]).try_into().unwrap();
        assert_eq!(problem.line, Some(6));
        assert!(
            problem.message.contains("Role has a permissions boundary of its own"),
            "{}",
            problem.message
        );
    }
}
