//! Installs Lockstep, for `lockstep install`, `accounts add`, `uninstall` and `local up`.
//!
//! Order: the bucket, its objects, the control plane, the two deployment paths, then one account after the other. Each step
//! continues from the state that it finds, so that an interrupted installation can be run again.

mod accounts;
mod alarms;
mod functions;
mod places;
mod targets;

use crate::failure::{Failure, at};
use crate::functions::{Destination, Package, Profile, SHIPPED};
use crate::output::Output;
use crate::permissions_table;
pub use accounts::{ACCOUNTS_STACK, ListedAccount, OrganizationChoice};
pub use alarms::AlarmAddress;
use lockstep_aws::artifacts::Artifacts;
use lockstep_aws::aws::Aws;
use lockstep_aws::cloudformation::TemplateSource;
use lockstep_aws::operator::control_plane::{self, ControlPlane};
use lockstep_aws::operator::stacks::{Applied, Installer, Wanted};
use lockstep_domain::installation::written_names::{NameContext, written_out};
use lockstep_domain::messages::callers::Callers;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{AccountId, Digest};
use lockstep_domain::stacks::template::Template;
use lockstep_statemachines::StateMachines;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
pub use targets::{ImageBuilds, TargetAccount};

/// Timeout of an operation on one stack.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The stack with what both paths share.
const CONTROL_PLANE_STACK: &str = "lockstep-control-plane";

/// The stacks of the tooling account that all accounts share, in the order of their creation.
pub const STACKS: [&str; 5] =
    ["lockstep-bootstrap", CONTROL_PLANE_STACK, "lockstep-delivery", "lockstep-promotion", ACCOUNTS_STACK];

/// The stack in every target account.
pub const TARGET_STACK: &str = "lockstep-target";

/// The template of that stack.
pub const TARGET_TEMPLATE: &str = "infra/target-account/template.yaml";

/// The template with the bucket alone, which is the first in every account.
const BUCKET_TEMPLATE: &str = "infra/bootstrap/template.yaml";

/// The state machines: the file, and the stack's parameter for its key.
const DEFINITIONS: [(&str, &str); 4] = [
    ("release", "ReleaseDefinitionKey"),
    ("promote", "PromoteDefinitionKey"),
    ("promote-image", "PromoteImageDefinitionKey"),
    ("bake-image", "BakeImageDefinitionKey"),
];

/// The state machines of each deployment path.
const DEFINITIONS_PER_PATH: [(&str, &str); 4] = [
    ("deploy", "DeployDefinitionKey"),
    ("teardown", "TeardownDefinitionKey"),
    ("build-image", "BuildImageDefinitionKey"),
    ("drift", "DriftDefinitionKey"),
];

/// The package that one function for each kind of callers runs.
const LEDGER: &str = "ledger";

/// The functions of the control plane, and those of each deployment path, with the parameters for their code.
const SHARED: [(&str, &str); 5] = [
    ("webhook", "WebhookCodeKey"),
    ("package", "PackageCodeKey"),
    (LEDGER, "LedgerCodeKey"),
    ("resume", "ResumeCodeKey"),
    ("sweep", "SweepCodeKey"),
];
const PER_PATH: [(&str, &str); 5] = [
    ("stack", "StackCodeKey"),
    ("image", "ImageCodeKey"),
    ("bake", "BakeCodeKey"),
    ("verify", "VerifyCodeKey"),
    ("drift", "DriftCodeKey"),
];

/// The parameter for the keys of the functions that components may use.
const SHIPPED_PARAMETER: &str = "ShippedFunctionKeys";

/// The parameter of the control plane's stack with the number of administrators.
const ADMINISTRATORS_PARAMETER: &str = "Administrators";

/// The parameter for the concurrency that the webhook reserves.
const AT_ONCE_PARAMETER: &str = "WebhookAtOnce";

/// The parameter for the key of the table of permissions.
const PERMISSIONS_PARAMETER: &str = "PermissionsTableKey";

/// The result of an operation on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The stack.
    pub stack: String,
    /// `created`, `updated` or `unchanged`.
    pub outcome: &'static str,
}

/// The packed functions.
#[derive(Clone, Debug)]
pub struct Packages {
    /// Each function's package, by its name.
    pub packages: BTreeMap<String, Package>,
    /// The processor architecture of the binaries, in Lambda's word.
    architecture: &'static str,
}

/// An installation in one tooling account.
pub struct Installation<'a> {
    aws: &'a Aws,
    account: AccountId,
    sources: PathBuf,
    output: &'a Output,
    organization: OrganizationChoice,
    alarms: AlarmAddress,
    webhook_at_once: Option<u16>,
    administrators: Option<Administrators>,
}

impl<'a> Installation<'a> {
    /// Prepares an installation from `sources` with the credentials of the tooling account.
    pub async fn new(aws: &'a Aws, sources: PathBuf, output: &'a Output) -> Result<Self, Failure> {
        places::can_hold_a_control_plane(aws.region(), aws.partition())?;
        let (account, _) = control_plane::identity(aws).await?;
        Ok(Self {
            aws,
            account,
            sources,
            output,
            organization: OrganizationChoice::default(),
            alarms: AlarmAddress::default(),
            webhook_at_once: None,
            administrators: None,
        })
    }

    /// Sets the organization that the policies name.
    pub fn naming(self, organization: OrganizationChoice) -> Self {
        Self { organization, ..self }
    }

    /// Sets the address that receives the alarms.
    pub fn notifying(self, alarms: AlarmAddress) -> Self {
        Self { alarms, ..self }
    }

    /// Sets the concurrency that the webhook reserves; without a number the installation keeps its own.
    pub fn webhook_at_once(self, requests: Option<u16>) -> Self {
        Self { webhook_at_once: requests, ..self }
    }

    /// Sets the number of administrators. Without one the installation keeps its own, and a new installation is refused.
    pub fn governed_by(self, administrators: Option<Administrators>) -> Self {
        Self { administrators, ..self }
    }

    /// Returns the number of administrators: the chosen one, or that of the installed control plane.
    ///
    /// The ledger keeps the first choice. So another choice later is refused here: it would change nothing.
    pub async fn number_of_administrators(&self) -> Result<String, Failure> {
        let known = Installer::new(self.aws).parameters(CONTROL_PLANE_STACK).await?;
        let known = known.get(ADMINISTRATORS_PARAMETER).filter(|word| !word.is_empty());
        let chosen = self.administrators.map(Administrators::as_str);
        match (known, chosen) {
            (None, None) => Err(Failure::usage(
                "a new installation needs --administrators one|many. With many, a second administrator confirms each change \
                 that weakens a stage. With one, such a change takes effect after a day, in which it can be cancelled",
            )),
            (None, Some(chosen)) => Ok(chosen.to_owned()),
            (Some(known), Some(chosen)) if known != chosen => {
                Err(Failure::usage(format!("the installation was made with --administrators {known}"))
                    .next(format!("lockstep administrators {chosen}")))
            }
            (Some(known), _) => Ok(known.clone()),
        }
    }

    /// Returns the tooling account.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Installs or updates everything but the target accounts.
    pub async fn install(&self, packages: &Packages) -> Result<(ControlPlane, Vec<Step>), Failure> {
        // This refuses a missing choice before anything is installed.
        self.number_of_administrators().await?;
        let mut steps = vec![self.bootstrap().await?];
        let Packages { packages, architecture } = packages;
        let keys = self.upload(packages).await?;
        let external_id = self.external_id().await?;
        steps.push(self.control_plane(&keys, &external_id, architecture).await?);
        for path in [DeploymentPath::Delivery, DeploymentPath::Promotion] {
            steps.push(self.path(path, &keys, &external_id, architecture).await?);
        }
        steps.extend(self.known_accounts().await?);
        self.verify(packages).await?;
        let found = control_plane::find(self.aws).await?;
        let found = found
            .ok_or_else(|| Failure::new("the control plane was installed, but its parameter is missing"))?;
        Ok((found, steps))
    }

    /// Deletes the stacks of the tooling account. Returns the resources that the templates retain.
    pub async fn uninstall(&self) -> Result<Vec<String>, Failure> {
        let installer = Installer::new(self.aws);
        let mut kept = Vec::new();
        let accounts = installer.names("lockstep-account-").await?;
        let shared = STACKS.iter().rev().map(|name| (*name).to_owned());
        for name in accounts.into_iter().chain(shared) {
            if installer.find(&name).await?.is_none() {
                continue;
            }
            kept.extend(self.retained(&installer, &name).await?);
            let progress = self.output.progress(format!("delete stack {name}"));
            installer.delete(&name, PATIENCE).await?;
            progress.done(format!("deleted stack {name}"));
        }
        Ok(kept)
    }

    /// Returns the resources of a stack that its template retains when the stack is deleted.
    async fn retained(&self, installer: &Installer, stack: &str) -> Result<Vec<String>, Failure> {
        let text = self.read(template_of(stack))?;
        let template = Template::parse(stack, &text).map_err(|problems| {
            Failure::new(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        })?;
        let retains = |id: &str| template.to_json()["Resources"][id]["DeletionPolicy"] == "Retain";
        let resources = installer.resources(stack).await?;
        let kept = resources.into_iter().filter(|resource| retains(&resource.logical_id));
        Ok(kept.map(|resource| format!("{} {}", resource.resource_type, resource.physical_id)).collect())
    }

    async fn bootstrap(&self) -> Result<Step, Failure> {
        let template =
            TemplateSource::Body(rendered(&self.sources, BUCKET_TEMPLATE, &self.account, self.aws)?);
        self.apply(self.aws, "lockstep-bootstrap", template, &[]).await
    }

    /// Packs the functions. `profile` is the build profile of the binaries.
    pub async fn pack(
        &self,
        binaries: &BTreeMap<String, PathBuf>,
        profile: Profile,
    ) -> Result<Packages, Failure> {
        let progress = self.output.progress("pack the functions");
        let destination = match self.aws.endpoint_url() {
            None => Destination::Lambda,
            Some(_) => Destination::ThisMachine,
        };
        let mut tasks = tokio::task::JoinSet::new();
        for (name, binary) in binaries.clone() {
            tasks.spawn_blocking(move || {
                Package::of(&binary, profile, destination).map(|package| (name, package))
            });
        }
        let mut packages = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            let (name, package) = done.map_err(at("packing was interrupted"))??;
            packages.insert(name, package);
        }
        progress.done(format!("packed {} functions", packages.len()));
        Ok(Packages { packages, architecture: profile.architecture() })
    }

    /// Uploads code and definitions into the bucket. Returns the stack parameters with their keys.
    async fn upload(
        &self,
        packages: &BTreeMap<String, Package>,
    ) -> Result<BTreeMap<&'static str, String>, Failure> {
        let machines = StateMachines::read(&self.sources.join("statemachines"))
            .map_err(at("the state machines cannot be rendered"))?;
        let bucket = self.bucket();
        let progress = self.output.progress("upload functions and state machines");
        let mut keys = BTreeMap::new();
        for (function, parameter) in SHARED.into_iter().chain(PER_PATH) {
            keys.insert(parameter, put_function(&bucket, packages, function).await?);
        }
        let mut shipped = Vec::new();
        for function in SHIPPED {
            shipped.push(put_function(&bucket, packages, function).await?);
        }
        keys.insert(SHIPPED_PARAMETER, shipped.join(","));
        let key = permissions_table::key()?;
        put_once(&bucket, &key, "application/gzip", permissions_table::COMPRESSED).await?;
        keys.insert(PERMISSIONS_PARAMETER, key);
        for (machine, parameter) in DEFINITIONS.into_iter().chain(DEFINITIONS_PER_PATH) {
            keys.insert(parameter, put_definition(&bucket, &machines, machine).await?);
        }
        progress.done("uploaded functions and state machines");
        Ok(keys)
    }

    /// Returns the external id of the installed control plane, or a new id.
    async fn external_id(&self) -> Result<String, Failure> {
        let known = Installer::new(self.aws).parameters(CONTROL_PLANE_STACK).await?;
        let known = known.get("ExternalId").filter(|id| !id.is_empty());
        Ok(known.cloned().unwrap_or_else(|| uuid::Uuid::new_v4().to_string()))
    }

    /// Returns the concurrency of the webhook: the chosen one, or that of the installed control plane. `None` leaves the
    /// template's default.
    async fn reserved(&self) -> Result<Option<String>, Failure> {
        if let Some(chosen) = self.webhook_at_once {
            return Ok(Some(chosen.to_string()));
        }
        Ok(Installer::new(self.aws).parameters("lockstep-control-plane").await?.remove(AT_ONCE_PARAMETER))
    }

    async fn control_plane(
        &self,
        keys: &BTreeMap<&'static str, String>,
        external_id: &str,
        architecture: &str,
    ) -> Result<Step, Failure> {
        let mut parameters = self.common(external_id, architecture);
        parameters.push(("ControlPlaneVersion", env!("CARGO_PKG_VERSION").to_owned()));
        parameters.push((alarms::PARAMETER, self.wanted_alarm_address().await?));
        parameters.push((ADMINISTRATORS_PARAMETER, self.number_of_administrators().await?));
        parameters.extend(self.reserved().await?.map(|requests| (AT_ONCE_PARAMETER, requests)));
        let own = SHARED.iter().chain(&DEFINITIONS).map(|(_, parameter)| *parameter);
        let own = own.chain([SHIPPED_PARAMETER, PERMISSIONS_PARAMETER]);
        parameters.extend(own.map(|parameter| (parameter, keys[parameter].clone())));
        let template = self.uploaded("infra/control-plane/template.yaml", self.aws, &self.account).await?;
        self.apply(self.aws, CONTROL_PLANE_STACK, template, &parameters).await
    }

    async fn path(
        &self,
        path: DeploymentPath,
        keys: &BTreeMap<&'static str, String>,
        external_id: &str,
        architecture: &str,
    ) -> Result<Step, Failure> {
        let mut parameters = self.common(external_id, architecture);
        parameters.push(("Path", path.as_str().to_owned()));
        let own = PER_PATH.iter().chain(&DEFINITIONS_PER_PATH).map(|(_, parameter)| *parameter);
        parameters.extend(own.map(|parameter| (parameter, keys[parameter].clone())));
        let template =
            self.uploaded("infra/control-plane/deployment-path.yaml", self.aws, &self.account).await?;
        self.apply(self.aws, &format!("lockstep-{}", path.as_str()), template, &parameters).await
    }

    fn common(&self, external_id: &str, architecture: &str) -> Vec<(&'static str, String)> {
        vec![
            ("ArtifactBucket", self.bucket().bucket().to_owned()),
            ("ExternalId", external_id.to_owned()),
            ("Architecture", architecture.to_owned()),
        ]
    }

    fn bucket(&self) -> Artifacts {
        bucket(self.aws, &self.account)
    }

    fn read(&self, path: &str) -> Result<String, Failure> {
        let path = self.sources.join(path);
        std::fs::read_to_string(&path).map_err(at(path.display()))
    }

    /// Uploads a template of the installation into the account's bucket. CloudFormation accepts at most 51,200 bytes in a
    /// request body. The folder is not that of components' templates, which only Lockstep's role may write.
    async fn uploaded(&self, path: &str, aws: &Aws, account: &AccountId) -> Result<TemplateSource, Failure> {
        let text = rendered(&self.sources, path, account, aws)?;
        let bucket = bucket(aws, account);
        let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let key = format!("installation/{stem}/{}.yaml", Digest::of(text.as_bytes()));
        put_once(&bucket, &key, "application/yaml", text.as_bytes()).await?;
        Ok(TemplateSource::Url(bucket.template_url(&key)))
    }

    async fn apply(
        &self,
        aws: &Aws,
        name: &str,
        template: TemplateSource,
        parameters: &[(&str, String)],
    ) -> Result<Step, Failure> {
        apply(aws, name, template, parameters, self.output).await
    }
}

/// Returns the name of every installed function, with the name of its package.
pub fn function_names() -> Vec<(String, &'static str)> {
    let shared = SHARED.iter().map(|(name, _)| *name).filter(|name| *name != LEDGER);
    let shared = shared.map(|name| (format!("lockstep-{name}"), name));
    let ledgers = Callers::ALL.iter().map(|kind| (kind.function(), LEDGER));
    let per_path = ["delivery", "promotion"]
        .into_iter()
        .flat_map(|path| PER_PATH.iter().map(move |(name, _)| (format!("lockstep-{path}-{name}"), *name)));
    shared.chain(ledgers).chain(per_path).collect()
}

/// Creates or updates a stack to a template, and prints the result.
pub async fn apply(
    aws: &Aws,
    name: &str,
    template: TemplateSource,
    parameters: &[(&str, String)],
    output: &Output,
) -> Result<Step, Failure> {
    let parameters = parameters.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let wanted = Wanted { name: name.to_owned(), template, parameters };
    let progress = output.progress(format!("stack {name}"));
    let done = Installer::new(aws).apply(&wanted, PATIENCE).await.map_err(|failure| {
        Failure::from(failure)
            .or_next("fix the cause, then run the same command again: it continues where this one stopped")
    })?;
    let outcome = match done.applied {
        Applied::Created => "created",
        Applied::Updated => "updated",
        Applied::Unchanged => "unchanged",
    };
    progress.done(format!("stack {name}: {outcome}"));
    for resource in &done.imported {
        output.note(format!(
            "stack {name} imported a resource that an earlier installation retained: {resource}; to compare it with the template: \
             aws cloudformation detect-stack-drift --stack-name {name} --region {}",
            aws.region()
        ));
    }
    Ok(Step { stack: name.to_owned(), outcome })
}

/// Returns the bucket of an account, from which CloudFormation and Lambda read templates and code.
fn bucket(aws: &Aws, account: &AccountId) -> Artifacts {
    Artifacts::new(aws, &format!("lockstep-artifacts-{account}-{}", aws.region()))
}

/// Returns a template with the literal names of an account. CloudFormation imports an existing resource only by a literal
/// name.
pub fn rendered(sources: &Path, template: &str, account: &AccountId, aws: &Aws) -> Result<String, Failure> {
    let path = sources.join(template);
    let text = std::fs::read_to_string(&path).map_err(at(path.display()))?;
    let (partition, region) = (aws.partition(), aws.region().as_str());
    Ok(written_out(&text, NameContext { partition, region, account: account.as_str() }))
}

/// Returns the failure of a command that needs a control plane.
pub fn not_installed() -> Failure {
    Failure::new("Lockstep is not installed in this account and region")
        .next("install it: lockstep local up on this machine, lockstep install on AWS")
}

/// Returns the path of a stack's template.
pub fn template_of(stack: &str) -> &'static str {
    match stack {
        "lockstep-bootstrap" => BUCKET_TEMPLATE,
        CONTROL_PLANE_STACK => "infra/control-plane/template.yaml",
        "lockstep-delivery" | "lockstep-promotion" => "infra/control-plane/deployment-path.yaml",
        ACCOUNTS_STACK => "infra/control-plane/accounts.yaml",
        _ => "infra/control-plane/trusted-account.yaml",
    }
}

/// Uploads the zip of a function into the bucket. Returns its key.
async fn put_function(
    bucket: &Artifacts,
    packages: &BTreeMap<String, Package>,
    function: &str,
) -> Result<String, Failure> {
    let package = packages
        .get(function)
        .ok_or_else(|| Failure::new(format!("there is no binary of the function {function}")))?;
    let key = package.key(function);
    put_once(bucket, &key, "application/zip", &package.zip).await?;
    Ok(key)
}

/// Puts the JSON of a state machine into the bucket; returns its key.
async fn put_definition(bucket: &Artifacts, machines: &StateMachines, name: &str) -> Result<String, Failure> {
    let machine = machines
        .get(name)
        .ok_or_else(|| Failure::new(format!("the sources have no statemachines/{name}.asl.yaml")))?;
    let json = machine.json();
    let key = format!("statemachines/{name}/{}.asl.json", Digest::of(json.as_bytes()));
    put_once(bucket, &key, "application/json", json.as_bytes()).await?;
    Ok(key)
}

/// Uploads an object, or compares it with the one that exists under its key, whose name proves nothing.
async fn put_once(bucket: &Artifacts, key: &str, content_type: &str, bytes: &[u8]) -> Result<(), Failure> {
    if !bucket.exists(key).await? {
        bucket.put(key, content_type, bytes.to_vec()).await?;
    } else if bucket.get(key, bytes.len()).await? != bytes {
        return Err(Failure::new(format!(
            "s3://{}/{key} holds another content than its name says",
            bucket.bucket()
        ))
        .next("look in CloudTrail for who wrote the object, delete it, and run the same command again"));
    }
    Ok(())
}
