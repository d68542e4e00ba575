//! Differences between the template of a test stack and the released one.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Reason of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestDifferenceReason {
    /// A deletion policy that deletes the resource with the test stack.
    DeletionPolicy,
    /// A protection against deletion, switched off.
    Protection,
    /// A property that would keep something after the deletion.
    Retention,
    /// A fixed name that another stage has in the same place, left out.
    Name,
}

impl fmt::Display for TestDifferenceReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DeletionPolicy => "deleted with the test stack",
            Self::Protection => "protection off",
            Self::Retention => "nothing kept",
            Self::Name => "name left out",
        })
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestDifference {
    /// Reason of the difference.
    pub reason: TestDifferenceReason,
    /// Logical id of the resource, or the name of the output.
    pub logical_id: String,
    /// Attribute, or path of the property.
    pub property: String,
    /// Line in the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Returns one sentence for each reason: what the test stack has otherwise, with the lines.
pub fn summary(differences: &[TestDifference]) -> Vec<String> {
    let reasons = [
        TestDifferenceReason::DeletionPolicy,
        TestDifferenceReason::Protection,
        TestDifferenceReason::Retention,
        TestDifferenceReason::Name,
    ];
    let of = |reason| {
        let mut shown: Vec<String> = Vec::new();
        for difference in differences.iter().filter(|difference| difference.reason == reason) {
            let line = difference.line.map(|line| format!(" (line {line})")).unwrap_or_default();
            let text = match reason {
                TestDifferenceReason::DeletionPolicy => difference.logical_id.clone(),
                _ => format!("{}.{}{line}", difference.logical_id, difference.property),
            };
            if shown.last() != Some(&text) {
                shown.push(text);
            }
        }
        (!shown.is_empty()).then(|| format!("{reason}: {}", shown.join(", ")))
    };
    reasons.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_one_sentence_for_each_reason() {
        let of = |reason, logical_id: &str, property: &str, line| TestDifference {
            reason,
            logical_id: logical_id.into(),
            property: property.into(),
            line,
        };
        let differences = [
            of(TestDifferenceReason::DeletionPolicy, "Db", "DeletionPolicy", Some(4)),
            of(TestDifferenceReason::DeletionPolicy, "Db", "UpdateReplacePolicy", Some(5)),
            of(TestDifferenceReason::Protection, "Db", "DeletionProtection", Some(6)),
            of(TestDifferenceReason::Name, "Reader", "RoleName", None),
        ];
        assert_eq!(
            summary(&differences),
            [
                "deleted with the test stack: Db",
                "protection off: Db.DeletionProtection (line 6)",
                "name left out: Reader.RoleName",
            ]
        );
        assert_eq!(summary(&[]), Vec::<String>::new());
    }
}
