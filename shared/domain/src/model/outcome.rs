//! The outcome of a run, of one component of a push, or of a webhook delivery.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

/// One word for how something ended. Records, messages, state machines and the command use the same words.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    Display,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// A deployment succeeded.
    Succeeded,
    /// A deployment succeeded without an update: the stack already ran the same template and parameters.
    NoChanges,
    /// A deployment planned its changes and made none of them.
    Planned,
    /// An approver refused a deployment, or no answer came in time.
    Refused,
    /// An execution ended without closing its deployment.
    Abandoned,
    /// A deployment waited for its turn until its life ended.
    Expired,
    /// Packaging built a release, which must pass its test.
    Packaged,
    /// The folder of a component and its images are those of the newest published release.
    Unchanged,
    /// A pre-release passed its test, after which it reaches no further stage.
    Published,
    /// A release reached the last stage that needs no operator.
    Deployed,
    /// An image was baked.
    Baked,
    /// A component, a deployment or an execution failed.
    Failed,
    /// A component or a push is invalid, and its author can correct it.
    Rejected,
    /// A webhook delivery could not be processed. An operator must look at it.
    Quarantined,
    /// Every component of a push succeeded, or the execution that a command followed did.
    Done,
    /// A later push overtook this one.
    Superseded,
    /// A deployment waits for an approver.
    NeedsApproval,
    /// A deployment received the request to stop, and the command did not wait for its end.
    Cancelling,
    /// A deployment stopped after a request.
    Cancelled,
    /// A deployment succeeded before the request to stop it.
    TooLate,
}

impl Outcome {
    /// Every outcome, for tests that compare the state machines with this enum.
    pub const ALL: &[Outcome] = Outcome::VARIANTS;

    /// Returns the word of the outcome in messages, records and state machines.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns true if the run did what it was started for. An outcome before the end is no success.
    pub fn is_success(self) -> bool {
        match self {
            Self::Succeeded
            | Self::NoChanges
            | Self::Planned
            | Self::Unchanged
            | Self::Published
            | Self::Deployed
            | Self::Baked
            | Self::Done => true,
            Self::Refused
            | Self::Abandoned
            | Self::Expired
            | Self::Packaged
            | Self::Failed
            | Self::Rejected
            | Self::Quarantined
            | Self::Superseded
            | Self::NeedsApproval
            | Self::Cancelling
            | Self::Cancelled
            | Self::TooLate => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use std::collections::BTreeSet;

    #[test]
    fn each_outcome_is_stored_and_printed_as_the_same_word() {
        let words: BTreeSet<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
        assert_eq!(words.len(), Outcome::ALL.len());
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
            assert_eq!(outcome.to_string(), outcome.as_str());
        }
        // An outcome that the list lacks would have no word in a state machine.
        let error = serde_json::from_str::<Outcome>("\"nonsense\"").unwrap_err().to_string();
        assert_eq!(error.matches('`').count(), 2 * (Outcome::ALL.len() + 1), "{error}");
    }
}
