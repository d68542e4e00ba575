//! Policies of IAM, of which AWS returns another form than the one that it got.
//!
//! The forms that are equal are those of the grammar of policies
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>): a text and a list of that text, the
//! order of lists and of statements, the case of actions and of condition keys, an account and its root user.

use super::compare::{Comparer, has_unresolved};
use super::lists::matched;
use super::path::Path;
use super::rules::{Origin, RuleKind};
use super::values::text;
use super::verdict::{Comparison, UnknownReason};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Fields of a statement whose absence changes nothing.
const LABELS: [&str; 1] = ["Sid"];

/// Returns true for a value with statements that have an effect.
pub(super) fn is_policy(value: &Value) -> bool {
    let statements = value.get("Statement");
    statements.is_some_and(|found| list(found).iter().all(|statement| statement.get("Effect").is_some()))
}

/// Compares two policies.
pub(super) fn compare(comparer: &Comparer<'_>, path: &Path, wanted: &Value, found: &Value) -> Comparison {
    let (Some(wanted), Some(found)) = (wanted.as_object(), found.as_object()) else {
        return Comparison::default();
    };
    let mut compared = Comparison::fold(path, RuleKind::Policy, Origin::Form("two forms of one policy"));
    for (name, value) in wanted.iter().filter(|(name, _)| *name != "Statement") {
        compared.add(comparer.value(&path.property(name), value, found.get(name)));
    }
    let statements =
        |policy: &Map<String, Value>| list(policy.get("Statement").unwrap_or(&Value::Null)).to_vec();
    let place = path.property("Statement");
    compared.add(matched(&place, &statements(wanted), &statements(found), |place, wanted, found| {
        statement(comparer, place, wanted, found)
    }));
    compared
}

fn statement(comparer: &Comparer<'_>, path: &Path, wanted: &Value, found: &Value) -> Comparison {
    let (Some(wanted), Some(found)) = (wanted.as_object(), found.as_object()) else {
        return Comparison::drift(path, Some(wanted), Some(found));
    };
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let mut compared = Comparison::default();
    for name in names {
        let place = path.property(name);
        let (wanted, found) = (wanted.get(name), found.get(name));
        compared.add(match (wanted, found) {
            (Some(value), _) if has_unresolved(value) => {
                Comparison::unknown(&place, UnknownReason::Unresolved)
            }
            (None, Some(_)) if LABELS.contains(&name.as_str()) => Comparison::default(),
            _ if canonical(comparer, name, wanted) == canonical(comparer, name, found) => {
                Comparison::default()
            }
            _ => Comparison::drift(&place, wanted, found),
        });
    }
    compared
}

/// Returns the canonical form of a field: for each principal type or condition key, a set of texts.
fn canonical(
    comparer: &Comparer<'_>,
    field: &str,
    value: Option<&Value>,
) -> BTreeMap<String, BTreeSet<String>> {
    let Some(value) = value else { return BTreeMap::new() };
    let of = |key: &str, texts: BTreeSet<String>| {
        if texts.is_empty() { None } else { Some((key.to_owned(), texts)) }
    };
    match field {
        "Principal" | "NotPrincipal" => match value {
            Value::Object(types) => types
                .iter()
                .filter_map(|(kind, ids)| of(kind, texts(ids, |id| principal(comparer, id))))
                .map(canonical_user)
                .collect(),
            everyone => of("AWS", texts(everyone, str::to_owned)).into_iter().collect(),
        },
        "Condition" => condition(value),
        "Action" | "NotAction" => of("", texts(value, str::to_lowercase)).into_iter().collect(),
        _ => of("", texts(value, str::to_owned)).into_iter().collect(),
    }
}

/// Returns a condition as sets of values, by operator and key. Keys do not distinguish letter case.
fn condition(value: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let operators = value.as_object().into_iter().flatten();
    let keys = operators.flat_map(|(operator, keys)| {
        keys.as_object().into_iter().flatten().map(move |(key, values)| {
            (format!("{} {}", operator.to_lowercase(), key.to_lowercase()), texts(values, str::to_owned))
        })
    });
    keys.collect()
}

/// Returns an account's root user for the account, and the canonical user for an origin access identity.
fn principal(comparer: &Comparer<'_>, id: &str) -> String {
    if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("arn:aws:iam::{id}:root");
    }
    let identity = id.rsplit_once("CloudFront Origin Access Identity ").map(|(_, identity)| identity.trim());
    identity
        .and_then(|identity| comparer.context.canonical_users.get(identity))
        .cloned()
        .unwrap_or_else(|| id.to_owned())
}

/// Returns canonical users as principals of AWS, as a policy may name them by either type.
fn canonical_user((kind, ids): (String, BTreeSet<String>)) -> (String, BTreeSet<String>) {
    if kind == "CanonicalUser" { ("AWS".to_owned(), ids) } else { (kind, ids) }
}

fn texts(value: &Value, form: impl Fn(&str) -> String) -> BTreeSet<String> {
    list(value).iter().filter_map(text).map(|text| form(&text)).collect()
}

/// Returns the members of a list, or a value as the only member.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        value => std::slice::from_ref(value),
    }
}
