//! The operator, the reason and the time of an intervention.

use crate::model::error::Failure;
use jiff::Timestamp;

/// The longest reason that is kept, in characters.
pub const REASON_CHARS: usize = 1000;

/// What a person wants, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// The ARN of the person, as IAM says.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl OperatorAction {
    /// A action with its reason, which is not optional; a long one is cut.
    pub fn new(by: &str, reason: &str, at: Timestamp) -> Result<Self, Failure> {
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(Failure::rejected("say why: the reason stays on record"));
        }
        Ok(Self { by: by.to_owned(), reason: reason.chars().take(REASON_CHARS).collect(), at })
    }
}
