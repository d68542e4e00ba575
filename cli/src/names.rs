//! What people type: names with an inner structure, each with one parser.

use lockstep_domain::ids::{ComponentName, DeploymentId, ImageName, RepositoryId};
use lockstep_domain::version::Version;
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

/// `github:<owner>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName(pub RepositoryId);

/// A deployment's id, or the beginning of one: at least four characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentPrefix(String);

fn at_version(text: &str, wanted: &str) -> Result<(String, Version), String> {
    let (name, version) = text.split_once('@').ok_or_else(|| format!("write it as {wanted}"))?;
    Ok((
        name.to_owned(),
        version.parse().map_err(|e: lockstep_domain::version::InvalidVersion| e.to_string())?,
    ))
}

impl FromStr for ReleaseName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = at_version(text, "component@version, such as logs-broker@2.1.0")?;
        Ok(Self { component: name.parse().map_err(|e| format!("{e}"))?, version })
    }
}

impl FromStr for ImageVersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = at_version(text, "image@version, such as logstash@2.1.0")?;
        Ok(Self { image: name.parse().map_err(|e| format!("{e}"))?, version })
    }
}

impl FromStr for RepositoryName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write it as github:owner/name";
        let (provider, path) = text.split_once(':').ok_or(wanted)?;
        let (owner, name) = path.split_once('/').ok_or(wanted)?;
        if provider != "github" {
            return Err(format!("provider '{provider}' is not built yet; {wanted}"));
        }
        RepositoryId::github(owner, name).map(Self).map_err(|error| error.to_string())
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

impl DeploymentPrefix {
    /// Whether this could be short for `id`.
    pub fn admits(&self, id: &DeploymentId) -> bool {
        id.as_str().starts_with(&self.0)
    }

    /// The id, if it was given in full.
    pub fn full(&self) -> Option<DeploymentId> {
        self.0.parse().ok()
    }

    /// What was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
