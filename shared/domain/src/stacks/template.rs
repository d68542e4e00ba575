//! CloudFormation templates with line numbers.
//!
//! Parsing reports every mistake that is detectable without a call to AWS, all at once and each with its line.
//! CloudFormation reports the remaining ones when the change set is created.

mod boundary;
mod declarations;
mod event;
mod functions;
mod graph;
mod json;
mod lint;
pub(crate) mod macros;
pub(crate) mod node;
mod parameter;
mod policies;
pub(crate) mod references;
mod scalar;
pub(crate) mod sections;
mod shapes;
mod source;
mod test_stack;
mod yaml;

pub use parameter::Parameter;
pub use test_stack::LeftOutName;

use crate::model::canonical::canonical_json;
use crate::model::error::Problem;
use crate::model::ids::{Digest, LogicalId};
use crate::model::test_difference::TestDifference;
use node::{Fault, Node};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum size of a template in S3, in bytes.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>
pub const TEMPLATE_BYTES_MAX: usize = 1_048_576;

/// Maximum number of problems reported for one template.
const PROBLEMS_MAX: usize = 100;

/// A parsed template with valid references.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    file: String,
    text: String,
    digest: Digest,
    /// True if the tree differs from the text.
    is_rewritten: bool,
    root: Node,
    parameters: BTreeMap<String, Parameter>,
    resources: BTreeMap<String, Resource>,
    outputs: BTreeMap<String, u32>,
}

/// A resource: its declaration and its policies for removal and replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Line of the logical id.
    pub line: u32,
    /// `Type` of the resource, such as `AWS::S3::Bucket`.
    pub kind: String,
    /// `DeletionPolicy`. Of a function, the first value that it can have; `None` if one of them does not retain the
    /// resource, or if they are not known.
    pub deletion_policy: Option<String>,
    /// `UpdateReplacePolicy`, like `deletion_policy`.
    pub update_replace_policy: Option<String>,
}

impl Template {
    /// Parses a template: JSON if it starts with a brace, else YAML. `file` is its name in problems.
    ///
    /// # Errors
    /// Returns every problem, in line order: unreadable text, unknown sections and attributes, declarations without a
    /// type, exceeded CloudFormation quotas, references to undeclared names, functions that CloudFormation refuses, null
    /// values, and resources that depend on each other in a circle.
    pub fn parse(file: &str, text: &str) -> Result<Template, Vec<Problem>> {
        Self::parse_rewritten(file, text, |_| false)
    }

    /// Parses a template as [`Template::parse`], after `rewrite` has changed its tree. `rewrite` returns true if it changed
    /// something.
    pub(crate) fn parse_rewritten(
        file: &str,
        text: &str,
        rewrite: impl FnOnce(&mut Node) -> bool,
    ) -> Result<Template, Vec<Problem>> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let message =
                format!("the template has more than {TEMPLATE_BYTES_MAX} bytes, CloudFormation's limit");
            return Err(vec![Problem::at(file, None, message)]);
        }
        let mut root = source::read(text).map_err(|faults| problems(file, faults))?;
        let is_rewritten = rewrite(&mut root);
        let sections::Sections { parameters, resources, outputs, mut faults, .. } = sections::read(&root);
        for check in [references::check, declarations::check, shapes::check, graph::check] {
            faults.extend(check(&root));
        }
        if !faults.is_empty() {
            return Err(problems(file, faults));
        }
        Ok(Template {
            file: file.to_owned(),
            text: text.to_owned(),
            digest: Digest::of(text.as_bytes()),
            is_rewritten,
            root,
            parameters,
            resources,
            outputs,
        })
    }

    /// Returns the name of the file.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// Returns the parameters by name.
    pub fn parameters(&self) -> &BTreeMap<String, Parameter> {
        &self.parameters
    }

    /// Returns the resources by logical id. A resource made by `Fn::ForEach` is listed once, under its pattern
    /// (`Bucket${Name}`).
    pub fn resources(&self) -> &BTreeMap<String, Resource> {
        &self.resources
    }

    /// Returns the lines of the outputs, by name. An output made by a loop is listed under its pattern.
    pub fn outputs(&self) -> &BTreeMap<String, u32> {
        &self.outputs
    }

    /// Returns the line where `logical_id` is declared, for the diagnosis of a failed deployment.
    ///
    /// For a resource made by a loop, that is the line of the loop's body; for one of a module, the module's line.
    pub fn line_of(&self, logical_id: &str) -> Option<u32> {
        let resource = self.resource(logical_id).map(|(_, resource)| resource);
        resource.or_else(|| self.module_of(logical_id)).map(|resource| resource.line)
    }

    /// Returns true if CloudFormation adds resources that the template does not show: by a module.
    pub fn has_modules(&self) -> bool {
        self.resources.values().any(|resource| macros::is_module(&resource.kind))
    }

    /// Returns the SHA-256 digest of the exact text.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns the exact text, as the author wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text that stacks run: the author's, or, if a role or a user has no permissions boundary or a local file
    /// got an address, JSON with sorted keys that differs in these points alone.
    pub fn deployed_text(&self) -> String {
        let mut json = self.to_json();
        let is_changed = boundary::set(&mut json) || self.is_rewritten;
        if is_changed { canonical_json(json) } else { self.text.clone() }
    }

    /// Returns the problems that prevent packaging, in line order.
    ///
    /// A resource that holds data (see [`crate::stacks::protected`]) or that `protect` names needs a `DeletionPolicy`
    /// and an `UpdateReplacePolicy` that retain it. Every name in `protect` needs a resource. No role has a permissions
    /// boundary of its own.
    pub fn lint(&self, protect: &[LogicalId]) -> Vec<Problem> {
        let mut found = lint::lint(self, protect);
        found.extend(problems(&self.file, boundary::others(&self.root)));
        found
    }

    /// Returns the template of the test stack, as JSON with sorted keys, and its differences from the deployed one: each
    /// resource is deleted with the stack, nothing protects it from that or keeps something, and the names in `left_out`
    /// are absent.
    pub fn derive_test_template(&self, left_out: &BTreeSet<LeftOutName>) -> (String, Vec<TestDifference>) {
        let mut json = self.to_json();
        boundary::set(&mut json);
        let mut differences = test_stack::derive(&mut json, left_out);
        for difference in &mut differences {
            difference.line = test_stack::line(&self.root, difference);
        }
        (canonical_json(json), differences)
    }

    /// Returns the template as JSON, with short forms such as `!Ref` expanded.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    /// Returns the root of the tree, for callers that read properties.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Returns the module that adds a resource called `logical_id`, such as `Store` for `StoreBucket`.
    fn module_of(&self, logical_id: &str) -> Option<&Resource> {
        let mut modules = self.resources.iter().filter(|(_, resource)| macros::is_module(&resource.kind));
        modules.find(|(name, _)| references::is_within(name, logical_id)).map(|(_, module)| module)
    }

    /// Returns the resource called `logical_id`, with the name that the template gives it.
    fn resource(&self, logical_id: &str) -> Option<(&String, &Resource)> {
        let made_by_loop =
            || self.resources.iter().find(|(pattern, _)| references::fits(pattern, logical_id));
        self.resources.get_key_value(logical_id).or_else(made_by_loop)
    }
}

/// Parses a text as a part of a template: a tree without the rules of sections.
pub(crate) fn read_node(text: &str) -> Result<Node, Vec<Fault>> {
    source::read(text)
}

/// Returns the faults as problems without duplicates, in line order, limited to a readable number.
fn problems(file: &str, mut faults: Vec<Fault>) -> Vec<Problem> {
    faults.sort();
    faults.dedup();
    let more = faults.len().saturating_sub(PROBLEMS_MAX);
    faults.truncate(PROBLEMS_MAX);
    let mut problems: Vec<_> = faults.into_iter().map(|f| Problem::at(file, f.line, f.message)).collect();
    if more > 0 {
        problems.push(Problem::at(file, None, format!("there are {more} more problems")));
    }
    problems
}
