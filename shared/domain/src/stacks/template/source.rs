//! Parser from text to a tree: YAML as CloudFormation reads it, and JSON.
//!
//! CloudFormation reads YAML 1.1 without aliases and merges
//! (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-formats.html>). The parser refuses both,
//! which also rules out documents that grow without bound when they are expanded.

use super::node::{Entry, Fault, Node, Value};
use super::scalar;
use regex::{Captures, Regex};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Maximum nesting of mappings and lists; real templates have fewer than thirty levels.
const DEPTH_MAX: usize = 100;

/// Short forms of intrinsic functions, without the `!`. `Ref` and `Condition` are keys as they are, the others stand
/// for `Fn::<name>`.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html>
const SHORT_FORMS: [&str; 27] = [
    "And",
    "Base64",
    "Cidr",
    "Condition",
    "Contains",
    "EachMemberEquals",
    "EachMemberIn",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "GetStackOutput",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Ref",
    "RefAll",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
    "ValueOf",
    "ValueOfAll",
];

/// A surrogate pair, or any other escape. The latter is matched so that an escaped backslash starts no escape itself.
static ESCAPE: LazyLock<Regex> = LazyLock::new(|| {
    let pair = r"\\u(?<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?<low>[dD][c-fC-F][0-9a-fA-F]{2})|\\.";
    Regex::new(pair).expect("a literal pattern compiles")
});

/// Parses `text`: JSON if it starts with a brace, else YAML.
pub(super) fn read(text: &str) -> Result<Node, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = if text.trim_start().starts_with('{') {
        refuse_loose_json(text).map_err(|fault| vec![fault])?;
        with_pairs_joined(text)
    } else {
        Cow::Borrowed(text)
    };
    let mut loader = Loader { cut_line: cut_line(&text), ..Loader::default() };
    let mut parser = Parser::new_from_str(&text);
    while let Some(event) = parser.next_event() {
        let outcome = match event {
            Ok((event, span)) => loader.event(event, span),
            Err(error) => {
                Err(Fault::new(line(error.marker().line()), format!("this cannot be read: {}", error.info())))
            }
        };
        if let Err(fatal) = outcome {
            loader.faults.push(fatal);
            return Err(loader.faults);
        }
    }
    loader.finish()
}

/// Refuses text that is almost JSON, because the YAML parser accepts it.
fn refuse_loose_json(text: &str) -> Result<(), Fault> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::new(line(error.line()), format!("this is not JSON: {error}"))),
    }
}

/// Replaces surrogate pairs by characters: `\ud83d\ude00` is two escapes in JSON, which YAML does not support.
fn with_pairs_joined(json: &str) -> Cow<'_, str> {
    ESCAPE.replace_all(json, |escape: &Captures<'_>| {
        let half = |name| escape.name(name).and_then(|hex| u16::from_str_radix(hex.as_str(), 16).ok());
        let joined = half("high").zip(half("low")).map(|(high, low)| String::from_utf16_lossy(&[high, low]));
        joined.unwrap_or_else(|| escape[0].to_owned())
    })
}

/// Returns the last line of a text that ends without a line feed, from 1, without its indentation.
fn cut_line(text: &str) -> Option<(usize, String)> {
    let last = text.lines().last().filter(|_| !text.ends_with('\n'))?.trim_start();
    (!last.is_empty()).then(|| (text.lines().count(), last.to_owned()))
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
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
    /// The last line of a text that ends without a line feed, and its number.
    cut_line: Option<(usize, String)>,
}

impl Loader {
    /// Handles one event. Returns an error if continuing makes no sense.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = line(span.start.line());
        match event {
            Event::DocumentStart(_) => self.document(at),
            Event::Alias(_) => {
                Err(Fault::new(at, "CloudFormation knows no YAML aliases: write the value out"))
            }
            Event::Scalar(text, style, _, tag) => {
                let text = self.as_written(&text, style, span);
                self.scalar(text, style, tag.as_deref(), at)
            }
            Event::SequenceStart(_, tag) => self.start(tag.as_deref(), at, Kind::List(Vec::new())),
            Event::MappingStart(_, tag) => {
                let map = Kind::Map { entries: Vec::new(), keys: HashSet::new(), key: None };
                self.start(tag.as_deref(), at, map)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    /// Returns the text of a scalar without the line feed that the parser adds to a block that the file cuts off.
    fn as_written<'t>(&self, text: &'t str, style: ScalarStyle, span: Span) -> &'t str {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        match (&self.cut_line, text.strip_suffix('\n')) {
            (Some((number, line)), Some(cut))
                if is_block && span.end.line() >= *number && cut.ends_with(line.as_str()) =>
            {
                cut
            }
            _ => text,
        }
    }

    fn document(&mut self, at: u32) -> Result<(), Fault> {
        self.documents += 1;
        if self.documents > 1 {
            Err(Fault::new(at, "a second document: a template is one document"))
        } else {
            Ok(())
        }
    }

    fn start(&mut self, tag: Option<&Tag>, at: u32, kind: Kind) -> Result<(), Fault> {
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
        let node = Node { line, value };
        let node = match tag {
            Some(name) => self.applied(name, node),
            None => self.normal(node),
        };
        self.put(node);
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: u32) -> Result<(), Fault> {
        if self.wants_key() {
            return self.key(text, style, tag, at);
        }
        let is_string = tag.is_some_and(|tag| !tag.is_yaml_core_schema() || tag.suffix == "str");
        let node = if is_string || style != ScalarStyle::Plain {
            Node::text(at, text)
        } else {
            Node { line: at, value: self.plain(text, at) }
        };
        let node = match self.function(tag, at) {
            Some(name) => self.applied(name, node),
            None => node,
        };
        self.put(node);
        Ok(())
    }

    /// Returns the value of an unquoted word.
    fn plain(&mut self, text: &str, at: u32) -> Value {
        scalar::resolve(text).unwrap_or_else(|| {
            self.faults.push(quotes_needed(text, at));
            Value::Text(text.to_owned())
        })
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: Kind::Map { key: None, .. }, .. }))
    }

    fn key(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: u32) -> Result<(), Fault> {
        if self.function(tag, at).is_some() {
            return Err(Fault::new(at, "a key must be plain text, without a tag"));
        }
        if style == ScalarStyle::Plain && tag.is_none() {
            self.plain_key(text, at)?;
        }
        if let Some(Open { kind: Kind::Map { keys, key, .. }, .. }) = self.open.last_mut() {
            if !keys.insert(text.to_owned()) {
                self.faults.push(Fault::new(at, format!("'{}' is there twice", shown(text))));
            }
            *key = Some((text.to_owned(), at));
        }
        Ok(())
    }

    /// Checks an unquoted key that YAML would not read as this text.
    fn plain_key(&mut self, text: &str, at: u32) -> Result<(), Fault> {
        if text == "<<" {
            return Err(Fault::new(at, "CloudFormation knows no YAML merges: write the keys out"));
        }
        match scalar::resolve(text) {
            Some(Value::Null) => Err(Fault::new(at, "a key is missing")),
            Some(Value::Bool(truth)) if text != truth.to_string() => {
                self.faults
                    .push(Fault::new(at, format!("YAML reads the key {text} as {truth}: put it in quotes")));
                Ok(())
            }
            None => {
                self.faults.push(quotes_needed(text, at));
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    /// Returns the long name of the function that `tag` stands for; `None` if the tag has no effect.
    fn function(&mut self, tag: Option<&Tag>, at: u32) -> Option<String> {
        let tag = tag?;
        let name = tag.suffix.as_str();
        let known_core = ["str", "int", "float", "bool", "null", "seq", "map"];
        if tag.handle == "!" && SHORT_FORMS.contains(&name) {
            return Some(if name == "Ref" || name == "Condition" {
                name.to_owned()
            } else {
                format!("Fn::{name}")
            });
        }
        let is_plain_mark = tag.handle.is_empty() && name == "!";
        if !(is_plain_mark || tag.is_yaml_core_schema() && known_core.contains(&name)) {
            let tag = shown(&tag.to_string());
            self.faults.push(Fault::new(at, format!("CloudFormation knows no tag {tag}")));
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

fn quotes_needed(text: &str, at: u32) -> Fault {
    Fault::new(at, format!("{} may be read as another number: put it in quotes", shown(text)))
}

/// Returns a quote of the author's text for a message: at most 60 characters.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}
