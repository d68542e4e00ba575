//! Differences between two versions of `people.toml`, and the ones by which an approval could pass that did not pass before.

use super::{Identity, People};
use crate::model::difference::{Difference, stronger, weaker};
use std::collections::BTreeSet;
use std::fmt;

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "the user {id}"),
            Self::Session(name) => write!(f, "the session {name}"),
            Self::Github(login) => write!(f, "the GitHub account {login}"),
        }
    }
}

/// Returns the differences from `old` to `new`.
///
/// An identity that leaves its person could approve as a second one. An identity that joins a person gets the rights of that
/// person. A GitHub account of a person is a known author, and an unknown author asks for one approver more.
pub fn differences(old: &People, new: &People) -> Vec<Difference> {
    let registered = new.roles.difference(&old.roles).map(|role| {
        weaker(format!(
            "sessions of the role {} in account {} are people by their names",
            role.name, role.account
        ))
    });
    let removed = old.roles.difference(&new.roles).map(|role| {
        stronger(format!("sessions of the role {} in account {} are unknown", role.name, role.account))
    });
    let all: BTreeSet<&Identity> = old.owners.keys().chain(new.owners.keys()).collect();
    registered
        .chain(removed)
        .chain(all.into_iter().filter_map(|identity| of_identity(old, new, identity)))
        .collect()
}

fn of_identity(old: &People, new: &People, identity: &Identity) -> Option<Difference> {
    let is_author = matches!(identity, Identity::Github(_));
    match (old.owners.get(identity), new.owners.get(identity)) {
        (Some(before), Some(after)) if before == after => None,
        (None, None) => None,
        (Some(before), Some(after)) => Some(weaker(format!("{identity} moves from {before} to {after}"))),
        (None, Some(person)) => {
            let sentence = format!("{identity} is {person}");
            // A new person is in no list of approvers yet.
            let is_new = !old.names.contains(person);
            Some(if is_author || !is_new { weaker(sentence) } else { stronger(sentence) })
        }
        (Some(person), None) => Some(match is_author {
            true => stronger(format!("{identity} is no longer {person}, and unknown")),
            false => weaker(format!("{identity} is no longer {person}, and a person of its own")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::delivery::people::People;

    const ADA: &str = "[[people]]\nname = \"ada\"\nusers = [\"AIDAEXAMPLE0000ADA\"]\n";

    fn lines(old: &str, new: &str) -> Vec<(String, bool)> {
        let read = |text: &str| People::parse("people.toml", text).unwrap();
        let found = differences(&read(old), &read(new));
        found.into_iter().map(|difference| (difference.sentence, difference.weakens)).collect()
    }

    fn one(old: &str, new: &str) -> (String, bool) {
        let [line] = <[_; 1]>::try_from(lines(old, new)).unwrap();
        line
    }

    #[test]
    fn equal_files_have_no_differences() {
        assert!(lines(ADA, &format!("# the same\n{ADA}")).is_empty());
    }

    #[test]
    fn an_identity_that_leaves_its_person_weakens() {
        let nameless = "[[people]]\nname = \"ada\"\n";
        let expected =
            ("the user AIDAEXAMPLE0000ADA is no longer ada, and a person of its own".to_owned(), true);
        assert_eq!(one(ADA, nameless), expected);
        assert_eq!(one(ADA, ""), expected);
        let moved = ADA.replace("ada", "eve");
        assert_eq!(one(ADA, &moved), ("the user AIDAEXAMPLE0000ADA moves from ada to eve".to_owned(), true));
    }

    #[test]
    fn an_identity_that_joins_a_known_person_weakens() {
        let joined = format!("{ADA}sessions = [\"Ada@acme.example\"]\n");
        assert_eq!(one(ADA, &joined), ("the session ada@acme.example is ada".to_owned(), true));
        assert_eq!(one("", ADA), ("the user AIDAEXAMPLE0000ADA is ada".to_owned(), false));
    }

    #[test]
    fn a_github_account_weakens_when_it_gets_a_person() {
        let author = "[[people]]\nname = \"ada\"\ngithub = \"Ada-L\"\n";
        assert_eq!(one("", author), ("the GitHub account ada-l is ada".to_owned(), true));
        let gone = ("the GitHub account ada-l is no longer ada, and unknown".to_owned(), false);
        assert_eq!(one(author, ""), gone);
    }

    #[test]
    fn a_registered_role_weakens() {
        let role = "[[roles]]\narn = \"arn:aws:iam::111111111111:role/deployers\"\n";
        let registered = "sessions of the role deployers in account 111111111111 are people by their names";
        assert_eq!(one("", role), (registered.to_owned(), true));
        assert!(!one(role, "").1);
    }
}
