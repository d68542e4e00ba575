//! The result of a command.

use crate::failure::{Exit, Failure};
use serde_json::{Value, json};

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The answer for scripts.
    pub document: Value,
    /// How the command ended.
    pub exit: Exit,
}

impl Report {
    /// Done, with this answer.
    pub fn done(document: Value) -> Self {
        Self { document, exit: Exit::Done }
    }

    /// The failure as scripts see it.
    pub fn of(failure: &Failure) -> Self {
        let document = json!({ "error": failure.what, "next": failure.next });
        Self { document, exit: failure.exit }
    }
}
