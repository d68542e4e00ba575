//! The e-mail address that receives the alarms of an installation.

use super::{CONTROL_PLANE_STACK, Installation};
use crate::failure::Failure;
use lockstep_aws::operator::stacks::Installer;
use std::str::FromStr;

/// The parameter of the stacks with alarms.
pub(super) const PARAMETER: &str = "AlarmAddress";

/// The address that `install` sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AlarmAddress {
    /// The address that receives the alarms already, if any.
    #[default]
    Unchanged,
    /// No address.
    None,
    /// This address.
    Of(String),
}

impl FromStr for AlarmAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_address = |text: &str| {
            !text.contains(char::is_whitespace)
                && matches!(text.split('@').collect::<Vec<_>>()[..], [user, host] if !user.is_empty() && !host.is_empty())
        };
        match text {
            "none" => Ok(Self::None),
            address if is_address(address) => Ok(Self::Of(address.to_owned())),
            other => {
                Err(format!("{other} is no e-mail address; write one such as alarms@example.com, or none"))
            }
        }
    }
}

impl Installation<'_> {
    /// Returns the value of the parameter for the control plane.
    pub(super) async fn wanted_alarm_address(&self) -> Result<String, Failure> {
        match &self.alarms {
            AlarmAddress::Unchanged => self.installed_alarm_address().await,
            AlarmAddress::None => Ok(String::new()),
            AlarmAddress::Of(address) => Ok(address.clone()),
        }
    }

    /// Returns the value of the parameter of the installed control plane.
    pub(super) async fn installed_alarm_address(&self) -> Result<String, Failure> {
        let mut known = Installer::new(self.aws).parameters(CONTROL_PLANE_STACK).await?;
        Ok(known.remove(PARAMETER).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_go_to_an_email_address_or_to_none() {
        assert_eq!("none".parse(), Ok(AlarmAddress::None));
        assert_eq!("ops@example.com".parse(), Ok(AlarmAddress::Of("ops@example.com".into())));
        for wrong in ["", "ops", "@example.com", "ops@", "a@b@c", "ops @example.com"] {
            assert!(wrong.parse::<AlarmAddress>().is_err(), "{wrong}");
        }
    }
}
