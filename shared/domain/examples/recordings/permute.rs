//! Permutations: the members of each list are swapped, and the comparison has to find it unless the list has no order.

use crate::recording::Recording;
use lockstep_domain::drift::{ListOrder, Origin, Rules, list_order};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Prints the lists by group and source. Returns true if each permuted list without an order is in sync, and each other
/// list is found.
pub fn report(recordings: &[Recording]) -> bool {
    let mut groups: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = 0;
    for recording in recordings {
        for path in lists(&recording.declared, "") {
            let mut declared = recording.declared.clone();
            let Some(Value::Array(list)) = declared.pointer_mut(&path) else { continue };
            let members: Vec<Value> = list.clone();
            list.rotate_left(1);
            let schema = schema_path(&path);
            let rules = Rules::of(&recording.resource_type, &recording.facts);
            let order = list_order(&rules, &recording.facts, &schema, &members.iter().collect::<Vec<_>>());
            let (group, source) = group(recording, &schema, order);
            // The declared value is its own live model: only the order differs.
            let in_sync = recording.compare(&declared, &recording.declared).drifted.is_empty();
            let is_policy = in_sync && group == "ordered" && schema.contains("Statement");
            let group = if is_policy { "policy" } else { group };
            if in_sync == (group == "ordered") {
                wrong += 1;
                println!(
                    "missed  {} {path}: {group}, {}",
                    recording.name,
                    if in_sync { "not found" } else { "drifted" }
                );
            }
            groups.entry(group).or_default().insert(format!("{} {schema} {source}", recording.resource_type));
        }
    }
    for (group, lists) in &groups {
        println!("{group}: {}", lists.len());
        for list in lists {
            println!("  {list}");
        }
    }
    wrong == 0
}

fn group(recording: &Recording, schema: &str, order: ListOrder) -> (&'static str, &'static str) {
    let origin = match order {
        ListOrder::Ordered => return ("ordered", ""),
        ListOrder::Set(origin) | ListOrder::Keyed { origin, .. } => origin,
    };
    match origin {
        Origin::Schema if recording.recorded_sets.contains(schema) => ("set by recording", ""),
        Origin::Schema => ("set by schema", ""),
        Origin::Table(source) => ("set by table", source),
        Origin::Form(form) => ("set by form", form),
    }
}

/// Returns the pointers of the lists with different members, within a value.
fn lists(value: &Value, path: &str) -> Vec<String> {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| lists(value, &format!("{path}/{}", escape(name))))
            .collect(),
        Value::Array(list) => {
            let own = list.windows(2).any(|pair| pair[0] != pair[1]).then(|| path.to_owned());
            let below = list.iter().enumerate().flat_map(|(n, value)| lists(value, &format!("{path}/{n}")));
            own.into_iter().chain(below).collect()
        }
        _ => vec![],
    }
}

fn schema_path(pointer: &str) -> String {
    let names = pointer.split('/').skip(1).map(|name| if name.parse::<usize>().is_ok() { "*" } else { name });
    names.collect::<Vec<_>>().join(".")
}
