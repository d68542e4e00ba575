//! Mentions of a name in a component: other values of the template, and other files.

use super::render::Renderer;
use crate::stacks::template::node::{Node, Value};
use std::collections::BTreeMap;

/// Keys of a template whose texts are labels for people, which no service reads as a name.
const LABELS: [&str; 3] = ["Description", "Metadata", "Tags"];

/// The texts of a component in which a name may be mentioned.
pub(super) struct Mentions<'a> {
    /// Rendered texts of the template, with their lines, and true for the names that are left out.
    texts: Vec<(u32, String, bool)>,
    files: &'a BTreeMap<String, String>,
}

impl<'a> Mentions<'a> {
    /// Collects the texts. `names` are the nodes of the names themselves.
    pub(super) fn new(
        root: &Node,
        renderer: &Renderer<'_>,
        names: &[&Node],
        files: &'a BTreeMap<String, String>,
    ) -> Self {
        let mut found = Self { texts: Vec::new(), files };
        for section in ["Resources", "Outputs"] {
            if let Some(node) = root.get(section) {
                found.collect(node, renderer, names);
            }
        }
        found
    }

    /// Returns the place that mentions `name`, or `None`.
    pub(super) fn of(&self, name: &str) -> Option<String> {
        // Another name that is the same is left out as well. One that contains this name belongs to it.
        let is_mention =
            |(_, text, is_name): &&(u32, String, bool)| !(*is_name && text == name) && mentions(text, name);
        if let Some((line, _, _)) = self.texts.iter().find(is_mention) {
            return Some(format!("line {line}"));
        }
        self.files.iter().find(|(_, text)| mentions(text, name)).map(|(file, _)| file.clone())
    }

    fn collect(&mut self, node: &Node, renderer: &Renderer<'_>, names: &[&Node]) {
        if names.iter().any(|name| std::ptr::eq(*name, node)) {
            return self.add(node, renderer, true);
        }
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.collect(item, renderer, names)),
            Value::Map(entries) => {
                if let [entry] = entries.as_slice()
                    && matches!(entry.key.as_str(), "Ref" | "Fn::Sub" | "Fn::Join" | "Fn::FindInMap")
                {
                    return self.add(node, renderer, false);
                }
                for entry in entries {
                    match entry.key.as_str() {
                        key if LABELS.contains(&key) => {}
                        "Type" | "Condition" | "DependsOn" | "Fn::GetAtt" => {}
                        _ => self.collect(&entry.node, renderer, names),
                    }
                }
            }
            _ => self.add(node, renderer, false),
        }
    }

    fn add(&mut self, node: &Node, renderer: &Renderer<'_>, is_name: bool) {
        if let Some(text) = renderer.text(node) {
            self.texts.push((node.line, text, is_name));
        }
    }
}

/// Returns true if `text` contains `name` as a whole word, or a pattern such as `name-*` that fits it.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let whole = text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    });
    whole
        || text.contains('*')
            && text
                .split(|c: char| !(is_part(c) || "*/.".contains(c)))
                .filter(|word| word.contains('*') && word.chars().filter(|c| is_part(*c)).count() > 1)
                .any(|pattern| fits(pattern, name))
}

/// Returns true if a pattern with `*` matches the whole name.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        last = Some(part);
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    last.is_some_and(|part| name.ends_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_mentioned_as_a_whole_word_or_by_a_pattern() {
        for text in [
            "bills",
            "arn:aws:sqs:eu-west-1:1:bills",
            "https://sqs/1/bills/x",
            "arn:aws:sqs:*:*:bil*",
            "arn:aws:sqs:*:*:*lls",
            "send to \"bills\"",
        ] {
            assert!(mentions(text, "bills"), "{text}");
        }
        for text in
            ["", "bills-old", "old_bills", "waybills", "*", "arn:aws:sqs:*:*:*", "arn:aws:sqs:*:*:bells*"]
        {
            assert!(!mentions(text, "bills"), "{text}");
        }
        assert!(mentions("arn:aws:logs:*:*:log-group:/aws/lambda/*", "/aws/lambda/bills"));
    }
}
