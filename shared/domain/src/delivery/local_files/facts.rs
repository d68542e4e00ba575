//! The properties of a resource that say what its code must hold.

use super::code::CodeFacts;
use super::nodes::child_mut;
use super::paths::is_local;
use crate::stacks::template::node::{Entry, Node, Value};

/// The type whose properties `Globals` may hold.
pub(super) const FUNCTION: &str = "AWS::Serverless::Function";

/// Gives a serverless function the code of `Globals`, or the folder of its template, as the AWS CLI does.
pub(super) fn code_of_globals(template: &Node, resource: &mut Entry) {
    let line = resource.line;
    let globals = template.get("Globals").and_then(|globals| globals.get("Function"));
    let Some(properties) = child_mut(&mut resource.node, "Properties") else { return };
    let is_there = |name: &str| properties.get(name).is_some();
    let image = |node: Option<&Node>| {
        node.and_then(|n| n.get("PackageType")).and_then(Node::as_text) == Some("Image")
    };
    if is_there("CodeUri")
        || is_there("InlineCode")
        || is_there("ImageUri")
        || image(Some(properties))
        || image(globals)
    {
        return;
    }
    let code = match globals.and_then(|globals| globals.get("CodeUri")) {
        Some(code) if code.as_text().is_some_and(is_local) => code.clone(),
        Some(_) => return,
        None => Node::text(line, "."),
    };
    if let Value::Map(entries) = &mut properties.value {
        entries.push(Entry { key: "CodeUri".to_owned(), line, node: code });
    }
}

/// Returns what the properties of a resource, or `Globals`, say of its code.
pub(super) fn facts(template: &Node, kind: &str, resource: &Node) -> CodeFacts {
    let globals = (kind == FUNCTION).then(|| template.get("Globals")?.get("Function")).flatten();
    let property = |name: &str| {
        let own = resource.get("Properties").and_then(|properties| properties.get(name));
        own.or_else(|| globals.and_then(|globals| globals.get(name)))
    };
    let mut facts = CodeFacts::default();
    let metadata = resource.get("Metadata");
    facts.asks_for_build = ["BuildMethod", "BuildProperties", "Dockerfile"]
        .iter()
        .any(|name| metadata.is_some_and(|metadata| metadata.get(name).is_some()));
    facts.has_layers =
        property("Layers").is_some_and(|layers| layers.items().is_none_or(|items| !items.is_empty()));
    let mut value = |node: &Node| match literal(template, node) {
        Some((text, is_certain)) => {
            facts.is_uncertain |= !is_certain;
            Some(text)
        }
        None => None,
    };
    let runtimes: Vec<&Node> = match property("Runtime") {
        Some(runtime) => vec![runtime],
        None => property("CompatibleRuntimes").and_then(Node::items).unwrap_or_default().iter().collect(),
    };
    let runtimes = runtimes.into_iter().filter_map(&mut value).collect();
    let handler = property("Handler").and_then(value);
    CodeFacts { runtimes, handler, ..facts }
}

/// Returns the text of a value, and true if it is the same in every stage. The default of a parameter is not.
pub(super) fn literal(template: &Node, node: &Node) -> Option<(String, bool)> {
    if let Some(text) = node.as_text() {
        return Some((text.to_owned(), true));
    }
    let name = node.get("Ref").and_then(Node::as_text)?;
    let default = template.get("Parameters")?.get(name)?.get("Default")?;
    Some((default.as_text()?.to_owned(), false))
}
