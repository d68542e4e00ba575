//! From the text of a source file to a tree: YAML with every word that could be read in two ways refused.

use crate::node::{Entry, Node, Position, Value};
use crate::problem::{Problem, Source};
use crate::scalar;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use std::collections::BTreeMap;

/// Reads the one document of a file.
///
/// # Errors
/// Everything that is wrong with it; only up to the first place where it is no YAML.
pub(crate) fn read(source: &Source) -> Result<Node, Vec<Problem>> {
    let mut reader = Reader {
        file: &source.file,
        parser: Parser::new_from_str(&source.text),
        anchors: BTreeMap::new(),
        problems: Vec::new(),
    };
    match reader.document() {
        Ok(root) if reader.problems.is_empty() => Ok(root),
        Ok(_) => Err(reader.problems),
        Err(fatal) => {
            reader.problems.push(fatal);
            Err(reader.problems)
        }
    }
}

/// A value that an alias may refer to.
struct Anchor {
    node: Node,
    used: bool,
}

struct Reader<'a> {
    file: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Anchor>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Problem> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.at(at, "a second document: a file is one document"));
                }
                Event::StreamStart | Event::Nothing | Event::DocumentStart(_) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, at)?),
            }
        }
        // An alias that is wrong leaves its anchor unused, too: that is one mistake.
        if self.problems.is_empty() {
            self.refuse_unused_anchors();
        }
        root.ok_or_else(|| self.at(Position { line: 1, column: 1 }, "the file is empty"))
    }

    fn next(&mut self) -> Result<(Event<'a>, Position), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, Span { start, .. }))) => Ok((event, position(&start))),
            Some(Err(error)) => {
                Err(self.at(position(error.marker()), format!("this is no YAML: {}", error.info())))
            }
            None => Ok((Event::StreamEnd, Position { line: 1, column: 1 })),
        }
    }

    /// Reads the value that an event begins.
    fn node(&mut self, event: Event<'a>, at: Position) -> Result<Node, Problem> {
        let (anchor, value) = match event {
            Event::Alias(anchor) => return Ok(self.alias(anchor, at)),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                (anchor, self.scalar(&text, style, at))
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                (anchor, self.list()?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                (anchor, self.map()?)
            }
            other => return Err(self.at(at, format!("a value is missing before {other:?}"))),
        };
        let node = Node { at, value };
        // The parser numbers anchors from 1.
        if anchor > 0 {
            self.anchors.insert(anchor, Anchor { node: node.clone(), used: false });
        }
        Ok(node)
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, at) => items.push(self.node(event, at)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let key = self.key(event, at)?;
            if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let message = format!("the key {key} is in line {} already", first.at.line);
                self.problems.push(self.at(at, message));
            }
            let (event, value_at) = self.next()?;
            let node = self.node(event, value_at)?;
            entries.push(Entry { key, at, node });
        }
    }

    /// Reads a key, which must be text.
    fn key(&mut self, event: Event<'a>, at: Position) -> Result<String, Problem> {
        let Event::Scalar(text, style, 0, None) = event else {
            return Err(self.at(at, "a key must be text, without an anchor, an alias or a tag"));
        };
        if text == "<<" && style == ScalarStyle::Plain {
            return Err(self.at(at, "a merge of maps is not supported: write the keys out"));
        }
        if style == ScalarStyle::Plain && !matches!(scalar::resolve(&text), Some(Value::Text(_))) {
            return Err(self.at(at, format!("the key {text:?} is not text: put it in quotes")));
        }
        Ok(text.into_owned())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, at: Position) -> Value {
        if style != ScalarStyle::Plain {
            return Value::Text(text.to_owned());
        }
        scalar::resolve(text).unwrap_or_else(|| {
            let message = match text {
                "" => "a value is missing".to_owned(),
                text => format!("{text} may be read as something else than text: put it in quotes"),
            };
            self.problems.push(self.at(at, message));
            Value::Null
        })
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Node {
        let value = match self.anchors.get_mut(&anchor) {
            Some(Anchor { node, used }) => {
                *used = true;
                node.value.clone()
            }
            None => {
                self.problems.push(self.at(at, "the alias refers to the value that it is a part of"));
                Value::Null
            }
        };
        Node { at, value }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, at: Position) {
        if let Some(tag) = tag {
            self.problems.push(self.at(at, format!("the tag {tag} is not supported")));
        }
    }

    fn refuse_unused_anchors(&mut self) {
        let unused: Vec<Position> =
            self.anchors.values().filter(|anchor| !anchor.used).map(|anchor| anchor.node.at).collect();
        for at in unused {
            self.problems.push(self.at(at, "no alias refers to the anchor of this value"));
        }
    }

    fn at(&self, at: Position, message: impl Into<String>) -> Problem {
        Problem::new(self.file, at, message)
    }
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<serde_json::Value, Vec<String>> {
        let source = Source { file: "deploy.asl.yaml".to_owned(), text: text.to_owned() };
        match read(&source) {
            Ok(node) => Ok(serde_json::to_value(node).unwrap()),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    fn refused(text: &str) -> String {
        let problems = tree(text).expect_err("it is refused");
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn values_are_those_of_json() {
        let text = "Text: a b\nQuoted: '007'\nFolded: >-\n  one\n  two\nNumber: 1.5\nTruth: true\nNone: null\n\
                    List: [1, two]\nMap: {}\n";
        let expected = serde_json::json!({
            "Text": "a b", "Quoted": "007", "Folded": "one two", "Number": 1.5, "Truth": true, "None": null,
            "List": [1, "two"], "Map": {},
        });
        assert_eq!(tree(text), Ok(expected));
    }

    #[test]
    fn keys_keep_their_order() {
        let source = Source { file: String::new(), text: "Zebra: 1\nApple: 2\n".to_owned() };
        assert_eq!(serde_json::to_string(&read(&source).unwrap()).unwrap(), r#"{"Zebra":1,"Apple":2}"#);
    }

    #[test]
    fn an_alias_is_the_value_of_its_anchor() {
        assert_eq!(tree("A: &x [1]\nB: *x\n"), Ok(serde_json::json!({"A": [1], "B": [1]})));
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused() {
        assert_eq!(refused("A: 1\nB: 2\n\"A\": 3\n"), "deploy.asl.yaml:3:1: the key A is in line 1 already");
    }

    #[test]
    fn a_key_that_is_no_text_is_refused() {
        for key in ["1", "true", "on", "~", "&a A", "!!str A"] {
            let message = refused(&format!("{key}: 2\n"));
            assert!(message.starts_with("deploy.asl.yaml:1:1: "), "{message}");
        }
        assert!(refused("[A, B]: 2\n").contains("a key must be text"));
        assert!(refused("A: &a b\n*a : 2\n").contains("a key must be text"));
        assert!(refused("A: {B: 1}\nC:\n  <<: {D: 1}\n").starts_with("deploy.asl.yaml:3:3: a merge"));
    }

    #[test]
    fn an_unknown_alias_an_unused_anchor_and_a_tag_are_refused() {
        assert!(refused("A: 1\nB: *nothing\n").starts_with("deploy.asl.yaml:2:4: this is no YAML"));
        assert!(refused("A: &self [*self]\n").contains("a part of"));
        assert!(refused("A: 1\nB: &unused 2\n").ends_with("no alias refers to the anchor of this value"));
        assert!(refused("A:\n  - !Sub text\n").starts_with("deploy.asl.yaml:2:"));
        assert!(refused("A: !!str 1\n").contains("the tag"));
    }

    #[test]
    fn a_word_that_readers_take_differently_is_refused_where_it_is() {
        assert_eq!(
            refused("A:\n  B: yes\n"),
            "deploy.asl.yaml:2:6: yes may be read as something else than text: put it in quotes"
        );
        assert!(refused("A:\n  B:\n").ends_with("a value is missing"));
    }

    #[test]
    fn a_file_is_one_document() {
        assert_eq!(
            refused("A: 1\n---\nB: 2\n"),
            "deploy.asl.yaml:2:1: a second document: a file is one document"
        );
        assert_eq!(refused("# nothing\n"), "deploy.asl.yaml:1:1: the file is empty");
    }

    #[test]
    fn every_problem_of_a_file_is_named_at_once() {
        let problems = tree("A: yes\nB: !x 1\nA: 2\n").unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn what_is_no_yaml_is_refused_where_it_stops() {
        assert!(refused("A: [1, 2\nB: 3\n").starts_with("deploy.asl.yaml:2:"));
        assert!(refused("A: \"\n").contains("this is no YAML"));
    }
}
