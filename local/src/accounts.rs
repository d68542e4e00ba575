//! The accounts of the local cloud. Only this module names them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use uuid::Uuid;

/// Default region of the local cloud.
pub const REGION: &str = "eu-west-1";

/// One AWS account of the local cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Alias of the account, such as `production`.
    pub alias: String,
    /// Id of the account, twelve digits.
    pub id: String,
}

/// Accounts of a local cloud: by default tooling, development and production.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Accounts(BTreeMap<String, String>);

impl Default for Accounts {
    fn default() -> Self {
        Self::new([
            ("tooling", "111111111111"),
            ("development", "222222222222"),
            ("production", "333333333333"),
        ])
    }
}

impl Accounts {
    /// Returns accounts by alias and id.
    pub fn new<A: Into<String>, I: Into<String>>(accounts: impl IntoIterator<Item = (A, I)>) -> Self {
        Self(accounts.into_iter().map(|(alias, id)| (alias.into(), id.into())).collect())
    }

    /// Returns the id of an account, or `None` if no account has this alias.
    pub fn id(&self, alias: &str) -> Option<&str> {
        self.0.get(alias).map(String::as_str)
    }

    /// Returns the account of the control plane: the one called `tooling`, else the first by alias.
    pub fn control_plane(&self) -> Option<&str> {
        self.id("tooling").or_else(|| self.0.values().next().map(String::as_str))
    }

    /// Returns every account, by alias.
    pub fn iter(&self) -> impl Iterator<Item = Account> + '_ {
        self.0.iter().map(|(alias, id)| Account { alias: alias.clone(), id: id.clone() })
    }
}

/// Secrets of the accounts' root access keys, by account id, which is also the id of the key.
///
/// Each cloud has new ones. Only an installation uses them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RootSecrets(BTreeMap<String, String>);

impl RootSecrets {
    /// Returns a new random secret for each account.
    pub(crate) fn random(accounts: &Accounts) -> Self {
        let secret = || format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        Self(accounts.iter().map(|account| (account.id, secret())).collect())
    }

    /// Returns the secret of an account's root, or `None` if the cloud has no such account.
    pub fn of(&self, account: &str) -> Option<&str> {
        self.0.get(account).map(String::as_str)
    }

    /// Returns the secrets in JSON, as the emulator reads them.
    pub fn to_json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }
}

impl fmt::Debug for RootSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_default_accounts_are_tooling_development_and_production() {
        let accounts = Accounts::default();
        assert_eq!(accounts.id("production"), Some("333333333333"));
        assert_eq!(accounts.control_plane(), Some("111111111111"));
        assert_eq!(accounts.iter().count(), 3);
    }

    #[test]
    fn accounts_are_stored_as_a_map_from_alias_to_id() {
        let accounts = Accounts::new([("only", "123456789012")]);
        assert_eq!(serde_json::to_string(&accounts).expect("serializable"), r#"{"only":"123456789012"}"#);
        assert_eq!(accounts.control_plane(), Some("123456789012"));
    }

    #[test]
    fn every_root_has_its_own_secret_which_is_not_printed() {
        let accounts = Accounts::default();
        let clouds = [RootSecrets::random(&accounts), RootSecrets::random(&accounts)];
        let secrets: BTreeSet<&str> =
            clouds.iter().flat_map(|cloud| cloud.0.values().map(String::as_str)).collect();
        assert_eq!(secrets.len(), 6);
        assert!(secrets.iter().all(|secret| secret.len() == 64));
        assert_eq!(clouds[0].of("999999999999"), None);
        let printed = format!("{clouds:?}");
        assert!(printed.contains("111111111111") && !secrets.iter().any(|secret| printed.contains(secret)));
    }
}
