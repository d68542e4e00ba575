//! The result of a command.

use crate::failure::{Exit, Failure};
use lockstep_domain::model::error::FailureKind;
use serde_json::{Value, json};

/// The result of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The document for scripts.
    pub document: Value,
    /// The exit code.
    pub exit: Exit,
}

impl Report {
    /// Returns the report of a command that is done.
    pub fn done(document: Value) -> Self {
        Self { document, exit: Exit::Done }
    }

    /// Returns the report of a failure.
    pub fn of(failure: &Failure) -> Self {
        Self { document: json!({}), exit: failure.exit }.failed(failure)
    }

    /// Adds the fields of a failure to the document: `error`, `kind` and `next`. Each failed command has these three.
    pub fn failed(mut self, failure: &Failure) -> Self {
        self.document["error"] = json!(failure.chain());
        self.document["kind"] = json!(failure.kind.map(FailureKind::error_type));
        self.document["next"] = json!(failure.next_step());
        self
    }
}
