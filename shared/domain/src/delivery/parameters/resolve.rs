//! Resolves layers into the values of one stage.

use super::interpolation::{Piece, Reference, pieces};
use super::{Layer, LayerName, Layers, MAX_VALUE_BYTES, OutputName, Value};
use crate::delivery::credentials::find_credentials;
use crate::delivery::local_files::{ARTIFACT_BUCKET, PINNED, artifact_bucket};
use crate::delivery::stages::{Stage, Stages};
use crate::model::error::Problem;
use crate::model::ids::{AmiId, CommitSha, Digest, FunctionName, LogicalId, StageName};
use crate::model::toml_file::suggestion;
use crate::model::version::Version;
use crate::stacks::template::Parameter;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Value of a stored parameter, or a sentence with the reason of its absence; `None` if the release holds none.
pub type StoredValue = Option<Result<String, String>>;

/// Input for resolving the parameters of one deployment.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Path of the template, for problems.
    pub template_file: &'a str,
    /// The template's parameters.
    pub parameters: &'a BTreeMap<String, Parameter>,
    /// Every layer that may hold a value.
    pub layers: Layers<'a>,
    /// The stage of the deployment.
    pub stage: &'a Stage,
    /// The stage whose layers apply: that of `stage`, unless the deployment is a clone.
    pub layers_of: &'a StageName,
    /// All stages, for `${stages.<name>.…}`.
    pub stages: &'a Stages,
    /// The release's version.
    pub version: &'a Version,
    /// The release's commit.
    pub commit: &'a CommitSha,
    /// Returns the value of another component's output, or a sentence with the reason of its absence.
    pub outputs: &'a dyn Fn(&OutputName) -> Result<String, String>,
    /// Returns the key of the code of a function that Lockstep ships, or a sentence with the reason of its absence.
    pub functions: &'a dyn Fn(&FunctionName) -> Result<String, String>,
    /// The AMI for each parameter that is bound to an image.
    pub images: &'a BTreeMap<LogicalId, AmiId>,
    /// Returns the value of the stored parameter that the value of a template parameter names, or a sentence with the
    /// reason of its absence; `None` if that value names none.
    pub stored: &'a dyn Fn(&LogicalId, &str) -> StoredValue,
}

/// Origin of a parameter's value, for display.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The layer.
    pub layer: LayerName,
    /// The file; empty for a value outside of a file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// The line in that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => write!(f, "{}", self.layer),
            (file, None) => write!(f, "{} ({file})", self.layer),
            (file, Some(line)) => write!(f, "{} ({file}:{line})", self.layer),
        }
    }
}

/// A value for every parameter of a template, with its origin. It holds no secret: parameters with `NoEcho` hold
/// references.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedParameters {
    /// The values for CloudFormation, template defaults included.
    pub values: BTreeMap<String, String>,
    /// Origin of each value; not part of the digest, so that moving a value between files changes nothing.
    pub provenance: BTreeMap<String, Provenance>,
}

impl ResolvedParameters {
    /// Returns the digest of the values as JSON with sorted keys and no spaces: equal values have equal digests.
    pub fn digest(&self) -> Digest {
        let json: serde_json::Value = self.values.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        Digest::of(json.to_string().as_bytes())
    }
}

/// A reference of a parameter to an output of another component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputUse {
    /// The output.
    pub output: OutputName,
    /// The parameter whose value refers to it.
    pub parameter: LogicalId,
    /// The file of the value.
    pub file: String,
    /// The line in that file.
    pub line: Option<u32>,
}

/// Returns the references to outputs of other components by the values in the stage. Overridden values and values for
/// parameters that the template lacks are ignored. Unreadable values are ignored too, because [`resolve`] reports them.
pub fn output_uses(
    parameters: &BTreeMap<String, Parameter>,
    layers: &Layers<'_>,
    stage: &StageName,
) -> Vec<OutputUse> {
    let referred = referred(parameters, layers, stage).into_iter();
    referred
        .filter_map(|(parameter, layer, value, reference)| match reference {
            Reference::Output(output) => {
                Some(OutputUse { output, parameter, file: layer.file.clone(), line: value.line })
            }
            _ => None,
        })
        .collect()
}

/// Returns the outputs of other components that the values in the stage refer to, as [`output_uses`] does.
pub fn references(
    parameters: &BTreeMap<String, Parameter>,
    layers: &Layers<'_>,
    stage: &StageName,
) -> BTreeSet<OutputName> {
    output_uses(parameters, layers, stage).into_iter().map(|used| used.output).collect()
}

/// Returns the functions of Lockstep that the values in the stage refer to, as [`references`] does for outputs.
pub fn functions(
    parameters: &BTreeMap<String, Parameter>,
    layers: &Layers<'_>,
    stage: &StageName,
) -> BTreeSet<FunctionName> {
    let referred = referred(parameters, layers, stage).into_iter();
    referred
        .filter_map(|(_, _, _, reference)| match reference {
            Reference::Function(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// Returns the values that these parameters have before a stored parameter replaces them. A parameter without a
/// readable value is left out, because [`resolve`] reports it.
pub fn stored_names(request: &Request<'_>, ids: &BTreeSet<LogicalId>) -> BTreeMap<LogicalId, String> {
    let own = Request { stored: &|_, _| None, ..*request };
    let of = |id: &LogicalId| {
        let parameter = request.parameters.get(id.as_str())?;
        let (value, _) = one(&own, id, parameter, false).ok()??;
        Some((id.clone(), value))
    };
    ids.iter().filter_map(of).collect()
}

/// A reference, with the parameter, the layer and the value that hold it.
type Referred<'a> = (LogicalId, &'a Layer, &'a Value, Reference);

fn referred<'a>(
    parameters: &BTreeMap<String, Parameter>,
    layers: &Layers<'a>,
    stage: &StageName,
) -> Vec<Referred<'a>> {
    let values = parameters.keys().filter_map(|name| {
        let id: LogicalId = name.parse().ok()?;
        layers.value(&id, stage).map(|(_, layer, value)| (id, layer, value))
    });
    values
        .flat_map(|(id, layer, value)| {
            let pieces = pieces(&value.text).unwrap_or_default().into_iter();
            pieces.filter_map(move |piece| match piece {
                Piece::Reference(reference) => Some((id.clone(), layer, value, reference)),
                Piece::Text(_) => None,
            })
        })
        .collect()
}

/// Returns the value of every parameter of the template in the request's stage. Reports all problems at once.
///
/// Problems are: a parameter without a value and without a default; a file or an override that names a parameter the
/// template lacks (the organisation's layers apply to every component and may do so); a layer that sets a parameter
/// bound to an image; a value that looks like a credential; a value that the template does not allow; and for a
/// parameter with `NoEcho`, any value but a reference to Secrets Manager or to a SecureString.
pub fn resolve(request: &Request<'_>) -> Result<ResolvedParameters, Vec<Problem>> {
    let rehearsal = rehearse(request, false);
    let mut problems = rehearsal.problems;
    let stage = [request.layers_of.as_str()];
    problems
        .extend(rehearsal.missing.iter().map(|(id, line)| missing(request.template_file, id, *line, &stage)));
    if problems.is_empty() { Ok(rehearsal.resolved) } else { Err(sorted(problems)) }
}

/// Result of a trial resolution. Parameters without a value are listed apart, because an unknown layer may supply them.
pub(crate) struct Rehearsal {
    pub(crate) resolved: ResolvedParameters,
    /// The parameters without a value, and their lines in the template.
    pub(crate) missing: BTreeMap<LogicalId, u32>,
    pub(crate) problems: Vec<Problem>,
}

/// Resolves as many parameters as possible. With `provisional`, the version, commit, outputs and images are stand-ins,
/// so that values made of them are not checked against the template's constraints.
pub(crate) fn rehearse(request: &Request<'_>, provisional: bool) -> Rehearsal {
    let mut rehearsal = Rehearsal {
        resolved: ResolvedParameters::default(),
        missing: BTreeMap::new(),
        problems: misplaced(request),
    };
    for (name, parameter) in request.parameters {
        let Ok(id) = name.parse::<LogicalId>() else {
            let message = format!("parameter `{name}`: write letters and digits only");
            rehearsal.problems.push(Problem::at(request.template_file, parameter.line, message));
            continue;
        };
        match one(request, &id, parameter, provisional) {
            Ok(Some((value, provenance))) => {
                rehearsal.resolved.values.insert(name.clone(), value);
                rehearsal.resolved.provenance.insert(name.clone(), provenance);
            }
            Ok(None) => drop(rehearsal.missing.insert(id, parameter.line)),
            Err(problem) => rehearsal.problems.push(problem),
        }
    }
    rehearsal.problems = sorted(rehearsal.problems);
    rehearsal
}

/// Returns the values that are the same in every deployment to the stage. Values with outputs, versions or images are
/// left out. While the organisation's layers are unknown, the template's defaults are left out too, because those
/// layers may replace them.
pub fn settled(request: &Request<'_>) -> BTreeMap<String, String> {
    let of = |name: &String, parameter: &Parameter| {
        let id: LogicalId = name.parse().ok()?;
        let (layer, _, value) = candidate(request, &id, parameter)?;
        let replaceable = layer == LayerName::Template && request.layers.organisation.is_none();
        if replaceable || request.images.contains_key(&id) {
            return None;
        }
        let text = match layer {
            LayerName::Template => value.text,
            _ => expand(request, &value.text).ok().filter(|expanded| expanded.settled)?.text,
        };
        match (request.stored)(&id, &text) {
            Some(stored) => stored.ok(),
            None => Some(text),
        }
    };
    let values = request.parameters.iter();
    values.filter_map(|(name, parameter)| Some((name.clone(), of(name, parameter)?))).collect()
}

type ResolvedValue = Option<(String, Provenance)>;

fn one(
    request: &Request<'_>,
    id: &LogicalId,
    parameter: &Parameter,
    provisional: bool,
) -> Result<ResolvedValue, Problem> {
    if let Some(ami) = request.images.get(id) {
        let provenance = Provenance { layer: LayerName::Image, file: String::new(), line: None };
        return Ok(Some((ami.to_string(), provenance)));
    }
    let Some((layer, file, value)) = candidate(request, id, parameter) else { return Ok(None) };
    let provenance = Provenance { layer, file, line: value.line };
    let refuse =
        |why: String| Problem::at(provenance.file.clone(), provenance.line, format!("`{id}`: {why}"));
    let expanded = match layer {
        // A template's default is CloudFormation's own text, in which `${` has no meaning.
        LayerName::Template => Expanded { text: value.text, settled: true, literal: true },
        _ => expand(request, &value.text).map_err(refuse)?,
    };
    judge(parameter, &expanded, provisional).map_err(refuse)?;
    let value = match (request.stored)(id, &expanded.text) {
        Some(stored) => stored.map_err(refuse)?,
        None => expanded.text,
    };
    Ok(Some((value, provenance)))
}

fn candidate(
    request: &Request<'_>,
    id: &LogicalId,
    parameter: &Parameter,
) -> Option<(LayerName, String, Value)> {
    if id.as_str() == ARTIFACT_BUCKET {
        let text = artifact_bucket(&request.stage.account, &request.stage.region);
        return Some((LayerName::Lockstep, String::new(), Value { text, line: None }));
    }
    if let Some((name, layer, value)) = request.layers.value(id, request.layers_of) {
        return Some((name, layer.file.clone(), value.clone()));
    }
    let text = parameter.default.clone()?;
    Some((LayerName::Template, request.template_file.to_owned(), Value { text, line: Some(parameter.line) }))
}

struct Expanded {
    text: String,
    /// True if no part of the value depends on a fact known only at deployment.
    settled: bool,
    /// True if the value contains no reference.
    literal: bool,
}

fn expand(request: &Request<'_>, text: &str) -> Result<Expanded, String> {
    let mut expanded = Expanded { text: String::new(), settled: true, literal: true };
    for piece in pieces(text)? {
        let Piece::Reference(reference) = piece else {
            if let Piece::Text(text) = piece {
                expanded.text.push_str(text);
            }
            continue;
        };
        expanded.literal = false;
        expanded.settled &= !matches!(
            reference,
            Reference::Output(_) | Reference::Function(_) | Reference::Version | Reference::Commit
        );
        expanded.text.push_str(&value_of(request, &reference)?);
    }
    Ok(expanded)
}

fn value_of(request: &Request<'_>, reference: &Reference) -> Result<String, String> {
    let other = |name| {
        request.stages.get(name).ok_or_else(|| {
            let known = request.stages.iter().map(|stage| stage.name.as_str());
            format!("there is no stage `{name}`{}", suggestion(name.as_str(), known))
        })
    };
    Ok(match reference {
        Reference::Stage => request.stage.name.to_string(),
        Reference::Account => request.stage.account.to_string(),
        Reference::Region => request.stage.region.to_string(),
        Reference::Version => request.version.to_string(),
        Reference::Commit => request.commit.to_string(),
        Reference::StageAccount(name) => other(name)?.account.to_string(),
        Reference::StageRegion(name) => other(name)?.region.to_string(),
        Reference::Output(output) => {
            (request.outputs)(output).map_err(|why| format!("{}: {why}", output.reference()))?
        }
        Reference::Function(name) => {
            (request.functions)(name).map_err(|why| format!("${{functions.{name}}}: {why}"))?
        }
    })
}

/// Checks that a parameter may have a value. No message repeats the value.
fn judge(parameter: &Parameter, value: &Expanded, provisional: bool) -> Result<(), String> {
    if value.text.len() > MAX_VALUE_BYTES {
        return Err(format!("with its references replaced it has more than {MAX_VALUE_BYTES} bytes"));
    }
    if parameter.no_echo && parameter.may_hold_secret(&value.text) {
        return if is_secret_reference(&value.text) { Ok(()) } else { Err(not_a_reference()) };
    }
    // The search of the file already covered literal values.
    if !value.literal
        && let Some(found) = find_credentials("", value.text.as_bytes()).into_iter().next()
    {
        return Err(found.message);
    }
    if provisional && !value.settled { Ok(()) } else { parameter.check(&value.text) }
}

fn not_a_reference() -> String {
    "the template marks it NoEcho, so it must be a reference, never a value: write \
     \"{{resolve:secretsmanager:<secret>}}\" or \"{{resolve:ssm-secure:<name>:<version>}}\""
        .to_owned()
}

/// Returns true if `text` is one dynamic reference to a secret and nothing else
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html>).
fn is_secret_reference(text: &str) -> bool {
    let inner = text.strip_prefix("{{resolve:").and_then(|rest| rest.strip_suffix("}}"));
    let name =
        inner.and_then(|i| i.strip_prefix("secretsmanager:").or_else(|| i.strip_prefix("ssm-secure:")));
    name.is_some_and(|name| {
        !name.is_empty()
            && !name.contains(|c: char| c == '{' || c == '}' || c.is_whitespace() || c.is_control())
    })
}

/// Returns problems for values in a layer that must not set them.
fn misplaced(request: &Request<'_>) -> Vec<Problem> {
    let bound: BTreeSet<&LogicalId> = request.images.keys().collect();
    let layers = request.layers.in_stage(request.layers_of);
    layers
        .flat_map(|(name, layer)| {
            misplaced_in(layer, request.parameters, &bound, serves_this_component_alone(name))
        })
        .collect()
}

/// Returns problems for the values of one layer that are bound to an image, or that the template lacks if the layer
/// applies to one component only.
pub(crate) fn misplaced_in(
    layer: &Layer,
    parameters: &BTreeMap<String, Parameter>,
    bound: &BTreeSet<&LogicalId>,
    serves_one: bool,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (id, value) in &layer.values {
        if id.as_str() == ARTIFACT_BUCKET || id.as_str().starts_with(PINNED) {
            let message = format!("`{id}` is set by Lockstep; remove this value");
            problems.push(Problem::at(layer.file.clone(), value.line, message));
        } else if bound.contains(id) {
            let message = format!("`{id}` is bound to an image in [images]; remove this value");
            problems.push(Problem::at(layer.file.clone(), value.line, message));
        } else if serves_one && !parameters.contains_key(id.as_str()) {
            let hint = suggestion(id.as_str(), parameters.keys());
            let message = format!("the template has no parameter `{id}`{hint}");
            problems.push(Problem::at(layer.file.clone(), value.line, message));
        }
    }
    problems
}

fn serves_this_component_alone(layer: LayerName) -> bool {
    match layer {
        LayerName::ComponentDefault | LayerName::ComponentStage | LayerName::Overrides => true,
        LayerName::Template
        | LayerName::OrganisationDefault
        | LayerName::OrganisationStage
        | LayerName::Image
        | LayerName::Lockstep => false,
    }
}

/// Returns the problem of a parameter without a value in some stages.
pub(crate) fn missing(template_file: &str, id: &LogicalId, line: u32, stages: &[&str]) -> Problem {
    let folder = super::FOLDER;
    let (noun, file) = match stages {
        [stage] => ("stage", format!("{folder}/{stage}.toml")),
        _ => ("stages", format!("a file for each stage, {folder}/<stage>.toml")),
    };
    let message = format!(
        "parameter `{id}` has no value in {noun} {}; set it in {folder}/default.toml or {file}",
        stages.join(", ")
    );
    Problem::at(template_file, line, message)
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}
