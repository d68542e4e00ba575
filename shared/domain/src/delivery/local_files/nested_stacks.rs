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
        self.collect("", template, values, false, &mut found);
        found
    }

    /// Returns the same in every branch of a choice that is not known before the deployment.
    pub(crate) fn stacks_of_every_branch(
        &self,
        template: &Template,
        values: &StageValues,
    ) -> Vec<NestedStack<'_>> {
        let mut found = Vec::new();
        self.collect("", template, values, true, &mut found);
        found
    }

    fn collect<'a>(
        &'a self,
        path: &str,
        template: &Template,
        values: &StageValues,
        every_branch: bool,
        found: &mut Vec<NestedStack<'a>>,
    ) {
        let root = template.root();
        let renderer = Renderer::new(root, template.parameters(), values);
        let renderer = if every_branch { renderer.with_every_branch() } else { renderer };
        for entry in declared(root, "Resources").into_iter().filter(|entry| renderer.exists(&entry.node)) {
            let Some(properties) = entry.node.get("Properties") else { continue };
            let address = properties.get("TemplateURL").and_then(|node| renderer.text(node));
            for nested in self.nested_at(&address.unwrap_or_default()) {
                let stack = NestedStack {
                    path: format!("{path}{}.", entry.key),
                    template: &nested.template,
                    values: passed(&nested.template, properties, &renderer, values),
                };
                let (path, theirs) = (stack.path.clone(), stack.values.clone());
                found.push(stack);
                self.collect(&path, &nested.template, &theirs, every_branch, found);
            }
        }
    }

    /// Returns the templates that an address names: more than one if the choice between them is not known.
    pub fn templates_at(&self, address: &str) -> Vec<&Template> {
        self.nested_at(address).map(|nested| &nested.template).collect()
    }

    fn nested_at(&self, address: &str) -> impl Iterator<Item = &NestedTemplate> {
        self.nested.iter().filter(move |nested| address.contains(nested.deployed.digest.as_str()))
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
