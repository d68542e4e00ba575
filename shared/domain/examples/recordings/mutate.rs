//! Mutations: each changes one live value, and the comparison has to find it.

use crate::recording::Recording;
use lockstep_domain::drift::{Comparison, Origin, UnknownReason};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Step from a value to a value within it.
#[derive(Clone, Debug)]
enum Step {
    Name(String),
    Position(usize),
}

/// Result of a mutation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Found,
    /// A rule says that the values are equal.
    Equivalent,
    /// The comparison says that it cannot tell.
    Unknown,
    /// AWS cannot lose the value: the resource must have it, or it never changes.
    Impossible,
    Missed,
}

/// Prints each mutation that is missed or equivalent, and the sums. Returns true if none is missed.
pub fn report(recordings: &[Recording]) -> bool {
    let mut counts: BTreeMap<(Outcome, &str), usize> = BTreeMap::new();
    for recording in recordings {
        let before = recording.compare(&recording.declared, &recording.live);
        // The live values that are equal to a declared one are those that a mutation can change.
        for (steps, value) in values(&recording.declared) {
            let Some(live) = at(&recording.live, &steps).filter(|live| *live == value) else { continue };
            for (name, changed) in mutations(live) {
                let mut model = recording.live.clone();
                if !put(&mut model, &steps, changed.clone()) {
                    continue;
                }
                let after = recording.compare(&recording.declared, &model);
                let mut outcome = judge(&before, &after, &steps);
                let is_lost = after.unknown.iter().any(|unknown| unknown.reason == UnknownReason::Unreadable);
                if outcome == Outcome::Unknown && name == "dropped" && is_lost {
                    outcome = Outcome::Impossible;
                }
                *counts.entry((outcome, name)).or_default() += 1;
                tell(recording, &steps, name, &changed, outcome, &after);
            }
        }
    }
    for outcome in
        [Outcome::Found, Outcome::Equivalent, Outcome::Impossible, Outcome::Unknown, Outcome::Missed]
    {
        let by_name = counts.iter().filter(|((found, _), _)| *found == outcome);
        let by_name: Vec<String> = by_name.map(|((_, name), count)| format!("{name} {count}")).collect();
        println!("{}: {}", text(outcome), by_name.join(", "));
    }
    counts.keys().all(|(outcome, _)| *outcome != Outcome::Missed)
}

fn text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Found => "found",
        Outcome::Equivalent => "equivalent",
        Outcome::Unknown => "unknown",
        Outcome::Impossible => "impossible",
        Outcome::Missed => "missed",
    }
}

fn judge(before: &Comparison, after: &Comparison, steps: &[Step]) -> Outcome {
    if after.drifted.iter().any(|difference| !before.drifted.contains(difference)) {
        Outcome::Found
    } else if after.unknown != before.unknown {
        Outcome::Unknown
    } else if after.folds.iter().any(|fold| covers(fold.path.schema(), steps))
        || after.undeclared != before.undeclared
    {
        Outcome::Equivalent
    } else {
        Outcome::Missed
    }
}

/// Returns true if the path of a rule is the changed one, above it or below it. Rules below it explain each member of a lost
/// object.
fn covers(rule: &str, steps: &[Step]) -> bool {
    let names = rule.split('.').filter(|name| !name.is_empty());
    names.zip(steps).all(|(name, step)| name == "*" || matches!(step, Step::Name(own) if own == name))
}

fn tell(
    recording: &Recording,
    steps: &[Step],
    name: &str,
    changed: &Option<Value>,
    outcome: Outcome,
    after: &Comparison,
) {
    let path: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Position(position) => position.to_string(),
        })
        .collect();
    let shown = changed.as_ref().map(Value::to_string).unwrap_or_default();
    let rules: Vec<String> = after
        .folds
        .iter()
        .map(|fold| match fold.origin {
            Origin::Schema => format!("{} {} (schema)", fold.path, fold.kind),
            Origin::Table(source) => format!("{} {} ({source})", fold.path, fold.kind),
            Origin::Form(form) => format!("{} {} ({form})", fold.path, fold.kind),
        })
        .collect();
    match outcome {
        Outcome::Found | Outcome::Impossible => {}
        Outcome::Equivalent => {
            println!("equivalent {} {} {name} {shown}: {}", recording.name, path.join("."), rules.join("; "));
        }
        Outcome::Unknown | Outcome::Missed => {
            println!("{} {} {} {name} {shown}", text(outcome), recording.name, path.join("."));
        }
    }
}

/// Returns the changed forms of a value, each with the name of the mutation.
fn mutations(value: &Value) -> Vec<(&'static str, Option<Value>)> {
    let mut found: Vec<(&'static str, Option<Value>)> = vec![("dropped", None)];
    match value {
        Value::Bool(is) => found.push(("changed", Some(json!(!is)))),
        Value::Number(number) => {
            found.push(("changed", Some(json!(number.as_f64().unwrap_or_default() + 1.0))))
        }
        Value::String(text) => {
            found.push(("changed", Some(json!(format!("{text}x")))));
            let (upper, lower) = (text.to_uppercase(), text.to_lowercase());
            let other = if *text == lower { upper } else { lower };
            if other != *text {
                found.push(("case", Some(json!(other))));
            }
        }
        Value::Array(list) => {
            if let [first, second, ..] = &list[..]
                && first != second
            {
                let mut swapped = list.clone();
                swapped.swap(0, 1);
                found.push(("swapped", Some(json!(swapped))));
            }
            let mut longer = list.clone();
            longer.push(list.first().map_or_else(|| json!("added"), added));
            found.push(("added", Some(json!(longer))));
            if !list.is_empty() {
                found.push(("shortened", Some(json!(list[1..]))));
            }
        }
        Value::Null | Value::Object(_) => {}
    }
    found
}

/// Returns a member like `value` that is not in the list yet.
fn added(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(format!("{text}x")),
        Value::Number(number) => json!(number.as_f64().unwrap_or_default() + 1.0),
        Value::Object(object) => object.iter().map(|(name, value)| (name.clone(), added(value))).collect(),
        Value::Array(list) => list.iter().map(added).collect(),
        value => value.clone(),
    }
}

fn values(value: &Value) -> Vec<(Vec<Step>, &Value)> {
    let children: Vec<(Step, &Value)> = match value {
        Value::Object(object) => {
            object.iter().map(|(name, value)| (Step::Name(name.clone()), value)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(n, value)| (Step::Position(n), value)).collect(),
        _ => vec![],
    };
    let mut found = vec![];
    for (step, child) in children {
        found.push((vec![step.clone()], child));
        found.extend(
            values(child).into_iter().map(|(steps, value)| ([vec![step.clone()], steps].concat(), value)),
        );
    }
    found
}

fn at<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Position(position) => value.get(position),
    })
}

/// Replaces or removes the value. Returns false if there is none.
fn put(model: &mut Value, steps: &[Step], changed: Option<Value>) -> bool {
    let Some((last, before)) = steps.split_last() else { return false };
    let around = before.iter().try_fold(model, |value, step| match step {
        Step::Name(name) => value.get_mut(name),
        Step::Position(position) => value.get_mut(*position),
    });
    match (around, last, changed) {
        (Some(Value::Object(object)), Step::Name(name), Some(changed)) => {
            object.insert(name.clone(), changed).is_some()
        }
        (Some(Value::Object(object)), Step::Name(name), None) => object.remove(name).is_some(),
        (Some(Value::Array(list)), Step::Position(position), Some(changed)) => {
            list[*position] = changed;
            true
        }
        (Some(Value::Array(list)), Step::Position(position), None) => {
            list.remove(*position);
            true
        }
        _ => false,
    }
}
