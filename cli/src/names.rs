//! Names on the command line that have an inner structure, each with one parser.

use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::error::chain;
use lockstep_domain::model::ids::{AmiId, ComponentName, DeploymentId, ImageName, RepositoryId, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::ConfigKind;
use serde::Deserialize;
use std::error::Error;
use std::str::FromStr;

/// `<component>@<version>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseName {
    /// The component.
    pub component: ComponentName,
    /// The version.
    pub version: Version,
}

/// `<image>@<version>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageVersionName {
    /// The image.
    pub image: ImageName,
    /// The version.
    pub version: Version,
}

/// The subject of `lockstep why`: a deployment, a component, a release, a version of an image, or an AMI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubjectName {
    /// A deployment, by the beginning of its id; or a component with such a name.
    Deployment(DeploymentPrefix),
    /// A component.
    Component(ComponentName),
    /// A release, or a version of an image. Either may have the name.
    Version(VersionName),
    /// An AMI.
    Ami(AmiId),
}

/// `<name>@<version>`, of a component or an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionName {
    /// The name as that of a component, if a component can have it.
    pub component: Option<ComponentName>,
    /// The name as that of an image, if an image can have it.
    pub image: Option<ImageName>,
    /// The version.
    pub version: Version,
}

/// The subject of `lockstep watch`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchName {
    /// An execution, by its ARN.
    Execution(String),
    /// A release.
    Release(ReleaseName),
    /// A stage, a deployment or a commit: a word may be the beginning of each.
    Word {
        /// The word as a stage.
        stage: Option<StageName>,
        /// The word as the beginning of a deployment's id.
        deployment: Option<DeploymentPrefix>,
        /// The word as the beginning of a commit's id.
        commit: Option<String>,
    },
}

/// `github:<owner>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName(pub RepositoryId);

/// A deployment's id, or the beginning of one: at least four characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPrefix(String);

/// The id of a deployment or of a webhook delivery, or the beginning of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunName(String);

/// The id of a request, as a refusal of the webhook shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RequestId(String);

/// The operator's reason for an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

/// `s3://<bucket>/<key>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Uri {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, unencoded.
    pub key: String,
}

/// `<parameter>=<value>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The parameter.
    pub name: String,
    /// The value; everything after the first `=`.
    pub value: String,
}

/// Number of digits of a shortened commit, as git prints it.
const SHORT_COMMIT: usize = 7;

/// Maximum length of a reason in characters.
const REASON_CHARS: usize = 1000;

/// Returns the text that clap shows for an error: the error with its causes.
fn shown<E: Error + 'static>(error: E) -> String {
    chain(&error)
}

fn at_version(text: &str, wanted: &str) -> Result<(String, Version), String> {
    let (name, version) = text.split_once('@').ok_or_else(|| format!("write it as {wanted}"))?;
    Ok((name.to_owned(), version.parse().map_err(shown)?))
}

impl FromStr for ReleaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = at_version(text, "component@version, such as logs-broker@2.1.0")?;
        Ok(Self { component: name.parse().map_err(shown)?, version })
    }
}

impl FromStr for ImageVersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = at_version(text, "image@version, such as logstash@2.1.0")?;
        Ok(Self { image: name.parse().map_err(shown)?, version })
    }
}

impl FromStr for SubjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("ami-") {
            return text.parse().map(Self::Ami).map_err(shown);
        }
        if text.contains('@') {
            return text.parse().map(Self::Version);
        }
        if let Ok(prefix) = text.parse() {
            return Ok(Self::Deployment(prefix));
        }
        text.parse().map(Self::Component).map_err(|_| {
            "write a component, component@version, image@version, an AMI, or a deployment's id or at least four of its \
             first digits"
                .to_owned()
        })
    }
}

impl FromStr for VersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = at_version(text, "name@version, such as logs-broker@2.1.0")?;
        match (name.parse::<ComponentName>(), name.parse::<ImageName>()) {
            (Err(_), Err(_)) => Err(format!("{name} is the name of no component and of no image")),
            (component, image) => Ok(Self { component: component.ok(), image: image.ok(), version }),
        }
    }
}

impl FromStr for WatchName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("arn:") {
            return Ok(Self::Execution(text.to_owned()));
        }
        if text.contains('@') {
            return text.parse().map(Self::Release);
        }
        let is_commit = (SHORT_COMMIT..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let stage: Option<StageName> = text.parse().ok();
        let deployment: Option<DeploymentPrefix> = text.parse().ok();
        let commit = is_commit.then(|| text.to_owned());
        match (&stage, &deployment, &commit) {
            (None, None, None) => {
                Err("write a deployment, component@version, a commit or a stage".to_owned())
            }
            _ => Ok(Self::Word { stage, deployment, commit }),
        }
    }
}

impl FromStr for RepositoryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write it as github:owner/name";
        let (provider, path) = text.split_once(':').ok_or(wanted)?;
        let (owner, name) = path.split_once('/').ok_or(wanted)?;
        if provider != "github" {
            return Err(format!("provider '{provider}' is not supported; {wanted}"));
        }
        RepositoryId::github(owner, name).map(Self).map_err(shown)
    }
}

impl FromStr for DeploymentPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = (4..=36).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err("write a deployment's id, or at least four of its first digits".into())
        }
    }
}

impl FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid =
            (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err("write the id of a deployment or of a webhook delivery, or at least four of its first characters"
                .into())
        }
    }
}

impl RunName {
    /// Returns the name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as that of a deployment, or `None` if no deployment can have it.
    pub fn deployment(&self) -> Option<DeploymentPrefix> {
        self.0.parse().ok()
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("give a reason: the record keeps it".into()),
            long if long.chars().count() > REASON_CHARS => {
                Err(format!("write at most {REASON_CHARS} characters"))
            }
            said => Ok(Self(said.to_owned())),
        }
    }
}

impl Reason {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("write it as Parameter=value".into()),
        }
    }
}

impl FromStr for S3Uri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("s3://").and_then(|path| path.split_once('/'));
        match path {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
            }
            _ => Err("write it as s3://bucket/key".into()),
        }
    }
}

impl DeploymentPrefix {
    /// Returns true if `id` begins with this.
    pub fn admits(&self, id: &DeploymentId) -> bool {
        id.as_str().starts_with(&self.0)
    }

    /// Returns the id if it is complete.
    pub fn full(&self) -> Option<DeploymentId> {
        self.0.parse().ok()
    }

    /// Returns the name as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        match (8..=64).contains(&text.len()) && text.bytes().all(is_plain) {
            true => Ok(Self(text.to_owned())),
            false => {
                Err("write the id of a request: letters, digits and hyphens, as the refusal shows it"
                    .to_owned())
            }
        }
    }
}

impl TryFrom<String> for RequestId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Parses a number of administrators.
pub fn administrators(text: &str) -> Result<Administrators, String> {
    text.parse().map_err(|_| "write one or many".to_owned())
}

/// Parses the part of the configuration that a pending change is about.
pub fn config_kind(text: &str) -> Result<ConfigKind, String> {
    text.parse().map_err(|_| "write stages, people or administrators".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_by_component_and_version() {
        let name: ReleaseName = "logs-broker@2.1.37".parse().unwrap();
        assert_eq!((name.component.as_str(), name.version.to_string().as_str()), ("logs-broker", "2.1.37"));
        for wrong in ["logs-broker", "logs-broker@", "logs-broker@2.1", "Logs@2.1.0", "@2.1.0"] {
            assert!(wrong.parse::<ReleaseName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_repository_is_named_by_provider_owner_and_name() {
        assert_eq!("github:acme/logs".parse::<RepositoryName>().unwrap().0.as_str(), "github.acme.logs");
        for wrong in ["acme/logs", "github:acme", "gitlab:acme/logs", "github:acme/lo gs", "github:../x"] {
            assert!(wrong.parse::<RepositoryName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_object_is_named_by_bucket_and_key() {
        let name: S3Uri = "s3://acme-logs/AWSLogs/a=b/c.log.gz".parse().unwrap();
        assert_eq!((name.bucket.as_str(), name.key.as_str()), ("acme-logs", "AWSLogs/a=b/c.log.gz"));
        for wrong in ["acme-logs/a", "s3://acme-logs", "s3://acme-logs/", "s3:///a"] {
            assert!(wrong.parse::<S3Uri>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_is_a_deployment_or_a_webhook_delivery() {
        let delivery: RunName = "72d3162E-cc78-11e3-81ab-4c9367dc0958".parse().unwrap();
        assert_eq!(delivery.deployment(), None);
        let either: RunName = "72d3162e".parse().unwrap();
        assert_eq!(either.deployment().map(|prefix| prefix.as_str().to_owned()), Some("72d3162e".into()));
        for wrong in ["", "abc", "a#b#c", "../../x"] {
            assert!(wrong.parse::<RunName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reason_is_not_empty() {
        assert_eq!("  the disk is full ".parse::<Reason>().unwrap().as_str(), "the disk is full");
        for wrong in ["", "  \n ", &"x".repeat(1001)] {
            assert!(wrong.parse::<Reason>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_override_is_split_at_its_first_equals_sign() {
        let pair = |text: &str| text.parse::<Override>().map(|o| (o.name, o.value));
        assert_eq!(pair("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert_eq!(pair("A="), Ok(("A".into(), String::new())));
        assert!(pair("A").is_err() && pair("=b").is_err());
    }

    #[test]
    fn a_watched_word_may_be_a_stage_a_deployment_or_a_commit() {
        let word = |text: &str| match text.parse() {
            Ok(WatchName::Word { stage, deployment, commit }) => {
                (stage.is_some(), deployment.is_some(), commit.is_some())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(word("ci"), (true, false, false));
        assert_eq!(word("72d3"), (false, true, false));
        assert_eq!(word("5b1f0f0"), (false, true, true));
        assert_eq!(word("deadbeef"), (true, true, true));
        assert!(matches!("logs@2.1.0".parse(), Ok(WatchName::Release(_))));
        assert!(matches!("arn:aws:states:x".parse(), Ok(WatchName::Execution(_))));
        for wrong in ["", "logs@", "A b", "../x"] {
            assert!(wrong.parse::<WatchName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_subject_is_a_deployment_a_component_a_version_or_an_ami() {
        assert!(matches!("72d3162e".parse(), Ok(SubjectName::Deployment(_))));
        assert!(matches!("logs".parse(), Ok(SubjectName::Component(_))));
        assert!(matches!("logstash@2.1.37".parse(), Ok(SubjectName::Version(_))));
        assert!(matches!("ami-0123456789abcdef0".parse(), Ok(SubjectName::Ami(_))));
        for wrong in ["", "ami-x", "logstash@", "Log Stash@1.0.0"] {
            assert!(wrong.parse::<SubjectName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_deployment_is_named_by_the_beginning_of_its_id() {
        let id = DeploymentId::of_execution("arn:x");
        let prefix: DeploymentPrefix = id.short().parse().unwrap();
        assert!(prefix.admits(&id) && prefix.full().is_none());
        assert_eq!(id.as_str().parse::<DeploymentPrefix>().unwrap().full(), Some(id));
        for wrong in ["", "abc", "../..", "ABCD"] {
            assert!(wrong.parse::<DeploymentPrefix>().is_err(), "{wrong}");
        }
    }
}
