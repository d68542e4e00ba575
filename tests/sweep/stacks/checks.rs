//! The world of the `verify` function.

use super::StruckStacks;
use crate::faults::Site;
use crate::harness::Harness;
use crate::organisation;
use jiff::Timestamp;
use lockstep_domain::delivery::checks::{Admission, Peer};
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::{ComponentName, DeploymentId, StageName};
use lockstep_domain::model::version::Version;
use lockstep_domain::records::{Deployment, Release};
use lockstep_platform::functions::Called;
use lockstep_platform::probe::{Answer, Get, Unanswered};
use serde_json::Value;
use std::time::Duration;

/// The world of the `verify` function.
pub struct VerifyPorts<'a>(pub &'a Harness);

impl Harness {
    /// The artifact of a release.
    pub async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let stacks = StruckStacks::new(&self.cloud, &self.faults, &self.clock, None);
        stacks
            .call("GetObject", Site::Consistent, async || {
                let made = organisation::releases().iter().find(|made| made.release.artifact == key);
                made.map(|made| made.artifact.clone()).ok_or_else(|| Failure::not_found(key.to_owned()))
            })
            .await
    }
}

impl lockstep_verify::ports::Ports for VerifyPorts<'_> {
    async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, Failure> {
        Ok(self.0.struck_ledger.expect(&Deployment::key_of(id), "the deployment").await?.record)
    }

    async fn release(&self, component: &ComponentName, version: &Version) -> Result<Release, Failure> {
        Ok(self.0.struck_ledger.expect(&Release::key_of(component, version), "the release").await?.record)
    }

    async fn artifact(&self, key: &str) -> Result<Vec<u8>, Failure> {
        self.0.artifact(key).await
    }

    async fn call(
        &self,
        _deployment: &Deployment,
        function: &str,
        _question: &Value,
        _patience: Duration,
    ) -> Result<Called, Failure> {
        Err(Failure::new(FailureKind::NotFound, format!("no function {function}")))
    }

    async fn admission(&self, stage: &StageName) -> Result<Admission, Failure> {
        Ok(Admission::new(stage.clone(), Default::default(), None))
    }

    async fn get(
        &self,
        _get: Get<'_>,
        _admission: &Admission,
        _patience: Duration,
    ) -> Result<Answer, Unanswered> {
        unreachable!("no scenario asks a page")
    }

    async fn connect(
        &self,
        _peer: &Peer,
        _admission: &Admission,
        _patience: Duration,
    ) -> Result<(), Unanswered> {
        unreachable!("no scenario opens a connection")
    }

    fn elapsed(&self) -> Duration {
        Duration::try_from(self.0.clock.now().duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
    }

    async fn sleep(&self, pause: Duration) {
        self.0.clock.advance(pause);
    }

    async fn note(&self, _id: &DeploymentId, _note: String, _at: Timestamp) -> Result<(), Failure> {
        Ok(())
    }
}
