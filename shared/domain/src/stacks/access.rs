//! Access that two templates give: policy statements, principals, network rules and settings of public access.
//!
//! The lines of each resource are compared as sets, so that a moved statement is no change. The search does not know
//! resource types. It finds each statement, each rule with an address, and each property whose name is that of a
//! setting of access, wherever it is. So a type that AWS adds later is searched too.

mod render;

use crate::model::resource_change::{Change, NESTED_STACK};
use crate::records::{AccessChange, ShownValue};
use crate::stacks::template::Template;
use crate::stacks::template::macros::MacroUse;
use render::{Scope, sorted};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of lines in a question, which a record of limited size holds.
const LINES_MAX: usize = 100;

/// Maximum length of a line, in characters.
const LINE_CHARS: usize = 400;

/// Types whose every property decides who has access.
const WHOLE: &[&str] = &[
    "AWS::EC2::VPCEndpointServicePermissions",
    "AWS::EC2::VPCPeeringConnection",
    "AWS::Events::EventBusPolicy",
    "AWS::IAM::AccessKey",
    "AWS::IAM::UserToGroupAddition",
    "AWS::Lambda::LayerVersionPermission",
    "AWS::Lambda::Permission",
    "AWS::RAM::ResourceShare",
    "AWS::SSO::Assignment",
];

/// Properties of a network rule that name the other side. The whole rule is one line.
const PEERS: &[&str] = &[
    "CIDRIP",
    "CidrBlock",
    "CidrIp",
    "CidrIpv6",
    "DestinationCidrBlock",
    "DestinationIpv6CidrBlock",
    "DestinationPrefixListId",
    "DestinationSecurityGroupId",
    "EC2SecurityGroupId",
    "Ipv6CidrBlock",
    "SourcePrefixListId",
    "SourceSecurityGroupId",
    "SourceSecurityGroupName",
];

/// Properties that give access, or open something to the public, by their value.
const SETTINGS: &[&str] = &[
    "AccessControl",
    "AllowedPrincipals",
    "AssociatePublicIpAddress",
    "AuthType",
    "AuthorizationType",
    "AuthorizerType",
    "BlockPublicAcls",
    "BlockPublicPolicy",
    "DefaultAuthorizer",
    "DisableExecuteApiEndpoint",
    "EndpointPrivateAccess",
    "EndpointPublicAccess",
    "ExternalId",
    "FunctionUrlAuthType",
    "GatewayId",
    "Groups",
    "HttpTokens",
    "IamInstanceProfile",
    "IgnorePublicAcls",
    "InternetGatewayId",
    "InternetFacing",
    "ManagedPolicies",
    "ManagedPolicyArns",
    "MapPublicIpOnLaunch",
    "ObjectOwnership",
    "OriginAccessIdentity",
    "PermissionsBoundary",
    "PublicAccess",
    "PublicAccessCidrs",
    "PubliclyAccessible",
    "RestrictPublicBuckets",
    "Role",
    "RoleArn",
    "Roles",
    "Scheme",
    "Users",
    "WhitelistedIps",
];

/// A template with its parameters' values, as a stack runs it.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Logical ids of the nested stacks down to this one, each with a dot behind it; empty for the stack itself.
    pub path: &'a str,
    /// The template.
    pub template: &'a Template,
    /// Value of each parameter.
    pub parameters: &'a BTreeMap<String, ShownValue>,
}

/// The access that changes, and what could not be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessReview {
    /// The lines that are new or gone, in the order of the resources.
    pub changes: Vec<AccessChange>,
    /// Sentences about what is not shown.
    pub unseen: Vec<String>,
}

/// Returns the access that an update changes. `old` are the templates that the stack and its nested stacks run, empty for a
/// new stack, and `new` those that they get, as far as they are known. `changes` are those of the change set.
pub fn review(old: &[Side<'_>], new: &[Side<'_>], changes: &[Change]) -> AccessReview {
    let all = |sides: &[Side<'_>]| -> BTreeSet<Line> { sides.iter().flat_map(|side| lines(*side)).collect() };
    let (before, after) = (all(old), all(new));
    let gone = before.difference(&after).map(|line| line.change(false));
    let mut found: Vec<AccessChange> =
        gone.chain(after.difference(&before).map(|line| line.change(true))).collect();
    found.sort();
    let mut unseen = unseen(new, changes);
    if found.len() > LINES_MAX {
        let more = found.len() - LINES_MAX;
        unseen.push(format!("{more} more changes of access are not shown: read the template"));
        found.truncate(LINES_MAX);
    }
    AccessReview { changes: found, unseen }
}

fn unseen(new: &[Side<'_>], changes: &[Change]) -> Vec<String> {
    let with_macros = new.iter().filter(|side| MacroUse::of(side.template.root()) != MacroUse::All);
    let mut unseen: Vec<String> = with_macros
        .map(|side| {
            let of = if side.path.is_empty() { String::new() } else { format!(" of {}", stack(side.path)) };
            format!("the template{of} uses a macro: the access that it adds is not shown")
        })
        .collect();
    unseen.dedup();
    let is_shown = |nested: &Change| new.iter().any(|side| stack(side.path) == nested.logical_id);
    let nested = changed_nested(changes).filter(|nested| nested.action != "Remove" && !is_shown(nested));
    unseen.extend(nested.map(|nested| {
        format!(
            "{} is a nested stack whose template is not in the release: the access in it is not shown",
            nested.logical_id
        )
    }));
    unseen
}

/// Returns the changes of nested stacks that change more than tags.
pub fn changed_nested(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.resource_type == NESTED_STACK && !change.tags_only)
}

/// Returns the logical id of a nested stack, with those around it.
fn stack(path: &str) -> &str {
    path.strip_suffix('.').unwrap_or(path)
}

/// A line about access.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    resource: String,
    resource_type: String,
    text: String,
}

impl Line {
    fn change(&self, is_new: bool) -> AccessChange {
        let (resource, resource_type) = (self.resource.clone(), self.resource_type.clone());
        AccessChange { resource, resource_type, is_new, line: shortened(&self.text) }
    }
}

/// Returns the text within the limit of a line. Says how much is missing.
fn shortened(text: &str) -> String {
    let chars = text.chars().count();
    if chars <= LINE_CHARS {
        return text.to_owned();
    }
    let shown: String = text.chars().take(LINE_CHARS).collect();
    format!("{shown} … and {} more characters: read the template", chars - LINE_CHARS)
}

/// Returns the lines of every resource that the stack has.
fn lines(side: Side<'_>) -> BTreeSet<Line> {
    let template = side.template.to_json();
    let scope = Scope { template: &template, parameters: side.parameters };
    let mut found = BTreeSet::new();
    let none = Map::new();
    for (id, resource) in template["Resources"].as_object().unwrap_or(&none) {
        let condition = resource["Condition"].as_str();
        if condition.is_some_and(|name| scope.condition(name) == Some(false)) {
            continue;
        }
        let kind = resource["Type"].as_str().unwrap_or_default();
        let mut search = Search { scope, path: Vec::new(), found: Vec::new() };
        if WHOLE.contains(&kind) {
            search.whole(&resource["Properties"]);
        } else {
            search.value(&resource["Properties"]);
        }
        found.extend(search.found.into_iter().map(|text| Line {
            resource: format!("{}{id}", side.path),
            resource_type: kind.to_owned(),
            text,
        }));
    }
    found
}

/// A search through the properties of a resource.
struct Search<'a> {
    scope: Scope<'a>,
    path: Vec<String>,
    found: Vec<String>,
}

impl Search<'_> {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(map) => self.object(map),
            // Some types take a policy as a text.
            Value::String(text) if text.trim_start().starts_with('{') && text.contains("Effect") => {
                match serde_json::from_str::<Value>(text) {
                    Ok(policy) => self.value(&policy),
                    Err(_) => self.line(text),
                }
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn object(&mut self, map: &Map<String, Value>) {
        if let (1, Some(Value::Array(branches))) = (map.len(), map.get("Fn::If")) {
            return self.branches(branches);
        }
        // A policy may be a text that a function makes.
        if let Some(Value::String(text)) = map.get("Fn::Sub").filter(|_| map.len() == 1) {
            return self.value(&Value::String(text.clone()));
        }
        if map.contains_key("Effect") && (map.contains_key("Action") || map.contains_key("NotAction")) {
            return self.line(&statement(self.scope, map));
        }
        if PEERS.iter().any(|peer| map.contains_key(*peer)) {
            let rule = self.scope.text(&Value::Object(without_prose(map)));
            return self.line(&rule);
        }
        for (key, value) in sorted(map) {
            self.path.push(key.to_owned());
            if SETTINGS.contains(&key) {
                let text = self.scope.text(value);
                self.line(&text);
            } else {
                self.value(value);
            }
            self.path.pop();
        }
    }

    fn branches(&mut self, branches: &[Value]) {
        let [Value::String(name), yes, no] = branches else { return };
        match self.scope.condition(name) {
            Some(true) => self.value(yes),
            Some(false) => self.value(no),
            None => {
                self.path.push(format!("if {name}"));
                self.value(yes);
                self.path.pop();
                self.path.push(format!("unless {name}"));
                self.value(no);
                self.path.pop();
            }
        }
    }

    /// Adds every property as a line.
    fn whole(&mut self, properties: &Value) {
        for (key, value) in properties.as_object().into_iter().flat_map(sorted) {
            self.path.push(key.to_owned());
            let text = self.scope.text(value);
            self.line(&text);
            self.path.pop();
        }
    }

    fn line(&mut self, text: &str) {
        let path: Vec<&str> =
            self.path.iter().map(String::as_str).filter(|part| *part != "Statement").collect();
        self.found.push(match path.join(".").as_str() {
            "" => text.to_owned(),
            path => format!("{path}: {text}"),
        });
    }
}

/// Returns a statement as a sentence. Its `Sid` changes nothing.
fn statement(scope: Scope<'_>, map: &Map<String, Value>) -> String {
    let part = |key: &str| map.get(key).map(|value| one_or_many(scope, value));
    let mut text = scope.text(&map["Effect"]);
    for (key, word) in [("Action", ""), ("NotAction", "everything but ")] {
        if let Some(actions) = part(key) {
            text.push_str(&format!(" {word}{actions}"));
        }
    }
    for (key, word) in [
        ("Resource", "on"),
        ("NotResource", "on everything but"),
        ("Principal", "to"),
        ("NotPrincipal", "to everyone but"),
        ("Condition", "if"),
    ] {
        if let Some(value) = part(key) {
            text.push_str(&format!(" {word} {value}"));
        }
    }
    let known = [
        "Action",
        "Condition",
        "Effect",
        "NotAction",
        "NotPrincipal",
        "NotResource",
        "Principal",
        "Resource",
        "Sid",
    ];
    for (key, value) in sorted(map).into_iter().filter(|(key, _)| !known.contains(key)) {
        text.push_str(&format!(" {key}: {}", scope.text(value)));
    }
    text
}

/// Returns a value or the items of a list, in order: their order means nothing in a policy.
fn one_or_many(scope: Scope<'_>, value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: BTreeSet<String> = items.iter().map(|item| scope.text(item)).collect();
            items.into_iter().collect::<Vec<_>>().join(", ")
        }
        other => scope.text(other),
    }
}

/// Returns a rule without its description and its tags.
fn without_prose(map: &Map<String, Value>) -> Map<String, Value> {
    let prose = |key: &str| ["Description", "Tags"].contains(&key);
    map.iter().filter(|(key, _)| !prose(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests;
