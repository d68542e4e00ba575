//! The graph of a state machine, as Mermaid draws it (<https://mermaid.js.org/syntax/flowchart.html>).

use crate::node::{Entry, Node};
use std::fmt::Write as _;

/// Returns the flowchart of a definition: states in the order of the source, each with the ways out of it.
pub(crate) fn flowchart(definition: &Node) -> String {
    let mut chart = Chart { text: "flowchart TD\n".to_owned(), depth: 1 };
    chart.scope("start", definition);
    chart.text
}

struct Chart {
    text: String,
    depth: usize,
}

impl Chart {
    /// Draws the states of a machine or of a Map; `start` is the name of the point where it begins.
    fn scope(&mut self, start: &str, scope: &Node) {
        let first = scope.get("StartAt").and_then(Node::text).unwrap_or_default();
        self.line(&format!("{start}(( )) --> {first}"));
        let states = scope.get("States").map(Node::entries).unwrap_or_default();
        for Entry { key: name, node: state, .. } in states {
            self.state(name, state);
            self.ways(name, state);
        }
    }

    fn state(&mut self, name: &str, state: &Node) {
        if let Some(processor) = state.get("ItemProcessor") {
            self.line(&format!("subgraph {name} [\"{name}: for each item\"]"));
            self.depth += 1;
            self.scope(&format!("{name}_start"), processor);
            self.depth -= 1;
            self.line("end");
        } else {
            let (open, close) = shape(state);
            self.line(&format!("{name}{open}\"{}\"{close}", label(name, state)));
        }
    }

    fn ways(&mut self, name: &str, state: &Node) {
        for rule in state.get("Choices").map(Node::items).unwrap_or_default() {
            if let (Some(condition), Some(next)) = (text(rule, "Condition"), text(rule, "Next")) {
                self.line(&format!("{name} -->|\"{}\"| {next}", escaped(&shortened(condition))));
            }
        }
        if let Some(next) = text(state, "Default") {
            self.line(&format!("{name} -->|otherwise| {next}"));
        }
        if let Some(next) = text(state, "Next") {
            self.line(&format!("{name} --> {next}"));
        }
        for rule in state.get("Catch").map(Node::items).unwrap_or_default() {
            if let Some(next) = text(rule, "Next") {
                self.line(&format!("{name} -.->|\"{}\"| {next}", escaped(&errors(rule))));
            }
        }
    }

    fn line(&mut self, line: &str) {
        let indent = 4 * self.depth;
        writeln!(self.text, "{:indent$}{line}", "").expect("text takes more text");
    }
}

/// Returns the brackets that draw a state: by what it does, and whether an execution ends with it.
fn shape(state: &Node) -> (&'static str, &'static str) {
    let resource = text(state, "Resource").unwrap_or_default();
    match text(state, "Type").unwrap_or_default() {
        "Choice" => ("{", "}"),
        "Fail" => ("([", "])"),
        _ if state.get("End").is_some() => ("([", "])"),
        "Task" if resource.ends_with(".waitForTaskToken") => ("{{", "}}"),
        "Task" if resource.contains(":states:startExecution") => ("[[", "]]"),
        _ => ("[", "]"),
    }
}

/// Returns the name of a state with, below it, the action of the function or the state machine that it runs.
fn label(name: &str, state: &Node) -> String {
    let arguments = state.get("Arguments");
    let argument = |key: &str| arguments.and_then(|arguments| text(arguments, key)).map(placeholder);
    let action =
        arguments.and_then(|arguments| arguments.get("Payload")).and_then(|sent| text(sent, "action"));
    let runs = match (argument("FunctionName"), argument("StateMachineArn"), action) {
        (Some(function), _, Some(action)) => format!("{function}: {action}"),
        (Some(target), ..) | (_, Some(target), _) => target.to_owned(),
        _ => return name.to_owned(),
    };
    format!("{name}<br>{runs}")
}

/// Returns `${Name}` as `Name`.
fn placeholder(text: &str) -> &str {
    text.strip_prefix("${").and_then(|text| text.strip_suffix('}')).unwrap_or(text)
}

/// Returns a condition without its marks; what it says is about the state's input where it names no variable.
fn shortened(condition: &str) -> String {
    let bare = condition.trim_start_matches("{%").trim_end_matches("%}").trim();
    bare.replace("$states.input.", "")
}

fn errors(rule: &Node) -> String {
    let names = rule.get("ErrorEquals").map(Node::items).unwrap_or_default();
    let names: Vec<&str> = names.iter().filter_map(Node::text).collect();
    match names[..] {
        ["States.ALL"] => "any error".to_owned(),
        _ => names.join(", "),
    }
}

fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::text)
}

/// Returns a text as Mermaid reads it within quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '#' => escaped.push_str("#35;"),
            '"' => escaped.push_str("#quot;"),
            '<' => escaped.push_str("#lt;"),
            '>' => escaped.push_str("#gt;"),
            '&' => escaped.push_str("#amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}
