//! Values of Packer's variables, in layers. Each layer overrides the ones before: the shared defaults of neighbouring
//! recipes, the shared values for an account, the recipe's own defaults, its values for an account, and the operator's
//! values for one build.

use super::expressions::BRACE;
use super::template::{GIVEN, HclTemplate};
use crate::model::error::Problem;
use crate::model::ids::AccountId;
use crate::model::toml_file::{Problems, Table, document, integer, wrong_type};
use serde_json::Value;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// Name of the file with the values: a table `[default]`, and one for each account, such as `[222222222222]`.
pub const VARIABLES: &str = "variables.toml";

/// Values of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    file: String,
    default: Layer,
    accounts: BTreeMap<AccountId, Layer>,
}

/// A value and its line.
type Layer = BTreeMap<String, (Value, u32)>;

impl Variables {
    /// Parses a `variables.toml`; `file` is its name in problems, all of which are reported at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let root = Table::root(&document);
        let mut variables = Self { file: file.to_owned(), ..Self::default() };
        for (key, span, _) in root.entries() {
            let account = key.parse::<AccountId>();
            if key != "default" && account.is_err() {
                let message = format!("`{key}` is neither `default` nor the twelve digits of an account");
                problems.add(&span, message);
                continue;
            }
            let Some(table) = root.table(key, &mut problems) else { continue };
            let layer = layer_of(&table, &mut problems);
            match account {
                Ok(account) => drop(variables.accounts.insert(account, layer)),
                Err(_) => variables.default = layer,
            }
        }
        problems.finish(Some(variables))
    }

    /// Returns a problem for each value for which `template` declares no variable. Only a recipe's own values are
    /// checked: other recipes may need the shared ones.
    pub(super) fn unknown(&self, template: &HclTemplate) -> Vec<Problem> {
        let layers = std::iter::once(&self.default).chain(self.accounts.values());
        let unknown = layers.flatten().filter(|(name, _)| !template.declares(name));
        unknown
            .map(|(name, (_, line))| {
                let message = format!("no *.pkr.hcl declares a variable `{name}`");
                Problem::at(self.file.clone(), Some(*line), message)
            })
            .collect()
    }

    /// Returns the accounts that have values of their own.
    pub(super) fn accounts(&self) -> impl Iterator<Item = &AccountId> {
        self.accounts.keys()
    }

    /// Returns true if a layer gives a value to the variable.
    pub(super) fn gives(&self, name: &str) -> bool {
        self.default.contains_key(name) || self.accounts.values().any(|layer| layer.contains_key(name))
    }

    fn layers(&self, account: &AccountId) -> impl Iterator<Item = (&String, &Value)> {
        let of_account = self.accounts.get(account).into_iter().flatten();
        self.default.iter().chain(of_account).map(|(name, (value, _))| (name, value))
    }
}

/// Returns the values for `account`, including those that the template does not declare.
pub(super) fn layer(
    common: &Variables,
    own: &Variables,
    account: &AccountId,
    overrides: Option<&BTreeMap<String, String>>,
) -> BTreeMap<String, Value> {
    let written = common.layers(account).chain(own.layers(account));
    let given =
        overrides.into_iter().flatten().map(|(name, text)| (name.clone(), Value::from(text.as_str())));
    written.map(|(name, value)| (name.clone(), value.clone())).chain(given).collect()
}

/// Returns the values of every account that has none of its own, including those that the template does not declare.
pub(super) fn defaults(common: &Variables, own: &Variables) -> BTreeMap<String, Value> {
    let layers = common.default.iter().chain(&own.default);
    layers.map(|(name, (value, _))| (name.clone(), value.clone())).collect()
}

fn layer_of(table: &Table<'_, '_>, problems: &mut Problems) -> Layer {
    let mut layer = Layer::new();
    for (name, span, value) in table.entries() {
        if GIVEN.contains(&name) {
            problems.add(&span, format!("`{}`: Lockstep gives `{name}` itself", table.path(name)));
        } else if let Some(read) = scalar(&table.path(name), value, problems) {
            layer.insert(name.to_owned(), (read, problems.line(&span)));
        }
    }
    layer
}

/// Parses text, a whole number, true or false, or a list of these.
fn scalar(name: &str, value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Value> {
    let inner = value.get_ref();
    if let Some(text) = inner.as_str() {
        if text.contains('{') {
            problems.add(&value.span(), format!("`{name}` {BRACE}"));
        }
        return Some(Value::from(text));
    }
    if let Some(flag) = inner.as_bool() {
        return Some(Value::from(flag));
    }
    if let Some(number) = integer(inner) {
        return Some(Value::from(number));
    }
    match inner.as_array() {
        Some(items) if items.iter().all(|item| item.get_ref().as_array().is_none()) => {
            items.iter().map(|item| scalar(name, item, problems)).collect::<Option<Vec<_>>>().map(Value::from)
        }
        _ => {
            let wanted = "text in quotes, a whole number, true or false, or a list of these";
            problems.add(&value.span(), wrong_type(name, wanted, inner));
            None
        }
    }
}
