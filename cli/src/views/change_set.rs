//! A change set, as it is printed for its approver.

use crate::output::Output;
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::model::resource_change::{Change, Impact};
use lockstep_domain::records::ChangeSet;
use std::collections::{BTreeMap, BTreeSet};

/// The head of the table of changes.
pub const HEAD: [&str; 5] = ["change", "resource", "type", "replaced", "what changes"];

/// Prints the changes of a change set, and the nested stacks that were not examined.
pub fn show(change_set: &ChangeSet, output: &Output) {
    output.table(HEAD, rows(&change_set.changes));
    for nested in &change_set.unexamined {
        output.line(format!("  NOT EXAMINED: nested stack {} ({})", nested.name, nested.physical_id));
    }
}

/// Number of harmless changes that have a row each. More of them share a row with those of their action and type.
const HARMLESS_MAX: usize = 40;

/// Returns the rows of the table, the worst impact first. All changes of tags alone share one row.
pub fn rows(changes: &[Change]) -> Vec<[String; 5]> {
    let (tags, mut sorted): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| change.tags_only);
    sorted.sort_by(|a, b| b.impact.cmp(&a.impact).then_with(|| a.logical_id.cmp(&b.logical_id)));
    let (harmless, harmful): (Vec<&Change>, Vec<&Change>) =
        sorted.into_iter().partition(|change| change.impact == Impact::None && change.drift.is_none());
    let mut rows: Vec<[String; 5]> = harmful.into_iter().map(row).collect();
    if harmless.len() <= HARMLESS_MAX {
        rows.extend(harmless.into_iter().map(row));
    } else {
        rows.extend(grouped(&harmless));
    }
    if !tags.is_empty() {
        let what = format!("{} resources", tags.len());
        rows.push(["Modify".into(), what, "-".into(), "no".into(), "tags only".into()]);
    }
    rows
}

/// Returns one row for the harmless changes of each action and type.
fn grouped(harmless: &[&Change]) -> impl Iterator<Item = [String; 5]> {
    let mut groups: BTreeMap<(&str, &str), Vec<&Change>> = BTreeMap::new();
    for change in harmless {
        groups.entry((&change.action, &change.resource_type)).or_default().push(change);
    }
    groups.into_values().map(|group| match group.as_slice() {
        [change] => row(change),
        many => {
            let properties: BTreeSet<&str> =
                many.iter().flat_map(|change| &change.properties).map(String::as_str).collect();
            let properties = properties.into_iter().collect::<Vec<_>>().join(", ");
            let [action, _, resource_type, replaced, _] = row(many[0]);
            let what = format!("{} resources", many.len());
            [
                action,
                what,
                resource_type,
                replaced,
                if properties.is_empty() { "-".into() } else { properties },
            ]
        }
    })
}

fn row(change: &Change) -> [String; 5] {
    let mark = match change.impact {
        Impact::None => "",
        Impact::Interruption => " (interrupts)",
        Impact::DataLoss => " (DESTROYS)",
    };
    let replaced = match change.replacement.as_str() {
        "True" => "yes",
        "Conditional" => "perhaps",
        _ => "no",
    };
    let properties = if change.properties.is_empty() { "-".to_owned() } else { change.properties.join(", ") };
    let drifted = match change.drift {
        Some(DriftStatus::Modified) => " (was changed outside)",
        Some(DriftStatus::Deleted) => " (was deleted outside)",
        _ => "",
    };
    [
        format!("{}{mark}{drifted}", change.action),
        change.logical_id.clone(),
        change.resource_type.clone(),
        replaced.to_owned(),
        properties,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::change;

    #[test]
    fn a_change_that_destroys_data_is_first_and_marked() {
        let rows = rows(&[change("A", Impact::None, false), change("B", Impact::DataLoss, false)]);
        assert_eq!(
            rows[0],
            ["Modify (DESTROYS)", "B", "AWS::SQS::Queue", "perhaps", "QueueName"].map(String::from)
        );
    }

    #[test]
    fn a_change_outside_of_cloudformation_is_marked() {
        let drifted = |drift| rows(&[Change { drift: Some(drift), ..change("A", Impact::None, false) }]);
        assert_eq!(drifted(DriftStatus::Modified)[0][0], "Modify (was changed outside)");
        assert_eq!(drifted(DriftStatus::InSync)[0][0], "Modify");
    }

    #[test]
    fn changes_of_tags_alone_share_one_row() {
        let rows = rows(&[change("A", Impact::None, true), change("B", Impact::None, true)]);
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0][1], "2 resources");
    }

    #[test]
    fn many_harmless_changes_share_rows_and_no_harmful_one_does() {
        let mut changes: Vec<Change> =
            (0..2499).map(|number| change(&format!("R{number}"), Impact::None, false)).collect();
        changes.push(change("Z", Impact::Interruption, false));
        changes[7].action = "Add".into();
        let rows = rows(&changes);
        let resources: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        assert_eq!(resources, ["Z", "R7", "2498 resources"]);
    }
}
