//! The patterns of checks.

use crate::model::text::stored_as_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A regular expression in the syntax of the `regex` crate (<https://docs.rs/regex/#syntax>). Matching takes time
/// linear in the text, so that no pattern can hang a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(regex::Regex);

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// The text is not a regular expression.
    #[error("not a regular expression: {0}")]
    Syntax(String),
    /// Longer than [`Pattern::MAX_CHARS`].
    #[error("a pattern of more than {} characters; shorten it", Pattern::MAX_CHARS)]
    TooLong,
    /// Larger than [`Pattern::MAX_COMPILED_BYTES`] once compiled.
    #[error("a pattern that compiles to more than {} KiB; use smaller repetitions", Pattern::MAX_COMPILED_BYTES / 1024)]
    TooLarge,
}

impl Pattern {
    /// Maximum characters of a pattern.
    pub const MAX_CHARS: usize = 1000;
    /// Maximum bytes of memory of a compiled pattern.
    pub const MAX_COMPILED_BYTES: usize = 256 * 1024;

    /// Returns the source of the pattern.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns true if the pattern occurs in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        if text.chars().count() > Self::MAX_CHARS {
            return Err(InvalidPattern::TooLong);
        }
        let compiled = regex::RegexBuilder::new(text).size_limit(Self::MAX_COMPILED_BYTES).build();
        compiled.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => InvalidPattern::TooLarge,
            // The crate prints the pattern with a caret below it; only the last line holds the error.
            other => {
                InvalidPattern::Syntax(other.to_string().lines().last().unwrap_or_default().trim().to_owned())
            }
        })
    }
}

stored_as_text!(Pattern);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_bounded_in_length_and_in_memory() {
        assert_eq!("a".repeat(1001).parse::<Pattern>(), Err(InvalidPattern::TooLong));
        // The second is within the default limit of the crate.
        for large in ["(a{1000}){1000}", "(a{100}){100}"] {
            assert_eq!(large.parse::<Pattern>(), Err(InvalidPattern::TooLarge), "{large}");
        }
        assert!("a".repeat(1000).parse::<Pattern>().is_ok());
    }

    #[test]
    fn a_wrong_pattern_is_explained_on_one_line() {
        let error = "(".parse::<Pattern>().unwrap_err().to_string();
        assert_eq!(error, "not a regular expression: error: unclosed group");
    }
}
