//! The checks a component declares: run in its throw-away stack and after every deployment.
//!
//! A check passes only on proof: an output that is absent, an answer that cannot be read and a peer that does not
//! answer are failures. That CloudFormation calls a stack complete proves nothing: its fast modes end before the
//! resources serve anybody. So what a check asks over the network it asks again until its [`Deadline`].

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

/// The most characters of a stranger's text that is repeated in a sentence of ours.
const SHOWN_CHARS: usize = 200;

/// The most checks of a component: all of them run at the same time.
pub const CHECKS_MAX: usize = 50;

/// The stack's outputs, by name.
pub type Outputs = BTreeMap<String, String>;

/// One check of `lockstep.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// An output of the stack must match a pattern. It is looked at once: outputs do not change by waiting.
    Output {
        /// The output's name.
        name: LogicalId,
        /// What its value must match; not anchored unless it says so.
        matches: Pattern,
    },
    /// A Lambda function of the stack must answer without an error.
    Lambda {
        /// The stack output that holds the function's name or ARN.
        name: LogicalId,
        /// How long it may take to succeed.
        #[serde(default)]
        deadline_seconds: Deadline,
    },
    /// A GET must be answered as wanted.
    Http {
        /// What is asked.
        url: HttpTarget,
        /// The statuses that are wanted.
        #[serde(default)]
        status: Statuses,
        /// What the beginning of the body, at most [`BODY_BYTES_MAX`], must match.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        matches: Option<Pattern>,
        /// How long it may take to be answered so.
        #[serde(default)]
        deadline_seconds: Deadline,
    },
    /// A TCP connection must be accepted.
    Tcp {
        /// Who is to accept it.
        address: TcpTarget,
        /// How long it may take to be accepted.
        #[serde(default)]
        deadline_seconds: Deadline,
    },
}

impl Check {
    /// The kinds, as they are written in `kind`.
    pub const KINDS: [&str; 4] = ["output", "lambda", "http", "tcp"];

    /// The stack outputs this check reads.
    pub fn outputs(&self) -> BTreeSet<&LogicalId> {
        match self {
            Self::Output { name, .. } | Self::Lambda { name, .. } => [name].into(),
            Self::Http { url, .. } => url.outputs(),
            Self::Tcp { address, .. } => address.outputs(),
        }
    }

    /// The key of `lockstep.toml` that names these outputs.
    pub fn subject_key(&self) -> &'static str {
        match self {
            Self::Output { .. } | Self::Lambda { .. } => "name",
            Self::Http { .. } => "url",
            Self::Tcp { .. } => "address",
        }
    }

    /// Whether it connects to an address, which the stage must allow.
    pub fn connects(&self) -> bool {
        matches!(self, Self::Http { .. } | Self::Tcp { .. })
    }

    /// How long it may take to pass.
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

/// How long a check may take to pass, from the start of all checks, in seconds.
///
/// All checks of a component start together, so the longest deadline bounds all of them; it leaves the function that
/// runs them a minute to read, to note and to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Deadline(u32);

/// A deadline outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from {} to {}", Deadline::MIN.0, Deadline::MAX.0)]
pub struct InvalidDeadline;

impl Deadline {
    /// The shortest: enough for one look.
    pub const MIN: Self = Self(5);
    /// The longest.
    pub const MAX: Self = Self(240);

    /// The deadline as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl Default for Deadline {
    /// Two minutes: a load balancer and the instance behind it come up within it.
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

/// The value of an output, or a sentence that says what the stack has instead.
fn required_output<'o>(name: &LogicalId, outputs: &'o Outputs) -> Result<&'o str, String> {
    if let Some(value) = outputs.get(name.as_str()) {
        return Ok(value);
    }
    let names: Vec<&str> = outputs.keys().take(20).map(String::as_str).collect();
    let others = if names.is_empty() { "none at all".to_owned() } else { names.join(", ") };
    Err(format!("the stack has no output {name}; it has {others}"))
}

/// `text` on one line, without control characters, cut to [`SHOWN_CHARS`].
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
    fn a_check_is_stored_by_its_kind_and_its_pattern_is_checked_when_read_back() {
        let check = Check::Output { name: "Host".parse().unwrap(), matches: "^x$".parse().unwrap() };
        let stored = serde_json::to_string(&check).unwrap();
        assert_eq!(stored, r#"{"kind":"output","name":"Host","matches":"^x$"}"#);
        assert_eq!(serde_json::from_str::<Check>(&stored).unwrap(), check);
        assert!(serde_json::from_str::<Check>(r#"{"kind":"output","name":"Host","matches":"("}"#).is_err());
    }

    #[test]
    fn what_is_not_said_of_a_check_has_its_default_and_is_checked_when_read_back() {
        let read = |text: &str| serde_json::from_str::<Check>(text);
        let check = read(r#"{"kind":"http","url":"https://a.example/"}"#).unwrap();
        assert_eq!(check.to_string(), "https://a.example/ answers 200");
        assert_eq!(check.deadline(), Duration::from_secs(120));
        assert_eq!(read(&serde_json::to_string(&check).unwrap()).unwrap(), check);
        assert!(read(r#"{"kind":"http","url":"ftp://a.example/"}"#).is_err());
        assert!(read(r#"{"kind":"tcp","address":"a.example:22","deadline_seconds":241}"#).is_err());
        assert!(read(r#"{"kind":"tcp","address":"a.example:22","port":22}"#).is_err());
    }

    #[test]
    fn a_deadline_is_bounded() {
        for good in [5, 240] {
            assert!(Deadline::try_from(good).is_ok(), "{good}");
        }
        for bad in [0, 4, 241, u32::MAX] {
            assert_eq!(Deadline::try_from(bad), Err(InvalidDeadline), "{bad}");
        }
        assert!((Deadline::MIN..=Deadline::MAX).contains(&Deadline::default()));
    }
}
