//! Names and identifiers, each with one constructor that rejects malformed text.
//!
//! A string from a branch, a tag, an author or a payload never reaches an ARN, a template or a table key
//! except through one of these types.

use crate::model::deployment_path::DeploymentPath;
use crate::model::text::checked_text;

/// A string that is not an identifier of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{value}' is not {wanted}")]
pub struct InvalidId {
    /// The rejected value, cut to 100 characters.
    pub value: String,
    /// The wanted kind, with an article and the rule.
    pub wanted: &'static str,
}

impl InvalidId {
    /// Returns the refusal of `value`.
    pub(crate) fn new(value: &str, wanted: &'static str) -> Self {
        Self { value: value.chars().take(100).collect(), wanted }
    }
}

/// Returns true for lower-case letters, digits and single inner hyphens, starting with a letter.
fn is_slug(value: &str, max: usize) -> bool {
    value.len() <= max
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && !value.ends_with('-')
        && !value.contains("--")
        && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_hex(value: &str, length: usize) -> bool {
    value.len() == length && value.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_ec2_id(value: &str, prefix: &str) -> bool {
    value.strip_prefix(prefix).is_some_and(|rest| is_hex(rest, 8) || is_hex(rest, 17))
}

/// Returns true for `<provider>.<owner>.<name>`. Only the name may hold further dots.
fn is_repository_id(value: &str) -> bool {
    let mut parts = value.splitn(3, '.');
    let (Some(provider), Some(owner), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let word = |s: &str, extra: &[u8]| {
        !s.is_empty()
            && !s.starts_with(['.', '-'])
            && s.len() <= 100
            && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || extra.contains(&b))
    };
    provider == "github" && word(owner, b"_") && word(name, b"._")
}

checked_text! {
    /// An AWS account: twelve digits.
    AccountId, InvalidId("an AWS account id (twelve digits)"),
    |v| v.len() == 12 && v.bytes().all(|b| b.is_ascii_digit())
}

checked_text! {
    /// An organization of AWS Organizations, such as `o-a1b2c3d4e5`.
    OrganizationId, InvalidId("an organization's id (o- and ten to thirty-two lower-case letters or digits)"),
    |v| v.strip_prefix("o-").is_some_and(|rest| {
        (10..=32).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

checked_text! {
    /// An AWS region such as `eu-west-1`.
    Region, InvalidId("an AWS region (such as eu-west-1)"),
    |v| is_slug(v, 25) && v.split('-').count() >= 3 && v.ends_with(|c: char| c.is_ascii_digit())
}

checked_text! {
    /// A stage that components are deployed to: `test`, `ci`, `staging`, `production`.
    StageName, InvalidId("a stage name (lower-case letters, digits and single hyphens, at most 20, starting with a letter)"),
    |v| is_slug(v, 20)
}

checked_text! {
    /// A component, at most 60 characters so that `<stage>-<component>-<suffix>` is a valid stack name.
    ComponentName, InvalidId("a component name (lower-case letters, digits and single hyphens, at most 60, starting with a letter)"),
    |v| is_slug(v, 60)
}

checked_text! {
    /// An application that sends logs from its users' machines, such as `shop-desktop`.
    ApplicationName, InvalidId("an application's name (lower-case letters, digits and single hyphens, at most 40, starting with a letter)"),
    |v| is_slug(v, 40)
}

checked_text! {
    /// A machine image's name, such as `logstash`.
    ImageName, InvalidId("an image name (lower-case letters, digits and single hyphens, at most 60, starting with a letter)"),
    |v| is_slug(v, 60)
}

checked_text! {
    /// A function that Lockstep ships for components, such as `elb-logs`.
    FunctionName, InvalidId("a function's name (lower-case letters, digits and single hyphens, at most 40, starting with a letter)"),
    |v| is_slug(v, 40)
}

checked_text! {
    /// A registered repository, `github.<owner>.<name>`: the last part of its webhook URL and of its secrets'
    /// names.
    RepositoryId, InvalidId("a repository id (github.<owner>.<name>)"),
    is_repository_id
}

checked_text! {
    /// A full git commit id: forty hexadecimal digits.
    CommitSha, InvalidId("a git commit (forty hexadecimal digits)"),
    |v| is_hex(v, 40)
}

checked_text! {
    /// A SHA-256 digest: 64 hexadecimal digits.
    Digest, InvalidId("a SHA-256 digest (64 hexadecimal digits)"),
    |v| is_hex(v, 64)
}

checked_text! {
    /// A machine image's id, such as `ami-0abc…`.
    AmiId, InvalidId("an AMI id (ami- and 8 or 17 hexadecimal digits)"),
    |v| is_ec2_id(v, "ami-")
}

checked_text! {
    /// An EBS snapshot's id, such as `snap-0abc…`.
    SnapshotId, InvalidId("a snapshot id (snap- and 8 or 17 hexadecimal digits)"),
    |v| is_ec2_id(v, "snap-")
}

checked_text! {
    /// A deployment or promotion: the version 5 UUID of its execution ARN. A retried first step computes the
    /// same id.
    DeploymentId, InvalidId("a deployment id (a UUID)"),
    |v| uuid::Uuid::try_parse(v).is_ok_and(|u| u.hyphenated().to_string() == v)
}

checked_text! {
    /// A CloudFormation stack name: letters, digits and hyphens, at most 128, starting with a letter.
    StackName, InvalidId("a stack name (letters, digits and hyphens, at most 128, starting with a letter)"),
    |v| v.len() <= 128
        && v.starts_with(|c: char| c.is_ascii_alphabetic())
        && v.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

checked_text! {
    /// A logical id of a template, or one of its parameter or output names: letters and digits.
    LogicalId, InvalidId("a logical id (letters and digits)"),
    |v| !v.is_empty() && v.len() <= 255 && v.bytes().all(|b| b.is_ascii_alphanumeric())
}

impl Digest {
    /// Returns the SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(hex::encode(sha2::Sha256::digest(bytes)))
    }

    /// Returns the first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl CommitSha {
    /// Returns the first seven digits, the usual short form.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl DeploymentId {
    /// The bit of the first byte that says the path. It is set in ids of the promotion path.
    const PROMOTION: u8 = 0x80;

    /// Returns the id of the deployment that `execution_arn` runs. The id says the path of the state machine.
    pub fn of_execution(execution_arn: &str) -> Self {
        Self::on_path(DeploymentPath::of_execution(execution_arn), execution_arn)
    }

    /// Returns the id of the deployment on `path` that `name` identifies.
    pub fn on_path(path: DeploymentPath, name: &str) -> Self {
        let mut bytes = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).into_bytes();
        match path {
            DeploymentPath::Delivery => bytes[0] &= !Self::PROMOTION,
            DeploymentPath::Promotion => bytes[0] |= Self::PROMOTION,
        }
        Self(uuid::Uuid::from_bytes(bytes).hyphenated().to_string())
    }

    /// Returns the path of the deployment. Its records are in the table of that path.
    pub fn path(&self) -> DeploymentPath {
        match self.0.starts_with(|digit: char| matches!(digit, '8'..='9' | 'a'..='f')) {
            true => DeploymentPath::Promotion,
            false => DeploymentPath::Delivery,
        }
    }

    /// Returns the name of the sessions of the deployment, which the logs of a target account show.
    pub fn session(&self) -> String {
        format!("lockstep-{self}")
    }

    /// Returns the first eight digits, enough for a readable name.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

impl RepositoryId {
    /// Returns the id of a GitHub repository.
    pub fn github(owner: &str, name: &str) -> Result<Self, InvalidId> {
        format!("github.{owner}.{name}").parse()
    }

    /// Returns the provider: `github`.
    pub fn provider(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }

    /// Returns the owner: a user or an organisation.
    pub fn owner(&self) -> &str {
        self.0.split('.').nth(1).unwrap_or_default()
    }

    /// Returns the repository's name below its owner.
    pub fn name(&self) -> &str {
        self.0.splitn(3, '.').nth(2).unwrap_or_default()
    }

    /// Returns `<owner>/<name>`, the provider's form.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner(), self.name())
    }

    /// Returns the Secrets Manager name of the webhook's secret.
    pub fn webhook_secret(&self) -> String {
        format!("lockstep/repositories/{self}/webhook")
    }

    /// Returns the Secrets Manager name of the token that fetches commits.
    pub fn token_secret(&self) -> String {
        format!("lockstep/repositories/{self}/token")
    }
}

/// Name of the first stage. Every release passes a test stack there, for an hour at most, before any other
/// stage.
pub const TEST: &str = "test";

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn accepts<T: FromStr>(values: &[&str]) -> Vec<String> {
        values.iter().filter(|v| v.parse::<T>().is_err()).map(|v| (*v).to_owned()).collect()
    }

    fn refuses<T: FromStr>(values: &[&str]) -> Vec<String> {
        values.iter().filter(|v| v.parse::<T>().is_ok()).map(|v| (*v).to_owned()).collect()
    }

    #[test]
    fn well_formed_identifiers_are_accepted() {
        assert!(accepts::<AccountId>(&["123456789012", "000000000001"]).is_empty());
        assert!(accepts::<OrganizationId>(&["o-a1b2c3d4e5"]).is_empty());
        assert!(
            refuses::<OrganizationId>(&["", "a1b2c3d4e5", "o-a1b2", "o-A1B2C3D4E5", "o-a1b2c3d4e5*"])
                .is_empty()
        );
        assert!(accepts::<Region>(&["eu-west-1", "us-gov-west-1", "ap-southeast-3"]).is_empty());
        assert!(accepts::<StageName>(&["ci", "production", "eu-2"]).is_empty());
        assert!(
            accepts::<RepositoryId>(&["github.acme.logs", "github.acme.my.repo_1", "github.Acme-Inc.x"])
                .is_empty()
        );
        assert!(accepts::<AmiId>(&["ami-0123456789abcdef0", "ami-12345678"]).is_empty());
    }

    #[test]
    fn malformed_identifiers_are_refused() {
        assert!(
            refuses::<AccountId>(&["", "12345678901", "1234567890123", "12345678901x", "１23456789012"])
                .is_empty()
        );
        assert!(refuses::<Region>(&["", "euwest1", "eu-west", "EU-WEST-1", "eu-west-1/../"]).is_empty());
        assert!(
            refuses::<StageName>(&[
                "",
                "-ci",
                "ci-",
                "c--i",
                "Ci",
                "1ci",
                "a b",
                "averyveryverylongstagename"
            ])
            .is_empty()
        );
        assert!(
            refuses::<RepositoryId>(&[
                "",
                "github.acme",
                "gitlab.acme.x",
                "github..x",
                "github.a.b/c",
                "github.a.",
                "github.a..."
            ])
            .is_empty()
        );
        assert!(refuses::<CommitSha>(&["", "abc", "G123456789012345678901234567890123456789"]).is_empty());
        assert!(refuses::<AmiId>(&["ami-", "ami-123", "snap-12345678", "ami-0123456789ABCDEF0"]).is_empty());
    }

    #[test]
    fn a_refusal_names_the_wanted_kind() {
        let error = "x".parse::<AccountId>().unwrap_err();
        assert_eq!(error.to_string(), "'x' is not an AWS account id (twelve digits)");
    }

    #[test]
    fn a_deployment_id_is_the_same_for_the_same_execution() {
        let arn = "arn:aws:states:eu-west-1:111111111111:execution:lockstep-deploy:x";
        assert_eq!(DeploymentId::of_execution(arn), DeploymentId::of_execution(arn));
        assert!(DeploymentId::of_execution(arn).as_str().parse::<DeploymentId>().is_ok());
    }

    #[test]
    fn an_id_says_the_path_of_its_state_machine() {
        let of = |machine: &str| {
            let arn = format!("arn:aws:states:eu-west-1:111111111111:execution:{machine}:x");
            DeploymentId::of_execution(&arn).path()
        };
        for machine in
            ["lockstep-delivery-deploy", "lockstep-delivery-teardown", "lockstep-delivery-build-image"]
        {
            assert_eq!(of(machine), DeploymentPath::Delivery);
        }
        for machine in
            ["lockstep-promotion-deploy", "lockstep-promotion-build-image", "lockstep-promote-image"]
        {
            assert_eq!(of(machine), DeploymentPath::Promotion);
        }
    }

    #[test]
    fn identifiers_are_checked_when_deserialised() {
        assert!(serde_json::from_str::<StageName>("\"ci\"").is_ok());
        assert!(serde_json::from_str::<StageName>("\"../ci\"").is_err());
    }
}
