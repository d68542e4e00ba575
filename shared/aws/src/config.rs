//! The only place that reads environment variables.

use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::error::Failure;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fmt;
use strum::{Display, IntoStaticStr};

/// A setting that Lockstep's templates give to a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", prefix = "LOCKSTEP_")]
pub enum Setting {
    /// The name of the table of a component's function.
    Table,
    /// The artifact bucket of the tooling account.
    Bucket,
    /// The external id of every cross-account trust.
    ExternalId,
    /// The deployment path of the function.
    Path,
    /// The kind of callers of the function, one of those of the authority.
    Callers,
    /// The name of the function that answers task tokens.
    ResumeFunction,
    /// The beginning of the ARN of each state machine: everything before the hyphen and the machine's own name.
    StateMachines,
    /// The number of administrators that the installation chose: `one` or `many`.
    Administrators,
    /// The ARN of the `release` state machine.
    ReleaseArn,
    /// The ARN of the `teardown` state machine of the delivery path.
    TeardownArn,
    /// The keys of the function code that is shipped for components, separated by commas.
    Functions,
    /// The key of the table of the permissions that resource types need.
    Permissions,
    /// The broker that receives logs, as a URL ([`lockstep_domain::logs::shipping::Target`]).
    Output,
    /// The certificate (PEM) of the authority that the broker's certificate must chain to, if it is not a public one.
    #[strum(serialize = "OUTPUT_CA")]
    OutputAuthority,
    /// The URL of the queue that a function of logs reads from, and sends continuations to.
    QueueUrl,
    /// The bucket for lines that cannot be shipped.
    QuarantineBucket,
    /// The format of the logs, or `detect`.
    LogFormat,
    /// The names of the fields of events: `ecs` or `plain`.
    LogFields,
    /// The component that logs belong to.
    LogComponent,
    /// The application that logs belong to.
    LogApplication,
    /// The environment that logs belong to.
    LogEnvironment,
    /// The type of the events that logs become.
    LogType,
    /// Number of events a second that an application may send, unless its own record sets another.
    EventsPerSecond,
    /// Number of events that an application may send at once, unless its own record sets another.
    Burst,
}

impl Setting {
    /// Every setting of the control plane, for tests that compare the templates with this enum.
    pub const ALL: [Setting; 11] = [
        Self::Bucket,
        Self::ExternalId,
        Self::Path,
        Self::Callers,
        Self::ResumeFunction,
        Self::StateMachines,
        Self::Administrators,
        Self::ReleaseArn,
        Self::TeardownArn,
        Self::Functions,
        Self::Permissions,
    ];

    /// The settings of the function that ships logs of load balancers. Its component sets them.
    pub const OF_LOGS: [Setting; 10] = [
        Self::Output,
        Self::OutputAuthority,
        Self::QueueUrl,
        Self::QuarantineBucket,
        Self::LogFormat,
        Self::LogFields,
        Self::LogComponent,
        Self::LogApplication,
        Self::LogEnvironment,
        Self::LogType,
    ];

    /// The settings of the function that takes logs in from applications. Its component sets them.
    pub const OF_INTAKE: [Setting; 9] = [
        Self::Table,
        Self::Output,
        Self::OutputAuthority,
        Self::LogFields,
        Self::LogComponent,
        Self::LogEnvironment,
        Self::LogType,
        Self::EventsPerSecond,
        Self::Burst,
    ];

    /// Returns the name of the environment variable that holds it.
    pub fn variable(self) -> &'static str {
        self.into()
    }
}

/// The settings of one function: those it requested, none of them empty.
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

    /// Reads required settings as [`Config::from_env`] does, and optional ones that may be missing.
    pub fn from_env_with(needed: &[Setting], optional: &[Setting]) -> Result<Self, Failure> {
        let mut config = Self::from_env(needed)?;
        config
            .0
            .extend(optional.iter().filter_map(|setting| Some((*setting, variable(setting.variable())?))));
        Ok(config)
    }

    /// Creates a configuration from these settings, unchanged.
    pub fn of<'a>(settings: impl IntoIterator<Item = (Setting, &'a str)>) -> Self {
        Self(settings.into_iter().map(|(setting, value)| (setting, value.to_owned())).collect())
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

    /// Returns the value of `setting`. A request for a setting that was not read is a bug.
    pub fn get(&self, setting: Setting) -> Result<&str, Failure> {
        let value = self.0.get(&setting).map(String::as_str);
        value.ok_or_else(|| Failure::bug(format!("{setting} is used but was not asked for at the start")))
    }

    /// Returns the deployment path of the function.
    pub fn path(&self) -> Result<DeploymentPath, Failure> {
        let name = self.get(Setting::Path)?;
        name.parse().map_err(|_| Failure::bug(format!("{} says {name}, which is no path", Setting::Path)))
    }

    /// Returns the kind of callers of the function.
    pub fn callers(&self) -> Result<Callers, Failure> {
        let name = self.get(Setting::Callers)?;
        name.parse().map_err(|_| {
            Failure::bug(format!("{} says {name}, which is no kind of callers", Setting::Callers))
        })
    }

    /// Returns the number of administrators that the installation chose.
    pub fn administrators(&self) -> Result<Administrators, Failure> {
        let word = self.get(Setting::Administrators)?;
        word.parse().map_err(|_| {
            Failure::bug(format!("{} says {word}, which is neither one nor many", Setting::Administrators))
        })
    }

    /// Returns the value of `setting`, if it is set.
    pub fn optional(&self, setting: Setting) -> Option<&str> {
        self.0.get(&setting).map(String::as_str)
    }
}

/// AWS settings of the environment: Lambda's, or those of an operator's shell.
pub(crate) struct AwsEnvironment {
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<SecretString>,
    pub session_token: Option<SecretString>,
}

impl AwsEnvironment {
    pub(crate) fn read() -> Self {
        Self {
            region: variable("AWS_REGION"),
            endpoint: variable("AWS_ENDPOINT_URL"),
            access_key_id: variable("AWS_ACCESS_KEY_ID"),
            secret_access_key: variable("AWS_SECRET_ACCESS_KEY").map(Into::into),
            session_token: variable("AWS_SESSION_TOKEN").map(Into::into),
        }
    }
}

/// Returns the file of a private certificate authority to trust instead of Amazon's, from the same variable as the AWS
/// CLI's.
pub(crate) fn ca_bundle() -> Option<String> {
    variable("AWS_CA_BUNDLE")
}

/// Returns the name of the running function; `None` outside of Lambda.
pub fn function_name() -> Option<String> {
    variable("AWS_LAMBDA_FUNCTION_NAME")
}

/// Returns the name of the lowest level that is logged, such as `DEBUG`; Lambda's advanced logging controls set it.
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
        let bucket_only = |name: &str| (name == "LOCKSTEP_BUCKET").then(|| "b".to_owned());
        let error = Config::read(&Setting::ALL, bucket_only).unwrap_err();
        assert_eq!(
            error.message,
            "the function's environment lacks LOCKSTEP_EXTERNAL_ID, LOCKSTEP_PATH, LOCKSTEP_CALLERS, LOCKSTEP_RESUME_FUNCTION, \
             LOCKSTEP_STATE_MACHINES, LOCKSTEP_ADMINISTRATORS, LOCKSTEP_RELEASE_ARN, LOCKSTEP_TEARDOWN_ARN, LOCKSTEP_FUNCTIONS, LOCKSTEP_PERMISSIONS"
        );
    }

    #[test]
    fn a_function_reads_only_its_requested_settings() {
        let config = Config::read(&[Setting::Table], |name| Some(name.to_lowercase())).unwrap();
        assert_eq!(config.get(Setting::Table).unwrap(), "lockstep_table");
        assert!(config.get(Setting::ExternalId).is_err());
        assert_eq!(format!("{config:?}"), "{Table}");
        assert_eq!(
            (config.optional(Setting::Table), config.optional(Setting::Output)),
            (Some("lockstep_table"), None)
        );
    }
}
