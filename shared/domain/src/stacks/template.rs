//! CloudFormation templates, read with their line numbers.
//!
//! Everything an author can get wrong without AWS being asked is found here, all of it at once and each at its line.
//! What remains is CloudFormation's to judge when the change set is made.

mod lint;
pub(crate) mod macros;
pub(crate) mod node;
mod parameter;
mod references;
mod scalar;
pub(crate) mod sections;
mod source;

pub use parameter::Parameter;

use crate::model::canonical::canonical_json;
use crate::model::error::Problem;
use crate::model::ids::{Digest, LogicalId};
use node::{Fault, Node};
use std::collections::BTreeMap;

/// The largest template CloudFormation takes from S3, in bytes.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>
pub const TEMPLATE_BYTES_MAX: usize = 1_048_576;

/// The most problems reported for one template.
const PROBLEMS_MAX: usize = 100;

/// A template that was read and whose references are sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    file: String,
    text: String,
    digest: Digest,
    root: Node,
    parameters: BTreeMap<String, Parameter>,
    resources: BTreeMap<String, Resource>,
    outputs: BTreeMap<String, u32>,
}

/// One resource: where it is declared and what happens to it when it is removed or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The line of its logical id.
    pub line: u32,
    /// Its `Type`, such as `AWS::S3::Bucket`.
    pub kind: String,
    /// Its `DeletionPolicy`; `None` also if that is an intrinsic function.
    pub deletion_policy: Option<String>,
    /// Its `UpdateReplacePolicy`; `None` also if that is an intrinsic function.
    pub update_replace_policy: Option<String>,
}

impl Template {
    /// Reads a template, JSON if it starts with a brace and YAML otherwise; `file` is its name in problems.
    ///
    /// # Errors
    /// Everything wrong with it, in the order of the lines: what cannot be read, sections and attributes that do not
    /// exist, declarations without a type, more than CloudFormation's quotas, and references to nothing.
    pub fn parse(file: &str, text: &str) -> Result<Template, Vec<Problem>> {
        if text.len() > TEMPLATE_BYTES_MAX {
            let message =
                format!("the template has more than {TEMPLATE_BYTES_MAX} bytes, CloudFormation's limit");
            return Err(vec![Problem::at(file, None, message)]);
        }
        let root = source::read(text).map_err(|faults| problems(file, faults))?;
        let mut read = sections::read(&root);
        read.faults.extend(references::check(&root));
        if !read.faults.is_empty() {
            return Err(problems(file, read.faults));
        }
        Ok(Template {
            file: file.to_owned(),
            text: text.to_owned(),
            digest: Digest::of(text.as_bytes()),
            root,
            parameters: read.parameters,
            resources: read.resources,
            outputs: read.outputs,
        })
    }

    /// The parameters by name.
    pub fn parameters(&self) -> &BTreeMap<String, Parameter> {
        &self.parameters
    }

    /// The resources by logical id. What a `Fn::ForEach` makes is here once, under its pattern (`Bucket${Name}`).
    pub fn resources(&self) -> &BTreeMap<String, Resource> {
        &self.resources
    }

    /// The lines of the outputs, by name; one that a loop makes is here under its pattern.
    pub fn outputs(&self) -> &BTreeMap<String, u32> {
        &self.outputs
    }

    /// The line where `logical_id` is declared, for the diagnosis of a failed deployment.
    ///
    /// A resource that a loop made is found at the loop's body.
    pub fn line_of(&self, logical_id: &str) -> Option<u32> {
        self.resource(logical_id).map(|(_, resource)| resource.line)
    }

    /// The SHA-256 digest of the exact text.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The exact text, as the author wrote it and as it is deployed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What makes the template unfit to be packaged, in the order of the lines.
    ///
    /// A resource that holds data (see [`crate::stacks::protected`]) or that `protect` names needs a `DeletionPolicy` and an
    /// `UpdateReplacePolicy` that keep it, and every name in `protect` needs a resource.
    pub fn lint(&self, protect: &[LogicalId]) -> Vec<Problem> {
        lint::lint(self, protect)
    }

    /// The template of the throw-away stack, as JSON with sorted keys: the same, except that whatever would outlive
    /// the stack (protected types, and resources that set a deletion policy) is deleted with it.
    pub fn throw_away(&self) -> String {
        let mut json = self.to_json();
        lint::delete_everything(&mut json);
        canonical_json(json)
    }

    /// The template as JSON, short forms such as `!Ref` written out.
    pub fn to_json(&self) -> serde_json::Value {
        self.root.to_json()
    }

    /// The tree of the template, for what reads properties.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The resource called `logical_id`, under the name the template gives it.
    fn resource(&self, logical_id: &str) -> Option<(&String, &Resource)> {
        let made_by_loop =
            || self.resources.iter().find(|(pattern, _)| references::fits(pattern, logical_id));
        self.resources.get_key_value(logical_id).or_else(made_by_loop)
    }
}

/// Faults as people read them, each once, in the order of the lines, and no more than anybody reads.
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
