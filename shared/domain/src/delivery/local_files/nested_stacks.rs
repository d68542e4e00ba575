//! Nested templates with the values that their nested stacks get.

use super::{LocalFiles, NestedTemplate};
use crate::stacks::names::render::Renderer;
use crate::stacks::names::{NestedStack, StageValues, declared};
use crate::stacks::template::Template;
use crate::stacks::template::node::Node;
use std::collections::BTreeMap;

/// Pseudo parameters that a nested stack has in common with the stack above it.
const SHARED: [&str; 2] = ["AWS::Partition", "AWS::URLSuffix"];

impl LocalFiles {
    /// Returns each nested stack of `template` that runs a packaged template, at every depth, when the stack has `values`.
    pub(crate) fn stacks(&self, template: &Template, values: &StageValues) -> Vec<NestedStack<'_>> {
        let mut found = Vec::new();
        // The templates name each other in no circle.
        self.collect("", template, values, &mut found);
        found
    }

    fn collect<'a>(
        &'a self,
        path: &str,
        template: &Template,
        values: &StageValues,
        found: &mut Vec<NestedStack<'a>>,
    ) {
        let root = template.root();
        let renderer = Renderer::new(root, template.parameters(), values);
        for entry in declared(root, "Resources").into_iter().filter(|entry| renderer.exists(&entry.node)) {
            let Some(properties) = entry.node.get("Properties") else { continue };
            let address = properties.get("TemplateURL").and_then(|node| renderer.text(node));
            let Some(nested) = address.and_then(|address| self.nested_at(&address)) else { continue };
            let stack = NestedStack {
                path: format!("{path}{}.", entry.key),
                template: &nested.template,
                values: passed(&nested.template, properties, &renderer, values),
            };
            let (path, theirs) = (stack.path.clone(), stack.values.clone());
            found.push(stack);
            self.collect(&path, &nested.template, &theirs, found);
        }
    }

    fn nested_at(&self, address: &str) -> Option<&NestedTemplate> {
        self.nested.iter().find(|nested| address.contains(nested.deployed.digest.as_str()))
    }
}

/// Returns the values of a nested stack: those that its parent passes, and the defaults of its template.
fn passed(
    template: &Template,
    properties: &Node,
    renderer: &Renderer<'_>,
    values: &StageValues,
) -> StageValues {
    let given = properties.get("Parameters").and_then(Node::entries).unwrap_or_default();
    let given = given.iter().filter_map(|entry| Some((entry.key.clone(), renderer.text(&entry.node)?)));
    let defaults = template.parameters().iter();
    let defaults = defaults.filter_map(|(name, parameter)| Some((name.clone(), parameter.default.clone()?)));
    let mut parameters: BTreeMap<String, String> = defaults.collect();
    parameters.extend(given);
    let references = values.references.iter().filter(|(name, _)| SHARED.contains(&name.as_str()));
    StageValues {
        parameters,
        references: references.map(|(name, value)| (name.clone(), value.clone())).collect(),
        ..values.clone()
    }
}
