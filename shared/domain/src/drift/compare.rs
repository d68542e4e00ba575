//! Walk over the declared properties and the live model.

use super::absent::{is_choice, is_empty};
use super::context::{Context, Live};
use super::facts::Facts;
use super::path::Path;
use super::rules::{Origin, RuleKind, Rules};
use super::verdict::{Comparison, Shown, UnknownReason};
use super::{policy, tags, values};
use serde_json::{Map, Value};

/// Declared resource, with what gives its values their meaning.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Type of the resource.
    pub resource_type: &'a str,
    /// Declared properties. An intrinsic or a dynamic reference that remains in them is a value that is not resolved.
    pub declared: &'a Value,
    /// Facts of the type's schema.
    pub facts: &'a Facts,
    /// Context of the stack.
    pub context: &'a Context,
}

/// Compares the declared properties of a resource with its live model.
pub fn compare(resource: &Resource<'_>, live: Live<'_>) -> Comparison {
    let model = match live {
        Live::Model(model) => model,
        Live::Gone => {
            return Comparison::drift(&Path::default(), Some(resource.declared), None).hide(resource.context);
        }
        Live::Denied => return Comparison::unknown(&Path::default(), UnknownReason::Denied),
        Live::Unsupported => return Comparison::unknown(&Path::default(), UnknownReason::Unsupported),
    };
    let rules = Rules::of(resource.resource_type, resource.facts);
    let comparer = Comparer { rules, facts: resource.facts, context: resource.context, model };
    comparer.value(&Path::default(), resource.declared, Some(model)).hide(resource.context)
}

impl Comparison {
    /// Replaces the secret values.
    fn hide(mut self, context: &Context) -> Self {
        let is_secret = |path: &Path| context.secrets.iter().any(|secret| secret.covers(path.schema()));
        let hides = |path: &Path| {
            is_secret(path) || context.secrets.iter().any(|secret| secret.is_below(path.schema()))
        };
        for difference in self.drifted.iter_mut().filter(|difference| hides(&difference.path)) {
            difference.wanted = Shown::Hidden;
            difference.found = Shown::Hidden;
        }
        for (_, shown) in self.undeclared.iter_mut().filter(|(path, _)| hides(path)) {
            *shown = Shown::Hidden;
        }
        self
    }
}

/// Comparison of one resource.
#[derive(Debug)]
pub(super) struct Comparer<'a> {
    pub rules: Rules<'a>,
    pub facts: &'a Facts,
    pub context: &'a Context,
    pub model: &'a Value,
}

impl Comparer<'_> {
    /// Compares a declared value with the live one.
    pub(super) fn value(&self, path: &Path, wanted: &Value, found: Option<&Value>) -> Comparison {
        let found = found.filter(|value| !value.is_null());
        if wanted.is_null() {
            return Comparison::default();
        }
        if is_unresolved(wanted) {
            return Comparison::unknown(path, UnknownReason::Unresolved);
        }
        if !path.schema().is_empty()
            && Facts::covers(&self.facts.write_only, &self.listed(path))
            && !is_empty(wanted)
        {
            return self.write_only(path, wanted, found);
        }
        match found {
            Some(found) => self.present(path, wanted, found),
            None => self.absent(path, wanted),
        }
    }

    /// Compares a value that no read has to return. A value that is returned and equal is in sync.
    fn write_only(&self, path: &Path, wanted: &Value, found: Option<&Value>) -> Comparison {
        let compared = found.map(|found| self.present(path, wanted, found));
        let equal = compared.filter(|compared| compared.drifted.is_empty() && compared.unknown.is_empty());
        equal.unwrap_or_else(|| Comparison::unknown(path, UnknownReason::WriteOnly))
    }

    fn present(&self, path: &Path, wanted: &Value, found: &Value) -> Comparison {
        if wanted == found && !has_unresolved(wanted) {
            return Comparison::default();
        }
        if is_empty(wanted) && is_empty(found) {
            return Comparison::fold(path, RuleKind::Default, Origin::Form("an empty value is no value"));
        }
        if let Some(fold) = self.default_rule(path, wanted, found) {
            return fold;
        }
        if let Some((wanted, found)) = values::parsed(wanted, found) {
            let mut compared =
                Comparison::fold(path, RuleKind::Json, Origin::Form("two texts of one JSON value"));
            compared.add(self.present(path, &wanted, &found));
            return compared;
        }
        if let Some(compared) = tags::compare(self, path, wanted, found) {
            return compared;
        }
        if policy::is_policy(wanted) && policy::is_policy(found) {
            return policy::compare(self, path, wanted, found);
        }
        match (wanted, found) {
            (Value::Object(wanted), Value::Object(found)) => self.object(path, wanted, found),
            (Value::Array(wanted), Value::Array(found)) => self.list(path, wanted, found),
            (Value::Array(wanted), found) if wanted.len() == 1 => self.alone(path, &wanted[0], found),
            (wanted, Value::Array(found)) if found.len() == 1 => self.alone(path, wanted, &found[0]),
            _ => self.scalar(path, wanted, found),
        }
    }

    /// Compares a value with the only member of a list.
    fn alone(&self, path: &Path, wanted: &Value, found: &Value) -> Comparison {
        let mut compared =
            Comparison::fold(path, RuleKind::Expression, Origin::Form("a value, or a list of it alone"));
        compared.add(self.value(path, wanted, Some(found)));
        compared
    }

    fn object(&self, path: &Path, wanted: &Map<String, Value>, found: &Map<String, Value>) -> Comparison {
        let mut compared = Comparison::default();
        let child = |name: &str| self.child(path, name);
        for (name, value) in wanted {
            let place = child(name);
            let special = values::port(self, &place, wanted, found.get(name))
                .or_else(|| values::forward(self, &place, value, found.get(name), found))
                .or_else(|| self.renamed(&place, value, found))
                .or_else(|| another_choice(&place, wanted, found));
            compared.add(special.unwrap_or_else(|| self.value(&place, value, found.get(name))));
        }
        for (name, value) in found.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
            let place = child(name);
            if self.is_reportable(&place, value) {
                compared.add(Comparison::undeclared(&place, value));
            }
        }
        compared
    }

    /// Returns the comparison with the property that holds the value under another name.
    fn renamed(&self, path: &Path, wanted: &Value, around: &Map<String, Value>) -> Option<Comparison> {
        let rule = self.rules.find(&self.listed(path), RuleKind::Renamed)?;
        let found = around.get(rule.argument).filter(|_| !around.contains_key(path.name()))?;
        let mut compared = Comparison::fold(path, RuleKind::Renamed, rule.origin);
        compared.add(self.value(path, wanted, Some(found)));
        Some(compared)
    }

    fn child(&self, path: &Path, name: &str) -> Path {
        if self.facts.maps.contains(&self.listed(path)) { path.entry(name) } else { path.property(name) }
    }

    /// Returns true if a value that the template does not declare belongs in the list of undeclared values.
    pub(super) fn is_reportable(&self, path: &Path, found: &Value) -> bool {
        let listed = self.listed(path);
        !Facts::covers(&self.facts.read_only, &listed)
            && !is_empty(found)
            && self.facts.defaults.get(&listed) != Some(found)
            && !tags::only_of_the_stack(self.context, path, found)
    }

    fn scalar(&self, path: &Path, wanted: &Value, found: &Value) -> Comparison {
        if let Some((kind, origin)) = values::equal(self, path, wanted, found) {
            return Comparison::fold(path, kind, origin);
        }
        if values::is_masked(wanted, found) || values::is_unknown_alias(self.context, wanted, found) {
            return Comparison::unknown(path, UnknownReason::Unresolved);
        }
        Comparison::drift(path, Some(wanted), Some(found))
    }

    /// Returns the path under which the schema lists a path.
    pub(super) fn listed(&self, path: &Path) -> String {
        self.facts.listed(path.schema())
    }
}

/// Returns the drift of a choice, such as `{"Block": {}}`, of which the live model has another.
fn another_choice(
    path: &Path,
    wanted: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Option<Comparison> {
    let (name, value) = wanted.iter().next().filter(|_| wanted.len() == 1 && path.schema().contains('.'))?;
    (is_choice(value) && !found.contains_key(name)).then(|| Comparison::drift(path, Some(value), None))
}

/// Returns true if the value is an intrinsic or has a dynamic reference: the template does not say what it is.
pub(super) fn is_unresolved(value: &Value) -> bool {
    match value {
        Value::Object(object) if object.len() == 1 => {
            object.keys().all(|key| key == "Ref" || key.starts_with("Fn::"))
        }
        Value::String(text) => text.contains("{{resolve:"),
        _ => false,
    }
}

/// Returns true if a value within the value is not resolved.
pub(super) fn has_unresolved(value: &Value) -> bool {
    is_unresolved(value)
        || match value {
            Value::Object(object) => object.values().any(has_unresolved),
            Value::Array(list) => list.iter().any(has_unresolved),
            _ => false,
        }
}
