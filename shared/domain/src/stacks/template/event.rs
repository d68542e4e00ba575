//! Events of a document, which the readers of YAML and of JSON produce and the loader builds a tree from.

use super::node::Fault;

/// An event and the line where it starts.
pub(super) struct Event {
    pub(super) line: u32,
    pub(super) data: EventData,
}

pub(super) enum EventData {
    Document,
    Alias,
    Scalar(Scalar),
    ListStart(Option<String>),
    MapStart(Option<String>),
    End,
}

/// A scalar, its quotes removed and its escapes replaced.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) tag: Option<String>,
    pub(super) style: Style,
    pub(super) lines: Lines,
}

/// Spelling of a scalar, which decides how its type is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// A YAML word without quotes.
    Plain,
    /// Quotes or a block: always text.
    Quoted,
    /// A number, a truth or null of JSON.
    Json,
}

/// Receiver of events. An error ends the reading.
pub(super) trait Sink {
    fn event(&mut self, event: Event) -> Result<(), Fault>;
}

/// Source lines of a text that extends over more than one: pairs of the byte offset where a line's part begins, and the
/// line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines(Vec<(u32, u32)>);

impl Lines {
    /// Records that the text from byte `offset` on was read from `line`.
    pub(super) fn mark(&mut self, offset: usize, line: u32) {
        if self.0.last().is_none_or(|(_, last)| *last != line) {
            self.0.push((u32::try_from(offset).unwrap_or(u32::MAX), line));
        }
    }

    /// Drops the record of a text on one line, whose node has that line.
    pub(super) fn of_node(self, line: u32) -> Self {
        if self.0.iter().all(|(_, other)| *other == line) { Self::default() } else { self }
    }

    /// Returns the line of the byte at `offset`; `None` for a text on one line.
    pub(crate) fn at(&self, offset: usize) -> Option<u32> {
        let after = self.0.partition_point(|(start, _)| *start as usize <= offset);
        after.checked_sub(1).map(|index| self.0[index].1)
    }
}
