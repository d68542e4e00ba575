//! Reads the facts that `lockstep doctor` judges: the control plane, and each account that it deploys to.
//!
//! A call that fails becomes an unknown reading with the failure's message. The command fails only without credentials for
//! the control plane's account.

mod people;
mod places;
mod resources;
pub mod trial;
pub mod webhooks;

use crate::connection::Connection;
use crate::context::CommandContext;
use crate::failure::Failure;
use crate::global::Global;
use crate::installation::{self, STACKS};
use lockstep_aws::aws::Aws;
use lockstep_aws::ledger::Ledger;
use lockstep_aws::operator::control_plane::{self, ControlPlane};
use lockstep_aws::operator::stacks::Installer;
use lockstep_aws::operator::{readings, signed};
use lockstep_domain::installation::doctor::{
    Facts, Installed, LEAST_CONCURRENCY, QuotaFacts, QuotaScope, Reading, ResourceFacts, StackFacts,
    StackState, Unknown, WANTED_QUOTAS,
};
use lockstep_domain::model::error::{Failure as DomainFailure, FailureKind};
use lockstep_domain::model::ids::{AccountId, RepositoryId};
use lockstep_domain::records::{OwnedName, Ownership, Repository};
use lockstep_domain::stacks::template::Template;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The command that installs the stacks of the tooling account.
const INSTALL: &str = "lockstep install";

/// The managed policy for the command's calls, without the prefix of Lockstep's names.
const CLAIM: &str = "doctor";

/// Maximum number of records of one kind that are read.
const RECORDS_MAX: usize = 10_000;

/// The prefix of the names of the stacks that register an account.
const ACCOUNT_STACKS: &str = "lockstep-account-";

/// A reader of an installation.
pub struct Doctor {
    connection: Connection,
    sources: PathBuf,
    control_plane: Reading<Option<ControlPlane>>,
    targets: Vec<places::Credentials>,
}

/// The facts of a stack and of its resources.
struct ReadStack {
    facts: StackFacts,
    resources: Vec<ResourceFacts>,
}

impl Doctor {
    /// Finds the control plane, and the accounts of the profiles `targets`.
    pub async fn open(
        targets: &[String],
        global: &Global,
        context: &CommandContext,
    ) -> Result<Self, Failure> {
        let mut connection = Connection::open(global, context).await?;
        connection.aws = connection.aws.claiming(CLAIM);
        let control_plane = known(control_plane::find(&connection.aws).await);
        let targets = places::credentials(&connection, targets, global).await?;
        Ok(Self { connection, sources: context.sources()?, control_plane, targets })
    }

    /// Reads all facts of the installation.
    pub async fn facts(&self) -> Facts {
        let aws = &self.connection.aws;
        let caller = known(control_plane::identity(aws).await).map(|(account, _)| account);
        let installed = self.control_plane.clone().map(|found| found.as_ref().map(installed));
        let mut stacks = Vec::new();
        let mut resources = Vec::new();
        // Without a control plane there is one finding, and not one for each of its stacks.
        if let (Ok(Some(_)), Ok(account)) = (&self.control_plane, &caller) {
            for name in self.stack_names().await {
                let install =
                    if name.starts_with(ACCOUNT_STACKS) { "lockstep accounts add" } else { INSTALL };
                let read = self.stack(aws, &name, installation::template_of(&name), install, account).await;
                stacks.push(read.facts);
                resources.extend(read.resources);
            }
        }
        Facts {
            command_version: env!("CARGO_PKG_VERSION").to_owned(),
            caller,
            clock_ahead_seconds: known(signed::clock_ahead_seconds(aws).await),
            control_plane: installed,
            stacks,
            resources,
            quotas: quotas(aws, QuotaScope::Tooling, "here").await,
            webhook: self.webhooks().await,
            unknown_roles: self.unknown_roles().await,
            abandoned_names: self.abandoned_names().await,
            places: self.places().await,
        }
    }

    /// Returns the control plane and its ledger.
    fn ledger(&self) -> Reading<(&ControlPlane, Ledger)> {
        match &self.control_plane {
            Ok(Some(found)) => Ok((found, Ledger::new(&self.connection.aws))),
            Ok(None) => Err(Unknown::because("there is no control plane to ask").remedy(INSTALL)),
            Err(unknown) => Err(unknown.clone()),
        }
    }

    /// Reads the names whose owner is not registered any more.
    async fn abandoned_names(&self) -> Reading<Vec<(OwnedName, RepositoryId)>> {
        let (_, ledger) = self.ledger()?;
        let registered = known(ledger.list_kind::<Repository>(RECORDS_MAX).await)?;
        let registered: BTreeSet<_> = registered.into_iter().map(|found| found.record.id).collect();
        let claims = known(ledger.list_kind::<Ownership>(RECORDS_MAX).await)?;
        let owned = claims.into_iter().filter_map(|found| Some((found.record.of, found.record.owner?)));
        Ok(owned.filter(|(_, owner)| !registered.contains(owner)).collect())
    }

    /// Returns the names of the stacks of an installation: the common ones, and one for each account that was added or
    /// that a stage names. Accounts that cannot be read here are reported as findings of their own.
    async fn stack_names(&self) -> BTreeSet<String> {
        let added = readings::stack_names(&self.connection.aws, ACCOUNT_STACKS).await.unwrap_or_default();
        let staged = self.staged().await.unwrap_or_default();
        let staged = staged.iter().map(|((account, _), _)| format!("{ACCOUNT_STACKS}{account}"));
        STACKS.iter().map(|name| (*name).to_owned()).chain(added).chain(staged).collect()
    }

    /// Reads one stack and its resources.
    async fn stack(
        &self,
        aws: &Aws,
        name: &str,
        template: &str,
        install: &str,
        owner: &AccountId,
    ) -> ReadStack {
        let installer = Installer::new(aws);
        let found = known(installer.find(name).await);
        let source = installation::rendered(&self.sources, template, owner, aws)
            .map_err(|failure| Unknown::because(failure.chain()));
        let state = match found {
            Err(unknown) => Err(unknown),
            Ok(None) => Ok(None),
            Ok(Some(stack)) => {
                let deployed = known(readings::template(aws, name).await);
                let is_current = deployed.and_then(|deployed| {
                    Ok(deployed.as_deref().map(str::trim) == Some(source.clone()?.trim()))
                });
                Ok(Some(StackState { status: stack.status.as_str().to_owned(), is_current }))
            }
        };
        let exists = matches!(state, Ok(Some(_)));
        let facts = StackFacts { name: name.to_owned(), found: state, install: install.to_owned() };
        let resources = match source {
            Ok(text) if exists => self.resources(aws, name, &text, install, owner).await,
            _ => Vec::new(),
        };
        ReadStack { facts, resources }
    }

    async fn resources(
        &self,
        aws: &Aws,
        stack: &str,
        template: &str,
        install: &str,
        owner: &AccountId,
    ) -> Vec<ResourceFacts> {
        let installer = Installer::new(aws);
        let unreadable = |reason: String| {
            let subject = format!("resources of stack {stack}");
            vec![ResourceFacts { subject, found: Err(Unknown::because(reason)), install: install.to_owned() }]
        };
        let template = match Template::parse(stack, template) {
            Ok(template) => template.to_json(),
            Err(problems) => {
                return unreadable(problems.first().map(ToString::to_string).unwrap_or_default());
            }
        };
        let parameters = known(installer.parameters(stack).await);
        let live = match installer.resources(stack).await {
            Ok(live) => live,
            Err(failure) => return unreadable(failure.chain()),
        };
        let bus = self.control_plane.as_ref().ok().and_then(Option::as_ref).map(|found| &found.event_bus_arn);
        let reader =
            resources::Reader { aws, template: &template, parameters: &parameters, install, owner, bus };
        let mut read = Vec::new();
        for resource in &live {
            read.extend(reader.read(resource).await);
        }
        read
    }
}

fn installed(found: &ControlPlane) -> Installed {
    Installed { version: found.version.clone(), account: found.account.clone(), region: found.region.clone() }
}

/// Returns the result of a call as a reading. A failure becomes unknown, with its own message.
fn known<T>(answer: Result<T, DomainFailure>) -> Reading<T> {
    answer.map_err(|failure| {
        let unknown = Unknown::because(failure.chain());
        match failure.kind {
            FailureKind::AccessDenied => {
                unknown.remedy("attach the managed policy lockstep-doctor to the caller")
            }
            FailureKind::Throttled | FailureKind::Transient => unknown.remedy("run lockstep doctor again"),
            _ => unknown,
        }
    })
}

/// Reads the quotas of an account and region. `there` ends the name of each in the report.
async fn quotas(aws: &Aws, place: QuotaScope, there: &str) -> Vec<QuotaFacts> {
    let mut read = Vec::new();
    for wanted in WANTED_QUOTAS.iter().filter(|wanted| wanted.place == place) {
        let value = known(readings::quota(aws, wanted.service, wanted.name).await);
        let value = value.and_then(|value| {
            value.ok_or_else(|| {
                Unknown::because(format!("Service Quotas lists no such quota of {}", wanted.service))
                    .remedy("look at it in the Service Quotas console")
            })
        });
        let subject = format!("quota {} of {} {there}", wanted.name, wanted.service);
        read.push(QuotaFacts { subject, least: wanted.least, why: wanted.why.to_owned(), value });
    }
    read.push(QuotaFacts {
        subject: format!("quota concurrent executions of lambda {there}"),
        least: LEAST_CONCURRENCY,
        why: "with fewer, a burst of pushes can starve the functions that complete callbacks".to_owned(),
        value: known(readings::lambda_concurrency(aws).await),
    });
    read
}
