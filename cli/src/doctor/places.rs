//! Reads the accounts and regions that Lockstep deploys to.

use super::{ACCOUNT_STACKS, CLAIM, Doctor, known, quotas};
use crate::connection::Connection;
use crate::control_plane::newest_config;
use crate::failure::Failure;
use crate::global::Global;
use crate::installation::{TARGET_STACK, TARGET_TEMPLATE};
use lockstep_aws::aws::Aws;
use lockstep_aws::operator::stacks::Installer;
use lockstep_aws::operator::{control_plane, readings};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::build_permission::policy;
use lockstep_domain::installation::doctor::{
    DryRun, Encryption, QuotaScope, Reading, StackFacts, TargetFacts, Unknown,
};
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{AccountId, Region};
use lockstep_domain::records::ConfigKind;
use std::collections::BTreeMap;

/// Credentials of an account that Lockstep deploys to.
pub struct Credentials {
    account: AccountId,
    aws: Aws,
}

/// Returns the credentials of each profile, and of each account of the local cloud.
pub async fn credentials(
    connection: &Connection,
    profiles: &[String],
    global: &Global,
) -> Result<Vec<Credentials>, Failure> {
    let mut found = Vec::new();
    for profile in profiles {
        let aws = Connection::of_profile(profile, global).await?.claiming(CLAIM);
        let (account, _) = control_plane::identity(&aws).await?;
        found.push(Credentials { account, aws });
    }
    if let Some(session) = &connection.local {
        for account in session.accounts.iter().filter(|account| session.stored(&account.alias).is_some()) {
            let aws = session.operator(&account.alias)?.claiming(CLAIM);
            let (account, _) = control_plane::identity(&aws).await?;
            found.push(Credentials { account, aws });
        }
    }
    Ok(found)
}

impl Doctor {
    /// Reads each account and region of the stages, and each account that was added.
    pub(super) async fn places(&self) -> Reading<Vec<TargetFacts>> {
        let mut places: BTreeMap<(AccountId, Region), DeploymentPath> = BTreeMap::new();
        for (place, path) in self.added().await?.into_iter().chain(self.staged().await?) {
            places.entry(place).or_insert(path);
        }
        let stages = self.stages().await;
        let mut read = Vec::new();
        for ((account, region), path) in places {
            let builds = stages.clone().map(|stages| stages.and_then(|stages| policy(&stages, &account)));
            read.push(TargetFacts { builds, ..self.place(account, region, path).await });
        }
        Ok(read)
    }

    /// Reads the accounts that `accounts add` registered.
    async fn added(&self) -> Reading<Vec<((AccountId, Region), DeploymentPath)>> {
        let aws = &self.connection.aws;
        let installer = Installer::new(aws);
        let mut added = Vec::new();
        for name in known(readings::stack_names(aws, ACCOUNT_STACKS).await)? {
            let parameters = known(installer.parameters(&name).await)?;
            let account = parameters.get("AccountId").and_then(|id| id.parse().ok());
            let account =
                account.ok_or_else(|| Unknown::because(format!("stack {name} names no account")))?;
            let is_promotion = parameters.get("Path").is_some_and(|path| path == "promotion");
            let path = if is_promotion { DeploymentPath::Promotion } else { DeploymentPath::Delivery };
            added.push(((account, aws.region().clone()), path));
        }
        Ok(added)
    }

    /// Reads the accounts and regions of the organisation's stages.
    pub(super) async fn staged(&self) -> Reading<Vec<((AccountId, Region), DeploymentPath)>> {
        let Some(stages) = self.stages().await? else { return Ok(Vec::new()) };
        Ok(stages.iter().map(|stage| ((stage.account.clone(), stage.region.clone()), stage.path())).collect())
    }

    /// Reads the organisation's stages; `None` if none were applied.
    async fn stages(&self) -> Reading<Option<Stages>> {
        let (_, ledger) = self.ledger()?;
        let Some(config) = known(newest_config(&ledger, ConfigKind::Stages).await)? else { return Ok(None) };
        let stages = Stages::parse("stages.toml", &config.text).map_err(|problems| {
            Unknown::because(problems.first().map(ToString::to_string).unwrap_or_default())
        })?;
        Ok(Some(stages))
    }

    async fn place(&self, account: AccountId, region: Region, path: DeploymentPath) -> TargetFacts {
        let here = self.targets.iter().find(|target| target.account == account);
        let sends_images = path == DeploymentPath::Delivery;
        match here {
            Some(target) => self.read_place(account, target.aws.in_region(&region), sends_images).await,
            None => unreachable_place(account, region, sends_images),
        }
    }

    async fn read_place(&self, account: AccountId, aws: Aws, sends_images: bool) -> TargetFacts {
        let region = aws.region().clone();
        let is_first = region == *self.connection.aws.region();
        let add = if is_first {
            format!("lockstep accounts add again for account {account}")
        } else {
            format!("lockstep accounts add --in-region {region} again for account {account}")
        };
        let read = self.stack(&aws, TARGET_STACK, TARGET_TEMPLATE, &add, &account).await;
        let here = format!("in {account} {region}");
        TargetFacts {
            caller: known(control_plane::identity(&aws).await).map(|(account, _)| account),
            stack: read.facts,
            resources: read.resources,
            encryption: encryption(&aws).await,
            builds: Ok(None),
            allowed_images: known(readings::allowed_images(&aws).await),
            dry_runs: dry_runs(&aws).await,
            service_control_policies: known(readings::service_control_policies(&aws, &account).await),
            quotas: quotas(&aws, QuotaScope::Target, &here).await,
            account,
            region,
            sends_images,
        }
    }
}

/// Returns the facts of an account without credentials: each reading is unknown.
fn unreachable_place(account: AccountId, region: Region, sends_images: bool) -> TargetFacts {
    let no = || {
        Unknown::because("there are no credentials for it")
            .remedy("name a profile of the account with --target-profile")
    };
    TargetFacts {
        account,
        region,
        sends_images,
        caller: Err(no()),
        stack: StackFacts { name: TARGET_STACK.to_owned(), found: Err(no()), install: String::new() },
        resources: Vec::new(),
        encryption: Err(no()),
        builds: Ok(None),
        allowed_images: Err(no()),
        dry_runs: Vec::new(),
        service_control_policies: Err(no()),
        quotas: Vec::new(),
    }
}

async fn encryption(aws: &Aws) -> Reading<Encryption> {
    let Some(key) = known(readings::default_encryption_key(aws).await)? else { return Ok(Encryption::Off) };
    let parameters = known(Installer::new(aws).parameters(TARGET_STACK).await)?;
    let has_image_key = parameters.get("CreateImageKey").is_some_and(|value| value == "true");
    Ok(Encryption::On { key, has_image_key })
}

/// Asks EC2, by dry runs, to judge the calls that copy an image and start it.
async fn dry_runs(aws: &Aws) -> Vec<(String, Reading<DryRun>)> {
    let (copy, start) = match known(readings::own_image(aws).await) {
        Ok(Some(image)) => (
            known(readings::try_copy_image(aws, &image).await),
            known(readings::try_run_instances(aws, &image).await),
        ),
        Ok(None) => (Ok(DryRun::NotAsked), Ok(DryRun::NotAsked)),
        Err(unknown) => (Err(unknown.clone()), Err(unknown)),
    };
    vec![("CopyImage".to_owned(), copy), ("RunInstances".to_owned(), start)]
}
