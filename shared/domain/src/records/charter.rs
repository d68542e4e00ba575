//! The fixed facts of a deployment.

use super::{DeployBody, Deployment, Key, Record, StackRun, Table};
use crate::model::deployment_path::DeploymentPath;
use crate::model::error::Failure;
use crate::model::ids::{ComponentName, DeploymentId, Digest, RepositoryId, StackName, StageName};
use crate::model::location::Location;
use crate::model::person::{GithubLogin, Starter};
use crate::model::version::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The fixed facts of a deployment: what it was allowed to be when it began.
///
/// The functions of a path write the deployment. `ledger` alone writes the charter, and compares the deployment with it
/// before it decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// Id of the deployment.
    pub id: DeploymentId,
    /// Execution that runs it.
    pub execution: String,
    /// Deployment path that runs it.
    pub path: DeploymentPath,
    /// The principal that started it. Approvals are judged by it.
    #[serde(default, skip_serializing_if = "Starter::is_unknown")]
    pub starter: Starter,
    /// Version of the release.
    pub version: Version,
    /// Stage that it deploys to.
    pub stage: StageName,
    /// Account and region of that stage.
    pub location: Location,
    /// The component.
    pub component: ComponentName,
    /// Name of the environment within its stage.
    pub environment: String,
    /// Name of the stack.
    pub stack: StackName,
    /// Facts that only the deployment of a release has. `None` for a teardown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<CharteredRelease>,
}

/// The fixed facts of the deployment of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharteredRelease {
    /// Digest of the artifact.
    pub digest: Digest,
    /// Digest of the template that the stack must run.
    pub template_digest: Digest,
    /// Repository of the release.
    pub repository: RepositoryId,
    /// Account that pushed the commit of the release, if the git host reported one. Approvals are judged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<GithubLogin>,
    /// Parameters for this deployment only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overrides: BTreeMap<String, String>,
    /// True if the deployment only plans its changes.
    pub plan_only: bool,
    /// True if the deployment also reverts drift.
    pub revert_drift: bool,
    /// The stage that supplies the parameters, for a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_of: Option<StageName>,
}

impl Charter {
    /// Returns the fixed facts of `deployment`; `None` if it is about an image, which no environment runs.
    pub fn of(deployment: &Deployment) -> Option<Self> {
        let StackRun { component, environment, name, .. } = deployment.stack()?;
        Some(Self {
            id: deployment.id.clone(),
            execution: deployment.execution.clone(),
            path: deployment.path,
            starter: deployment.starter.clone(),
            version: deployment.version.clone(),
            stage: deployment.stage.clone(),
            location: deployment.location.clone(),
            component: component.clone(),
            environment: environment.clone(),
            stack: name.clone(),
            release: deployment.deploy().map(CharteredRelease::of),
        })
    }

    /// Returns the key of the charter of the deployment `id`.
    pub fn key_of(id: &DeploymentId) -> Key {
        Key::new(Table::Authority, format!("DEPLOYMENT#{id}"), "CHARTER")
    }

    /// Checks that `deployment` still has these facts.
    ///
    /// # Errors
    /// `Rejected`, with the names of the facts that differ.
    pub fn check(&self, deployment: &Deployment) -> Result<(), Failure> {
        let now = Self::of(deployment);
        if now.as_ref() == Some(self) {
            return Ok(());
        }
        let changed = now.map_or_else(|| vec!["kind"], |now| self.differences(&now));
        Err(Failure::rejected(format!(
            "the record of deployment {} was changed since it began: {}; look for the author of the change in CloudTrail",
            self.id,
            changed.join(", ")
        )))
    }

    fn differences(&self, now: &Self) -> Vec<&'static str> {
        let same = [
            ("id", self.id == now.id),
            ("execution", self.execution == now.execution),
            ("path", self.path == now.path),
            ("starter", self.starter == now.starter),
            ("version", self.version == now.version),
            ("stage", self.stage == now.stage),
            ("location", self.location == now.location),
            ("component", self.component == now.component),
            ("environment", self.environment == now.environment),
            ("stack", self.stack == now.stack),
            ("release", self.release == now.release),
        ];
        same.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

impl CharteredRelease {
    fn of(deploy: &DeployBody) -> Self {
        Self {
            digest: deploy.digest.clone(),
            template_digest: deploy.template_digest.clone(),
            repository: deploy.repository.clone(),
            pusher: deploy.pusher.clone(),
            overrides: deploy.overrides.clone(),
            plan_only: deploy.plan_only,
            revert_drift: deploy.revert_drift,
            parameters_of: deploy.parameters_of.clone(),
        }
    }
}

impl Record for Charter {
    const KIND: &'static str = "CHARTER";
    const TABLES: &'static [Table] = &[Table::Authority];

    fn key(&self) -> Key {
        Self::key_of(&self.id)
    }
}
