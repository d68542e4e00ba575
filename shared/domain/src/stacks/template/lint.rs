//! Deletion policies, which resources with data must have.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-deletionpolicy.html>

use super::node::Fault;
use super::{Resource, Template, problems};
use crate::model::error::Problem;
use crate::model::ids::LogicalId;
use crate::stacks::protected::{is_protected, supports_snapshot};
use std::collections::BTreeSet;

/// Returns the problems for [`Template::lint`].
pub(super) fn lint(template: &Template, protect: &[LogicalId]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for id in protect {
        match template.resource(id.as_str()) {
            Some((name, _)) => drop(named.insert(name)),
            None if template.module_of(id.as_str()).is_some() => {}
            None => found.push(missing(&template.file, id)),
        }
    }
    let is_kept = |name: &str, kind: &str| is_protected(kind) || named.contains(name);
    let protected = template.resources.iter().filter(|(name, resource)| is_kept(name, &resource.kind));
    let unkept = protected.filter_map(|(name, resource)| unkept(name, resource)).collect();
    found.extend(problems(&template.file, unkept));
    found
}

fn missing(file: &str, id: &LogicalId) -> Problem {
    Problem::at(file, None, format!("[protect] names '{id}', but the template has no such resource"))
}

/// Returns a fault if the resource lacks the policies that would retain its data.
fn unkept(name: &str, resource: &Resource) -> Option<Fault> {
    let deletion = Some("DeletionPolicy").filter(|_| !keeps(resource.deletion_policy.as_deref()));
    let replacement =
        Some("UpdateReplacePolicy").filter(|_| !keeps(resource.update_replace_policy.as_deref()));
    let lacking: Vec<_> = deletion.into_iter().chain(replacement).collect();
    if lacking.is_empty() {
        return None;
    }
    let keep = if supports_snapshot(&resource.kind) { "Retain or Snapshot" } else { "Retain" };
    let message = format!("{name} ({}) is protected: set {} to {keep}", resource.kind, lacking.join(" and "));
    Some(Fault::new(resource.line, message))
}

/// Returns true if a policy retains the data. Types without snapshots reject `Snapshot` earlier.
pub(super) fn keeps(policy: Option<&str>) -> bool {
    matches!(policy, Some("Retain" | "RetainExceptOnCreate" | "Snapshot"))
}
