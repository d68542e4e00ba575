//! Sections of a template: their names, declarations and quotas.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html>

use super::Resource;
use super::lint;
use super::macros::MacroUse;
use super::node::{Entry, Fault, Node};
use super::parameter::{self, Parameter};
use super::policies;
use crate::model::ids::LogicalId;
use crate::model::toml_file::distance;
use crate::stacks::protected::supports_snapshot;
use std::collections::BTreeMap;

const SECTIONS: [&str; 10] = [
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Mappings",
    "Rules",
    "Conditions",
    "Transform",
    "Hooks",
    "Resources",
];

/// Attributes of a resource beside its properties. `Connectors` and `IgnoreGlobals` belong to SAM, `Version` to custom
/// resources.
const ATTRIBUTES: [&str; 12] = [
    "Type",
    "Properties",
    "Condition",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "UpdatePolicy",
    "UpdateReplacePolicy",
    "Connectors",
    "IgnoreGlobals",
    "Version",
];

/// CloudFormation's quotas, which cannot be raised.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>
const MAX: [(&str, usize); 4] =
    [("Parameters", 200), ("Mappings", 200), ("Resources", 500), ("Outputs", 200)];

/// Declarations of a template, and the problems in them.
pub(super) struct Sections<'n> {
    root: &'n Node,
    macro_use: MacroUse,
    pub(super) parameters: BTreeMap<String, Parameter>,
    pub(super) resources: BTreeMap<String, Resource>,
    pub(super) outputs: BTreeMap<String, u32>,
    pub(super) faults: Vec<Fault>,
}

/// Parses every section of `root`.
pub(super) fn read(root: &Node) -> Sections<'_> {
    let mut sections = Sections {
        root,
        macro_use: MacroUse::of(root),
        parameters: BTreeMap::new(),
        resources: BTreeMap::new(),
        outputs: BTreeMap::new(),
        faults: Vec::new(),
    };
    let Some(entries) = root.entries() else {
        sections.faults.push(Fault::new(root.line, "a template is a mapping of sections such as Resources"));
        return sections;
    };
    entries.iter().for_each(|entry| sections.section(entry));
    if root.get("Resources").is_none() {
        sections.faults.push(Fault::new(root.line, "the template has no Resources"));
    }
    sections
}

impl<'n> Sections<'n> {
    fn fault(&mut self, line: u32, message: impl Into<String>) {
        self.faults.push(Fault::new(line, message));
    }

    fn section(&mut self, entry: &'n Entry) {
        match entry.key.as_str() {
            "AWSTemplateFormatVersion" => self.format_version(entry),
            "Description" => self.description(entry),
            "Parameters" => self.parameters(entry),
            "Resources" => self.resources(entry),
            "Outputs" => self.outputs(entry),
            "Conditions" | "Rules" => drop(self.declarations(entry)),
            "Mappings" => {
                let named = self.declarations(entry).iter().filter(|entry| !entry.key.starts_with("Fn::"));
                named.for_each(|entry| self.logical_id(entry));
            }
            // `Globals` belongs to SAM; a macro may include anything.
            "Globals" | "Fn::Transform" => {}
            // A macro may define sections that CloudFormation does not know.
            known if SECTIONS.contains(&known) || self.macro_use == MacroUse::Some => {}
            unknown => {
                let message = format!(
                    "'{unknown}' is no section of a template: use {} or Outputs",
                    SECTIONS.join(", ")
                );
                self.fault(entry.line, message);
            }
        }
    }

    fn format_version(&mut self, entry: &Entry) {
        if entry.node.as_text() != Some("2010-09-09") {
            self.fault(entry.line, "the only AWSTemplateFormatVersion there is, is 2010-09-09");
        }
    }

    fn description(&mut self, entry: &Entry) {
        match entry.node.scalar() {
            Some(text) if text.len() > 1024 => {
                self.fault(entry.line, "the Description has more than 1024 bytes")
            }
            Some(_) => {}
            None => self.fault(entry.line, "the Description must be text"),
        }
    }

    /// Returns the entries of a section that declares named items.
    fn declarations(&mut self, section: &'n Entry) -> &'n [Entry] {
        let name = section.key.as_str();
        let Some(entries) = section.node.entries() else {
            self.fault(section.line, format!("{name} must be a mapping"));
            return &[];
        };
        if let Some((_, max)) = MAX.iter().find(|(limited, max)| *limited == name && entries.len() > *max) {
            self.fault(
                section.line,
                format!("more than {max} {name}: CloudFormation takes no more in one template"),
            );
        }
        entries
    }

    fn parameters(&mut self, section: &'n Entry) {
        for entry in self.declarations(section) {
            self.logical_id(entry);
            match parameter::read(entry) {
                Ok(parameter) => drop(self.parameters.insert(entry.key.clone(), parameter)),
                Err(fault) => self.faults.push(fault),
            }
        }
    }

    fn resources(&mut self, section: &'n Entry) {
        let entries = self.declarations(section);
        if section.node.entries().is_some_and(<[Entry]>::is_empty) {
            self.fault(section.line, "Resources declares none");
        }
        entries.iter().for_each(|entry| self.resource(entry));
    }

    fn resource(&mut self, entry: &'n Entry) {
        if let Some(body) = loop_body(entry) {
            return body.iter().for_each(|entry| self.resource(entry));
        }
        if entry.key.starts_with("Fn::") {
            return;
        }
        self.logical_id(entry);
        match self.read_resource(entry) {
            Ok(resource) => drop(self.resources.insert(entry.key.clone(), resource)),
            Err(fault) => self.faults.push(fault),
        }
    }

    fn read_resource(&mut self, entry: &'n Entry) -> Result<Resource, Fault> {
        let (name, node) = (&entry.key, &entry.node);
        let Some(attributes) = node.entries() else {
            return Err(Fault::new(entry.line, format!("the resource {name} must be a mapping")));
        };
        let kind = node.get("Type").and_then(Node::as_text).filter(|kind| !kind.is_empty());
        attributes.iter().for_each(|attribute| self.attribute(name, kind.unwrap_or_default(), attribute));
        let kind = kind.ok_or_else(|| Fault::new(entry.line, format!("the resource {name} has no Type")))?;
        let resource = Resource {
            line: entry.line,
            kind: kind.to_owned(),
            deletion_policy: self.policy(
                node,
                kind,
                "DeletionPolicy",
                &["Delete", "Retain", "RetainExceptOnCreate"],
            ),
            update_replace_policy: self.policy(node, kind, "UpdateReplacePolicy", &["Delete", "Retain"]),
        };
        Ok(resource)
    }

    fn attribute(&mut self, resource: &str, kind: &str, attribute: &Entry) {
        let key = attribute.key.as_str();
        let is_free = match self.macro_use {
            MacroUse::All => false,
            // The transform makes its resources anew and drops the attributes that it does not know. Published templates
            // have such attributes on other resources too, so only a name that is nearly an attribute is a mistake.
            MacroUse::Sam => {
                kind.starts_with("AWS::Serverless::")
                    || ATTRIBUTES.iter().all(|known| distance(key, known) > 2)
            }
            MacroUse::Some => true,
        };
        if !ATTRIBUTES.contains(&key) && !key.starts_with("Fn::") && !is_free {
            self.fault(
                attribute.line,
                format!("a resource has no attribute '{key}': is it a property of {resource}?"),
            );
        }
    }

    /// Returns the value of a policy. Of a function, returns the first value that it can have, if each retains the data.
    fn policy(&mut self, resource: &'n Node, kind: &str, name: &str, allowed: &[&str]) -> Option<String> {
        let entry = resource.entry(name)?;
        let is_function = entry.node.entries().is_some();
        if !is_function && entry.node.as_text().is_none() {
            self.fault(entry.line, format!("{name} must be text"));
            return None;
        }
        let values = policies::values(self.root, &entry.node)?;
        let texts: Vec<&str> = values.into_iter().filter_map(Node::as_text).collect();
        for value in &texts {
            if *value == "Snapshot" && !supports_snapshot(kind) {
                self.fault(entry.line, format!("{kind} has no snapshots: use {name}: Retain"));
            } else if *value != "Snapshot" && !allowed.contains(value) {
                let message = format!(
                    "'{value}' is no {name}: use {} or, where there are snapshots, Snapshot",
                    allowed.join(", ")
                );
                self.fault(entry.line, message);
            }
        }
        let is_known = !is_function || texts.iter().all(|value| lint::keeps(Some(value)));
        texts.first().filter(|_| is_known).map(|value| (*value).to_owned())
    }

    fn outputs(&mut self, section: &'n Entry) {
        self.declarations(section).iter().for_each(|entry| self.output(entry));
    }

    fn output(&mut self, entry: &'n Entry) {
        if let Some(body) = loop_body(entry) {
            return body.iter().for_each(|entry| self.output(entry));
        }
        if entry.key.starts_with("Fn::") {
            return;
        }
        self.logical_id(entry);
        if entry.node.get("Value").is_none() {
            self.fault(entry.line, format!("the output {} has no Value", entry.key));
        }
        self.outputs.insert(entry.key.clone(), entry.line);
    }

    /// Checks a logical id. A name made by a loop holds its variable, such as `Bucket${Name}`.
    fn logical_id(&mut self, entry: &Entry) {
        let is_pattern = entry.key.contains("${") || entry.key.contains("&{");
        if !is_pattern && entry.key.parse::<LogicalId>().is_err() {
            self.fault(entry.line, format!("'{}' is not a logical id: use letters and digits", entry.key));
        }
    }
}

/// Returns the body that a `Fn::ForEach::<name>: [variable, collection, {<key>: <body>}]` repeats.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-foreach.html>
pub(crate) fn loop_body(entry: &Entry) -> Option<&[Entry]> {
    entry.key.starts_with("Fn::ForEach::").then(|| entry.node.items()?.get(2)?.entries()).flatten()
}
