//! The accounts that Lockstep deploys to: their maximum number, and the parameters of the policies that list
//! them.

use crate::model::deployment_path::DeploymentPath;
use crate::model::error::Failure;
use crate::model::ids::{AccountId, OrganizationId};
use std::collections::BTreeMap;

/// Maximum number of accounts of an installation without an organization. The policy of the event bus may
/// hold 10,240 characters (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>) and
/// lists each account as the ARN of its root.
pub const ACCOUNTS_MAX: usize = 240;

/// Folder of the SSM parameters that register accounts. The account's number follows it, and the value is its
/// path.
pub const REGISTRATIONS: &str = "/lockstep/accounts/";

/// Registered accounts, each with its path.
pub type Registered = BTreeMap<AccountId, DeploymentPath>;

/// Returns the number of accounts that still fit into the policies. `None` with an organization, whose
/// policies list no account.
pub fn room(registered: &Registered, organization: Option<&OrganizationId>) -> Option<usize> {
    match organization {
        Some(_) => None,
        None => Some(ACCOUNTS_MAX.saturating_sub(registered.len())),
    }
}

/// Adds an account.
///
/// # Errors
///
/// Rejects an account that does not fit into the policies, with the number of accounts that still fit.
pub fn add(
    registered: &mut Registered,
    account: &AccountId,
    path: DeploymentPath,
    organization: Option<&OrganizationId>,
) -> Result<(), Failure> {
    if !registered.contains_key(account) && room(registered, organization) == Some(0) {
        return Err(Failure::rejected(format!(
            "{} accounts were added, and the policies have room for {ACCOUNTS_MAX}: 0 more fit",
            registered.len()
        )));
    }
    registered.insert(account.clone(), path);
    Ok(())
}

/// Returns the parameters of the stack `lockstep-accounts`. With an organization they do not depend on the
/// accounts.
pub fn parameters(
    registered: &Registered,
    organization: Option<&OrganizationId>,
) -> [(&'static str, String); 4] {
    let listed = |path: Option<DeploymentPath>| {
        let of_path = registered.iter().filter(|(_, of)| path.is_none_or(|path| **of == path));
        let accounts = of_path.map(|(account, _)| account.as_str());
        if organization.is_some() { String::new() } else { accounts.collect::<Vec<_>>().join(",") }
    };
    [
        ("Organization", organization.map_or_else(String::new, ToString::to_string)),
        ("Accounts", listed(None)),
        ("DeliveryAccounts", listed(Some(DeploymentPath::Delivery))),
        ("PromotionAccounts", listed(Some(DeploymentPath::Promotion))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: usize) -> AccountId {
        format!("{number:012}").parse().unwrap()
    }

    fn registered(count: usize) -> Registered {
        let path =
            |n: usize| if n.is_multiple_of(2) { DeploymentPath::Delivery } else { DeploymentPath::Promotion };
        (0..count).map(|n| (account(n), path(n))).collect()
    }

    #[test]
    fn the_policies_list_each_account_once_and_by_its_path() {
        let listed = parameters(&registered(3), None).map(|(_, value)| value);
        assert_eq!(
            listed,
            ["", "000000000000,000000000001,000000000002", "000000000000,000000000002", "000000000001",]
        );
    }

    #[test]
    fn with_an_organization_no_parameter_depends_on_the_accounts() {
        let organization: OrganizationId = "o-a1b2c3d4e5".parse().unwrap();
        let parameters = |count| parameters(&registered(count), Some(&organization));
        assert_eq!(parameters(0), parameters(5000));
        assert_eq!(parameters(1)[0].1, "o-a1b2c3d4e5");
        assert_eq!(room(&registered(5000), Some(&organization)), None);
    }

    #[test]
    fn one_account_too_many_is_rejected_and_a_known_one_is_not() {
        let mut full = registered(ACCOUNTS_MAX - 1);
        assert_eq!(room(&full, None), Some(1));
        add(&mut full, &account(ACCOUNTS_MAX), DeploymentPath::Promotion, None).unwrap();
        add(&mut full, &account(0), DeploymentPath::Promotion, None).unwrap();
        assert_eq!(full[&account(0)], DeploymentPath::Promotion);
        let refused = add(&mut full, &account(ACCOUNTS_MAX + 1), DeploymentPath::Delivery, None).unwrap_err();
        assert!(refused.message.contains("0 more fit"), "{}", refused.message);
        let organization: OrganizationId = "o-a1b2c3d4e5".parse().unwrap();
        add(&mut full, &account(ACCOUNTS_MAX + 1), DeploymentPath::Delivery, Some(&organization)).unwrap();
    }
}
