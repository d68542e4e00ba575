//! The checks of a component: they run in its test stack and after every deployment.
//!
//! A check passes only on proof: an absent output, an unreadable response and a silent peer are failures.
//! CloudFormation's complete status of a stack proves nothing, because its fast modes end before the resources handle
//! requests. A check over the network is therefore repeated until its [`Deadline`].

mod answers;
mod pattern;
mod reach;
mod target;

use crate::model::ids::LogicalId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use answers::{
    BODY_BYTES_MAX, InvalidStatuses, Statuses, evaluate_http, evaluate_lambda, evaluate_output,
    lambda_function,
};
pub use pattern::{InvalidPattern, Pattern};
pub use reach::{Admission, InvalidReach, Reach};
pub use target::{
    HttpTarget, InvalidTarget, NotFollowed, Peer, REDIRECTS_MAX, TcpTarget, redirect, shown_url,
};

/// Maximum characters of untrusted text that a message repeats.
const SHOWN_CHARS: usize = 200;

/// Maximum number of checks of a component; all of them run at the same time.
pub const CHECKS_MAX: usize = 50;

/// The stack's outputs, by name.
pub type Outputs = BTreeMap<String, String>;

/// One check of `lockstep.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Check {
    /// An output of the stack must match a pattern. The check reads the output once, because outputs do not change over
    /// time.
    Output {
        /// The output's name.
        name: LogicalId,
        /// Pattern for the value; not anchored unless the pattern says so.
        matches: Pattern,
    },
    /// A Lambda function of the stack must return without an error.
    Lambda {
        /// The stack output that holds the function's name or ARN.
        name: LogicalId,
        /// Time allowed until it succeeds.
        #[serde(default)]
        deadline_seconds: Deadline,
    },
    /// A GET request must return an expected response.
    Http {
        /// The requested URL.
        url: HttpTarget,
        /// The expected statuses.
        #[serde(default)]
        status: Statuses,
        /// Pattern for the beginning of the body, at most [`BODY_BYTES_MAX`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matches: Option<Pattern>,
        /// Time allowed until the expected response.
        #[serde(default)]
        deadline_seconds: Deadline,
    },
    /// A TCP connection must be accepted.
    Tcp {
        /// The host and port that must accept it.
        address: TcpTarget,
        /// Time allowed until a connection is accepted.
        #[serde(default)]
        deadline_seconds: Deadline,
    },
}

impl Check {
    /// The values of `kind`.
    pub const KINDS: [&str; 4] = ["output", "lambda", "http", "tcp"];

    /// Returns the stack outputs that the check reads.
    pub fn outputs(&self) -> BTreeSet<&LogicalId> {
        match self {
            Self::Output { name, .. } | Self::Lambda { name, .. } => [name].into(),
            Self::Http { url, .. } => url.outputs(),
            Self::Tcp { address, .. } => address.outputs(),
        }
    }

    /// Returns the key of `lockstep.toml` that names these outputs.
    pub fn subject_key(&self) -> &'static str {
        match self {
            Self::Output { .. } | Self::Lambda { .. } => "name",
            Self::Http { .. } => "url",
            Self::Tcp { .. } => "address",
        }
    }

    /// Returns true if the check connects to an address, which the stage must allow.
    pub fn connects(&self) -> bool {
        matches!(self, Self::Http { .. } | Self::Tcp { .. })
    }

    /// Returns the time allowed until the check passes.
    pub fn deadline(&self) -> Duration {
        match self {
            Self::Output { .. } => Duration::ZERO,
            Self::Lambda { deadline_seconds, .. }
            | Self::Http { deadline_seconds, .. }
            | Self::Tcp { deadline_seconds, .. } => deadline_seconds.duration(),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output { name, matches } => write!(f, "output {name} matches {matches}"),
            Self::Lambda { name, .. } => write!(f, "the function in output {name} succeeds"),
            Self::Http { url, status, matches: None, .. } => write!(f, "{url} answers {status}"),
            Self::Http { url, status, matches: Some(pattern), .. } => {
                write!(f, "{url} answers {status} and matches {pattern}")
            }
            Self::Tcp { address, .. } => write!(f, "{address} accepts connections"),
        }
    }
}

/// Time allowed for a check to pass, in seconds from the start of all checks.
///
/// All checks of a component start together, so the longest deadline bounds all of them. The function that runs the checks
/// does not wait so long: it looks, fails with `ChecksPending`, and its state invokes it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Deadline(u32);

/// A deadline outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from {} to {}", Deadline::MIN.0, Deadline::MAX.0)]
pub struct InvalidDeadline;

impl Deadline {
    /// The minimum: enough for one attempt.
    pub const MIN: Self = Self(5);
    /// The maximum.
    pub const MAX: Self = Self(3600);

    /// Returns the deadline as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Default for Deadline {
    /// Returns two minutes: a load balancer and the instance behind it start within that time.
    fn default() -> Self {
        Self(120)
    }
}

impl TryFrom<u32> for Deadline {
    type Error = InvalidDeadline;

    fn try_from(seconds: u32) -> Result<Self, InvalidDeadline> {
        let deadline = Self(seconds);
        if (Self::MIN..=Self::MAX).contains(&deadline) { Ok(deadline) } else { Err(InvalidDeadline) }
    }
}

impl From<Deadline> for u32 {
    fn from(deadline: Deadline) -> u32 {
        deadline.0
    }
}

/// Returns the value of an output, or a sentence that lists the outputs of the stack instead.
fn required_output<'o>(name: &LogicalId, outputs: &'o Outputs) -> Result<&'o str, String> {
    if let Some(value) = outputs.get(name.as_str()) {
        return Ok(value);
    }
    let names: Vec<&str> = outputs.keys().take(20).map(String::as_str).collect();
    let others = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    Err(format!("the stack has no output {name}; it has {others}"))
}

/// Returns `text` on one line, without control characters, cut to [`SHOWN_CHARS`].
fn shown(text: &str) -> String {
    let mut shown: String =
        text.chars().take(SHOWN_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_check_names_its_kind_and_is_validated_when_read() {
        let check = Check::Output { name: "Host".parse().unwrap(), matches: "^x$".parse().unwrap() };
        let stored = serde_json::to_string(&check).unwrap();
        assert_eq!(stored, r#"{"kind":"output","name":"Host","matches":"^x$"}"#);
        assert_eq!(serde_json::from_str::<Check>(&stored).unwrap(), check);
        assert!(serde_json::from_str::<Check>(r#"{"kind":"output","name":"Host","matches":"("}"#).is_err());
    }

    #[test]
    fn an_omitted_key_of_a_check_has_its_default_when_read() {
        let read = |text: &str| serde_json::from_str::<Check>(text);
        let check = read(r#"{"kind":"http","url":"https://a.example/"}"#).unwrap();
        assert_eq!(check.to_string(), "https://a.example/ answers 200");
        assert_eq!(check.deadline(), Duration::from_secs(120));
        assert_eq!(read(&serde_json::to_string(&check).unwrap()).unwrap(), check);
        assert!(read(r#"{"kind":"http","url":"ftp://a.example/"}"#).is_err());
        assert!(read(r#"{"kind":"tcp","address":"a.example:22","deadline_seconds":3601}"#).is_err());
        assert!(read(r#"{"kind":"tcp","address":"a.example:22","port":22}"#).is_err());
    }

    #[test]
    fn a_deadline_is_bounded() {
        for good in [5, 3600] {
            assert!(Deadline::try_from(good).is_ok(), "{good}");
        }
        for bad in [0, 4, 3601, u32::MAX] {
            assert_eq!(Deadline::try_from(bad), Err(InvalidDeadline), "{bad}");
        }
        assert!((Deadline::MIN..=Deadline::MAX).contains(&Deadline::default()));
    }
}
