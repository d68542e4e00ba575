//! Parser from text to a tree: YAML as CloudFormation reads it, and JSON.
//!
//! CloudFormation reads YAML 1.1 without aliases and merges
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html>). The parser refuses both,
//! which also rules out documents that grow without bound when they are expanded.

use super::event::{Event, EventData, Scalar, Sink, Style};
use super::node::{Entry, Fault, Node, Value};
use super::{functions, json, scalar, yaml};
use std::collections::HashSet;

/// Prefix of the tags that YAML itself defines.
const CORE: &str = "tag:yaml.org,2002:";

/// Maximum nesting of mappings and lists; real templates have fewer than thirty levels.
const DEPTH_MAX: usize = 100;

/// Parses `text`: JSON if it starts with a brace, else YAML.
pub(super) fn read(text: &str) -> Result<Node, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut loader = Loader::default();
    let outcome = if text.trim_start().starts_with('{') {
        json::read(text, &mut loader)
    } else {
        yaml::read(text, &mut loader)
    };
    match outcome {
        Ok(()) => loader.finish(),
        Err(fatal) => {
            loader.faults.push(fatal);
            Err(loader.faults)
        }
    }
}

/// A list or mapping that has started and not ended.
struct Open {
    line: u32,
    tag: Option<String>,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, keys: HashSet<String>, key: Option<(String, u32)> },
}

/// Builds the tree from the parser's events.
#[derive(Default)]
struct Loader {
    open: Vec<Open>,
    documents: u32,
    root: Option<Node>,
    faults: Vec<Fault>,
}

impl Sink for Loader {
    fn event(&mut self, event: Event) -> Result<(), Fault> {
        let at = event.line;
        match event.data {
            EventData::Document => self.document(at),
            EventData::Alias => {
                Err(Fault::new(at, "CloudFormation knows no YAML aliases: write the value out"))
            }
            EventData::Scalar(scalar) => self.scalar(scalar, at),
            EventData::ListStart(tag) => self.start(tag.as_deref(), at, Kind::List(Vec::new())),
            EventData::MapStart(tag) => {
                let map = Kind::Map { entries: Vec::new(), keys: HashSet::new(), key: None };
                self.start(tag.as_deref(), at, map)
            }
            EventData::End => self.end(),
        }
    }
}

impl Loader {
    fn document(&mut self, at: u32) -> Result<(), Fault> {
        self.documents += 1;
        if self.documents > 1 {
            Err(Fault::new(at, "a second document: a template is one document"))
        } else {
            Ok(())
        }
    }

    fn start(&mut self, tag: Option<&str>, at: u32, kind: Kind) -> Result<(), Fault> {
        if self.wants_key() {
            return Err(Fault::new(at, "a key must be text"));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::new(at, format!("nested more than {DEPTH_MAX} levels deep")));
        }
        let tag = self.function(tag, at);
        self.open.push(Open { line: at, tag, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let Some(Open { line, tag, kind }) = self.open.pop() else { return Ok(()) };
        let value = match kind {
            Kind::List(items) => Value::List(items),
            Kind::Map { entries, .. } => Value::Map(entries),
        };
        let node = Node::new(line, value);
        let node = match tag {
            Some(name) => self.applied(name, node),
            None => self.normal(node),
        };
        self.put(node);
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar, at: u32) -> Result<(), Fault> {
        if self.wants_key() {
            return self.key(scalar, at);
        }
        let function = self.function(scalar.tag.as_deref(), at);
        let core = scalar.tag.as_deref().and_then(|tag| tag.strip_prefix(CORE));
        // The tag `!` leaves the type of a word open, as no tag does.
        let is_word = scalar.style == Style::Plain && matches!(scalar.tag.as_deref(), None | Some("!"));
        let value = match core {
            Some("int" | "float" | "bool" | "null") => scalar::resolve(&scalar.text),
            _ if is_word => scalar::resolve(&scalar.text),
            _ if scalar.style == Style::Json => self.json(&scalar.text, at),
            _ => Value::Text(scalar.text),
        };
        let node = Node { line: at, value, lines: scalar.lines };
        let node = match function {
            Some(name) => self.applied(name, node),
            None => node,
        };
        self.put(node);
        Ok(())
    }

    /// Returns the value of a JSON number, truth or null.
    fn json(&mut self, text: &str, at: u32) -> Value {
        match serde_json::from_str(text) {
            Ok(serde_json::Value::Bool(truth)) => Value::Bool(truth),
            Ok(serde_json::Value::Number(number)) => Value::Number(number),
            Ok(_) => Value::Null,
            Err(_) => {
                self.faults.push(Fault::new(at, format!("the number {} is too large", shown(text))));
                Value::Null
            }
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, scalar: Scalar, at: u32) -> Result<(), Fault> {
        if self.function(scalar.tag.as_deref(), at).is_some() {
            return Err(Fault::new(at, "a key must be plain text, without a tag"));
        }
        let text = scalar.text;
        if scalar.style == Style::Plain && scalar.tag.is_none() {
            self.plain_key(&text, at)?;
        }
        if let Some(Open { kind: Kind::Map { keys, key, .. }, .. }) = self.open.last_mut() {
            if !keys.insert(text.clone()) {
                self.faults.push(Fault::new(at, format!("'{}' is there twice", shown(&text))));
            }
            *key = Some((text, at));
        }
        Ok(())
    }

    /// Checks an unquoted key that YAML would not read as this text.
    fn plain_key(&mut self, text: &str, at: u32) -> Result<(), Fault> {
        if text == "<<" {
            return Err(Fault::new(at, "CloudFormation knows no YAML merges: write the keys out"));
        }
        match scalar::resolve(text) {
            Value::Null => return Err(Fault::new(at, "a key is missing")),
            Value::Bool(truth) if text != truth.to_string() => {
                let message = format!("YAML reads the key {text} as {truth}: put it in quotes");
                self.faults.push(Fault::new(at, message));
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the long name of the function that `tag` stands for; `None` if the tag has no effect.
    fn function(&mut self, tag: Option<&str>, at: u32) -> Option<String> {
        let tag = tag?;
        let short = tag.strip_prefix('!').filter(|name| functions::has_short_form(name));
        if let Some(name) = short {
            return Some(if matches!(name, "Ref" | "Condition") {
                name.to_owned()
            } else {
                format!("Fn::{name}")
            });
        }
        let core = tag.strip_prefix(CORE);
        let is_core = matches!(core, Some("str" | "int" | "float" | "bool" | "null" | "seq" | "map"));
        if tag != "!" && !is_core {
            let tag = core.map_or_else(|| tag.to_owned(), |core| format!("!!{core}"));
            self.faults.push(Fault::new(at, format!("CloudFormation knows no tag {}", shown(&tag))));
        }
        None
    }

    /// Wraps `argument` in the function `name`.
    fn applied(&mut self, name: String, argument: Node) -> Node {
        self.normal(Node::function(argument.line, name, argument))
    }

    /// Normalises `Fn::GetAtt: Resource.Attribute` to a list, the only form in JSON.
    fn normal(&mut self, mut node: Node) -> Node {
        if let Value::Map(entries) = &mut node.value
            && let [Entry { key, node: argument, .. }] = entries.as_mut_slice()
            && key == "Fn::GetAtt"
            && let Value::Text(text) = &argument.value
        {
            let at = argument.line;
            match text.split_once('.') {
                Some((resource, attribute)) => {
                    argument.value = Value::List(vec![Node::text(at, resource), Node::text(at, attribute)]);
                }
                None => self.faults.push(Fault::new(at, "GetAtt needs Resource.Attribute")),
            }
        }
        node
    }

    /// Adds a finished value to its parent.
    fn put(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.kind) {
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key, .. }) => {
                if let Some((key, line)) = key.take() {
                    entries.push(Entry { key, line, node });
                }
            }
            None => self.root = Some(node),
        }
    }

    fn finish(self) -> Result<Node, Vec<Fault>> {
        match self.root {
            Some(root) if self.faults.is_empty() => Ok(root),
            Some(_) => Err(self.faults),
            None => Err(vec![Fault::new(1, "the template is empty")]),
        }
    }
}

/// Returns a quote of the author's text for a message: at most 60 characters.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
