//! A change set, as it is printed for its approver.

use crate::output::Output;
use lockstep_domain::model::drift_status::DriftStatus;
use lockstep_domain::model::resource_change::{Change, Impact};
use lockstep_domain::records::ChangeSet;

/// The head of the table of changes.
pub const HEAD: [&str; 5] = ["change", "resource", "type", "replaced", "what changes"];

/// Prints the changes of a change set, and the nested stacks that were not examined.
pub fn show(change_set: &ChangeSet, output: &Output) {
    output.table(HEAD, rows(&change_set.changes));
    for nested in &change_set.unexamined {
        output.line(format!("  NOT EXAMINED: nested stack {} ({})", nested.name, nested.physical_id));
    }
}

/// Returns the rows of the table. All changes of tags alone share one row.
pub fn rows(changes: &[Change]) -> Vec<[String; 5]> {
    let mut sorted: Vec<&Change> = changes.iter().filter(|change| !change.tags_only).collect();
    sorted.sort_by(|a, b| b.impact.cmp(&a.impact).then_with(|| a.logical_id.cmp(&b.logical_id)));
    let mut rows: Vec<[String; 5]> = sorted.into_iter().map(row).collect();
    match changes.iter().filter(|change| change.tags_only).count() {
        0 => {}
        n => rows.push([
            "Modify".into(),
            format!("{n} resources"),
            "-".into(),
            "no".into(),
            "tags only".into(),
        ]),
    }
    rows
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
}
