//! What is wrong with a source file, and where.

use crate::node::Position;
use std::fmt;

/// A source file: its name, as messages show it, and its text.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name that messages show, which ends in the name of the file.
    pub file: String,
    /// The text.
    pub text: String,
}

/// Something wrong with a source file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    file: String,
    at: Position,
    message: String,
}

impl Problem {
    pub(crate) fn new(file: &str, at: Position, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.message)
    }
}
