//! The accounts of the local cloud. Only this module names them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Default region of the local cloud.
pub const REGION: &str = "eu-west-1";

/// Secret of an account's root access key. The id of the key is the account id.
///
/// The emulator does not check a root signature: only the installation uses root.
pub const ROOT_SECRET: &str = "test";

/// The people of the local cloud: users of the control plane's account. Commands are those of the first, unless they name
/// another.
pub const PEOPLE: [&str; 2] = ["ada", "grace"];

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
