//! Roles that a template passes to services.

use super::arn::{On, certainty, made_name, role};
use super::values::{ANY, Values, collapsed, function, segments};
use crate::model::permission::Certainty;
use crate::stacks::template::node::Node;

/// Maximum number of references that are followed to a role.
const DEPTH_MAX: usize = 12;

/// Returns the ARNs of the roles that the property at `pointer` passes; an empty list if the named resource has no
/// role.
pub(super) fn passed(values: &Values<'_>, properties: &Node, pointer: &str) -> Vec<On> {
    let nodes = values.nodes(properties, &segments(pointer));
    if nodes.is_empty() {
        return vec![any_role()];
    }
    let mut roles: Vec<On> = nodes.into_iter().flat_map(|node| roles_of(values, node, DEPTH_MAX)).collect();
    roles.sort();
    roles.dedup();
    roles
}

fn roles_of(values: &Values<'_>, node: &Node, depth: usize) -> Vec<On> {
    let Some(depth) = depth.checked_sub(1) else { return vec![any_role()] };
    if let Some(items) = node.items() {
        return items.iter().flat_map(|item| roles_of(values, item, depth)).collect();
    }
    if let Some(id) = values.referred(node)
        && let Some(declaration) = values.resource(id)
    {
        return roles_of_resource(values, id, declaration, depth);
    }
    match node.entries() {
        Some(entries) if function(node).is_none() => {
            let inner: Vec<&Node> =
                entries.iter().flat_map(|entry| references(values, &entry.node)).collect();
            match inner.is_empty() {
                true => vec![any_role()],
                false => inner.into_iter().flat_map(|node| roles_of(values, node, depth)).collect(),
            }
        }
        _ => values.texts(node).iter().map(|text| open(named_role(text))).collect(),
    }
}

/// Returns the roles behind a resource of the template: the role itself, or the one in an instance profile or a launch
/// template.
fn roles_of_resource(values: &Values<'_>, id: &str, declaration: &Node, depth: usize) -> Vec<On> {
    let path: &[&str] = match declaration.get("Type").and_then(Node::as_text) {
        Some("AWS::IAM::Role") => return declared_role(values, id, declaration),
        Some("AWS::IAM::InstanceProfile") => &["Roles", ANY],
        Some("AWS::EC2::LaunchTemplate") => &["LaunchTemplateData", "IamInstanceProfile"],
        Some("AWS::AutoScaling::LaunchConfiguration") => &["IamInstanceProfile"],
        _ => return vec![any_role()],
    };
    let nodes = declaration.get("Properties").map(|node| values.nodes(node, path)).unwrap_or_default();
    nodes.into_iter().flat_map(|node| roles_of(values, node, depth)).collect()
}

/// Returns the references of a value to resources of the template.
fn references<'n>(values: &Values<'_>, node: &'n Node) -> Vec<&'n Node> {
    if values.referred(node).is_some() {
        return vec![node];
    }
    let inner = node.items().into_iter().flatten();
    let inner = inner.chain(node.entries().into_iter().flatten().map(|entry| &entry.node));
    inner.flat_map(|node| references(values, node)).collect()
}

fn any_role() -> On {
    open(role(ANY))
}

/// Returns the ARNs of a role of the template: by its name, or by the name that CloudFormation derives from its logical
/// id.
fn declared_role(values: &Values<'_>, id: &str, declaration: &Node) -> Vec<On> {
    let texts = |key: &str| {
        let nodes = declaration.get("Properties").map(|node| values.nodes(node, &[key])).unwrap_or_default();
        nodes.into_iter().flat_map(|node| values.texts(node)).collect::<Vec<String>>()
    };
    let path = match texts("Path").as_slice() {
        [] => "/".to_owned(),
        [path] => path.clone(),
        _ => "/*/".to_owned(),
    };
    let path = path.trim_start_matches('/');
    match texts("RoleName").as_slice() {
        [] => vec![(role(&format!("{path}{}", made_name("AWS::IAM::Role", id))), Certainty::Made)],
        names => names.iter().map(|name| open(role(&format!("{path}{name}")))).collect(),
    }
}

/// Returns the ARN with its certainty, for a role whose name the stack does not generate.
fn open(arn: String) -> On {
    let certainty = certainty(&arn);
    (arn, certainty)
}

/// Returns the ARN of a role that is given by its ARN or by its name.
fn named_role(text: &str) -> String {
    match text {
        arn if arn.starts_with("arn:") && arn.contains(":role/") => collapsed(arn),
        // The name of an instance profile does not reveal its role.
        other if other.contains(':') && !other.starts_with("${") => role(ANY),
        other if other.contains("${") => role(ANY),
        name => role(name.trim_start_matches('/')),
    }
}
