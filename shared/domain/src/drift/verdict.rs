//! Results of a comparison.

use super::path::Path;
use super::rules::{Origin, RuleKind};
use serde_json::Value;
use std::fmt;

/// Result of one comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Declared values that the live resource does not have.
    pub drifted: Vec<Difference>,
    /// Live values that the template does not declare. They are no drift by themselves.
    pub undeclared: Vec<(Path, Shown)>,
    /// Declared values that cannot be compared.
    pub unknown: Vec<Unknown>,
    /// Differences that a rule explains.
    pub folds: Vec<Fold>,
}

impl Comparison {
    /// Returns the verdict. A value that cannot be compared never makes a resource clean.
    pub fn verdict(&self) -> Verdict {
        match (self.drifted.is_empty(), self.unknown.is_empty()) {
            (false, _) => Verdict::Drifted,
            (true, false) => Verdict::Unknown,
            (true, true) => Verdict::InSync,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.drifted.extend(other.drifted);
        self.undeclared.extend(other.undeclared);
        self.unknown.extend(other.unknown);
        self.folds.extend(other.folds);
    }

    pub(super) fn drift(path: &Path, wanted: Option<&Value>, found: Option<&Value>) -> Self {
        let difference = Difference { path: path.clone(), wanted: wanted.into(), found: found.into() };
        Self { drifted: vec![difference], ..Self::default() }
    }

    pub(super) fn unknown(path: &Path, reason: UnknownReason) -> Self {
        Self { unknown: vec![Unknown { path: path.clone(), reason }], ..Self::default() }
    }

    pub(super) fn undeclared(path: &Path, found: &Value) -> Self {
        Self { undeclared: vec![(path.clone(), Some(found).into())], ..Self::default() }
    }

    pub(super) fn fold(path: &Path, kind: RuleKind, origin: Origin) -> Self {
        Self { folds: vec![Fold { path: path.clone(), kind, origin }], ..Self::default() }
    }
}

/// Verdict on a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each declared value was compared, and is live.
    InSync,
    /// A declared value is not live.
    Drifted,
    /// No drift was found, and a declared value cannot be compared.
    Unknown,
}

/// Declared value that the live resource does not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Path of the property.
    pub path: Path,
    /// Declared value.
    pub wanted: Shown,
    /// Live value.
    pub found: Shown,
}

/// Value as a report may show it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// The value.
    Value(Value),
    /// No value.
    Absent,
    /// A secret value, which no report shows.
    Hidden,
}

impl From<Option<&Value>> for Shown {
    fn from(value: Option<&Value>) -> Self {
        value.map_or(Self::Absent, |value| Self::Value(value.clone()))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Absent => f.write_str("(absent)"),
            Self::Hidden => f.write_str("(hidden, changed)"),
        }
    }
}

/// Declared value that cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Path of the property; empty for the whole resource.
    pub path: Path,
    /// Reason.
    pub reason: UnknownReason,
}

/// Reason why a value cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub enum UnknownReason {
    /// AWS returned no value for a property that it cannot have lost.
    Unreadable,
    /// AWS's schema says that no read returns the property.
    WriteOnly,
    /// The declared value holds an intrinsic that is not resolved.
    Unresolved,
    /// AWS cannot read resources of the type.
    Unsupported,
    /// The reader's role may not read the resource.
    Denied,
}

/// Difference that a rule explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Path of the property.
    pub path: Path,
    /// Kind of the rule.
    pub kind: RuleKind,
    /// Source of the rule.
    pub origin: Origin,
}
