//! The only place that reads environment variables.

use lockstep_domain::error::Failure;
use std::collections::BTreeMap;
use std::fmt;

/// A setting that Lockstep's templates give to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// The name of the ledger's table.
    Table,
    /// The artifact bucket of the tooling account.
    Bucket,
    /// The external id of every cross-account trust.
    ExternalId,
    /// The name of the function that answers task tokens.
    ResumeFunction,
    /// The ARN of the `release` state machine.
    ReleaseArn,
    /// The ARN of the `teardown` state machine of the delivery path.
    TeardownArn,
    /// The keys of the code of the functions that are shipped for components, with commas between them.
    Functions,
}

impl Setting {
    /// Every setting, for tests that tie the templates to this enum.
    pub const ALL: [Setting; 7] = [
        Self::Table,
        Self::Bucket,
        Self::ExternalId,
        Self::ResumeFunction,
        Self::ReleaseArn,
        Self::TeardownArn,
        Self::Functions,
    ];

    /// The environment variable that holds it.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Table => "LOCKSTEP_TABLE",
            Self::Bucket => "LOCKSTEP_BUCKET",
            Self::ExternalId => "LOCKSTEP_EXTERNAL_ID",
            Self::ResumeFunction => "LOCKSTEP_RESUME_FUNCTION",
            Self::ReleaseArn => "LOCKSTEP_RELEASE_ARN",
            Self::TeardownArn => "LOCKSTEP_TEARDOWN_ARN",
            Self::Functions => "LOCKSTEP_FUNCTIONS",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.variable())
    }
}

/// The settings of one function: those it asked for, none of them empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Config(BTreeMap<Setting, String>);

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Config {
    /// Reads the settings that a function needs; the failure names every one that is missing.
    pub fn from_env(needed: &[Setting]) -> Result<Self, Failure> {
        Self::read(needed, variable)
    }

    fn read(needed: &[Setting], get: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let found: BTreeMap<_, _> =
            needed.iter().filter_map(|setting| Some((*setting, get(setting.variable())?))).collect();
        let missing: Vec<_> =
            needed.iter().filter(|setting| !found.contains_key(setting)).map(|s| s.variable()).collect();
        if missing.is_empty() {
            return Ok(Self(found));
        }
        Err(Failure::bug(format!("the function's environment lacks {}", missing.join(", "))))
    }

    /// The value of `setting`; asking for one that was not read is a bug.
    pub fn get(&self, setting: Setting) -> Result<&str, Failure> {
        let value = self.0.get(&setting).map(String::as_str);
        value.ok_or_else(|| Failure::bug(format!("{setting} is used but was not asked for at the start")))
    }
}

/// What Lambda, or a person's shell, says about AWS.
pub(crate) struct AwsEnvironment {
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
}

impl AwsEnvironment {
    pub(crate) fn read() -> Self {
        Self {
            region: variable("AWS_REGION"),
            endpoint: variable("AWS_ENDPOINT_URL"),
            access_key_id: variable("AWS_ACCESS_KEY_ID"),
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY"),
            session_token: variable("AWS_SESSION_TOKEN"),
        }
    }
}

/// The file of a private certificate authority to trust instead of Amazon's, as the AWS CLI reads it.
pub(crate) fn ca_bundle() -> Option<String> {
    variable("AWS_CA_BUNDLE")
}

/// The filter of log lines, such as `debug`; Lambda's advanced logging controls set it.
pub(crate) fn log_level() -> Option<String> {
    variable("AWS_LAMBDA_LOG_LEVEL")
}

#[expect(clippy::disallowed_methods, reason = "the one place that may")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_setting_is_named_at_once() {
        let table_only = |name: &str| (name == "LOCKSTEP_TABLE").then(|| "t".to_owned());
        let error = Config::read(&Setting::ALL, table_only).unwrap_err();
        assert_eq!(
            error.message,
            "the function's environment lacks LOCKSTEP_BUCKET, LOCKSTEP_EXTERNAL_ID, LOCKSTEP_RESUME_FUNCTION, \
             LOCKSTEP_RELEASE_ARN, LOCKSTEP_TEARDOWN_ARN, LOCKSTEP_FUNCTIONS"
        );
    }

    #[test]
    fn a_function_reads_only_what_it_asked_for() {
        let config = Config::read(&[Setting::Table], |name| Some(name.to_lowercase())).unwrap();
        assert_eq!(config.get(Setting::Table).unwrap(), "lockstep_table");
        assert!(config.get(Setting::ExternalId).is_err());
        assert_eq!(format!("{config:?}"), "{Table}");
    }
}
