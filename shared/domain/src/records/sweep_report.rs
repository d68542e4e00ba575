use super::{Key, Record, Table};
use crate::model::orphan::SeenOrphan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An item that the sweep could not repair, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// Name of the item: `test/logs-0123456`, `delivery <id>`.
    pub what: String,
    /// Sentence with the reason and what to do.
    pub why: String,
}

/// Findings and actions of the last sweep. Each list holds at most [`SweepReport::LINES`] lines; the log of
/// the function has all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// Time of the sweep.
    pub at: Timestamp,
    /// Environments released from executions that had ended: `<stage>/<environment>`.
    #[serde(default)]
    pub freed: Vec<String>,
    /// Heads of branches that no webhook delivery had reported. The sweep records each as a delivery.
    #[serde(default)]
    pub found: Vec<String>,
    /// Deliveries whose missing release the sweep started.
    #[serde(default)]
    pub released: Vec<String>,
    /// Deliveries that the sweep finished, because their execution had ended without finishing them or a
    /// later push superseded them.
    #[serde(default)]
    pub finished: Vec<String>,
    /// Test stacks whose teardown the sweep started.
    #[serde(default)]
    pub removing: Vec<String>,
    /// Number of open callbacks removed, because no execution waits for them.
    #[serde(default)]
    pub waits_removed: u32,
    /// Number of open callbacks checked again, because they had been open for long.
    #[serde(default)]
    pub waits_woken: u32,
    /// Image promotions that the sweep closed, because their execution had ended without closing them.
    #[serde(default)]
    pub abandoned: Vec<String>,
    /// Image versions that the sweep deprecated, retained again, or removed.
    #[serde(default)]
    pub retired: Vec<String>,
    /// Parameters of newest images whose value was wrong.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Images and snapshots with our tags and without a record, each with the reason that prevents its
    /// removal. The next sweep reads the first sighting of each from this list.
    #[serde(default)]
    pub orphans: Vec<SeenOrphan>,
    /// Items that an operator must repair.
    #[serde(default)]
    pub left: Vec<Leftover>,
}

impl SweepReport {
    /// Maximum number of lines of each list in the record.
    pub const LINES: usize = 100;

    /// Returns an empty report.
    pub fn new(at: Timestamp) -> Self {
        Self {
            at,
            freed: Vec::new(),
            found: Vec::new(),
            released: Vec::new(),
            finished: Vec::new(),
            removing: Vec::new(),
            waits_removed: 0,
            waits_woken: 0,
            abandoned: Vec::new(),
            retired: Vec::new(),
            parameters: Vec::new(),
            orphans: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Returns the key of the last report.
    pub fn last() -> Key {
        Key::new(Table::Sweep, "SWEEP".into(), "LAST")
    }

    /// Returns each list with its length; the names are the values of the dimension `finding`.
    pub fn findings(&self) -> [(&'static str, usize); 12] {
        let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        [
            ("freed", self.freed.len()),
            ("found", self.found.len()),
            ("released", self.released.len()),
            ("finished", self.finished.len()),
            ("removing", self.removing.len()),
            ("waits_removed", number(self.waits_removed)),
            ("waits_woken", number(self.waits_woken)),
            ("abandoned", self.abandoned.len()),
            ("retired", self.retired.len()),
            ("parameters", self.parameters.len()),
            ("orphans", self.orphans.len()),
            ("left", self.left.len()),
        ]
    }

    /// Returns the report, shortened to fit into an item of the table.
    pub fn bounded(mut self) -> Self {
        for list in [
            &mut self.freed,
            &mut self.found,
            &mut self.released,
            &mut self.finished,
            &mut self.removing,
            &mut self.abandoned,
            &mut self.retired,
            &mut self.parameters,
        ] {
            list.truncate(Self::LINES);
        }
        self.orphans.truncate(Self::LINES);
        self.left.truncate(Self::LINES);
        self
    }
}

impl Record for SweepReport {
    const KIND: &'static str = "SWEEP";
    const TABLES: &'static [Table] = &[Table::Sweep];

    fn key(&self) -> Key {
        Self::last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn findings_name_each_list_of_the_record_with_its_length() {
        let report = SweepReport {
            freed: vec!["ci/web".into()],
            waits_woken: 3,
            left: vec![Leftover { what: "a".into(), why: "b".into() }; 2],
            ..SweepReport::new(Timestamp::UNIX_EPOCH)
        };
        let record = json!(report);
        let length =
            |value: &Value| value.as_array().map_or_else(|| value.as_u64(), |list| Some(list.len() as u64));
        let lists = record.as_object().unwrap().iter().filter(|(name, _)| *name != "at");
        let expected: std::collections::BTreeMap<_, _> =
            lists.map(|(name, value)| (name.as_str(), length(value).unwrap())).collect();
        let found = report.findings().map(|(name, number)| (name, number as u64));
        assert_eq!(std::collections::BTreeMap::from(found), expected);
    }
}
