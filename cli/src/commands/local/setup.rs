//! Installs Lockstep into a local cloud that has just started. Only this module acts as root.

use crate::context::CommandContext;
use crate::failure::Failure;
use crate::functions::{self, Profile};
use crate::installation::{self, ImageBuilds, Installation, TargetAccount};
use crate::local::{Session, StoredCredentials, TOOLING, state_dir};
use lockstep_aws::aws::Aws;
use lockstep_aws::cloudformation::TemplateSource;
use lockstep_aws::operator::stacks::Installer;
use lockstep_domain::model::administrators::Administrators;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_local::PEOPLE;
use std::path::Path;

/// The user that operates a target account from the keyboard.
const OPERATOR: &str = "lockstep-you";

/// The stack with the users of an account.
const STACK: &str = "lockstep-local";

/// Installs the control plane, adds every other account and creates the operators. A second call updates all of them.
pub async fn install(
    session: &Session,
    folder: Option<&Path>,
    context: &CommandContext,
) -> Result<Session, Failure> {
    let output = &context.output;
    let sources = context.sources()?;
    let binaries = match folder {
        Some(folder) => functions::in_folder(&context.path(folder))?,
        None => {
            let cargo = context.variable("CARGO").unwrap_or("cargo");
            let tools = state_dir(context)?;
            functions::build(&sources, cargo, Profile::Dev, &tools, |step| output.line(step)).await?
        }
    };
    let tooling = session.installer(TOOLING)?;
    let installation = Installation::new(&tooling, sources, output).await?;
    let installation = installation.governed_by(Some(Administrators::Many));
    let packages = installation.pack(&binaries, Profile::Dev).await?;
    let (_, steps) = installation.install(&packages).await?;
    output.line(format!("installed Lockstep: {} stacks", steps.len()));
    let mut session = session.clone();
    for account in session.clone().accounts.iter().filter(|account| account.alias != TOOLING) {
        let target = session.installer(&account.alias)?;
        // The resources of this stack are no part of an installation.
        let stored = components(&session.root(&account.alias)?, &account.alias, context).await?;
        let wanted = TargetAccount {
            path: road_of(&account.alias),
            policies: vec![stored.outputs.get("ExecutionPolicyArn").cloned().unwrap_or_default()],
            boundary: stored.outputs.get("ExecutionPolicyArn").cloned().unwrap_or_default(),
            image_key: false,
            image_builds: ImageBuilds::default(),
        };
        installation.add_account(&target, &wanted).await?;
        // Since the account was added, it has the policy of lockstep doctor.
        let stored = components(&session.root(&account.alias)?, &account.alias, context).await?;
        session = Session::store(context, &account.alias, &stored)?;
    }
    people(&session.root(TOOLING)?, context).await
}

/// Returns the deployment path of an account. Only the account called production is on the promotion path.
fn road_of(alias: &str) -> DeploymentPath {
    if alias == "production" { DeploymentPath::Promotion } else { DeploymentPath::Delivery }
}

/// Returns the ARN of the policy for `lockstep doctor`; empty in an account that is not added yet.
async fn known_doctor_policy(aws: &Aws) -> Result<String, Failure> {
    let target = Installer::new(aws).find(installation::TARGET_STACK).await?;
    Ok(target.and_then(|stack| stack.outputs.get("DoctorPolicyArn").cloned()).unwrap_or_default())
}

/// Creates the operator and the resources for components in a target account. A second call, after the account was added,
/// lets the operator run `lockstep doctor` there.
async fn components(aws: &Aws, alias: &str, context: &CommandContext) -> Result<StoredCredentials, Failure> {
    let builds = if road_of(alias) == DeploymentPath::Delivery { "yes" } else { "no" };
    let parameters = [
        ("Operator", OPERATOR.to_owned()),
        ("Builder", builds.to_owned()),
        ("DoctorPolicyArn", known_doctor_policy(aws).await?),
    ];
    let template = TemplateSource::Body(include_str!("../../../templates/local-account.yaml").to_owned());
    installation::apply(aws, STACK, template, &parameters, &context.output).await?;
    stored(aws, "").await
}

/// Creates the people in the account of the control plane, and stores their keys. The first person is the one whose key
/// commands use.
async fn people(aws: &Aws, context: &CommandContext) -> Result<Session, Failure> {
    let outputs = Installer::new(aws).find("lockstep-control-plane").await?.map(|stack| stack.outputs);
    let outputs = outputs.unwrap_or_default();
    let policy = |name: &str| {
        let policy = outputs.get(name).cloned();
        policy.ok_or_else(|| Failure::new(format!("the stack lockstep-control-plane has no output {name}")))
    };
    let parameters = [
        ("OperatorPolicyArn", policy("OperatorPolicyArn")?),
        ("ApproverPolicyArn", policy("ApproverPolicyArn")?),
        ("AdministratorPolicyArn", policy("AdministratorPolicyArn")?),
        ("DoctorPolicyArn", policy("DoctorPolicyArn")?),
    ];
    let template = TemplateSource::Body(include_str!("../../../templates/local-tooling.yaml").to_owned());
    installation::apply(aws, STACK, template, &parameters, &context.output).await?;
    for person in PEOPLE {
        let user = format!("{}{}", person[..1].to_uppercase(), &person[1..]);
        Session::store(context, person, &stored(aws, &user).await?)?;
    }
    let first = Session::expect(context)?.stored(PEOPLE[0]);
    let first = first.ok_or_else(|| Failure::new("the people of the local cloud have no keys"))?;
    Session::store(context, TOOLING, &first)
}

/// Returns the key of a user from the outputs of its account's stack, whose names begin with `user`, and the rest of them.
async fn stored(aws: &Aws, user: &str) -> Result<StoredCredentials, Failure> {
    let stack = Installer::new(aws)
        .find(STACK)
        .await?
        .ok_or_else(|| Failure::new(format!("stack {STACK} does not exist any more")))?;
    let mut outputs = stack.outputs;
    let mut take = |name: &str| {
        let name = format!("{user}{name}");
        outputs.remove(&name).ok_or_else(|| Failure::new(format!("stack {STACK} lacks the output {name}")))
    };
    let (access_key_id, secret_access_key) = (take("AccessKeyId")?, take("SecretAccessKey")?);
    outputs.retain(|name, _| !name.ends_with("AccessKeyId") && !name.ends_with("SecretAccessKey"));
    Ok(StoredCredentials { access_key_id, secret_access_key, outputs })
}
