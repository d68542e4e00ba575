//! One look at one resource: which source reads it, and the verdict out of the answers of both.
//!
//! CloudFormation's detection comes first. Cloud Control reads what the detection could not check, and what it calls
//! changed. Where the sources do not agree, the resource is unknown.

use super::compare::{Resource, compare};
use super::context::{Context, Live};
use super::facts::Facts;
use super::verdict::{Comparison, Shown, UnknownReason};
use crate::model::drift_status::DriftStatus;
use crate::model::ids::Digest;
use crate::records::{ReportedValue, UnknownCause};
use crate::stacks::plan::LiveResource;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Maximum number of characters of a value in a report.
const VALUE_CHARS: usize = 1000;

/// Maximum number of reads of one look through Cloud Control.
pub const READS_MAX: usize = 100;

/// Maximum number of resources of the stacks of one look.
pub const RESOURCES_MAX: usize = 1000;

/// Maximum number of environments of one execution: the events of their looks fit into its history.
pub const ENVIRONMENTS_MAX: usize = 200;

/// Maximum number of stacks of one look: the stack and its nested stacks.
pub const STACKS_MAX: usize = 20;

/// Result of CloudFormation's detection for a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Detected {
    /// Status.
    pub status: DriftStatus,
    /// Declared properties, with intrinsics resolved; only of a resource that was compared.
    pub expected: Option<Value>,
    /// Live values of the declared properties.
    pub actual: Option<Value>,
}

/// Answer of Cloud Control about a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Live model.
    Model(Value),
    /// No resource has the identifier.
    NotFound,
    /// The type cannot be read.
    Unsupported,
    /// The role may not read the resource; the text names the permission.
    Denied(String),
    /// The read failed otherwise.
    Failed(String),
    /// The look reads no further resource.
    Limit,
    /// The physical id does not identify the resource.
    Unidentified,
}

/// Source that decides about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// CloudFormation's detection found the resource in sync.
    Detection,
    /// Cloud Control reads the resource by its identifier.
    Read(String),
    /// Cloud Control cannot read the resource.
    Unread(UnknownCause),
}

/// Returns the route of each resource, in the order of `resources`. At most [`READS_MAX`] are read; those that the
/// detection calls changed come first.
pub fn plan(
    resources: &[LiveResource],
    detected: &BTreeMap<String, Detected>,
    facts: &BTreeMap<String, Facts>,
) -> Vec<Route> {
    let status = |resource: &LiveResource| detected.get(&resource.logical_id).map(|found| found.status);
    let mut routes: Vec<Route> = resources
        .iter()
        .map(|resource| route(resource, status(resource), facts.get(&resource.resource_type)))
        .collect();
    let mut reads: Vec<usize> =
        (0..routes.len()).filter(|index| matches!(routes[*index], Route::Read(_))).collect();
    reads.sort_by_key(|index| {
        !matches!(status(&resources[*index]), Some(DriftStatus::Modified | DriftStatus::Deleted))
    });
    for index in reads.into_iter().skip(READS_MAX) {
        routes[index] = Route::Unread(UnknownCause::Limit);
    }
    routes
}

fn route(resource: &LiveResource, status: Option<DriftStatus>, facts: Option<&Facts>) -> Route {
    if status == Some(DriftStatus::InSync) {
        return Route::Detection;
    }
    match facts {
        // A custom resource, or a type that is younger than the table.
        None => Route::Unread(UnknownCause::Unsupported),
        Some(_) if resource.physical_id.is_empty() => Route::Unread(UnknownCause::Unidentified),
        Some(facts) if facts.identifier.len() != 1 => Route::Unread(UnknownCause::Unidentified),
        Some(_) => Route::Read(resource.physical_id.clone()),
    }
}

/// Resource, with what both sources say.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Type of the resource.
    pub resource_type: &'a str,
    /// Result of CloudFormation's detection; `None` if it reports nothing about the resource.
    pub detected: Option<&'a Detected>,
    /// Answer of Cloud Control; `None` if it was not asked, because the detection found the resource in sync.
    pub reading: Option<&'a Reading>,
    /// Properties that the template declares; `None` if the template could not be read.
    pub declared: Option<&'a Value>,
    /// Facts of the type's schema.
    pub facts: &'a Facts,
    /// Context of the stack, with the secret paths of the resource.
    pub context: &'a Context,
    /// Properties that other resources of the stack add members to.
    pub shared: &'a [&'static str],
}

/// Property that differs, as a report shows it.
pub type ShownDifference = (String, ReportedValue, ReportedValue);

/// Verdict on one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum ResourceVerdict {
    /// The resource is as declared.
    InSync,
    /// The resource does not exist any more.
    Deleted,
    /// Properties differ.
    Drifted(Vec<ShownDifference>),
    /// The resource, or a property of it, could not be compared: cause, path and words of AWS.
    Unknown(Vec<(UnknownCause, String, String)>),
}

impl ResourceVerdict {
    fn unknown(cause: UnknownCause, detail: &str) -> Self {
        Self::Unknown(vec![(cause, String::new(), detail.to_owned())])
    }
}

/// Returns the verdict on a resource. Only an answer makes it in sync.
pub fn judge(look: &Look<'_>) -> ResourceVerdict {
    match look.detected.map(|detected| detected.status) {
        Some(DriftStatus::InSync) => ResourceVerdict::InSync,
        Some(DriftStatus::Deleted) => match look.reading {
            Some(Reading::Model(_)) => ResourceVerdict::unknown(UnknownCause::Disagreement, ""),
            _ => ResourceVerdict::Deleted,
        },
        Some(DriftStatus::Modified) => modified(look),
        Some(DriftStatus::NotChecked | DriftStatus::Unsupported | DriftStatus::Unknown) | None => live(look),
    }
}

/// Judges a resource that the detection calls changed.
fn modified(look: &Look<'_>) -> ResourceVerdict {
    let detected =
        look.detected.and_then(|detected| detected.expected.as_ref().zip(detected.actual.as_ref()));
    let Some((expected, actual)) = detected else { return live(look) };
    let expected = unmasked(expected);
    let by_detection = look.compare(&expected, actual);
    let by_read = match look.reading {
        Some(Reading::Model(model)) => look.compare(&expected, model),
        _ => return verdict(&by_detection, look),
    };
    match (by_read.drifted.is_empty(), by_detection.drifted.is_empty()) {
        (false, _) => verdict(&by_read, look),
        (true, false) => ResourceVerdict::unknown(UnknownCause::Disagreement, ""),
        // A rule explains the difference, in the eyes of both.
        (true, true) => verdict(&by_detection, look),
    }
}

/// Judges a resource by its live model alone.
fn live(look: &Look<'_>) -> ResourceVerdict {
    let unknown = ResourceVerdict::unknown;
    match (look.reading, look.declared) {
        (Some(Reading::Model(model)), Some(declared)) => verdict(&look.compare(declared, model), look),
        (Some(Reading::Model(_)), None) => {
            unknown(UnknownCause::Unresolved, "the template has no such resource")
        }
        (Some(Reading::NotFound), _) => unknown(UnknownCause::NotFound, ""),
        (Some(Reading::Denied(words)), _) => unknown(UnknownCause::Denied, words),
        (Some(Reading::Failed(words)), _) => unknown(UnknownCause::Failed, words),
        (Some(Reading::Limit), _) => unknown(UnknownCause::Limit, ""),
        (Some(Reading::Unidentified), _) => unknown(UnknownCause::Unidentified, ""),
        (Some(Reading::Unsupported) | None, _) => unknown(UnknownCause::Unsupported, ""),
    }
}

impl Look<'_> {
    fn compare(&self, declared: &Value, model: &Value) -> Comparison {
        let resource = Resource {
            resource_type: self.resource_type,
            declared,
            facts: self.facts,
            context: self.context,
        };
        compare(&resource, Live::Model(model))
    }
}

fn verdict(compared: &Comparison, look: &Look<'_>) -> ResourceVerdict {
    let is_shared = |path: &str| {
        let name = path.split(['.', '[']).next().unwrap_or_default();
        look.shared.contains(&name)
    };
    let mut unknown: Vec<(UnknownCause, String, String)> = Vec::new();
    let mut drifted = Vec::new();
    for difference in &compared.drifted {
        if difference.wanted == Shown::Absent && is_shared(difference.path.schema()) {
            unknown.push((UnknownCause::Shared, difference.path.schema().to_owned(), String::new()));
            continue;
        }
        // The shown form of a path can hold a member of a list, and so a secret.
        let is_hidden = [&difference.wanted, &difference.found].contains(&&Shown::Hidden);
        let path = if is_hidden { difference.path.schema().to_owned() } else { difference.path.to_string() };
        drifted.push((path, reported(&difference.wanted), reported(&difference.found)));
    }
    if !drifted.is_empty() {
        return ResourceVerdict::Drifted(drifted);
    }
    unknown.extend(compared.unknown.iter().map(|one| {
        let cause = match one.reason {
            UnknownReason::Unreadable => UnknownCause::Unreadable,
            UnknownReason::WriteOnly => UnknownCause::WriteOnly,
            UnknownReason::Unresolved => UnknownCause::Unresolved,
            UnknownReason::Unsupported => UnknownCause::Unsupported,
            UnknownReason::Denied => UnknownCause::Denied,
        };
        (cause, one.path.schema().to_owned(), String::new())
    }));
    unknown.sort();
    unknown.dedup();
    if unknown.is_empty() { ResourceVerdict::InSync } else { ResourceVerdict::Unknown(unknown) }
}

/// Replaces the asterisks that CloudFormation shows for a secret by a value that is not resolved.
fn unmasked(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() >= 4 && text.bytes().all(|byte| byte == b'*') => {
            json!({"Ref": "NoEcho"})
        }
        Value::Array(list) => list.iter().map(unmasked).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, value)| (name.clone(), unmasked(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        _ => value.clone(),
    }
}

fn reported(shown: &Shown) -> ReportedValue {
    match shown {
        Shown::Absent => ReportedValue::Absent,
        Shown::Hidden => ReportedValue::Hidden,
        Shown::Value(value) => {
            let text = value.to_string();
            match text.chars().count() > VALUE_CHARS {
                true => ReportedValue::Beginning(text.chars().take(VALUE_CHARS).collect()),
                false => ReportedValue::Value(value.clone()),
            }
        }
    }
}

/// Returns the digest of what drifted, so that two looks can be compared.
pub(super) fn digest_of(drift: &[crate::records::DriftedResource]) -> Option<Digest> {
    let facts: Vec<Value> = drift
        .iter()
        .map(|resource| {
            let properties: Vec<Value> = resource
                .properties
                .iter()
                .map(|property| json!([property.path, property.wanted, property.found]))
                .collect();
            json!([resource.name, resource.deleted, properties])
        })
        .collect();
    (!facts.is_empty()).then(|| Digest::of(json!(facts).to_string().as_bytes()))
}
