//! The operator, the reason and the time of an intervention.

use crate::model::error::Failure;
use jiff::Timestamp;

/// Maximum length of a recorded reason, in characters.
pub const REASON_CHARS: usize = 1000;

/// An intervention of an operator, for the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAction {
    /// ARN of the operator, as IAM reports it.
    pub by: String,
    /// Reason for the intervention.
    pub reason: String,
    /// Time of the intervention.
    pub at: Timestamp,
}

impl OperatorAction {
    /// Returns an action with its reason, which is required. A long reason is cut.
    pub fn new(by: &str, reason: &str, at: Timestamp) -> Result<Self, Failure> {
        let reason = reason.trim();
        if reason.is_empty() {
            return Err(Failure::rejected("say why: the reason stays on record"));
        }
        Ok(Self { by: by.to_owned(), reason: reason.chars().take(REASON_CHARS).collect(), at })
    }
}
