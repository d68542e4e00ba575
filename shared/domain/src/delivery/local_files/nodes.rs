//! Changes of a template's tree: addresses in the place of paths.

use super::properties::Form;
use super::{ARTIFACT_BUCKET, object_key};
use crate::model::ids::Digest;
use crate::stacks::template::node::{Entry, Node, Value};

const STACK: &str = "AWS::CloudFormation::Stack";

/// Returns the address of an object, in the form of the property.
pub(super) fn address(form: Form, digest: &Digest, line: u32) -> Node {
    let key = object_key(digest);
    let sub = |text: String| Node::function(line, "Fn::Sub".to_owned(), Node::text(line, text));
    match form {
        Form::Keys(bucket_name, key_name) => {
            let bucket = Node::function(line, "Ref".to_owned(), Node::text(line, ARTIFACT_BUCKET));
            let entry = |key: &str, node: Node| Entry { key: key.to_owned(), line, node };
            let entries = vec![entry(bucket_name, bucket), entry(key_name, Node::text(line, key))];
            Node::new(line, Value::Map(entries))
        }
        Form::S3Url => sub(format!("s3://${{{ARTIFACT_BUCKET}}}/{key}")),
        // A content with this form is inlined before it gets an address.
        Form::HttpsUrl | Form::Inline(_) => {
            sub(format!("https://${{{ARTIFACT_BUCKET}}}.s3.${{AWS::Region}}.${{AWS::URLSuffix}}/{key}"))
        }
    }
}

/// Declares the parameter of the bucket, unless the author did.
pub(super) fn declare_bucket(root: &mut Node) {
    declare(
        root,
        ARTIFACT_BUCKET,
        "Bucket of the files that Lockstep packaged; Lockstep sets the value",
        None,
    );
}

/// Declares a parameter that holds a text, unless the template has it.
pub(super) fn declare(root: &mut Node, name: &str, description: &str, default: Option<&str>) {
    let line = root.line;
    let text = |key: &str, text: &str| Entry { key: key.to_owned(), line, node: Node::text(line, text) };
    let declaration = [text("Type", "String"), text("Description", description)].into_iter();
    let declaration = declaration.chain(default.map(|default| text("Default", default))).collect();
    let parameter = Entry { key: name.to_owned(), line, node: Node::new(line, Value::Map(declaration)) };
    let Value::Map(sections) = &mut root.value else { return };
    match sections.iter_mut().find(|section| section.key == "Parameters") {
        Some(Entry { node: Node { value: Value::Map(parameters), .. }, .. }) => {
            if !parameters.iter().any(|known| known.key == name) {
                parameters.push(parameter);
            }
        }
        // The reader of sections reports it.
        Some(_) => {}
        None => sections.push(Entry {
            key: "Parameters".to_owned(),
            line,
            node: Node::new(line, Value::Map(vec![parameter])),
        }),
    }
}

/// Turns a serverless application into the nested stack that the serverless transform makes of it. The transform takes no
/// function as its location.
pub(super) fn become_stack(resource: &mut Node) {
    if let Some(kind) = child_mut(resource, "Type") {
        kind.value = Value::Text(STACK.to_owned());
    }
    let Some(tags) = child_mut(resource, "Properties").and_then(|node| child_mut(node, "Tags")) else {
        return;
    };
    if let Value::Map(entries) = &mut tags.value {
        let tag = |entry: Entry| {
            Node::new(
                entry.line,
                Value::Map(vec![
                    Entry {
                        key: "Key".to_owned(),
                        line: entry.line,
                        node: Node::text(entry.line, entry.key),
                    },
                    Entry { key: "Value".to_owned(), line: entry.line, node: entry.node },
                ]),
            )
        };
        tags.value = Value::List(std::mem::take(entries).into_iter().map(tag).collect());
    }
}

/// Applies `act` to a value, or to both values of a `Fn::If`.
pub(super) fn each_value(node: &mut Node, act: &mut dyn FnMut(&mut Node)) {
    if let Value::Map(entries) = &mut node.value
        && let [Entry { key, node: argument, .. }] = entries.as_mut_slice()
        && key == "Fn::If"
        && let Value::List(items) = &mut argument.value
    {
        items.iter_mut().skip(1).for_each(|item| each_value(item, act));
        return;
    }
    act(node);
}

/// Applies `act` to each entry at `path`; `*` stands for each key.
pub(super) fn visit(node: &mut Node, path: &[&str], act: &mut dyn FnMut(&mut Entry)) {
    let (Some((first, rest)), Value::Map(entries)) = (path.split_first(), &mut node.value) else { return };
    for entry in entries.iter_mut().filter(|entry| *first == "*" || entry.key == *first) {
        if rest.is_empty() {
            act(entry);
        } else {
            visit(&mut entry.node, rest, act);
        }
    }
}

pub(super) fn child_mut<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Value::Map(entries) = &mut node.value else { return None };
    entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
}

/// Returns `path` relative to `folder`, if it is below it.
pub(super) fn below<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

/// Returns the file or folder directly in `folder` that leads to `path`, as a path of the component.
pub(super) fn beside<'p>(path: &'p str, folder: &str) -> Option<&'p str> {
    let rest = below(path, folder)?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some(&path[..path.len() - rest.len() + end])
}
