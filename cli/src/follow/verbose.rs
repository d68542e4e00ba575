//! Every new line of the deployment logs, as `--verbose` prints them and `watch --json` writes them.

use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::output::{Output, duration};
use crate::views::{clock, seconds, why};
use jiff::Timestamp;
use lockstep_domain::model::ids::DeploymentId;
use lockstep_domain::records::{Deployment, DeploymentState};
use serde::Serialize;
use std::collections::BTreeMap;

/// A line of output about a deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct FollowEvent<'a> {
    at: Timestamp,
    deployment: &'a DeploymentId,
    what: String,
    says: &'a str,
}

/// A printer of new log lines. It remembers what it has printed of each deployment.
pub struct Printer<'a> {
    plane: &'a ControlPlane,
    output: &'a Output,
    since: Timestamp,
    printed: BTreeMap<DeploymentId, (usize, Option<DeploymentState>)>,
}

impl<'a> Printer<'a> {
    /// Returns a printer of the lines from `since` on.
    pub fn new(plane: &'a ControlPlane, output: &'a Output, since: Timestamp) -> Self {
        Self { plane, output, since, printed: BTreeMap::new() }
    }

    /// Prints the new lines of a deployment, and its end.
    pub async fn print_new(&mut self, deployment: &Deployment) -> Result<(), Failure> {
        let (lines, state) = self.printed.get(&deployment.id).copied().unwrap_or_default();
        if state.is_some_and(DeploymentState::is_final) {
            return Ok(());
        }
        let log = self.plane.deployment_log(&deployment.id).await?;
        let since = self.since;
        for step in log.iter().skip(lines).filter(|step| step.at >= since) {
            self.say(step.at, deployment, &step.note);
        }
        if state != Some(deployment.state) && deployment.state != DeploymentState::Running {
            let at = deployment.finished_at.unwrap_or_else(Timestamp::now);
            self.say(at, deployment, &ending(deployment));
        }
        self.printed.insert(deployment.id.clone(), (log.len(), Some(deployment.state)));
        Ok(())
    }

    fn say(&self, at: Timestamp, deployment: &Deployment, what: &str) {
        let about = why::title(deployment);
        self.output.event(&FollowEvent { at, deployment: &deployment.id, what: about.clone(), says: what });
        self.output.line(format!("{}  {about}: {what}", clock(at)));
    }
}

fn ending(deployment: &Deployment) -> String {
    let took = deployment.finished_at.map(|at| duration(seconds(deployment.started_at, at)));
    let took = took.map(|took| format!(" after {took}")).unwrap_or_default();
    let cause =
        deployment.failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
    format!("{}{took}{cause}", why::state(deployment.state))
}
