//! The result of a command.

use crate::failure::{Exit, Failure};
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
        let document = json!({ "error": failure.chain(), "next": failure.next });
        Self { document, exit: failure.exit }
    }
}
