//! People, and the identities by which AWS and the git host know them.

use crate::model::ids::{AccountId, DeploymentId, InvalidId};
use crate::model::text::checked_text;
use serde::{Deserialize, Serialize};
use std::fmt;

checked_text! {
    /// A person: a name of `people.toml`, or an identity that no entry of it claims (`user:<unique id>`,
    /// `session:<name>`).
    PersonId, InvalidId("a person (a name of people.toml, `user:` and a unique id, or `session:` and a session's name)"),
    |v| is_name(v)
        || v.strip_prefix("user:").is_some_and(is_user_id)
        || v.strip_prefix("session:").is_some_and(is_session)
}

checked_text! {
    /// Name of a person in `people.toml`.
    PersonName, InvalidId("a person's name (lower-case letters, digits, `.`, `_` and `-`, at most 64, starting with a letter)"),
    is_name
}

checked_text! {
    /// Unique id of an IAM user, such as `AIDACKCEVSQ6C2EXAMPLE`. A user that is made again under an old name has another
    /// one. <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>
    UserId, InvalidId("the unique id of an IAM user (AIDA and upper-case letters or digits)"),
    is_user_id
}

checked_text! {
    /// Name of a role's session. <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
    SessionName, InvalidId("the name of a session (2 to 64 letters, digits or `+=,.@_-`)"),
    is_session
}

checked_text! {
    /// Account of a GitHub user. GitHub ignores the case of its letters.
    GithubLogin, InvalidId("a GitHub account (letters, digits, `-` and `_`, at most 80)"),
    |v| (1..=80).contains(&v.len()) && v.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

fn is_name(value: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    value.len() <= 64 && value.starts_with(|c: char| c.is_ascii_lowercase()) && value.bytes().all(letter)
}

fn is_user_id(value: &str) -> bool {
    (16..=128).contains(&value.len())
        && value.starts_with("AIDA")
        && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

fn is_session(value: &str) -> bool {
    (2..=64).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b))
}

impl PersonId {
    /// Returns the person of an IAM user that `people.toml` does not mention.
    pub fn of_user(id: &UserId) -> Self {
        Self(format!("user:{id}"))
    }

    /// Returns the person of a session whose name `people.toml` does not mention.
    pub fn of_session(name: &SessionName) -> Self {
        Self(format!("session:{}", name.folded()))
    }

    /// Returns true if this is a name of `people.toml`.
    pub fn is_named(&self) -> bool {
        !self.0.contains(':')
    }
}

impl From<PersonName> for PersonId {
    fn from(name: PersonName) -> Self {
        Self(name.0)
    }
}

impl SessionName {
    /// Returns the name in lower case: neither IAM nor Identity Center has two users that differ in case alone.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl GithubLogin {
    /// Returns the account in lower case, as it is compared.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// A person, as far as the identity proves one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Person {
    /// The identity belongs to this person alone.
    Known(PersonId),
    /// The identity may be that of any person.
    Unknown,
}

impl Person {
    /// Returns the person; `None` if it is unknown.
    pub fn known(&self) -> Option<&PersonId> {
        match self {
            Self::Known(id) => Some(id),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.known().map_or("unknown", PersonId::as_str))
    }
}

/// A principal that called a function over its URL, as IAM established it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// ARN of the user, of the role's session or of the account's root.
    pub arn: String,
    /// Unique id: of the user, or of the role with the name of its session behind a colon.
    pub user_id: String,
    /// Account of the principal.
    pub account: String,
}

/// The identity that started a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Starter {
    /// The caller of the function that started it.
    Caller(Caller),
    /// The account that pushed the release, for a deployment that the push itself started.
    Pusher(GithubLogin),
    /// The deployment of a producer: it changed what the release reads.
    Deployment(DeploymentId),
    /// Any principal that may start executions: Step Functions reports none.
    #[default]
    Unknown,
}

impl Starter {
    /// Returns true if no identity is on record.
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

impl fmt::Display for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(caller) => f.write_str(&caller.arn),
            Self::Pusher(login) => write!(f, "the push of {login}"),
            Self::Deployment(id) => write!(f, "the deployment {} of a producer", id.short()),
            Self::Unknown => f.write_str("an execution that was started by hand"),
        }
    }
}

/// Kind of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An IAM user.
    User(UserId),
    /// A session of a role.
    Session {
        /// Account of the role.
        account: AccountId,
        /// Name of the role, without its path: the ARN of a session has none.
        role: String,
        /// Name of the session.
        session: SessionName,
    },
    /// The root of an account, a federated user, or facts that contradict each other.
    Other,
}

impl Caller {
    /// Returns the kind of the principal. Facts that do not agree with each other give [`Principal::Other`].
    pub fn principal(&self) -> Principal {
        self.user().or_else(|| self.session()).unwrap_or(Principal::Other)
    }

    fn user(&self) -> Option<Principal> {
        self.resource("iam")?.strip_prefix("user/").filter(|name| !name.is_empty())?;
        self.user_id.parse().ok().map(Principal::User)
    }

    fn session(&self) -> Option<Principal> {
        let (role, session) = self.resource("sts")?.strip_prefix("assumed-role/")?.split_once('/')?;
        let (role_id, same) = self.user_id.split_once(':')?;
        let agrees = !role.is_empty() && role_id.starts_with("AROA") && session == same;
        let (account, session) = (self.account.parse().ok()?, session.parse().ok()?);
        agrees.then(|| Principal::Session { account, role: role.to_owned(), session })
    }

    /// Returns the last part of the ARN if it is one of `service` in the caller's account.
    fn resource(&self, service: &str) -> Option<&str> {
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        match parts.as_slice() {
            ["arn", partition, of, "", account, resource]
                if partition.starts_with("aws") && *of == service && *account == self.account =>
            {
                Some(resource)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Caller;

    /// Returns an IAM user of account 111111111111, whose unique id ends with its name.
    pub(crate) fn user(name: &str) -> Caller {
        Caller {
            arn: format!("arn:aws:iam::111111111111:user/{name}"),
            user_id: format!("AIDAEXAMPLE0000{}", name.to_ascii_uppercase()),
            account: "111111111111".into(),
        }
    }

    /// Returns a session of a role of account 111111111111.
    pub(crate) fn session(role: &str, name: &str) -> Caller {
        Caller {
            arn: format!("arn:aws:sts::111111111111:assumed-role/{role}/{name}"),
            user_id: format!("AROAEXAMPLE000000000:{name}"),
            account: "111111111111".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{session, user};
    use super::*;

    #[test]
    fn a_person_is_a_name_or_an_unclaimed_identity() {
        for good in ["ada", "ada.l", "user:AIDACKCEVSQ6C2EXAMPLE", "session:ada@acme.example"] {
            assert!(good.parse::<PersonId>().is_ok(), "{good}");
        }
        for bad in ["", "Ada", "1a", "user:ada", "session:a b", "session:", "AIDACKCEVSQ6C2EXAMPLE", "a:b"] {
            assert!(bad.parse::<PersonId>().is_err(), "{bad}");
        }
        let bad = "session:a".parse::<PersonId>();
        assert!(bad.is_err(), "a session's name has two characters at least");
    }

    #[test]
    fn a_user_is_known_by_its_unique_id() {
        let ada = user("ada");
        assert_eq!(ada.principal(), Principal::User(ada.user_id.parse().unwrap()));
        let path = Caller { arn: "arn:aws-cn:iam::111111111111:user/team/ada".into(), ..ada.clone() };
        assert!(matches!(path.principal(), Principal::User(_)));
    }

    #[test]
    fn a_session_is_known_by_role_and_name() {
        let expected = Principal::Session {
            account: "111111111111".parse().unwrap(),
            role: "deployers".into(),
            session: "ada".parse().unwrap(),
        };
        assert_eq!(session("deployers", "ada").principal(), expected);
    }

    #[test]
    fn facts_that_disagree_prove_no_principal() {
        let (ada, deployer) = (user("ada"), session("deployers", "ada"));
        let root = Caller {
            arn: "arn:aws:iam::111111111111:root".into(),
            user_id: "111111111111".into(),
            account: "111111111111".into(),
        };
        let federated = Caller {
            arn: "arn:aws:sts::111111111111:federated-user/ada".into(),
            user_id: "111111111111:ada".into(),
            ..root.clone()
        };
        for other in [
            root,
            federated,
            Caller { account: "222222222222".into(), ..ada.clone() },
            Caller { user_id: String::new(), ..ada.clone() },
            Caller { user_id: deployer.user_id.clone(), ..ada.clone() },
            Caller { arn: "arn:aws:sts::111111111111:user/ada".into(), ..ada.clone() },
            Caller { arn: "arn:aws:iam::111111111111:user/".into(), ..ada.clone() },
            Caller { user_id: "AROAEXAMPLE000000000:grace".into(), ..deployer.clone() },
            Caller { user_id: "AIDAEXAMPLE000000000:ada".into(), ..deployer.clone() },
            Caller { arn: "arn:aws:sts::111111111111:assumed-role//ada".into(), ..deployer.clone() },
            Caller { arn: "arn:aws:sts::111111111111:assumed-role/deployers/x/ada".into(), ..deployer },
        ] {
            assert_eq!(other.principal(), Principal::Other, "{other:?}");
        }
    }
}
