//! Comparison of a resource's declared properties with its live model.
//!
//! [`compare`] is a pure function. It takes the declared properties with their intrinsics resolved, the live model, the
//! facts of AWS's schema, and the context that gives values their meaning: account, region, tags of the stack, aliases.
//! It returns what has drifted, what is not declared, and what cannot be compared. It counts two different texts as equal
//! only by a rule of a named kind ([`RuleKind`]), and each rule has a source: AWS's schemas ([`facts`]), the table
//! `rules.txt`, or a form that is the same for each type.
//!
//! [`look`] says which source reads each resource of an environment, and judges it out of the answers. [`report`] makes the
//! report of a look, and [`secrets`] names the values that it hides. [`turn`] says whose turn it is by schedule.

mod absent;
mod compare;
pub mod context;
pub mod facts;
mod lists;
pub mod look;
pub mod path;
mod policy;
pub mod report;
pub mod resolve;
pub mod rules;
pub mod secrets;
mod tags;
pub mod turn;
mod values;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use compare::{Resource, compare};
pub use context::{Context, Live};
pub use facts::{Facts, Schemas};
pub use lists::{ListOrder, list_order};
pub use path::Path;
pub use rules::{Origin, RuleKind, Rules};
pub use verdict::{Comparison, Difference, Fold, Shown, Unknown, UnknownReason, Verdict};
