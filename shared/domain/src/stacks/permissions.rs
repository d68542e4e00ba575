//! Permissions that a template needs from CloudFormation's role, by resource and line.
//!
//! A permission is *required* if the type always needs it, or if a property that is set needs it. It is *conditional*
//! if that depends on an unknown value. Anything outside the table is *unknown* and listed as such. This module reads
//! no policy: only AWS can decide if a role has a permission (see [`lack`]).

mod arn;
pub mod missing;
mod nested;
pub mod policy;
mod roles;
mod table;
mod values;

pub use nested::NestedTemplates;
pub use table::{
    Action, Properties, ResourceType, TABLE_BYTES_MAX, Table, Tagging, Touch, UnreadableTable, When,
    excerpt_key, table_digest, table_key,
};

use crate::model::permission::Certainty;
use crate::model::permission::{Condition, Level, Need};
use crate::stacks::template::Template;
use crate::stacks::template::macros::MacroUse;
use crate::stacks::template::node::{Entry, Node, Value};
use arn::{Arns, On, certainty, passed_to};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use values::{ANY, Presence, Values, function, resources_of, segments, unknown_condition};

/// Values of a deployment beside its template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateContext {
    /// Known values of the parameters.
    pub parameters: BTreeMap<String, String>,
    /// Name of the stack.
    pub stack: Option<String>,
    /// Account id.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Partition, such as `aws`.
    pub partition: Option<String>,
}

/// A resource whose permissions are unknown, or only partly known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unknown {
    /// Line of the resource in the template.
    pub line: u32,
    /// Logical id of the resource; empty for the template itself.
    pub resource: String,
    /// Type of the resource.
    #[serde(rename = "type")]
    pub kind: String,
    /// Reason.
    pub because: String,
}

/// Permissions that a template needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// Permissions, in line order.
    pub needs: Vec<Need>,
    /// Resources with unknown permissions.
    pub unknown: Vec<Unknown>,
}

impl Needs {
    /// Returns the permissions of this level.
    pub fn of(&self, level: Level) -> impl Iterator<Item = &Need> {
        self.needs.iter().filter(move |need| need.level == level)
    }
}

/// Returns the permissions that a template needs from its creation to its deletion, as far as they are known. The
/// templates of nested stacks are not.
pub fn needs(template: &Template, table: &Table, known: &TemplateContext) -> Needs {
    needs_with_nested(template, table, known, &|_| Vec::new())
}

/// Returns the permissions that a template needs, as [`needs`], with those of the nested stacks whose templates
/// `nested` knows.
pub fn needs_with_nested(
    template: &Template,
    table: &Table,
    known: &TemplateContext,
    nested: &NestedTemplates<'_>,
) -> Needs {
    let values = Values::new(template, table, known);
    let mut found = Collector {
        values: &values,
        table,
        known,
        nested,
        needs: BTreeMap::new(),
        below: Needs::default(),
        unknown: Vec::new(),
    };
    if MacroUse::of(template.root()) != MacroUse::All {
        let because = "the template uses macros: what they add to it is not known".to_owned();
        found.unknown.push(Unknown { line: 1, resource: String::new(), kind: String::new(), because });
    }
    for (entry, _) in resources_of(template.root()) {
        found.resource(entry);
    }
    let mut needs: Vec<Need> = found.needs.into_values().chain(found.below.needs).collect();
    needs.sort();
    found.unknown.extend(found.below.unknown);
    found.unknown.sort();
    Needs { needs, unknown: found.unknown }
}

/// Key of a need: resource, action, ARN, condition. Only the strongest level of each key is kept.
type Key = (String, String, String, Option<Condition>);

/// An action that a resource needs.
struct Wanted<'r> {
    action: &'r str,
    level: Level,
    because: String,
    /// True if the action tags the resource.
    tags: bool,
}

struct Collector<'a, 't> {
    values: &'a Values<'a>,
    table: &'a Table,
    known: &'a TemplateContext,
    nested: &'a NestedTemplates<'t>,
    needs: BTreeMap<Key, Need>,
    /// Needs of nested stacks.
    below: Needs,
    unknown: Vec<Unknown>,
}

/// Types that CloudFormation handles itself, without a call to another service.
const OF_CLOUDFORMATION: [&str; 3] =
    ["AWS::CloudFormation::WaitCondition", "AWS::CloudFormation::WaitConditionHandle", "AWS::CDK::Metadata"];

/// Types whose name CloudFormation derives from the stack's name and the logical id, and for which a wide pattern is
/// dangerous.
const MADE_BY_STACK: [&str; 3] = ["AWS::IAM::Role", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy"];

/// The current resource.
struct ResourceUse<'n> {
    entry: &'n Entry,
    kind: &'n str,
    properties: &'n Node,
    /// Condition that decides if the resource exists; `None` if it is known to exist.
    condition: Option<&'n str>,
}

impl ResourceUse<'_> {
    /// Returns the presence of a property, or of the attribute that a word with `@` stands for.
    fn presence(&self, values: &Values<'_>, pointer: &str) -> Presence {
        let attribute = |name: &str| self.entry.node.get(name);
        match pointer {
            "@UpdatePolicy" if attribute("UpdatePolicy").is_some() => Presence::Set,
            "@Snapshot" => {
                let policies = ["DeletionPolicy", "UpdateReplacePolicy"];
                let set = |node: &Node| values.texts(node);
                let texts: Vec<String> = policies.into_iter().filter_map(attribute).flat_map(set).collect();
                match () {
                    () if texts.iter().any(|text| text == "Snapshot") => Presence::Set,
                    () if texts.iter().any(|text| text == ANY) => {
                        Presence::Maybe("a policy is not known".into())
                    }
                    () => Presence::Unset,
                }
            }
            attribute if attribute.starts_with('@') => Presence::Unset,
            pointer => values.presence(self.properties, &segments(pointer)),
        }
    }
}

impl Collector<'_, '_> {
    fn resource(&mut self, entry: &Entry) {
        let node = &entry.node;
        let Some(kind) = node.get("Type").and_then(Node::as_text) else { return };
        let condition = node.get("Condition").and_then(Node::as_text);
        let holds = condition.map_or(Some(true), |name| self.values.condition(name));
        if holds == Some(false) {
            return;
        }
        let nothing = Node::new(entry.line, Value::Map(Vec::new()));
        let properties = node.get("Properties").unwrap_or(&nothing);
        let place = ResourceUse { entry, kind, properties, condition: condition.filter(|_| holds.is_none()) };
        self.references(&place, node);
        let custom = kind.starts_with("Custom::") || kind == "AWS::CloudFormation::CustomResource";
        if custom {
            return self.custom(&place);
        }
        if kind == crate::model::resource_change::NESTED_STACK {
            self.nested_stack(&place);
        }
        match self.table.types.get(kind) {
            _ if OF_CLOUDFORMATION.contains(&kind) => {}
            Some(row) if row.is_known() => self.row(&place, row),
            _ => self.unknown(&place, "AWS publishes no permissions for this type"),
        }
    }

    /// Adds the needs of a nested stack. They are conditional if it may not exist.
    fn nested_stack(&mut self, place: &ResourceUse<'_>) {
        let Some(theirs) = nested::needs_of_nested(place, self.values, self.table, self.known, self.nested)
        else {
            return self
                .unknown(place, "the template of the nested stack is not read: what it needs is not known");
        };
        let level = |need: Need| match place.condition {
            Some(condition) => Need {
                level: Level::Conditional,
                because: format!("{}; {}", unknown_condition(condition), need.because),
                ..need
            },
            None => need,
        };
        self.below.needs.extend(theirs.needs.into_iter().map(level));
        self.below.unknown.extend(theirs.unknown);
    }

    fn row(&mut self, place: &ResourceUse<'_>, row: &ResourceType) {
        let arns = Arns { values: self.values, place, row };
        for Wanted { action, level, because, tags } in self.wanted(place, row) {
            let by_pointer = action == "iam:PassRole" && !row.pass_role.is_empty()
                || action == "iam:CreateServiceLinkedRole";
            if !by_pointer {
                for on in arns.of(action, self.table.actions.get(action), tags) {
                    self.add(place, action, on, level, &because, None);
                }
            }
        }
        self.pass_roles(place, row);
        self.service_linked_roles(place, row);
    }

    /// Returns the actions that a resource needs, with the reason for each.
    fn wanted<'r>(&self, place: &ResourceUse<'_>, row: &'r ResourceType) -> Vec<Wanted<'r>> {
        let mut wanted = Vec::new();
        let mut want = |actions: &mut dyn Iterator<Item = &'r str>, level, because: &str, tags| {
            let because = because.to_owned();
            wanted.extend(actions.map(|action| Wanted { action, level, because: because.clone(), tags }));
        };
        want(&mut row.always(), Level::Required, "the type always needs it", false);
        if let Some(tagging) = &row.tagging {
            let mut actions = tagging.actions.iter().map(String::as_str);
            want(&mut actions, Level::Required, "the stack is tagged", true);
        }
        for when in &row.when {
            let (level, because) = match place.presence(self.values, &when.property) {
                Presence::Unset => continue,
                Presence::Set => (Level::Required, format!("{} is set", when.property)),
                Presence::Maybe(why) => (Level::Conditional, format!("{} may be set: {why}", when.property)),
            };
            want(&mut when.actions.iter().map(String::as_str), level, &because, false);
        }
        let because = "AWS lists it as optional, and which property needs it is not known";
        want(&mut row.optional().map(String::as_str), Level::Conditional, because, false);
        wanted
    }

    fn pass_roles(&mut self, place: &ResourceUse<'_>, row: &ResourceType) {
        for pointer in &row.pass_role {
            let (level, because) = match place.presence(self.values, pointer) {
                Presence::Unset => continue,
                Presence::Set => (Level::Required, format!("{pointer} passes a role")),
                Presence::Maybe(why) => (Level::Conditional, format!("{pointer} may pass a role: {why}")),
            };
            for on in roles::passed(self.values, place.properties, pointer) {
                for service in passed_to(row) {
                    let on = on.clone();
                    let condition = service.map(|service| Condition {
                        key: "iam:PassedToService".to_owned(),
                        value: service.clone(),
                    });
                    self.add(place, "iam:PassRole", on, level, &because, condition);
                }
            }
        }
    }

    /// Adds the permission to create a service-linked role, which the first resource of some types in an account needs.
    fn service_linked_roles(&mut self, place: &ResourceUse<'_>, row: &ResourceType) {
        let set = |property: &str| place.presence(self.values, property) != Presence::Unset;
        let by_property =
            row.when.iter().filter(|when| set(&when.property)).filter_map(|when| when.service.as_ref());
        let services: BTreeSet<&String> = row.service_linked_role.iter().chain(by_property).collect();
        for service in services {
            let on = (arn::role(&format!("aws-service-role/{service}/*")), Certainty::Open);
            let because = "an account without the service-linked role needs it once";
            let condition = Condition { key: "iam:AWSServiceName".to_owned(), value: service.clone() };
            self.add(place, "iam:CreateServiceLinkedRole", on, Level::Conditional, because, Some(condition));
        }
    }

    /// Adds the call of a custom resource to the function or topic behind its token.
    fn custom(&mut self, place: &ResourceUse<'_>) {
        let tokens = self.values.nodes(place.properties, &["ServiceToken"]);
        if tokens.is_empty() {
            return self.unknown(place, "the custom resource has no ServiceToken");
        }
        for token in tokens {
            let declared = self.values.referred(token).and_then(|id| self.values.resource(id));
            let kind = declared.and_then(|node| node.get("Type")).and_then(Node::as_text);
            for text in self.values.texts(token) {
                let lambda = kind == Some("AWS::Lambda::Function") || text.contains(":lambda:");
                let sns = kind == Some("AWS::SNS::Topic") || text.contains(":sns:");
                let arn = |start: &str| match text.starts_with("arn:") {
                    true => text.clone(),
                    false => values::collapsed(&format!("{start}{text}")),
                };
                let function = arn("arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:");
                let topic = arn("arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:");
                let level = if lambda == sns { Level::Conditional } else { Level::Required };
                let because = match level {
                    Level::Required => "the custom resource calls its service token",
                    Level::Conditional => "the service token is a function or a topic; which is not known",
                };
                let both = [("lambda:InvokeFunction", function, lambda), ("sns:Publish", topic, sns)];
                for (action, arn, is_it) in both {
                    if is_it || lambda == sns {
                        let arn = if lambda == sns && arn == text { ANY.to_owned() } else { arn };
                        let certainty = certainty(&arn);
                        self.add(place, action, (arn, certainty), level, because, None);
                    }
                }
            }
        }
    }

    /// Adds the permissions for dynamic references, which CloudFormation resolves with the rights of the stack's role.
    /// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>
    fn references(&mut self, place: &ResourceUse<'_>, node: &Node) {
        let texts: Vec<String> = match (&node.value, function(node)) {
            (Value::Text(text), _) => vec![text.clone()],
            (Value::List(items), _) => return items.iter().for_each(|item| self.references(place, item)),
            (Value::Map(_), Some(("Fn::Sub", argument))) => {
                let first = argument.items().and_then(|items| items.first());
                argument.as_text().or(first.and_then(Node::as_text)).map(str::to_owned).into_iter().collect()
            }
            (Value::Map(entries), _) => {
                return entries.iter().for_each(|entry| self.references(place, &entry.node));
            }
            _ => return,
        };
        for text in texts {
            for rest in text.split("{{resolve:").skip(1) {
                match rest.split_once("}}") {
                    Some((reference, _)) => self.reference(place, reference),
                    // The text joined to the reference is unknown.
                    None => self.reference(place, &format!("{rest}${{")),
                }
            }
        }
    }

    fn reference(&mut self, place: &ResourceUse<'_>, reference: &str) {
        let (service, rest) = reference.split_once(':').unwrap_or((reference, ""));
        let name = cut_unknown(rest.split(':').next().unwrap_or_default());
        let own = |service: &str, rest: &str| {
            format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{rest}")
        };
        let arn = match service {
            "secretsmanager" if rest.starts_with("arn:") => {
                let parts: Vec<&str> = rest.splitn(8, ':').take(7).collect();
                cut_unknown(&parts.join(":"))
            }
            "secretsmanager" => own(service, &format!("secret:{name}-*")),
            _ => own("ssm", &format!("parameter/{}", name.trim_start_matches('/'))),
        };
        let arn = values::collapsed(&arn);
        let because = format!("a dynamic reference to {service} is resolved");
        for action in self.table.references.get(service).into_iter().flatten() {
            let on = (arn.clone(), certainty(&arn));
            self.add(place, action, on, Level::Required, &because, None);
        }
        if service == "ssm-secure" {
            let (key, because) = (own("kms", "key/*"), "the SecureString may have a key of its own");
            self.add(place, "kms:Decrypt", (key, Certainty::Open), Level::Conditional, because, None);
        }
    }

    fn add(
        &mut self,
        place: &ResourceUse<'_>,
        action: &str,
        (arn, certainty): On,
        level: Level,
        because: &str,
        condition: Option<Condition>,
    ) {
        let (level, because) = match place.condition {
            Some(condition) => (Level::Conditional, format!("{}; {because}", unknown_condition(condition))),
            None => (level, because.to_owned()),
        };
        let arn = self.known.fill(&arn);
        let need = Need {
            line: place.entry.line,
            resource: place.entry.key.clone(),
            kind: place.kind.to_owned(),
            action: action.to_owned(),
            arn: arn.clone(),
            certainty,
            level,
            because,
            condition: condition.clone(),
        };
        let key = (place.entry.key.clone(), action.to_owned(), arn, condition);
        match self.needs.get(&key) {
            Some(known) if known.level <= level => {}
            _ => drop(self.needs.insert(key, need)),
        }
    }

    fn unknown(&mut self, place: &ResourceUse<'_>, because: &str) {
        self.unknown.push(Unknown {
            line: place.entry.line,
            resource: place.entry.key.clone(),
            kind: place.kind.to_owned(),
            because: because.to_owned(),
        });
    }
}

impl TemplateContext {
    /// Replaces the account, the region and the partition in an ARN if they are known.
    fn fill(&self, arn: &str) -> String {
        let known = [
            ("${AWS::AccountId}", &self.account),
            ("${AWS::Region}", &self.region),
            ("${AWS::Partition}", &self.partition),
        ];
        known.into_iter().fold(arn.to_owned(), |arn, (pseudo, value)| match value {
            Some(value) => arn.replace(pseudo, value),
            None => arn,
        })
    }
}

/// Truncates a text at the start of its first unknown part.
fn cut_unknown(text: &str) -> String {
    match text.find("${").or_else(|| text.find("&{")) {
        Some(at) => format!("{}*", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
