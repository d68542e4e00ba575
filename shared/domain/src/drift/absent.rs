//! Declared values that the live model lacks.

use super::compare::Comparer;
use super::facts::Facts;
use super::path::Path;
use super::rules::{Origin, RuleKind};
use super::values;
use super::verdict::{Comparison, UnknownReason};
use serde_json::Value;

/// Names of properties that AWS never returns, whatever the schema says.
const SECRET_NAMES: [&str; 5] = ["Password", "SecretString", "PrivateKey", "AuthToken", "Passphrase"];

/// Returns true for a value that is the same as none: null, an empty text, list or object, and an object of such values.
///
/// An object within an object is more than its members, as it names a choice: `{"Block": {}}` is not empty.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.values().all(|member| !is_choice(member) && is_empty(member)),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns true for an object without members.
pub(super) fn is_choice(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty)
}

impl Comparer<'_> {
    /// Compares a declared value with none. A value that AWS cannot have lost is unknown; any other is drift.
    pub(super) fn absent(&self, path: &Path, wanted: &Value) -> Comparison {
        if is_empty(wanted) {
            return Comparison::fold(path, RuleKind::Default, Origin::Form("an empty value is no value"));
        }
        if let Some(origin) = self.default_of(path, wanted) {
            return Comparison::fold(path, RuleKind::Default, origin);
        }
        if let Some(compared) = self.moved(path, wanted) {
            return compared;
        }
        if self.cannot_be_lost(path) {
            return Comparison::unknown(path, UnknownReason::Unreadable);
        }
        self.absent_members(path, wanted).unwrap_or_else(|| Comparison::drift(path, Some(wanted), None))
    }

    /// Returns true for a property that the resource cannot exist without or that never changes, for a secret, and for a
    /// type that CloudFormation does not read.
    fn cannot_be_lost(&self, path: &Path) -> bool {
        let listed = self.listed(path);
        // A member of a list or a tag can be removed, whatever the schema says of the list.
        if listed.ends_with(".*") || self.facts.tags.as_ref().is_some_and(|tags| listed.starts_with(tags)) {
            return false;
        }
        self.facts.unread
            || self.facts.required.contains(&listed)
            || Facts::covers(&self.facts.create_only, &listed)
            || SECRET_NAMES.iter().any(|name| path.name().ends_with(name))
    }

    /// Compares the members of an absent object, if each of them explains its absence.
    fn absent_members(&self, path: &Path, wanted: &Value) -> Option<Comparison> {
        let members = wanted.as_object()?;
        let mut all = Comparison::default();
        for (name, value) in members {
            let place = path.property(name);
            let compared = self.value(&place, value, None);
            if is_choice(value)
                || !compared.drifted.is_empty()
                || compared.unknown.iter().any(|u| u.reason == UnknownReason::Unreadable)
            {
                return None;
            }
            all.add(compared);
        }
        Some(all)
    }

    fn default_of(&self, path: &Path, wanted: &Value) -> Option<Origin> {
        let listed = self.listed(path);
        let same = |value: &Value| value == wanted || values::same(values::text(value), values::text(wanted));
        if self.facts.defaults.get(&listed).is_some_and(same) {
            return Some(Origin::Schema);
        }
        let rule = self.rules.find(&listed, RuleKind::Default)?;
        serde_json::from_str(rule.argument).ok().filter(same).map(|_: Value| rule.origin)
    }

    /// Returns the fold of an empty declared value, for which AWS fills in its default.
    pub(super) fn default_rule(&self, path: &Path, wanted: &Value, found: &Value) -> Option<Comparison> {
        if !is_empty(wanted) {
            return None;
        }
        let rule = self.rules.find(&self.listed(path), RuleKind::Default)?;
        let default: Value = serde_json::from_str(rule.argument).ok()?;
        let bare = Comparer { rules: super::Rules::of("", self.facts), ..*self };
        let compared = bare.value(path, &default, Some(found));
        (compared.drifted.is_empty() && compared.undeclared.is_empty())
            .then(|| Comparison::fold(path, RuleKind::Default, rule.origin))
    }

    fn moved(&self, path: &Path, wanted: &Value) -> Option<Comparison> {
        let rule = self.rules.find(&self.listed(path), RuleKind::Moved)?;
        let found = rule.argument.split('.').try_fold(self.model, |value, name| value.get(name))?;
        let mut compared = Comparison::fold(path, RuleKind::Moved, rule.origin);
        compared.add(self.value(path, wanted, Some(found)));
        Some(compared)
    }
}
