//! Resources of a stack, the desired state of a template, and the difference.

use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::stacks::change_set_review::ProposedChange;
use lockstep_domain::stacks::plan::LiveResource;
use lockstep_domain::stacks::template::Template;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Properties that cannot be changed in place. A sample of the reference's "Update requires: Replacement".
const CREATE_ONLY: [&str; 7] =
    ["BucketName", "FifoQueue", "KeySchema", "LogGroupName", "QueueName", "TableName", "TopicName"];

/// Desired state of a resource, with its parameters substituted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) kind: String,
    pub(super) properties: Map<String, Value>,
    deletion_policy: String,
    replace_policy: String,
    /// True if its name is a literal in the template: CloudFormation imports by no other name.
    has_literal_name: bool,
}

/// A template with its parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Design {
    pub(super) resources: BTreeMap<String, Rc<Wanted>>,
    pub(super) outputs: BTreeMap<String, Value>,
    /// The export names of the outputs, by the names of the outputs.
    pub(super) exports: BTreeMap<String, String>,
    /// The names of the exports of other stacks that it uses.
    pub(super) imported_exports: BTreeSet<String>,
    pub(super) template: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) tags: Vec<(String, String)>,
    /// True if the comparison uses the resources' actual state, not CloudFormation's record.
    pub(super) reverts_drift: bool,
    /// The physical ids of existing resources to import, by their logical ids.
    pub(super) imports: BTreeMap<String, String>,
}

/// A resource that exists or existed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resource {
    pub(super) wanted: Rc<Wanted>,
    pub(super) physical_id: String,
    pub(super) status: String,
    /// The properties that were changed outside of CloudFormation, with their values.
    pub(super) drift: BTreeMap<String, Value>,
}

/// The properties that give a resource a name of its own, unique in its type.
const NAMES: [(&str, &str); 14] = [
    ("AWS::DynamoDB::Table", "TableName"),
    ("AWS::Events::EventBus", "Name"),
    ("AWS::Events::Rule", "Name"),
    ("AWS::IAM::InstanceProfile", "InstanceProfileName"),
    ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
    ("AWS::IAM::Role", "RoleName"),
    ("AWS::KMS::Alias", "AliasName"),
    ("AWS::Lambda::Function", "FunctionName"),
    ("AWS::Logs::LogGroup", "LogGroupName"),
    ("AWS::S3::Bucket", "BucketName"),
    ("AWS::SNS::Topic", "TopicName"),
    ("AWS::SQS::Queue", "QueueName"),
    ("AWS::SSM::Parameter", "Name"),
    ("AWS::StepFunctions::StateMachine", "StateMachineName"),
];

fn name_property(kind: &str) -> Option<&'static str> {
    NAMES.iter().find(|(named, _)| *named == kind).map(|(_, property)| *property)
}

impl Wanted {
    /// Returns the type and the name that the template gives the resource, if it does.
    pub(super) fn name(&self) -> Option<(String, String)> {
        let name = self.properties.get(name_property(&self.kind)?)?.as_str()?;
        Some((self.kind.clone(), name.to_owned()))
    }

    /// Returns true if CloudFormation looks for an existing resource of its name.
    pub(super) fn has_literal_name(&self) -> bool {
        self.has_literal_name
    }

    /// Returns true if its deletion policy retains it.
    pub(super) fn is_retained(&self) -> bool {
        self.deletion_policy.starts_with("Retain")
    }
}

impl Resource {
    pub(super) fn is_retained(&self) -> bool {
        self.wanted.is_retained()
    }

    pub(super) fn exists(&self) -> bool {
        !self.physical_id.is_empty() && self.status != "DELETE_COMPLETE"
    }
}

/// Resources of a stack.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    pub(super) design: Rc<Design>,
    pub(super) resources: BTreeMap<String, Resource>,
}

impl Design {
    /// Reads a template.
    pub(super) fn read(
        template: &str,
        parameters: &BTreeMap<String, String>,
        tags: &[(String, String)],
    ) -> Result<Self, String> {
        let read = Template::parse("template", template)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        let json = read.to_json();
        if let Some(unknown) = parameters.keys().find(|name| !read.parameters().contains_key(*name)) {
            return Err(format!("Parameters: [{unknown}] do not exist in the template"));
        }
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        for name in read.parameters().keys() {
            let given = parameters.get(name).map(|value| Value::from(value.clone()));
            let default = json["Parameters"][name].get("Default").cloned();
            let value = given.or(default).ok_or_else(|| format!("Parameters: [{name}] must have values"))?;
            values.insert(name.clone(), value);
        }
        let resources = read.resources().iter().map(|(id, resource)| {
            let mut properties = json["Resources"][id].get("Properties").cloned().unwrap_or_default();
            let name = name_property(&resource.kind).and_then(|property| properties.get(property));
            let has_literal_name = name.is_some_and(Value::is_string);
            fill_in(&mut properties, &values);
            let policy = |given: &Option<String>| given.clone().unwrap_or_else(|| "Delete".to_owned());
            let wanted = Wanted {
                kind: resource.kind.clone(),
                properties: properties.as_object().cloned().unwrap_or_default(),
                deletion_policy: policy(&resource.deletion_policy),
                replace_policy: policy(&resource.update_replace_policy),
                has_literal_name,
            };
            (id.clone(), Rc::new(wanted))
        });
        let resources = resources.collect();
        let filled_in = |section: &str| {
            let mut section = json.get(section).cloned().unwrap_or_default();
            fill_in(&mut section, &values);
            section
        };
        let outputs = filled_in("Outputs");
        let exported = |output: &Value| Some(output.pointer("/Export/Name")?.as_str()?.to_owned());
        let each_output = || outputs.as_object().into_iter().flatten();
        let mut imported_exports = BTreeSet::new();
        imported(&filled_in("Resources"), &mut imported_exports);
        imported(&outputs, &mut imported_exports);
        Ok(Self {
            resources,
            outputs: each_output().map(|(name, output)| (name.clone(), output["Value"].clone())).collect(),
            exports: each_output()
                .filter_map(|(name, output)| Some((name.clone(), exported(output)?)))
                .collect(),
            imported_exports,
            template: template.to_owned(),
            parameters: parameters.clone(),
            tags: tags.to_vec(),
            reverts_drift: false,
            imports: BTreeMap::new(),
        })
    }
}

/// Account and region of every stack of the simulation.
const PSEUDO: [(&str, &str); 3] =
    [("AWS::AccountId", "111111111111"), ("AWS::Region", "eu-west-1"), ("AWS::Partition", "aws")];

/// Replaces references to parameters by their values.
fn fill_in(value: &mut Value, parameters: &BTreeMap<String, Value>) {
    if let Some(text) = value.get("Fn::Sub").and_then(Value::as_str) {
        let mut text = text.to_owned();
        let texts = parameters.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        for (name, given) in texts.chain(PSEUDO) {
            text = text.replace(&format!("${{{name}}}"), given);
        }
        if !text.contains("${") {
            *value = text.into();
        }
        return;
    }
    let reference = value.get("Ref").and_then(Value::as_str).and_then(|name| parameters.get(name));
    if let Some(given) = reference {
        *value = given.clone();
        return;
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(|value| fill_in(value, parameters)),
        Value::Array(items) => items.iter_mut().for_each(|value| fill_in(value, parameters)),
        _ => {}
    }
}

/// Adds the names of the exports that `value` uses.
fn imported(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("Fn::ImportValue").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| imported(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| imported(value, found)),
        _ => {}
    }
}

/// Adds the resources that `value` refers to.
fn referred(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let name = map.get("Ref").or(map.get("Fn::GetAtt").map(|get| get.get(0).unwrap_or(get)));
            if let Some(name) = name.and_then(Value::as_str) {
                found.insert(name.split('.').next().unwrap_or(name).to_owned());
            }
            map.values().for_each(|value| referred(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| referred(value, found)),
        _ => {}
    }
}

impl Holdings {
    /// Returns the changes that lead to `design`; an empty list if it already matches.
    pub(super) fn changes_to(&self, design: &Design) -> Vec<ProposedChange> {
        let mut unsettled: BTreeSet<String> = BTreeSet::new();
        // A resource that depends on a replaced one may be replaced itself, and so on.
        let mut changes: Vec<ProposedChange> = loop {
            let wanted = design.resources.iter();
            let changes: Vec<_> =
                wanted.filter_map(|(id, w)| self.change(id, w, &unsettled, design.reverts_drift)).collect();
            let replaced = changes.iter().filter(|c| !matches!(c.replacement.as_str(), "" | "False"));
            let replaced: BTreeSet<String> = replaced.map(|change| change.logical_id.clone()).collect();
            if replaced == unsettled {
                break changes;
            }
            unsettled = replaced;
        };
        let held = self.resources.iter().filter(|(_, resource)| resource.exists());
        for (id, resource) in held {
            let known = changes.iter().any(|change| change.logical_id == *id);
            if !design.resources.contains_key(id) {
                changes.push(ProposedChange {
                    action: "Remove".into(),
                    policy_action: resource.wanted.deletion_policy.clone(),
                    ..resource.proposed(id)
                });
            } else if !known && self.design.tags != design.tags {
                let modify = ProposedChange {
                    action: "Modify".into(),
                    replacement: "False".into(),
                    tags_only: true,
                    ..resource.proposed(id)
                };
                changes.push(modify);
            }
        }
        changes
    }

    fn change(
        &self,
        id: &str,
        wanted: &Wanted,
        unsettled: &BTreeSet<String>,
        reverts_drift: bool,
    ) -> Option<ProposedChange> {
        let Some(held) = self.resources.get(id).filter(|resource| resource.exists()) else {
            return Some(ProposedChange {
                logical_id: id.to_owned(),
                resource_type: wanted.kind.clone(),
                action: "Add".into(),
                ..ProposedChange::default()
            });
        };
        let depends = |value: &Value| {
            let mut names = BTreeSet::new();
            referred(value, &mut names);
            !names.is_disjoint(unsettled)
        };
        let drift = held.drift.iter().filter(|_| reverts_drift);
        let drift: BTreeMap<&String, &Value> = drift.collect();
        let names: BTreeSet<&String> = wanted
            .properties
            .keys()
            .chain(held.wanted.properties.keys())
            .chain(drift.keys().copied())
            .collect();
        let now = |name: &String| drift.get(name).copied().or(held.wanted.properties.get(name));
        let certain = |name: &String| wanted.properties.get(name) != now(name);
        let possible = |name: &String| wanted.properties.get(name).is_some_and(depends);
        let changed: Vec<&String> =
            names.into_iter().filter(|name| certain(name) || possible(name)).collect();
        let status = if drift.is_empty() { DriftStatus::InSync } else { DriftStatus::Modified };
        let status = reverts_drift.then_some(status);
        if changed.is_empty() {
            // The resource already matches the template; only CloudFormation's record differs.
            return (!drift.is_empty()).then(|| ProposedChange {
                action: "SyncWithActual".into(),
                drift: status,
                ..held.proposed(id)
            });
        }
        let create_only: Vec<&&String> =
            changed.iter().filter(|name| CREATE_ONLY.contains(&name.as_str())).collect();
        let replacement = match create_only.as_slice() {
            [] => "False",
            names if names.iter().any(|name| certain(name)) => "True",
            _ => "Conditional",
        };
        let policy_action = match replacement {
            "False" => String::new(),
            _ => format!("ReplaceAnd{}", wanted.replace_policy),
        };
        Some(ProposedChange {
            action: "Modify".into(),
            replacement: replacement.into(),
            policy_action,
            properties: changed.into_iter().cloned().collect(),
            drift: status,
            ..held.proposed(id)
        })
    }

    /// Returns the outputs, references to resources filled in.
    pub(super) fn outputs(&self) -> BTreeMap<String, String> {
        let ids =
            self.resources.iter().map(|(id, resource)| (id.clone(), resource.physical_id.clone().into()));
        let ids: BTreeMap<String, Value> = ids.collect();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let outputs = self.design.outputs.iter().map(|(name, value)| {
            let mut value = value.clone();
            fill_in(&mut value, &ids);
            (name.clone(), text(&value))
        });
        outputs.collect()
    }

    /// Returns every resource, as CloudFormation lists it.
    pub(super) fn listed(&self) -> Vec<LiveResource> {
        let listed = self.resources.iter().map(|(id, resource)| LiveResource {
            logical_id: id.clone(),
            physical_id: resource.physical_id.clone(),
            resource_type: resource.wanted.kind.clone(),
            status: resource.status.clone(),
        });
        listed.collect()
    }
}

impl Resource {
    fn proposed(&self, id: &str) -> ProposedChange {
        ProposedChange {
            logical_id: id.to_owned(),
            physical_id: self.physical_id.clone(),
            resource_type: self.wanted.kind.clone(),
            ..ProposedChange::default()
        }
    }
}
