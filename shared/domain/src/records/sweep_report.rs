use super::{Key, Record, Table};
use crate::model::orphan::SeenOrphan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Something that the sweep could not put in order, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// What it is about: `test/logs-0123456`, `delivery <id>`.
    pub what: String,
    /// Why, and what to do, as a sentence.
    pub why: String,
}

/// What the last sweep found and did. Each list holds at most [`SweepReport::LINES`]; the function's log has all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepReport {
    /// When it ran.
    pub at: Timestamp,
    /// Environments that were taken from executions that had ended: `<stage>/<environment>`.
    #[serde(default)]
    pub freed: Vec<String>,
    /// Heads of branches that no delivery had told of, each written down as a delivery of its own.
    #[serde(default)]
    pub found: Vec<String>,
    /// Deliveries whose release was started, because nobody had.
    #[serde(default)]
    pub released: Vec<String>,
    /// Deliveries that were finished, because their execution had ended without doing so or a later push overtook them.
    #[serde(default)]
    pub finished: Vec<String>,
    /// Throw-away environments whose teardown was started.
    #[serde(default)]
    pub removing: Vec<String>,
    /// Open waits that were removed, because nobody waits any more.
    #[serde(default)]
    pub waits_removed: u32,
    /// Open waits that were looked at again, because they were open for long.
    #[serde(default)]
    pub waits_woken: u32,
    /// Promotions of images that were closed, because their execution had ended without doing so.
    #[serde(default)]
    pub abandoned: Vec<String>,
    /// Versions of images that were deprecated, kept after all, or removed.
    #[serde(default)]
    pub retired: Vec<String>,
    /// Parameters that name the newest images and said something else.
    #[serde(default)]
    pub parameters: Vec<String>,
    /// Images and snapshots that carry our tags and stand in no record, each with what keeps it from being removed. The
    /// next sweep reads here since when they are seen.
    #[serde(default)]
    pub orphans: Vec<SeenOrphan>,
    /// What is left for a person.
    #[serde(default)]
    pub left: Vec<Leftover>,
}

impl SweepReport {
    /// The most lines of each list that are kept.
    pub const LINES: usize = 100;

    /// An empty one.
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

    /// The key of the last one.
    pub fn last() -> Key {
        Key::new("SWEEP".into(), "LAST")
    }

    /// The same, short enough for an item of the table.
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
    const TABLE: Table = Table::Sweep;

    fn key(&self) -> Key {
        Self::last()
    }
}
