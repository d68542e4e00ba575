//! Local files of the transform `AWS::Include`.
//!
//! The content replaces the transform. CloudFormation would do the same with a file in S3, where no rule of Lockstep
//! sees it: a role in it would have no boundary, and data no deletion policy.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/transform-aws-include.html>

use super::paths::is_local;
use super::rewrite::Packager;
use crate::stacks::template::node::{Entry, Node, Value};
use crate::stacks::template::read_node;

/// Name of the transform.
const INCLUDE: &str = "AWS::Include";

/// Maximum number of inclusions in one component, which bounds files that include each other many times.
const INCLUDES_MAX: usize = 100;

impl Packager<'_> {
    /// Replaces every local inclusion of the template `file` below `node`. Returns true if there was one.
    pub(super) fn include(&mut self, file: &str, root: &mut Node) -> bool {
        let mut is_changed = self.top_transforms(file, root);
        is_changed |= self.inclusions(file, root);
        is_changed
    }

    /// Replaces the inclusions of the section `Transform`, whose content becomes sections of the template.
    fn top_transforms(&mut self, file: &str, root: &mut Node) -> bool {
        let Value::Map(entries) = &mut root.value else { return false };
        let Some(at) = entries.iter().position(|entry| entry.key == "Transform") else { return false };
        let transform = &mut entries[at].node;
        let found = match &mut transform.value {
            Value::List(items) => {
                let found: Vec<_> = items.iter().filter_map(location).collect();
                items.retain(|item| location(item).is_none());
                found
            }
            _ => location(transform).into_iter().collect(),
        };
        if found.is_empty() {
            return false;
        }
        if transform.items().is_none_or(<[Node]>::is_empty) {
            entries.remove(at);
        }
        for (path, line) in found {
            if let Some(content) = self.included(file, &path, line) {
                self.merge(file, root, content, line);
            }
        }
        true
    }

    fn inclusions(&mut self, file: &str, node: &mut Node) -> bool {
        let mut is_changed = false;
        if let Value::Map(entries) = &mut node.value {
            let transform =
                |entry: &Entry| (entry.key == "Fn::Transform").then(|| location(&entry.node)).flatten();
            if let Some((at, (path, line))) =
                entries.iter().enumerate().find_map(|(at, entry)| Some((at, transform(entry)?)))
            {
                is_changed = true;
                entries.remove(at);
                let is_alone = entries.is_empty();
                match self.included(file, &path, line) {
                    Some(content) if is_alone => *node = content,
                    Some(content) => self.merge(file, node, content, line),
                    None => {}
                }
            }
        }
        match &mut node.value {
            Value::Map(entries) => {
                for entry in entries {
                    is_changed |= self.inclusions(file, &mut entry.node);
                }
            }
            Value::List(items) => {
                for item in items {
                    is_changed |= self.inclusions(file, item);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
        is_changed
    }

    /// Returns the content of an included file, with its own inclusions replaced. Its lines are the line of the inclusion,
    /// since the template's problems name the template.
    fn included(&mut self, file: &str, path: &str, line: u32) -> Option<Node> {
        let path = self.resolved(file, path, line)?;
        self.includes += 1;
        if self.includes > INCLUDES_MAX {
            self.problem(
                file,
                line,
                format!("the component has more than {INCLUDES_MAX} inclusions of files"),
            );
            return None;
        }
        let text = self.text(file, &path, line)?;
        self.enter(file, &path, line)?;
        let content = match read_node(text) {
            Ok(mut content) => {
                self.inclusions(&path, &mut content);
                set_lines(&mut content, line);
                Some(content)
            }
            Err(faults) => {
                for fault in faults {
                    self.problem(&path, fault.line, fault.message);
                }
                None
            }
        };
        self.leave();
        content
    }

    /// Adds the entries of `content` to a mapping. Mappings of one name are joined.
    fn merge(&mut self, file: &str, node: &mut Node, content: Node, line: u32) {
        let (Value::Map(entries), Value::Map(more)) = (&mut node.value, content.value) else {
            let message = "the included file must be a mapping, since it is added to one";
            self.problem(file, line, message.to_owned());
            return;
        };
        for added in more {
            match entries.iter_mut().find(|entry| entry.key == added.key) {
                None => entries.push(added),
                Some(existing) => match (&mut existing.node.value, added.node.value) {
                    (Value::Map(own), Value::Map(theirs))
                        if theirs.iter().all(|entry| own.iter().all(|o| o.key != entry.key)) =>
                    {
                        own.extend(theirs);
                    }
                    _ => {
                        let message = format!(
                            "the included file and this template both hold `{}`; remove one",
                            added.key
                        );
                        self.problem(file, line, message);
                    }
                },
            }
        }
    }
}

/// Returns the local path that a transform includes, with the transform's line.
fn location(transform: &Node) -> Option<(String, u32)> {
    let is_include = transform.get("Name").and_then(Node::as_text) == Some(INCLUDE);
    let path = transform.get("Parameters")?.get("Location")?;
    let text = path.as_text().filter(|text| is_include && is_local(text))?;
    Some((text.to_owned(), path.line))
}

fn set_lines(node: &mut Node, line: u32) {
    node.line = line;
    match &mut node.value {
        Value::Map(entries) => {
            for entry in entries {
                entry.line = line;
                set_lines(&mut entry.node, line);
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| set_lines(item, line)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}
