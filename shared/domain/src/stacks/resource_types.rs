//! Compares the types, properties and attributes of a template with those that AWS's resource schemas name.
//!
//! AWS adds types and properties every week, so a name that the table lacks may be new. It is a mistake if it differs in
//! two letters at most from a name that the table has at this place. Every other unknown name is a hint.

use super::permissions::{Properties, ResourceType, Table};
use super::template::Template;
use super::template::macros::MacroUse;
use super::template::node::{Entry, Fault, Node, Value};
use super::template::references::substituted;
use super::template::sections::loop_body;
use crate::model::error::Problem;
use crate::model::toml_file::distance;
use std::collections::{BTreeMap, BTreeSet};

/// Edits up to which an unknown name counts as a known one that is written wrongly.
const EDITS_MAX: usize = 2;

/// Types whose attributes depend on what they contain.
const OPEN_ATTRIBUTES: [&str; 3] = [
    "AWS::CloudFormation::CustomResource",
    "AWS::CloudFormation::Stack",
    "AWS::ServiceCatalog::CloudFormationProvisionedProduct",
];

/// Names of a template that the table lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnknownNames {
    /// Names that are known ones with a mistake.
    pub problems: Vec<Problem>,
    /// Names that may be newer than the table.
    pub hints: Vec<Problem>,
}

/// Returns the types, properties and attributes of `template` that `table` lacks. `accept` has those that the author
/// vouches for: a type, or a type and a property or attribute, as in `AWS::SQS::Queue.QueueName`.
pub fn unknown_names(template: &Template, table: &Table, accept: &BTreeSet<String>) -> UnknownNames {
    let root = template.root();
    let macro_use = MacroUse::of(root);
    // A macro may define types and properties of its own.
    if macro_use == MacroUse::Some {
        return UnknownNames::default();
    }
    let is_judged = |kind: &str| kind.starts_with("AWS::") && !kind.starts_with("AWS::Serverless::");
    let resources = template.resources();
    let kinds = resources.iter().map(|(name, resource)| (name.as_str(), resource.kind.as_str()));
    let mut judge = Judge {
        table,
        accept,
        kinds: kinds.filter(|(_, kind)| is_judged(kind)).collect(),
        problems: Vec::new(),
        hints: Vec::new(),
    };
    judge.resources(root.get("Resources").and_then(Node::entries).unwrap_or_default());
    judge.attributes(root);
    let place = |fault: Fault| Problem::at(template.file(), fault.line, fault.message);
    let sorted = |mut faults: Vec<Fault>| {
        faults.sort();
        faults.dedup();
        faults.into_iter().map(place).collect()
    };
    UnknownNames { problems: sorted(judge.problems), hints: sorted(judge.hints) }
}

struct Judge<'t> {
    table: &'t Table,
    accept: &'t BTreeSet<String>,
    /// Types by logical id.
    kinds: BTreeMap<&'t str, &'t str>,
    problems: Vec<Fault>,
    hints: Vec<Fault>,
}

impl<'t> Judge<'t> {
    fn resources(&mut self, entries: &'t [Entry]) {
        for entry in entries {
            if let Some(body) = loop_body(entry) {
                self.resources(body);
            } else if let Some(kind) = self.kinds.get(entry.key.as_str()).copied() {
                self.resource(entry, kind);
            }
        }
    }

    fn resource(&mut self, entry: &'t Entry, kind: &'t str) {
        let row = self.table.types.get(kind).filter(|row| !row.properties.0.is_empty());
        match row {
            Some(row) => {
                if let Some(properties) = entry.node.get("Properties") {
                    self.properties(properties, &row.properties, kind, "");
                }
            }
            None if self.table.types.contains_key(kind) => {}
            None => {
                let line = entry.node.get("Type").map_or(entry.line, |kind| kind.line);
                let known = self.table.types.keys().map(String::as_str);
                self.unknown(line, "resource type", kind, kind, known);
            }
        }
    }

    fn properties(&mut self, node: &'t Node, known: &'t Properties, kind: &str, path: &str) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.properties(item, known, kind, path)),
            Value::Map(entries) => {
                for entry in entries {
                    self.property(entry, known, kind, path);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn property(&mut self, entry: &'t Entry, known: &'t Properties, kind: &str, path: &str) {
        let key = entry.key.as_str();
        if let ("Fn::If", Some([_, then, otherwise])) = (key, entry.node.items()) {
            self.properties(then, known, kind, path);
            return self.properties(otherwise, known, kind, path);
        }
        if key.starts_with("Fn::")
            || matches!(key, "Ref" | "Condition")
            || key.contains("${")
            || key.contains("&{")
        {
            return;
        }
        let here = format!("{path}.{key}");
        match known.0.get(key) {
            // Below a property without known ones, every name is free.
            Some(below) if below.0.is_empty() => {}
            Some(below) => self.properties(&entry.node, below, kind, &here),
            None => {
                let names = known.0.keys().map(String::as_str);
                self.unknown(
                    entry.line,
                    &format!("property of {kind}{path}"),
                    key,
                    &format!("{kind}{here}"),
                    names,
                );
            }
        }
    }

    fn attributes(&mut self, node: &'t Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.attributes(item)),
            Value::Map(entries) => {
                for entry in entries {
                    match (entry.key.as_str(), entry.node.items()) {
                        ("Fn::GetAtt", Some([resource, attribute])) => {
                            if let (Some(name), Some(text)) = (resource.as_text(), attribute.as_text()) {
                                self.attribute(attribute.line, name, text);
                            }
                        }
                        ("Fn::Sub", items) => {
                            self.substitution(items.and_then(|items| items.first()).unwrap_or(&entry.node))
                        }
                        _ => {}
                    }
                    self.attributes(&entry.node);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn substitution(&mut self, text: &'t Node) {
        for (offset, name) in text.as_text().map(substituted).unwrap_or_default() {
            if let Some((resource, attribute)) = name.split_once('.') {
                self.attribute(text.line_at(offset), resource, attribute);
            }
        }
    }

    fn attribute(&mut self, line: u32, resource: &str, attribute: &str) {
        let Some(kind) = self.kinds.get(resource).copied() else { return };
        let row: Option<&'t ResourceType> = self.table.types.get(kind);
        let Some(row) = row.filter(|row| !row.properties.0.is_empty()) else { return };
        let is_open = OPEN_ATTRIBUTES.contains(&kind) || attribute.contains("${") || attribute.contains("&{");
        // Some types return properties that a template sets, which the schemas do not name as attributes.
        let is_property = row.properties.0.contains_key(attribute.split('.').next().unwrap_or(attribute));
        if is_open || is_property || row.attributes.iter().any(|known| known == attribute) {
            return;
        }
        let known = row.attributes.iter().chain(row.properties.0.keys()).map(String::as_str);
        self.unknown(line, &format!("attribute of {kind}"), attribute, &format!("{kind}.{attribute}"), known);
    }

    /// Records the name `word`, which is not among those `known` at its place. `full` is how the author accepts it.
    fn unknown<'k>(
        &mut self,
        line: u32,
        what: &str,
        word: &str,
        full: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        if self.accept.contains(full) {
            return;
        }
        let near = known.map(|known| (distance(word, known), known)).min().filter(|(edits, _)| {
            // Two edits turn any word of three letters into any other.
            *edits <= EDITS_MAX && edits * 2 <= word.chars().count()
        });
        match near {
            Some((_, near)) => self.problems.push(Fault::new(
                line,
                format!(
                    "{word} is no {what}; did you mean `{near}`? If AWS has it, add `{full}` to accept in the table \
                     [check] of lockstep.toml"
                ),
            )),
            None => {
                let date = self.table.sources.get("resource schemas").and_then(|date| date.get(..10)).unwrap_or("?");
                let message = format!("AWS's schemas of {date} have no {what} called {word}; CloudFormation decides");
                self.hints.push(Fault::new(line, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Table {
        serde_json::from_value(json!({
            "sources": {"resource schemas": "2026-10-20T22:11:15Z"},
            "actions": {},
            "types": {
                "AWS::SQS::Queue": {
                    "properties": {"QueueName": {}, "Tags": {"Key": {}, "Value": {}}, "Free": {}, "Id": {}},
                    "attributes": ["Arn", "QueueUrl", "Endpoint.Address"],
                },
                "AWS::SNS::Topic": {"properties": {"TopicName": {}}},
            },
        }))
        .unwrap()
    }

    fn found(text: &str, accept: &[&str]) -> (Vec<String>, Vec<String>) {
        let template = Template::parse("t", text).unwrap();
        let accept = accept.iter().map(|name| (*name).to_owned()).collect();
        let found = unknown_names(&template, &table(), &accept);
        let shown = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        (shown(found.problems), shown(found.hints))
    }

    fn queue(properties: &str) -> String {
        format!("Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      {properties}\n")
    }

    #[test]
    fn a_name_that_is_nearly_a_known_one_is_refused() {
        for (text, line, message) in [
            (
                queue("QueueNam: a"),
                5,
                "QueueNam is no property of AWS::SQS::Queue; did you mean `QueueName`?",
            ),
            (
                queue("queuename: a"),
                5,
                "queuename is no property of AWS::SQS::Queue; did you mean `QueueName`?",
            ),
            (
                queue("Tags: [{Kye: a, Value: b}]"),
                5,
                "Kye is no property of AWS::SQS::Queue.Tags; did you mean `Key`?",
            ),
            (
                queue("QueueName: a").replace("SQS::Queue", "SQS::Queu"),
                3,
                "AWS::SQS::Queu is no resource type; did you mean `AWS::SQS::Queue`?",
            ),
            (
                format!("{}Outputs:\n  O:\n    Value: !GetAtt Q.QueueURI\n", queue("Free: a")),
                8,
                "QueueURI is no attribute of AWS::SQS::Queue; did you mean `QueueUrl`?",
            ),
            (
                format!("{}Outputs:\n  O:\n    Value: !Sub |\n      a\n      ${{Q.Arm}}\n", queue("Free: a")),
                10,
                "Arm is no attribute of AWS::SQS::Queue; did you mean `Arn`?",
            ),
            (
                format!("{}Outputs:\n  O:\n    Value: !GetAtt Q.QueueNames\n", queue("Free: a")),
                8,
                "QueueNames is no attribute of AWS::SQS::Queue; did you mean `QueueName`?",
            ),
            (
                queue("Tags: !If [C, [{Kay: a}], []]") + "Conditions: {C: !Equals [a, b]}\n",
                5,
                "Kay is no property of AWS::SQS::Queue.Tags; did you mean `Key`?",
            ),
        ] {
            let (problems, hints) = found(&text, &[]);
            assert!(problems[0].starts_with(&format!("t:{line}: {message}")), "{problems:?}");
            assert_eq!((problems.len(), hints.len()), (1, 0), "{text}");
        }
    }

    #[test]
    fn a_name_that_may_be_new_is_a_hint_with_the_date() {
        for (text, message) in [
            (
                queue("Throughput: a"),
                "t:5: AWS's schemas of 2026-10-20 have no property of AWS::SQS::Queue called Throughput",
            ),
            (
                queue("Qx: a"),
                "t:5: AWS's schemas of 2026-10-20 have no property of AWS::SQS::Queue called Qx",
            ),
            (
                "Resources:\n  A: {Type: AWS::Quantum::Gate}\n".to_owned(),
                "t:2: AWS's schemas of 2026-10-20 have no resource type called AWS::Quantum::Gate",
            ),
        ] {
            let (problems, hints) = found(&text, &[]);
            assert!(problems.is_empty() && hints.len() == 1, "{problems:?} {hints:?}");
            assert!(hints[0].starts_with(message), "{hints:?}");
        }
    }

    #[test]
    fn an_accepted_name_is_no_finding() {
        let none = (Vec::new(), Vec::new());
        assert_eq!(found(&queue("QueueNam: a"), &["AWS::SQS::Queue.QueueNam"]), none);
        assert_eq!(found(&queue("Tags: [{Kye: a}]"), &["AWS::SQS::Queue.Tags.Kye"]), none);
        assert_eq!(found("Resources: {A: {Type: AWS::SQS::Queu}}\n", &["AWS::SQS::Queu"]), none);
    }

    #[test]
    fn names_that_only_others_know_are_not_judged() {
        for text in [
            queue("Free: {Anything: {Kye: a}}"),
            format!("{}Outputs: {{O: {{Value: !GetAtt Q.QueueName}}}}\n", queue("QueueName: a")),
            queue("QueueName: !GetAtt A.Any\n  A: {Type: Custom::Thing, Properties: {Kye: a}}"),
            queue("QueueName: !GetAtt A.Any\n  A: {Type: Acme::Thing::Module::MODULE}"),
            format!("Transform: Own\n{}", queue("QueueNam: a")),
            format!("{}Outputs: {{O: {{Value: !GetAtt Q.Endpoint.Address}}}}\n", queue("QueueName: a")),
        ] {
            assert_eq!(found(&text, &[]), (Vec::new(), Vec::new()), "{text}");
        }
    }
}
