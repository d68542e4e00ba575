//! Rules by which two different values are equal, each with its kind and its source.

use super::facts::Facts;
use super::path::{Pattern, matches_type};
use serde::Deserialize;
use std::sync::LazyLock;

const TABLE: &str = include_str!("rules.txt");

/// Kind of a rule.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, strum::Display, strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RuleKind {
    /// AWS has a default where the template has no value or an empty one.
    Default,
    /// The members of a list have no order.
    Set,
    /// The members of a list have no order, and one of their properties identifies them.
    Keyed,
    /// As `Keyed`, and AWS adds members that the template does not declare.
    Completed,
    /// The members of a list are in AWS's order.
    Ordered,
    /// A list of tags, of which AWS adds some.
    Tags,
    /// Letter case does not count.
    Case,
    /// AWS stores the text in lower case.
    LowerCase,
    /// AWS stores the text in upper case.
    UpperCase,
    /// AWS adds a dot at the end of a domain name.
    TrailingDot,
    /// AWS adds or removes white space at the end.
    TrailingSpace,
    /// AWS replaces hyphens by underscores.
    Dash,
    /// AWS writes a number with a decimal point.
    Decimal,
    /// AWS completes the number of a version.
    Version,
    /// AWS returns the first two numbers of a version.
    ShortVersion,
    /// A version with placeholders.
    VersionPattern,
    /// Two expressions of one value: a rate, a time, a network, a text for a number.
    Expression,
    /// Network in its canonical form.
    Network,
    /// Number of an IP protocol, or its name.
    Protocol,
    /// Port of a rule whose protocol has no ports.
    Port,
    /// AWS adds a word before the name.
    Prefixed,
    /// ARN, id, name or alias of one thing.
    Arn,
    /// Any key of KMS, which AWS chooses.
    AnyKey,
    /// Public key, whose comment AWS replaces.
    PublicKey,
    /// Two texts of one JSON value.
    Json,
    /// Two forms of one policy.
    Policy,
    /// A target group, or a forward configuration with that target group alone.
    Forward,
    /// Another property of the live model holds the value.
    Moved,
    /// A property beside this one, of another name, holds the value.
    Renamed,
}

/// Source of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// AWS's schema of the type.
    Schema,
    /// A row of `rules.txt`, with its source.
    Table(&'static str),
    /// A form that has the same meaning in each type.
    Form(&'static str),
}

/// Rules of one resource type: those of the schema and of the table.
#[derive(Debug)]
pub struct Rules<'a> {
    facts: &'a Facts,
    rows: Vec<&'static Row>,
}

#[derive(Debug)]
struct Row {
    kind: RuleKind,
    types: &'static str,
    path: Pattern,
    argument: &'static str,
    source: &'static str,
}

/// Rule that applies to a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub kind: RuleKind,
    pub argument: &'static str,
    pub origin: Origin,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| TABLE.lines().filter_map(Row::parse).collect());

impl Row {
    /// Parses a line: kind, types, path, argument and source, separated by bars with a space on each side.
    fn parse(line: &'static str) -> Option<Self> {
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let mut fields = line.splitn(5, " | ").map(str::trim);
        let mut next = || fields.next().unwrap_or_default();
        let (kind, types, path, argument, source) = (next(), next(), next(), next(), next());
        Some(Self { kind: kind.parse().ok()?, types, path: Pattern::new(path), argument, source })
    }
}

impl<'a> Rules<'a> {
    /// Returns the rules of a type.
    pub fn of(resource_type: &str, facts: &'a Facts) -> Self {
        let rows = ROWS.iter().filter(|row| matches_type(row.types, resource_type)).collect();
        Self { facts, rows }
    }

    /// Returns the rules that apply to a path of the schema, those of the table first.
    pub(super) fn at(&self, path: &str) -> Vec<Rule> {
        let rows = self.rows.iter().filter(|row| row.path.matches(path));
        let mut found: Vec<Rule> = rows
            .map(|row| Rule { kind: row.kind, argument: row.argument, origin: Origin::Table(row.source) })
            .collect();
        if let Some(kind) = self.facts.rules.get(path) {
            found.push(Rule { kind: *kind, argument: "", origin: Origin::Schema });
        }
        if self.facts.enumerations.contains(path) {
            found.push(Rule { kind: RuleKind::Case, argument: "", origin: Origin::Schema });
        }
        found
    }

    /// Returns the rule of a kind that applies to a path.
    pub(super) fn find(&self, path: &str, kind: RuleKind) -> Option<Rule> {
        self.at(path).into_iter().find(|rule| rule.kind == kind)
    }
}

/// Returns the patterns of types of all rows.
#[cfg(test)]
pub(super) fn types() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|row| row.types)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_the_table_has_a_kind_a_path_and_a_source() {
        let lines: Vec<_> = TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        for line in &lines {
            let row = Row::parse(line).unwrap_or_else(|| panic!("no row: {line}"));
            assert!(row.types == "*" || row.types.split('|').all(|name| name.starts_with("AWS::")), "{line}");
            assert!(!row.source.is_empty(), "no source: {line}");
        }
        assert!(lines.len() > 50);
    }
}
