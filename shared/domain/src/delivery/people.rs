//! The people of the organisation: `people.toml`, written to the ledger with `lockstep people apply`.
//!
//! The file joins the identities of one person, and registers the roles whose sessions are people. An IAM user and a
//! session of IAM Identity Center are people without it.

mod differences;

pub use differences::differences;

use crate::model::error::Problem;
use crate::model::ids::{AccountId, InvalidId};
use crate::model::person::{
    Caller, GithubLogin, Person, PersonId, PersonName, Principal, SessionName, UserId,
};
use crate::model::toml_file::{Problems, Table, document, text};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

/// A commented `people.toml` as a starting point.
pub const EXAMPLE: &str = include_str!("people.example.toml");

/// Prefix of the roles that IAM Identity Center makes. Only AWS makes roles with this prefix.
/// <https://docs.aws.amazon.com/singlesignon/latest/userguide/using-service-linked-roles.html>
const IDENTITY_CENTER: &str = "AWSReservedSSO_";

/// Length of the random end of the name of a role of IAM Identity Center.
const RANDOM_DIGITS: usize = 16;

/// An identity that belongs to one person. The names are in lower case where their issuer ignores case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    User(String),
    Session(String),
    Github(String),
}

/// The people of the organisation, with their identities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    names: BTreeSet<PersonId>,
    owners: BTreeMap<Identity, PersonId>,
    roles: BTreeSet<RegisteredRole>,
}

/// A role whose trust policy fixes the names of its sessions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RegisteredRole {
    account: AccountId,
    name: String,
}

impl FromStr for RegisteredRole {
    type Err = InvalidId;

    fn from_str(arn: &str) -> Result<Self, InvalidId> {
        let read = || {
            let (_, rest) = arn.strip_prefix("arn:")?.split_once(":iam::")?;
            let (account, path) = rest.split_once(":role/")?;
            let name = path.rsplit('/').next()?;
            let letter = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
            let valid = (1..=64).contains(&name.len()) && name.bytes().all(letter);
            valid.then_some(Self { account: account.parse().ok()?, name: name.to_owned() })
        };
        read().ok_or_else(|| InvalidId::new(arn, "the ARN of a role (arn:aws:iam::<account>:role/<name>)"))
    }
}

impl People {
    /// Parses a `people.toml`; `file` is its name in problems. Reports all problems at once.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (document, mut problems) = document(file, text)?;
        let root = Table::root(&document);
        root.refuse_unknown(&["people", "roles"], &mut problems);
        let mut people = Self::default();
        for (name, item) in root.items("roles", &mut problems) {
            let Some(table) = Table::of(name, item, &mut problems) else { continue };
            people.add_role(&table, &mut problems);
        }
        for (name, item) in root.items("people", &mut problems) {
            let Some(table) = Table::of(name, item, &mut problems) else { continue };
            people.add_person(&table, &mut problems);
        }
        problems.finish(Some(people))
    }

    fn add_role(&mut self, table: &Table<'_, '_>, problems: &mut Problems) {
        table.refuse_unknown(&["arn"], problems);
        let Some(role) = table.required::<RegisteredRole>("arn", problems) else { return };
        if !self.roles.insert(role) {
            problems.add(&table.span_of("arn"), "a role above has this account and name");
        }
    }

    fn add_person(&mut self, table: &Table<'_, '_>, problems: &mut Problems) {
        table.refuse_unknown(&["name", "users", "sessions", "github"], problems);
        let users = one_or_many::<UserId>(table, "users", problems);
        let sessions = one_or_many::<SessionName>(table, "sessions", problems);
        let accounts = one_or_many::<GithubLogin>(table, "github", problems);
        let Some(name) = table.required::<PersonName>("name", problems) else { return };
        let person = PersonId::from(name);
        if !self.names.insert(person.clone()) {
            problems.add(&table.span_of("name"), format!("the name `{person}` is taken by a person above"));
            return;
        }
        let users = users.into_iter().map(|id| ("users", Identity::User(id.to_string())));
        let sessions = sessions.into_iter().map(|name| ("sessions", Identity::Session(name.folded())));
        let accounts = accounts.into_iter().map(|login| ("github", Identity::Github(login.folded())));
        for (key, identity) in users.chain(sessions).chain(accounts) {
            let owner = self.owners.entry(identity).or_insert_with(|| person.clone());
            if *owner != person {
                let message = format!("an identity of `{person}` belongs to `{owner}` already");
                problems.add(&table.span_of(key), message);
            }
        }
    }

    /// Returns the person of a caller.
    ///
    /// An IAM user is a person by its unique id. A session is one by its name, if Identity Center or a trust policy sets
    /// the name. Any other caller chose the name of its session and is unknown.
    pub fn person(&self, caller: &Caller) -> Person {
        match caller.principal() {
            Principal::User(id) => Person::Known(
                self.owner(&Identity::User(id.to_string())).unwrap_or_else(|| PersonId::of_user(&id)),
            ),
            Principal::Session { account, role, session } if self.fixes_names(&account, &role) => {
                Person::Known(
                    self.owner(&Identity::Session(session.folded()))
                        .unwrap_or_else(|| PersonId::of_session(&session)),
                )
            }
            Principal::Session { .. } | Principal::Other => Person::Unknown,
        }
    }

    /// Returns the person that the git host authenticated under this account.
    pub fn author(&self, login: &GithubLogin) -> Person {
        self.owner(&Identity::Github(login.folded())).map_or(Person::Unknown, Person::Known)
    }

    fn owner(&self, identity: &Identity) -> Option<PersonId> {
        self.owners.get(identity).cloned()
    }

    /// Returns true if the caller of the role cannot choose the name of its session.
    fn fixes_names(&self, account: &AccountId, role: &str) -> bool {
        is_of_identity_center(role)
            || self.roles.iter().any(|known| known.account == *account && known.name == *role)
    }

    /// Returns the roles of these callers whose sessions are unknown people, as `<role> in account <account>`.
    pub fn unknown_roles<'c>(&self, callers: impl IntoIterator<Item = &'c Caller>) -> BTreeSet<String> {
        let role = |caller: &Caller| match caller.principal() {
            Principal::Session { account, role, .. } if !self.fixes_names(&account, &role) => {
                Some(format!("{role} in account {account}"))
            }
            Principal::User(_) | Principal::Session { .. } | Principal::Other => None,
        };
        callers.into_iter().filter_map(role).collect()
    }

    /// Iterates over the names of the file.
    pub fn names(&self) -> impl Iterator<Item = &PersonId> {
        self.names.iter()
    }

    /// Returns true if an approver can be this person: the file names it, or an identity that no entry claims.
    pub fn has(&self, person: &PersonId) -> bool {
        if person.is_named() {
            return self.names.contains(person);
        }
        let text = person.as_str();
        let claimed = |identity| self.owners.contains_key(&identity);
        match (text.strip_prefix("user:"), text.strip_prefix("session:")) {
            (Some(id), _) => !claimed(Identity::User(id.to_owned())),
            (_, Some(name)) => {
                name == name.to_ascii_lowercase() && !claimed(Identity::Session(name.to_owned()))
            }
            (None, None) => false,
        }
    }
}

/// Returns true for `AWSReservedSSO_<permission set>_<16 hexadecimal digits>`.
fn is_of_identity_center(role: &str) -> bool {
    role.strip_prefix(IDENTITY_CENTER).and_then(|rest| rest.rsplit_once('_')).is_some_and(|(set, random)| {
        !set.is_empty()
            && random.len() == RANDOM_DIGITS
            && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// Parses one text or an array of texts below `key`. The list is empty if the key is absent.
fn one_or_many<T: FromStr<Err: Display>>(
    table: &Table<'_, '_>,
    key: &str,
    problems: &mut Problems,
) -> Vec<T> {
    match table.get(key) {
        Some(one) if one.get_ref().is_str() => text(&table.path(key), one, problems).into_iter().collect(),
        _ => table
            .items(key, problems)
            .into_iter()
            .filter_map(|(name, item)| text(&name, item, problems))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
