//! The registered accounts, which may reach the control plane and whose roles it may assume: the stack `lockstep-accounts`,
//! and a stack for each account.

use super::{Installation, PATIENCE, Step};
use crate::failure::{Failure, at};
use lockstep_aws::operator::stacks::Installer;
use lockstep_domain::installation::accounts::{self, Registered};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::chain;
use lockstep_domain::model::ids::{AccountId, InvalidId, OrganizationId};
use serde::Serialize;
use std::str::FromStr;

/// The stack with the policies for all registered accounts.
pub const ACCOUNTS_STACK: &str = "lockstep-accounts";

/// The parameter of an account's registration with the version of its stack.
const VERSION_PARAMETER: &str = "TargetVersion";

/// Returns the stack that registers an account.
fn stack_of(account: &AccountId) -> String {
    format!("lockstep-account-{account}")
}

/// A registered account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedAccount {
    /// The account.
    pub account: AccountId,
    /// The path that its stages are on.
    pub path: DeploymentPath,
    /// The version that made or updated its stack; `None` if it is unknown.
    pub target_version: Option<String>,
}

/// The organization that the policies of an installation name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OrganizationChoice {
    /// The organization that they name already, if any.
    #[default]
    Unchanged,
    /// No organization: the policies list accounts.
    None,
    /// This organization.
    Of(OrganizationId),
}

impl FromStr for OrganizationChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            id => id.parse().map(Self::Of).map_err(|error: InvalidId| chain(&error)),
        }
    }
}

impl Installation<'_> {
    /// Updates the stacks of all registered accounts to this version.
    pub(super) async fn known_accounts(&self) -> Result<Vec<Step>, Failure> {
        let organization = match &self.organization {
            OrganizationChoice::Unchanged => self.organization().await?,
            OrganizationChoice::None => None,
            OrganizationChoice::Of(organization) => Some(organization.clone()),
        };
        let registered = self.registered().await?;
        let mut steps = vec![self.reachable(&registered, organization.as_ref()).await?];
        for (account, path) in &registered {
            let version = self.target_version(account).await?;
            steps.push(self.register(account, *path, version.as_deref()).await?);
        }
        Ok(steps)
    }

    /// Returns each registered account with its path and the version of its stack.
    pub async fn listed_accounts(&self) -> Result<Vec<ListedAccount>, Failure> {
        let mut listed = Vec::new();
        for (account, path) in self.registered().await? {
            let target_version = self.target_version(&account).await?;
            listed.push(ListedAccount { account, path, target_version });
        }
        Ok(listed)
    }

    /// Removes the registration of an account, and the account from the policies. Returns false if it was not registered.
    ///
    /// The registration is removed first: after a failure, the same command continues with the policies.
    pub async fn remove_account(&self, account: &AccountId) -> Result<bool, Failure> {
        let (organization, mut registered) = (self.organization().await?, self.registered().await?);
        let was_registered = registered.remove(account).is_some();
        if was_registered {
            let stack = stack_of(account);
            let progress = self.output.progress(format!("delete stack {stack}"));
            Installer::new(self.aws).delete(&stack, PATIENCE).await?;
            progress.done(format!("deleted stack {stack}"));
        }
        self.reachable(&registered, organization.as_ref()).await?;
        Ok(was_registered)
    }

    /// Returns the version that made or updated the stack of a registered account; `None` if it is unknown.
    async fn target_version(&self, account: &AccountId) -> Result<Option<String>, Failure> {
        let mut known = Installer::new(self.aws).parameters(&stack_of(account)).await?;
        Ok(known.remove(VERSION_PARAMETER).filter(|version| version != "unknown"))
    }

    /// Returns the registered accounts together with a new one. Refuses if the policies have no room for it.
    pub(super) async fn room_for(
        &self,
        account: &AccountId,
        path: DeploymentPath,
    ) -> Result<Registered, Failure> {
        let organization = self.organization().await?;
        let mut registered = self.registered().await?;
        accounts::add(&mut registered, account, path, organization.as_ref()).map_err(|failure| {
            Failure::from(failure).next(
                "let the policies name the organization instead: lockstep install --organization <o-...>",
            )
        })?;
        Ok(registered)
    }

    /// Updates the policies for all registered accounts and registers the new one.
    pub(super) async fn let_in(
        &self,
        registered: &Registered,
        account: &AccountId,
    ) -> Result<Vec<Step>, Failure> {
        let organization = self.organization().await?;
        let reachable = self.reachable(registered, organization.as_ref()).await?;
        let known = self.register(account, registered[account], Some(env!("CARGO_PKG_VERSION"))).await?;
        if let Some(room) = accounts::room(registered, organization.as_ref()) {
            self.output.line(format!(
                "the policies have room for {room} more accounts; with an organization there is no limit"
            ));
        }
        Ok(vec![reachable, known])
    }

    /// Returns the registered accounts, read from their stacks.
    async fn registered(&self) -> Result<Registered, Failure> {
        let installer = Installer::new(self.aws);
        let mut registered = Registered::new();
        for name in installer.names("lockstep-account-").await? {
            let known = installer.parameters(&name).await?;
            let path = known.get("Path").and_then(|path| path.parse().ok());
            let (Some(account), Some(path)) = (known.get("AccountId"), path) else { continue };
            registered.insert(account.parse().map_err(at(&name))?, path);
        }
        Ok(registered)
    }

    /// Returns the organization that the installed policies name, or `None`.
    async fn organization(&self) -> Result<Option<OrganizationId>, Failure> {
        let known = Installer::new(self.aws).parameters(ACCOUNTS_STACK).await?;
        match known.get("Organization").filter(|organization| !organization.is_empty()) {
            None => Ok(None),
            Some(organization) => Ok(Some(organization.parse().map_err(at(ACCOUNTS_STACK))?)),
        }
    }

    async fn reachable(
        &self,
        registered: &Registered,
        organization: Option<&OrganizationId>,
    ) -> Result<Step, Failure> {
        let parameters = accounts::parameters(registered, organization);
        let template = self.uploaded("infra/control-plane/accounts.yaml", self.aws, &self.account).await?;
        self.apply(self.aws, ACCOUNTS_STACK, template, &parameters).await
    }

    async fn register(
        &self,
        account: &AccountId,
        path: DeploymentPath,
        target_version: Option<&str>,
    ) -> Result<Step, Failure> {
        let mut parameters = vec![("AccountId", account.to_string()), ("Path", path.as_str().to_owned())];
        parameters.extend(target_version.map(|version| (VERSION_PARAMETER, version.to_owned())));
        let template =
            self.uploaded("infra/control-plane/trusted-account.yaml", self.aws, &self.account).await?;
        self.apply(self.aws, &stack_of(account), template, &parameters).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_is_an_id_or_none() {
        assert_eq!("none".parse(), Ok(OrganizationChoice::None));
        assert_eq!("o-a1b2c3d4e5".parse(), Ok(OrganizationChoice::Of("o-a1b2c3d4e5".parse().unwrap())));
        assert!("acme".parse::<OrganizationChoice>().is_err());
    }
}
