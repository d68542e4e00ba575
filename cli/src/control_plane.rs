//! Access to an installed control plane: reads its ledger, and sends requests to its ledger function.

use crate::connection::Connection;
use crate::context::CommandContext;
use crate::failure::{Failure, at};
use crate::global::Global;
use crate::installation::not_installed;
use crate::names::DeploymentPrefix;
use lockstep_aws::aws::Aws;
use lockstep_aws::ledger::{Ledger, Order, Versioned};
use lockstep_aws::operator::control_plane;
use lockstep_aws::operator::executions::Follow;
use lockstep_aws::operator::signed;
use lockstep_domain::delivery::people::People;
use lockstep_domain::delivery::stages::{Stage, Stages};
use lockstep_domain::images::lifecycle::with_revocations;
use lockstep_domain::images::settings::ImageSettings;
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::messages::operator::{Applied, Refused, Request};
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::error::{Failure as DomainFailure, FailureKind, Problem};
use lockstep_domain::model::ids::{ComponentName, DeploymentId, RepositoryId, StageName};
use lockstep_domain::records::{
    ApprovalDecision, BreakGlass, Config, ConfigKind, Deployment, DriftReport, Environment, Image,
    ImageShare, ImageVersion, LogEntry, OwnedName, Ownership, Publication, QueuedDeployment, Record,
    Rejection, Release, Repository, Revocation, SweepReport, WebhookDelivery,
};
use lockstep_local::PEOPLE;
use serde::de::DeserializeOwned;
use std::cmp::Reverse;

/// Maximum number of records of one kind in a list.
pub const LISTED: usize = 500;

/// An installed control plane.
pub struct ControlPlane {
    /// The connection to its account.
    pub connection: Connection,
    /// The names and URLs of its resources.
    pub found: control_plane::ControlPlane,
    /// The ledger.
    pub ledger: Ledger,
    /// The executions of its state machines.
    pub executions: Follow,
}

impl ControlPlane {
    /// Finds the control plane in the command's account, for a command of operators.
    pub async fn open(global: &Global, context: &CommandContext) -> Result<Self, Failure> {
        Self::open_for(Callers::Operators, global, context).await
    }

    /// Finds the control plane in the command's account, for a command of this kind of people.
    pub async fn open_for(
        people: Callers,
        global: &Global,
        context: &CommandContext,
    ) -> Result<Self, Failure> {
        let connection = Connection::open_for(people, global, context).await?;
        let found = control_plane::find(&connection.aws).await?.ok_or_else(not_installed)?;
        let ledger = Ledger::new(&connection.aws);
        let executions = Follow::new(&connection.aws);
        Ok(Self { connection, found, ledger, executions })
    }

    /// Returns the account of the control plane.
    pub fn aws(&self) -> &Aws {
        &self.connection.aws
    }

    /// Sends a request to the function that takes it, signed with the caller's own credentials.
    pub async fn ask(&self, request: &Request) -> Result<Applied, Failure> {
        self.ask_for(request).await
    }

    /// Sends a request to the ledger function as [`ask`](Self::ask) does, and reads the response that it has.
    pub async fn ask_for<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        let people = request.callers();
        let url = self.found.ledger_urls.of(request);
        let url = url.ok_or_else(|| Failure::new("no function takes this request of a person"))?;
        let policy = people.policy().unwrap_or_default();
        let body = serde_json::to_vec(request).map_err(at("the request to the ledger"))?;
        let headers = [("content-type", "application/json")];
        let answer = signed::post(&self.aws().claiming(policy), "lambda", url, &headers, body).await?;
        match answer.status {
            200 => {
                serde_json::from_slice(&answer.body).map_err(at("the ledger returned an unexpected response"))
            }
            status => Err(refused(status, &answer.body, people, self.connection.local.is_some())),
        }
    }

    /// Returns the newest version of a part of the organisation's configuration.
    pub async fn config(&self, kind: ConfigKind) -> Result<Option<Config>, Failure> {
        Ok(newest_config(&self.ledger, kind).await?)
    }

    /// Returns the organisation's stages. Refuses before the first were applied.
    pub async fn stages(&self) -> Result<Stages, Failure> {
        self.applied_stages().await?.ok_or_else(|| {
            Failure::new("no stages were applied yet")
                .next("lockstep stages show --example > stages.toml, edit it, then lockstep stages apply stages.toml")
        })
    }

    /// Returns the organisation's stages; `None` before the first were applied.
    pub async fn applied_stages(&self) -> Result<Option<Stages>, Failure> {
        let config = self.config(ConfigKind::Stages).await?;
        let stages = config.map(|config| Stages::parse("stages.toml", &config.text)).transpose();
        stages.map_err(|problems| of_problems(&problems))
    }

    /// Returns the people of the organisation.
    pub async fn people(&self) -> Result<People, Failure> {
        let text = self.config(ConfigKind::People).await?.map(|config| config.text).unwrap_or_default();
        People::parse("people.toml", &text).map_err(|problems| of_problems(&problems))
    }

    /// Returns the number of administrators. The ledger stores the choice of the installation with the first configuration.
    pub async fn administrators(&self) -> Result<Administrators, Failure> {
        let text = self.config(ConfigKind::Administrators).await?.map(|config| config.text);
        let Some(text) = text else { return Ok(Administrators::Many) };
        text.parse()
            .map_err(|_| Failure::new(format!("the ledger has `{text}` as the number of administrators")))
    }

    /// Returns the organisation's settings of images.
    pub async fn image_settings(&self) -> Result<ImageSettings, Failure> {
        let text = self.config(ConfigKind::Stages).await?.map(|config| config.text).unwrap_or_default();
        ImageSettings::parse("stages.toml", &text).map_err(|problems| of_problems(&problems))
    }

    /// Returns the record of a repository, or `None` if it is not registered.
    pub async fn repository(&self, id: &RepositoryId) -> Result<Option<Repository>, Failure> {
        let found = self.ledger.get(&Repository::key_of(id)).await?;
        Ok(found.map(|found| found.record))
    }

    /// Returns every registered repository, by id.
    pub async fn repositories(&self) -> Result<Vec<Repository>, Failure> {
        let mut repositories: Vec<Repository> = records(self.ledger.every_of_kind().await?);
        repositories.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(repositories)
    }

    /// Returns the claim to a name, or `None` if no repository and no import has used it.
    pub async fn owner_of(&self, name: &OwnedName) -> Result<Option<Ownership>, Failure> {
        Ok(self.ledger.get(&Ownership::key_of(name)).await?.map(|found| found.record))
    }

    /// Returns the claims to all names, by kind and name.
    pub async fn owners(&self) -> Result<Vec<Ownership>, Failure> {
        let mut owners: Vec<Ownership> = records(self.ledger.every_of_kind().await?);
        owners.sort_by(|a, b| a.of.cmp(&b.of));
        Ok(owners)
    }

    /// Returns the releases of a component, or of all components, newest first.
    pub async fn releases(&self, component: Option<&ComponentName>) -> Result<Vec<Release>, Failure> {
        let found = match component {
            Some(component) => {
                let mut found = self.ledger.list(&Release::all_of(component), Order::Newest, LISTED).await?;
                found.extend(self.ledger.list(&Release::drafts_of(component), Order::Newest, LISTED).await?);
                found.sort_by(|a: &Versioned<Release>, b| b.record.version.cmp(&a.record.version));
                found
            }
            None => self.ledger.list_kind(LISTED).await?,
        };
        Ok(records(found))
    }

    /// Returns every environment of every stage.
    pub async fn environments(&self, stages: &Stages) -> Result<Vec<Environment>, Failure> {
        let mut all = Vec::new();
        for stage in stages.iter() {
            let partition = Environment::all_of(&stage.name);
            all.extend(records(self.ledger.every(&partition).await?));
        }
        Ok(all)
    }

    /// Returns every publication of an image in every stage.
    pub async fn publications(&self, stages: &Stages) -> Result<Vec<Publication>, Failure> {
        let mut all = Vec::new();
        for stage in stages.iter() {
            let partition = Publication::all_of(&stage.name);
            all.extend(records(self.ledger.every(&partition).await?));
        }
        Ok(all)
    }

    /// Returns the record of an environment, or `None` if it never existed.
    pub async fn environment(&self, stage: &StageName, name: &str) -> Result<Option<Environment>, Failure> {
        let found = self.ledger.get(&Environment::key_of(stage, name)).await?;
        Ok(found.map(|found| found.record))
    }

    /// Returns the report of the looks for drift at an environment, or `None` before the first.
    pub async fn drift_report(&self, stage: &Stage, name: &str) -> Result<Option<DriftReport>, Failure> {
        let found = self.ledger.get(&DriftReport::key_of(stage.path(), &stage.name, name)).await?;
        Ok(found.map(|found| found.record))
    }

    /// Returns the report of each environment of every stage that was looked at.
    pub async fn drift_reports(&self, stages: &Stages) -> Result<Vec<DriftReport>, Failure> {
        let mut all = Vec::new();
        for stage in stages.iter() {
            all.extend(records(self.ledger.every(&DriftReport::all_of(stage.path(), &stage.name)).await?));
        }
        Ok(all)
    }

    /// Returns the environment of a deployment, or `None` if it has none.
    pub async fn environment_of(&self, deployment: &Deployment) -> Result<Option<Environment>, Failure> {
        match deployment.stack() {
            Some(run) => self.environment(&deployment.stage, &run.environment).await,
            None => Ok(None),
        }
    }

    /// Returns every use of break-glass, newest first.
    pub async fn break_glass_records(&self) -> Result<Vec<BreakGlass>, Failure> {
        Ok(records(self.ledger.list_kind(LISTED).await?))
    }

    /// Returns the report of the last sweep, or `None` before the first.
    pub async fn last_sweep(&self) -> Result<Option<SweepReport>, Failure> {
        Ok(self.ledger.get(&SweepReport::last()).await?.map(|found| found.record))
    }

    /// Returns the webhook deliveries, newest first.
    pub async fn deliveries(&self) -> Result<Vec<WebhookDelivery>, Failure> {
        Ok(records(self.ledger.list_kind(LISTED).await?))
    }

    /// Returns the commits that could not be packaged, newest first.
    pub async fn rejections(&self) -> Result<Vec<Rejection>, Failure> {
        Ok(records(self.ledger.list_kind(LISTED).await?))
    }

    /// Returns every unfinished deployment, newest first. The index lags behind the table.
    pub async fn unfinished_deployments(&self) -> Result<Vec<Deployment>, Failure> {
        Ok(records(self.ledger.every_listed(Deployment::UNFINISHED).await?))
    }

    /// Returns every unfinished deployment and the newest others, with builds and promotions of images, newest first.
    pub async fn deployments(&self) -> Result<Vec<Deployment>, Failure> {
        let mut found: Vec<Deployment> = records(self.ledger.list_kind(LISTED).await?);
        found.sort_by_key(|deployment| Reverse(deployment.started_at));
        Ok(found)
    }

    /// Returns the same, with the last deployments of these environments. A last deployment that brought the running release
    /// and passed is not read: the environment says so.
    pub async fn deployments_with_last(
        &self,
        environments: &[Environment],
    ) -> Result<Vec<Deployment>, Failure> {
        let mut found = self.deployments().await?;
        for environment in environments {
            let Some(last) = &environment.last_deployment else { continue };
            let runs = environment.deployed.as_ref();
            let passed = runs.is_some_and(|runs| runs.checked && runs.deployment == *last);
            if passed || found.iter().any(|deployment| deployment.id == *last) {
                continue;
            }
            let record = self.ledger.get::<Deployment>(&Deployment::key_of(last)).await?;
            found.extend(record.map(|found| found.record));
        }
        Ok(found)
    }

    /// Returns every version of every image.
    pub async fn image_versions(&self) -> Result<Vec<ImageVersion>, Failure> {
        let revocations: Vec<Revocation> = records(self.ledger.every_of_kind().await?);
        Ok(with_revocations(records(self.ledger.every_of_kind().await?), &revocations))
    }

    /// Returns every share of an image.
    pub async fn image_shares(&self) -> Result<Vec<ImageShare>, Failure> {
        Ok(records(self.ledger.every_of_kind().await?))
    }

    /// Returns every copy of every image version, by account and region.
    pub async fn images(&self) -> Result<Vec<Image>, Failure> {
        Ok(records(self.ledger.every_of_kind().await?))
    }

    /// Returns the current record of a deployment.
    pub async fn deployment(&self, id: &DeploymentId) -> Result<Deployment, Failure> {
        let key = Deployment::key_of(id);
        Ok(self.ledger.expect(&key, &format!("deployment {id}")).await?.record)
    }

    /// Returns the deployment with this id, or with an id that begins so. Refuses an ambiguous beginning.
    pub async fn deployment_called(&self, prefix: &DeploymentPrefix) -> Result<Deployment, Failure> {
        if let Some(id) = prefix.full() {
            return self.deployment(&id).await;
        }
        let all = self.deployments().await?;
        let mut fitting = all.into_iter().filter(|deployment| prefix.admits(&deployment.id));
        match (fitting.next(), fitting.next()) {
            // The index lags behind the table.
            (Some(one), None) => self.deployment(&one.id).await,
            (Some(one), Some(other)) => {
                Err(Failure::usage(format!("{} could be {} or {}", prefix.as_str(), one.id, other.id))
                    .next("write more of the id"))
            }
            (None, _) => Err(Failure::new(format!(
                "none of the newest {LISTED} deployments has an id that begins with {}",
                prefix.as_str()
            ))
            .next("lockstep status --json lists the last deployment of every environment")),
        }
    }

    /// Returns the one deployment that waits for its turn and whose id begins so, with its environment.
    pub async fn queued_called(
        &self,
        prefix: &DeploymentPrefix,
    ) -> Result<Option<(Environment, QueuedDeployment)>, Failure> {
        let stages = self.stages().await?;
        let environments = self.environments(&stages).await?.into_iter();
        let queued = environments.flat_map(|environment| {
            let queue = environment.queue.clone();
            queue.into_iter().map(move |queued| (environment.clone(), queued))
        });
        let mut fitting = queued.filter(|(_, queued)| prefix.admits(&queued.deployment));
        match (fitting.next(), fitting.next()) {
            (Some((_, one)), Some((_, other))) => {
                let both = format!("{} could be {} or {}", prefix.as_str(), one.deployment, other.deployment);
                Err(Failure::usage(both).next("write more of the id"))
            }
            (one, _) => Ok(one),
        }
    }

    /// Returns the answers to the questions of a deployment, oldest question first.
    pub async fn decisions(&self, id: &DeploymentId) -> Result<Vec<ApprovalDecision>, Failure> {
        let partition = ApprovalDecision::all_of(id);
        Ok(records(self.ledger.every(&partition).await?))
    }

    /// Returns the deployment log, oldest line first.
    pub async fn deployment_log(&self, id: &DeploymentId) -> Result<Vec<LogEntry>, Failure> {
        let partition = LogEntry::all_of(id);
        Ok(records(self.ledger.every(&partition).await?))
    }

    /// Returns the release of a deployment, or `None` if it has none.
    pub async fn release_of(&self, deployment: &Deployment) -> Result<Option<Release>, Failure> {
        let Some(component) = deployment.component() else { return Ok(None) };
        let version = &deployment.version;
        for key in Release::keys_of(component, version) {
            if let Some(found) = self.ledger.get::<Release>(&key).await? {
                return Ok(Some(found.record));
            }
        }
        Ok(None)
    }
}

/// Returns the newest version of a part of the organisation's configuration.
pub async fn newest_config(ledger: &Ledger, kind: ConfigKind) -> Result<Option<Config>, DomainFailure> {
    let partition = kind.versions();
    let newest = ledger.list::<Config>(&partition, Order::Newest, 1).await?;
    Ok(newest.into_iter().next().map(|found| found.record))
}

fn records<T: Record>(found: Vec<Versioned<T>>) -> Vec<T> {
    found.into_iter().map(|found| found.record).collect()
}

/// Returns the problems of a file as one failure, each on a line.
pub fn of_problems(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::new(lines.join("\n")).next("correct each line, then run the command again")
}

/// Returns the advice to act as the person of the local cloud who is of this kind.
fn as_person(people: Callers) -> String {
    let [ada, grace] = PEOPLE;
    let person = if people == Callers::Approvers { grace } else { ada };
    format!("act as {person}: --as {person}")
}

fn refused(status: u16, body: &[u8], people: Callers, is_local: bool) -> Failure {
    match serde_json::from_slice::<Refused>(body) {
        // IAM refuses a request before the function runs.
        Err(_) if status == 403 => {
            let policy = people.policy().unwrap_or_default();
            let what = format!("{} refuses these credentials", people.function());
            let local = if is_local { format!("; here, {}", as_person(people)) } else { String::new() };
            Failure::new(what).next(format!("ask for the managed policy lockstep-{policy}{local}"))
        }
        Ok(refused) => Failure::of_kind(FailureKind::named(&refused.error), refused.message),
        // Another server wrote this body, so it is not repeated.
        Err(_) => Failure::new(format!("the ledger responded with status {status}")).next(
            "run the command again; if it repeats, lockstep doctor reports what is wrong with the function",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_ledgers_message() {
        let body = br#"{"error":"Rejected","message":"deployment x waits for no approval"}"#;
        let approvers = Callers::Approvers;
        assert_eq!(refused(422, body, approvers, false).what, "deployment x waits for no approval");
        assert_eq!(
            refused(502, b"<html>secret</html>", approvers, true).what,
            "the ledger responded with status 502"
        );
    }

    #[test]
    fn a_denied_request_names_the_policy_to_ask_for() {
        for (people, policy) in [
            (Callers::Operators, "lockstep-operator"),
            (Callers::Approvers, "lockstep-approver"),
            (Callers::Administrators, "lockstep-administrator"),
        ] {
            let denied = refused(403, br#"{"Message":"Forbidden"}"#, people, false);
            assert!(denied.to_string().ends_with(&format!("the managed policy {policy}")), "{denied}");
        }
        let own = br#"{"error":"AccessDenied","message":"lockstep-ledger-operators does not take `decide`"}"#;
        assert!(refused(403, own, Callers::Approvers, false).what.contains("does not take"));
        let here = refused(403, b"{}", Callers::Approvers, true).to_string();
        assert!(here.ends_with("lockstep-approver; here, act as grace: --as grace"), "{here}");
    }
}
