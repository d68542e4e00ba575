//! Lists: ordered, without an order, and with members that a property identifies.

use super::compare::{Comparer, has_unresolved};
use super::facts::Facts;
use super::path::Path;
use super::rules::{Origin, RuleKind, Rules};
use super::values::{self, text};
use super::verdict::Comparison;
use serde_json::Value;
use std::collections::BTreeSet;

/// Order of a list, with the source that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListOrder {
    /// The order counts. This is so unless a source says otherwise.
    Ordered,
    /// The order does not count.
    Set(Origin),
    /// The order does not count, and the members have a key: the names of properties, joined by `+`.
    Keyed {
        /// Properties that identify a member.
        key: &'static str,
        /// Is set if AWS adds members.
        is_completed: bool,
        /// Source of the rule.
        origin: Origin,
    },
}

/// Keys of lists whose members are a name and a value.
const NAMED_VALUES: [(&str, &str); 4] =
    [("Key", "Value"), ("Name", "Value"), ("ParameterName", "ParameterValue"), ("key", "value")];

/// Returns the order of a list with these members.
pub fn list_order(rules: &Rules<'_>, facts: &Facts, path: &str, members: &[&Value]) -> ListOrder {
    let listed = facts.listed(path);
    for rule in rules.at(&listed) {
        match rule.kind {
            RuleKind::Ordered => return ListOrder::Ordered,
            RuleKind::Set => return ListOrder::Set(rule.origin),
            RuleKind::Keyed | RuleKind::Completed => {
                let is_completed = rule.kind == RuleKind::Completed;
                return ListOrder::Keyed { key: rule.argument, is_completed, origin: rule.origin };
            }
            _ => {}
        }
    }
    if facts.sets.contains(&listed) {
        return ListOrder::Set(Origin::Schema);
    }
    if let Some(form) = values::set_form(members) {
        return ListOrder::Set(Origin::Form(form));
    }
    for (key, value) in NAMED_VALUES {
        if !members.is_empty() && members.iter().all(|member| has_only(member, key, value)) {
            return ListOrder::Keyed { key, is_completed: false, origin: Origin::Form("names with values") };
        }
    }
    if facts.enumerations.contains(&format!("{listed}.*")) && !facts.ordered.contains(&listed) {
        return ListOrder::Set(Origin::Schema);
    }
    ListOrder::Ordered
}

fn has_only(member: &Value, key: &str, value: &str) -> bool {
    member.as_object().is_some_and(|object| {
        object.get(key).is_some_and(Value::is_string)
            && object.keys().all(|name| name == key || name == value)
    })
}

impl Comparer<'_> {
    pub(super) fn list(&self, path: &Path, wanted: &[Value], found: &[Value]) -> Comparison {
        if let Some(fold) = values::shifting(self, path, found) {
            return fold;
        }
        let members: Vec<&Value> =
            wanted.iter().chain(found).filter(|member| !has_unresolved(member)).collect();
        match list_order(&self.rules, self.facts, path.schema(), &members) {
            ListOrder::Ordered => self.ordered(path, wanted, found),
            ListOrder::Set(origin) => {
                self.noting(path, RuleKind::Set, origin, self.set(path, wanted, found), wanted, found)
            }
            ListOrder::Keyed { key, is_completed, origin } => {
                let (kind, compared) = if keys_are_unique(key, wanted) {
                    let kind = if is_completed { RuleKind::Completed } else { RuleKind::Keyed };
                    (kind, self.keyed(path, key, is_completed, wanted, found))
                } else {
                    (RuleKind::Set, self.set(path, wanted, found))
                };
                self.noting(path, kind, origin, compared, wanted, found)
            }
        }
    }

    /// Notes the rule if the list is not equal member by member.
    fn noting(
        &self,
        path: &Path,
        kind: RuleKind,
        origin: Origin,
        mut compared: Comparison,
        wanted: &[Value],
        found: &[Value],
    ) -> Comparison {
        if wanted.len() != found.len() || !self.ordered(path, wanted, found).drifted.is_empty() {
            compared.add(Comparison::fold(path, kind, origin));
        }
        compared
    }

    fn ordered(&self, path: &Path, wanted: &[Value], found: &[Value]) -> Comparison {
        let mut compared = Comparison::default();
        for position in 0..wanted.len().max(found.len()) {
            let place = path.member(position);
            compared.add(match (wanted.get(position), found.get(position)) {
                (Some(wanted), Some(found)) => self.value(&place, wanted, Some(found)),
                (wanted, found) => Comparison::drift(&place, wanted, found),
            });
        }
        compared
    }

    fn set(&self, path: &Path, wanted: &[Value], found: &[Value]) -> Comparison {
        matched(path, wanted, found, |place, wanted, found| self.value(place, wanted, Some(found)))
    }

    fn keyed(
        &self,
        path: &Path,
        key: &str,
        is_completed: bool,
        wanted: &[Value],
        found: &[Value],
    ) -> Comparison {
        let mut compared = Comparison::default();
        let mut left: Vec<&Value> = found.iter().collect();
        for member in wanted {
            let place = path.member(key_of(key, member).unwrap_or_default());
            let fits = |candidate: &&Value| self.has_equal_key(path, key, member, candidate);
            let is_equal =
                |candidate: &&Value| self.value(&place, member, Some(candidate)).drifted.is_empty();
            let position = left.iter().position(|candidate| fits(candidate) && is_equal(candidate));
            let position = position.or_else(|| left.iter().position(fits));
            compared.add(match position {
                Some(position) => self.value(&place, member, Some(left.remove(position))),
                None if has_unresolved(member) => {
                    Comparison::unknown(&place, super::verdict::UnknownReason::Unresolved)
                }
                None => Comparison::drift(&place, Some(member), None),
            });
        }
        for member in left {
            let name = key_of(key, member).unwrap_or_default();
            let place = path.member(&name);
            compared.add(match is_completed || self.context.attached.contains(&name) {
                true => Comparison::undeclared(&place, member),
                false => Comparison::drift(&place, None, Some(member)),
            });
        }
        compared
    }

    fn is_equal(&self, path: &Path, wanted: &Value, found: &Value) -> bool {
        let compared = self.value(path, wanted, Some(found));
        compared.drifted.is_empty() && compared.unknown.is_empty()
    }

    fn has_equal_key(&self, path: &Path, key: &str, wanted: &Value, found: &Value) -> bool {
        if key.is_empty() {
            return self.is_equal(&path.member(""), wanted, found);
        }
        let place = path.member("");
        key.split('+').all(|name| match (wanted.get(name), found.get(name)) {
            (Some(wanted), Some(found)) => self.is_equal(&place.property(name), wanted, found),
            (None, None) => true,
            _ => false,
        })
    }
}

/// Returns the key of a member as text. An empty key is the member itself.
fn key_of(key: &str, member: &Value) -> Option<String> {
    if key.is_empty() {
        return text(member);
    }
    let parts: Vec<String> = key.split('+').filter_map(|name| member.get(name).and_then(text)).collect();
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn keys_are_unique(key: &str, members: &[Value]) -> bool {
    let keys: BTreeSet<Option<String>> = members.iter().map(|member| key_of(key, member)).collect();
    keys.len() == members.len() && !keys.contains(&None)
}

/// Compares two lists whose order does not count: each member with the one that fits it best.
pub(super) fn matched(
    path: &Path,
    wanted: &[Value],
    found: &[Value],
    compare: impl Fn(&Path, &Value, &Value) -> Comparison,
) -> Comparison {
    let mut compared = Comparison::default();
    let mut open: Vec<(usize, &Value)> = wanted.iter().enumerate().collect();
    let mut left: Vec<&Value> = found.iter().collect();
    // Equal members first, then those that may be equal.
    for is_certain in [true, false] {
        open.retain(|(position, member)| {
            let place = path.member(label(*position, member));
            let fit = left.iter().position(|candidate| {
                let trial = compare(&place, member, candidate);
                trial.drifted.is_empty() && (trial.unknown.is_empty() || !is_certain)
            });
            let Some(fit) = fit else { return true };
            compared.add(compare(&place, member, left.remove(fit)));
            false
        });
    }
    // Of the others, those that differ least. Scalars have nothing in common.
    for (position, member) in open {
        let place = path.member(label(position, member));
        let nearest =
            left.iter().enumerate().filter(|(_, candidate)| candidate.is_object() && member.is_object());
        let nearest = nearest.min_by_key(|(_, candidate)| compare(&place, member, candidate).drifted.len());
        compared.add(match nearest.map(|(fit, _)| fit) {
            Some(fit) => compare(&place, member, left.remove(fit)),
            None => Comparison::drift(&place, Some(member), None),
        });
    }
    for member in left {
        compared.add(Comparison::drift(&path.member(label(wanted.len(), member)), None, Some(member)));
    }
    compared
}

fn label(position: usize, member: &Value) -> String {
    let name =
        ["Sid", "Id", "Name", "Key"].iter().find_map(|name| member.get(*name)?.as_str().map(str::to_owned));
    text(member).or(name).unwrap_or_else(|| position.to_string())
}
