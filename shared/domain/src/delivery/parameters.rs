//! The parameters of a deployment: layers of TOML files, of which later ones override earlier ones, so that each value
//! is written once.
//!
//! ```text
//! organisation [default] < organisation [<stage>] < parameters/default.toml < parameters/<stage>.toml < overrides
//! ```
//!
//! A value is text, a whole number, true or false, or an array of texts, which become a list in CloudFormation's
//! notation, separated by commas. A value may use `${stage}`, `${account}`, `${region}`, `${version}`, `${commit}`,
//! `${stages.<name>.account}`, `${stages.<name>.region}`, `${outputs.<component>.<Output>}` and `${functions.<name>}`.
//! The last is the key of the code of a function that Lockstep ships. `$${` stands for a plain `${`.
//!
//! With `${version}` or `${commit}`, every release has other parameters than the one before, so that no deployment ends
//! as "no changes". Use them only where that is intended.

mod interpolation;
mod resolve;

use crate::delivery::archive::Files;
use crate::delivery::credentials::find_credentials;
use crate::delivery::stages::Stages;
use crate::model::error::Problem;
use crate::model::ids::{LogicalId, StageName};
use crate::model::toml_file::{Problems, Table, document, integer, suggestion, wrong_type};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use strum::Display;
use toml::Spanned;
use toml::de::DeValue;

pub use crate::model::output_name::OutputName;
pub use resolve::{
    OutputUse, Provenance, Request, ResolvedParameters, functions, output_uses, references, resolve, settled,
    stored_names,
};
pub(crate) use resolve::{misplaced_in, missing, rehearse};

/// The folder of a component's parameter files.
pub const FOLDER: &str = "parameters";

/// Maximum bytes of a parameter's value in CloudFormation
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
pub const MAX_VALUE_BYTES: usize = 4096;

/// Layer of a value; a later one overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display)]
#[serde(rename_all = "snake_case")]
pub enum LayerName {
    /// The default in the template.
    #[strum(to_string = "template")]
    Template,
    /// `[default]` of the organisation's parameters.
    #[strum(to_string = "organisation default")]
    OrganisationDefault,
    /// The stage's table of the organisation's parameters.
    #[strum(to_string = "organisation stage")]
    OrganisationStage,
    /// The component's `parameters/default.toml`.
    #[strum(to_string = "component default")]
    ComponentDefault,
    /// The component's `parameters/<stage>.toml`.
    #[strum(to_string = "component stage")]
    ComponentStage,
    /// Overrides of one run; such a run earns no evidence.
    #[strum(to_string = "overrides")]
    Overrides,
    /// The release's image lock.
    #[strum(to_string = "image lock")]
    Image,
    /// Lockstep itself: the bucket of the account.
    #[strum(to_string = "Lockstep")]
    Lockstep,
}

/// A value before its references are replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The text of the value.
    pub text: String,
    /// Line of the value; `None` outside of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// The values of one file or table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// File of the values; empty for overrides.
    pub file: String,
    /// The values by template parameter.
    pub values: BTreeMap<LogicalId, Value>,
}

impl Layer {
    /// Returns the layer with the overrides of one run.
    pub fn overrides(values: &BTreeMap<String, String>) -> Result<Self, Vec<Problem>> {
        let (mut layer, mut problems) = (Self::default(), Vec::new());
        for (name, text) in values {
            let mut refuse =
                |why: String| problems.push(Problem::at("", None, format!("override of {name}: {why}")));
            if let Err(why) = check_text(text) {
                refuse(why);
            }
            if let Some(found) = find_credentials("", text.as_bytes()).into_iter().next() {
                refuse(found.message);
            }
            match name.parse() {
                Ok(id) => drop(layer.values.insert(id, Value { text: text.clone(), line: None })),
                Err(error) => refuse(error.to_string()),
            }
        }
        if problems.is_empty() { Ok(layer) } else { Err(problems) }
    }
}

/// Parses one parameter file of a component: a flat table of values.
pub fn parse_layer(file: &str, text: &str) -> Result<Layer, Vec<Problem>> {
    let (document, mut problems) = document(file, text)?;
    let values = values(&Table::root(&document), &mut problems);
    finish(file, text, problems, Layer { file: file.to_owned(), values })
}

/// The organisation's parameters, which apply to every component: one table per stage, and `[default]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganisationParameters {
    /// The values for every stage.
    pub default: Layer,
    /// The values for one stage.
    pub stages: BTreeMap<StageName, Layer>,
}

impl OrganisationParameters {
    /// Parses the organisation's parameter file; `file` is its name in problems. Reports all problems at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let mut parameters = Self { default: empty(file), stages: BTreeMap::new() };
        for (key, span, value) in Table::root(&document).entries() {
            if !value.get_ref().is_table() {
                problems.add(
                    &span,
                    format!("`{key}` stands outside of any table; put it below [default] or a stage"),
                );
                continue;
            }
            let Some(table) = Table::of(key.to_owned(), value, &mut problems) else { continue };
            let layer = Layer { file: file.to_owned(), values: values(&table, &mut problems) };
            match key.parse() {
                _ if key == "default" => parameters.default = layer,
                Ok(stage) => drop(parameters.stages.insert(stage, layer)),
                Err(error) => problems.add(&span, format!("`{key}`: {error}")),
            }
        }
        finish(file, text, problems, parameters)
    }

    /// Returns a problem for each table whose stage does not exist.
    pub fn check_stages(&self, stages: &Stages) -> Vec<Problem> {
        unknown_stages(&self.stages, stages)
    }
}

/// The parameter files of one component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentParameters {
    /// `parameters/default.toml`.
    pub default: Layer,
    /// `parameters/<stage>.toml`.
    pub stages: BTreeMap<StageName, Layer>,
}

impl ComponentParameters {
    /// Parses every file of the component's parameter folder. Reports all problems at once.
    pub fn read(files: &Files) -> Result<Self, Vec<Problem>> {
        let mut parameters = Self::default();
        let mut problems = Vec::new();
        for (path, bytes) in files {
            let Some(name) = path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            match component_layer(path, name, bytes) {
                Ok((None, layer)) => parameters.default = layer,
                Ok((Some(stage), layer)) => drop(parameters.stages.insert(stage, layer)),
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty() { Ok(parameters) } else { Err(problems) }
    }

    /// Returns a problem for each file whose stage does not exist.
    pub fn check_stages(&self, stages: &Stages) -> Vec<Problem> {
        unknown_stages(&self.stages, stages)
    }

    /// Iterates over the layers of all files.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.default).chain(self.stages.values())
    }
}

/// Every layer that may hold a value, for any stage.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The organisation's layers, if it has any.
    pub organisation: Option<&'a OrganisationParameters>,
    /// The component's layers.
    pub component: &'a ComponentParameters,
    /// The overrides of this run, if there are any.
    pub overrides: Option<&'a Layer>,
}

impl<'a> Layers<'a> {
    /// Iterates over the layers that apply in `stage`, the weakest first.
    pub fn in_stage(
        &self,
        stage: &StageName,
    ) -> impl DoubleEndedIterator<Item = (LayerName, &'a Layer)> + use<'a> {
        let organisation = self.organisation;
        [
            (LayerName::OrganisationDefault, organisation.map(|o| &o.default)),
            (LayerName::OrganisationStage, organisation.and_then(|o| o.stages.get(stage))),
            (LayerName::ComponentDefault, Some(&self.component.default)),
            (LayerName::ComponentStage, self.component.stages.get(stage)),
            (LayerName::Overrides, self.overrides),
        ]
        .into_iter()
        .filter_map(|(name, layer)| layer.map(|layer| (name, layer)))
    }

    /// Returns the value of `parameter` that applies in `stage`, with its layer.
    pub fn value(
        &self,
        parameter: &LogicalId,
        stage: &StageName,
    ) -> Option<(LayerName, &'a Layer, &'a Value)> {
        let mut layers = self.in_stage(stage).rev();
        layers.find_map(|(name, layer)| layer.values.get(parameter).map(|value| (name, layer, value)))
    }
}

fn empty(file: &str) -> Layer {
    Layer { file: file.to_owned(), values: BTreeMap::new() }
}

/// Returns the stage (`None` for `default`) and the layer of one file of the parameter folder.
fn component_layer(path: &str, name: &str, bytes: &[u8]) -> Result<(Option<StageName>, Layer), Vec<Problem>> {
    let refuse = |why: &str| vec![Problem::at(path, None, why)];
    let stem = name.strip_suffix(".toml").ok_or_else(|| {
        refuse("is no parameter file; name it default.toml or <stage>.toml, or move it out of this folder")
    })?;
    let stage = match stem {
        "default" => None,
        stem => Some(stem.parse::<StageName>().map_err(|error| refuse(&error.to_string()))?),
    };
    let text = std::str::from_utf8(bytes).map_err(|_| refuse("is not UTF-8 text"))?;
    Ok((stage, parse_layer(path, text)?))
}

fn unknown_stages(layers: &BTreeMap<StageName, Layer>, stages: &Stages) -> Vec<Problem> {
    let known: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    let unknown = layers.iter().filter(|(name, _)| stages.get(name).is_none());
    unknown
        .map(|(name, layer)| {
            let hint = suggestion(name.as_str(), known.iter().copied());
            Problem::at(layer.file.clone(), None, format!("there is no stage `{name}`{hint}"))
        })
        .collect()
}

fn finish<T>(file: &str, text: &str, problems: Problems, read: T) -> Result<T, Vec<Problem>> {
    let mut credentials = find_credentials(file, text.as_bytes());
    match problems.finish(Some(read)) {
        Ok(read) if credentials.is_empty() => Ok(read),
        Ok(_) => Err(credentials),
        Err(mut problems) => {
            problems.append(&mut credentials);
            Err(problems)
        }
    }
}

fn values(table: &Table<'_, '_>, problems: &mut Problems) -> BTreeMap<LogicalId, Value> {
    let mut values = BTreeMap::new();
    for (key, span, item) in table.entries() {
        let id = key.parse().map_err(|error| problems.add(&span, format!("`{key}`: {error}")));
        let text = value_text(&table.path(key), item, problems);
        if let (Ok(id), Some(text)) = (id, text) {
            values.insert(id, Value { text, line: Some(problems.line(&span)) });
        }
    }
    values
}

fn value_text(name: &str, item: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<String> {
    let text = match item.get_ref() {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        value @ DeValue::Integer(_) => integer(value)
            .map(|n| n.to_string())
            .ok_or_else(|| format!("`{name}` is too large a number; quote it")),
        DeValue::Array(items) => items
            .iter()
            .map(|item| list_item(name, item.get_ref()))
            .collect::<Result<Vec<_>, _>>()
            .map(|items| items.join(",")),
        // The template defines the notation of a fraction or a date, and TOML's parser would lose it.
        other => {
            Err(wrong_type(name, "text in quotes, a whole number, true, false or an array of texts", other))
        }
    };
    let checked = text.and_then(|text| match check_text(&text) {
        Ok(()) => Ok(text),
        Err(why) => Err(format!("`{name}`: {why}")),
    });
    checked.map_err(|message| problems.add(&item.span(), message)).ok()
}

fn list_item(name: &str, item: &DeValue<'_>) -> Result<String, String> {
    match item.as_str() {
        Some(text) if text.contains(',') => Err(format!(
            "`{name}`: an item holds a comma, which CloudFormation would take for the end of the item"
        )),
        Some(text) => Ok(text.to_owned()),
        None => Err(wrong_type(&format!("{name}[]"), "text in quotes", item)),
    }
}

/// Checks the length of `text` and parses its references.
fn check_text(text: &str) -> Result<(), String> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(format!("CloudFormation takes at most {MAX_VALUE_BYTES} bytes"));
    }
    interpolation::pieces(text).map(drop)
}

#[cfg(test)]
mod tests;
