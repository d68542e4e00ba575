//! The kinds of callers of the authority, and the closed list of actions of each kind.
//!
//! IAM decides about a function and cannot read a request. So each kind has a function of its own, `lockstep-ledger-<kind>`,
//! with a role of its own. All of them run the same code. A function refuses each action that is not on the list of its
//! kind, and its role may write only what the actions on the list write.

use super::{ledger, operator};
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

/// One kind of caller of the authority.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Callers {
    /// People who start, stop and repair runs.
    Operators,
    /// People who answer the questions of deployments.
    Approvers,
    /// People who configure: stages, parameters, repositories, exceptions.
    Administrators,
    /// The state machines of the delivery path.
    Delivery,
    /// The state machines of the promotion path.
    Promotion,
    /// The sweep, which proposes what to release.
    Sweep,
}

impl Callers {
    /// Every kind.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The kinds of people. Each has a function URL and a managed policy.
    pub const PEOPLE: [Self; 3] = [Self::Operators, Self::Approvers, Self::Administrators];

    /// Returns the name of the kind, as in the name of its function.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the name of the function of the kind.
    pub fn function(self) -> String {
        format!("lockstep-ledger-{}", self.as_str())
    }

    /// Returns the name, without `lockstep-`, of the managed policy that lets people call the function. `None` for a
    /// function that no person calls.
    pub fn policy(self) -> Option<&'static str> {
        match self {
            Self::Operators => Some("operator"),
            Self::Approvers => Some("approver"),
            Self::Administrators => Some("administrator"),
            Self::Delivery | Self::Promotion | Self::Sweep => None,
        }
    }

    /// Returns the path whose state machines call the function.
    ///
    /// # Errors
    /// `Rejected` for a function of people or of the sweep: the action must come from a state machine.
    pub fn path(self) -> Result<DeploymentPath, Failure> {
        match self {
            Self::Delivery => Ok(DeploymentPath::Delivery),
            Self::Promotion => Ok(DeploymentPath::Promotion),
            Self::Operators | Self::Approvers | Self::Administrators | Self::Sweep => {
                Err(Failure::rejected(format!("{} belongs to no deployment path", self.function())))
            }
        }
    }

    /// Fails with `AccessDenied` if `action` is not on the list of this kind. `allowed` are the kinds that have it.
    pub fn ensure_may(self, action: &str, allowed: &[Self]) -> Result<(), Failure> {
        if allowed.contains(&self) {
            return Ok(());
        }
        let functions: Vec<String> = allowed.iter().map(|kind| kind.function()).collect();
        Err(Failure::new(
            FailureKind::AccessDenied,
            format!("{} does not take `{action}`; send it to {}", self.function(), functions.join(" or ")),
        ))
    }
}

impl operator::Request {
    /// Returns the only kind of people that may ask for this action.
    pub fn callers(&self) -> Callers {
        match self {
            Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Unlock { .. }
            | Self::Reconcile { .. }
            | Self::Hold { .. }
            | Self::Resume { .. }
            | Self::PublishImage { .. } => Callers::Operators,
            Self::Decide { .. } => Callers::Approvers,
            // An exception to the gate is configuration: it changes what may run, and not one run.
            Self::ApplyStages { .. }
            | Self::ApplyParameters { .. }
            | Self::ApplyPeople { .. }
            | Self::ApplyAdministrators { .. }
            | Self::ConfirmChange { .. }
            | Self::CancelChange { .. }
            | Self::AddRepository { .. }
            | Self::RemoveRepository { .. }
            | Self::ShowHook { .. }
            | Self::BreakGlass { .. }
            | Self::Assign { .. }
            | Self::ClaimImported { .. }
            | Self::RevokeImage { .. } => Callers::Administrators,
        }
    }
}

impl ledger::Request {
    /// Returns the kinds of callers that may ask for this action.
    pub fn callers(&self) -> &'static [Callers] {
        match self {
            Self::Begin { .. }
            | Self::BeginTeardown { .. }
            | Self::AwaitTurn { .. }
            | Self::RequestApproval { .. }
            | Self::Proceed { .. }
            | Self::Complete { .. }
            | Self::Fail { .. } => &[Callers::Delivery, Callers::Promotion],
            Self::ClaimImage { .. }
            | Self::ForgetTest { .. }
            | Self::Publish { .. }
            | Self::FailRelease { .. }
            | Self::OrderRelease { .. }
            | Self::FinishRelease { .. } => &[Callers::Delivery],
            Self::Gate { .. } => &[Callers::Promotion],
            Self::FreeEnvironment { .. } | Self::CloseUnanswered { .. } => &[Callers::Sweep],
            Self::SettleConfiguration {} => &[Callers::Administrators],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_after_its_kind_of_callers() {
        for kind in Callers::ALL {
            let name = kind.function();
            assert_eq!(name.strip_prefix("lockstep-ledger-").unwrap().parse(), Ok(*kind));
        }
        assert_eq!(Callers::Administrators.function(), "lockstep-ledger-administrators");
    }

    #[test]
    fn people_have_a_policy_and_state_machines_have_a_path() {
        for kind in Callers::ALL {
            assert_eq!(kind.policy().is_some(), Callers::PEOPLE.contains(kind), "{kind:?}");
            let machines = [Callers::Delivery, Callers::Promotion];
            assert_eq!(kind.path().is_ok(), machines.contains(kind), "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_function_that_takes_the_action() {
        let gate = [Callers::Promotion];
        assert_eq!(Callers::Promotion.ensure_may("gate", &gate), Ok(()));
        let refused = Callers::Delivery.ensure_may("gate", &gate).unwrap_err();
        assert_eq!(refused.kind, FailureKind::AccessDenied);
        assert_eq!(
            refused.message,
            "lockstep-ledger-delivery does not take `gate`; send it to lockstep-ledger-promotion"
        );
    }
}
