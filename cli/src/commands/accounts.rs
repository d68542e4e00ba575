//! `lockstep accounts`: adds, lists and removes the accounts that Lockstep deploys to.

use crate::connection::Connection;
use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::{Failure, at};
use crate::global::Global;
use crate::installation::{ImageBuilds, Installation, ListedAccount, TARGET_STACK, TargetAccount};
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::model::build_policy::BuildPolicy;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::model::ids::{AccountId, Region};
use serde_json::{Value, json};

/// The arguments of `accounts`.
#[derive(Args, Debug)]
pub struct Accounts {
    #[command(subcommand)]
    command: AccountsCommand,
}

#[derive(Debug, Subcommand)]
enum AccountsCommand {
    /// Let Lockstep deploy to an account: create its roles there, accept its events here
    Add(Add),
    /// List the added accounts with their paths and stages
    List,
    /// Let Lockstep deploy to an account no more: drop its events, and assume no role there
    Remove {
        /// The account's number; in the local cloud also its name
        account: String,
    },
}

#[derive(Args, Debug)]
struct Add {
    /// Your name for the account; in the local cloud, the account's own name
    alias: String,
    /// How releases come to its stages: `delivery`, by a push alone; `promotion`, only on request
    #[arg(long, value_enum, required_unless_present = "in_region")]
    path: Option<PathName>,
    /// Managed policies of the execution role, which CloudFormation uses there for components
    #[arg(long, required_unless_present = "in_region", num_args = 1.., value_name = "ARN")]
    execution_policies: Vec<String>,
    /// The managed policy that bounds them; by default the one execution policy
    #[arg(long, value_name = "ARN")]
    boundary: Option<String>,
    /// The profile of that account
    #[arg(long, value_name = "NAME")]
    target_profile: Option<String>,
    /// Another region of an account that was added before: adds its bucket and its events; the roles are valid in every
    /// region
    #[arg(long, value_name = "REGION", conflicts_with_all = ["path", "execution_policies", "boundary", "build_subnet", "build_security_group", "build_instance_profile", "build_environment"])]
    in_region: Option<Region>,
    /// Create a KMS key there for copies of encrypted images; it is never removed again
    #[arg(long)]
    image_key: bool,
    /// The subnet of the instances that builds of images launch there; no other one is possible then
    #[arg(long, value_name = "subnet-...")]
    build_subnet: Option<String>,
    /// The security group of these instances; by default each build makes one without inbound rules
    #[arg(long, value_name = "sg-...")]
    build_security_group: Option<String>,
    /// The instance profile of these instances, whose role has the same name; by default lockstep-image-instance
    #[arg(long, value_name = "NAME")]
    build_instance_profile: Option<String>,
    /// CodeBuild's image in which builds run, by tag or by digest
    #[arg(long, value_name = "NAME@sha256:...")]
    build_environment: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PathName {
    /// A push deploys to it
    Delivery,
    /// Only `promote` deploys to it
    Promotion,
}

/// Adds, lists or removes accounts.
pub async fn accounts(
    arguments: &Accounts,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        AccountsCommand::Add(add) => self::add(add, global, context).await,
        AccountsCommand::List => list(global, context).await,
        AccountsCommand::Remove { account } => remove(account, global, context).await,
    }
}

async fn add(add: &Add, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let connection = Connection::open(global, context).await?;
    let aws = connection.installer()?;
    let target = match (&add.target_profile, &connection.local) {
        (Some(profile), _) => Connection::of_profile(profile, global).await?,
        (None, Some(session)) => session.installer(&add.alias)?,
        (None, None) => return Err(Failure::usage("name the profile of the account with --target-profile")),
    };
    let installation = Installation::new(&aws, context.sources()?, &context.output).await?;
    let steps = match &add.in_region {
        Some(region) => installation.add_region(&target, region, add.image_key).await?,
        None => installation.add_account(&target, &wanted(add)?).await?,
    };
    let place = add.in_region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
    let output = &context.output;
    output.line(format!("added {}{place}; next: bind a stage to it with lockstep stages apply", add.alias));
    if let Some(PathName::Promotion) = add.path {
        output.line(format!(
            "the stage says in `builds` how an image is built there that may not be copied; {}",
            BuildPolicy::CHOICE
        ));
    }
    Ok(Report::done(json!({ "account": add.alias, "region": add.in_region, "stacks": steps })))
}

fn wanted(add: &Add) -> Result<TargetAccount, Failure> {
    let boundary = match (&add.boundary, add.execution_policies.as_slice()) {
        (Some(boundary), _) => boundary.clone(),
        (None, [only]) => only.clone(),
        (None, _) => return Err(Failure::usage("several execution policies need a --boundary")),
    };
    let path = match add.path {
        Some(PathName::Delivery) => DeploymentPath::Delivery,
        Some(PathName::Promotion) => DeploymentPath::Promotion,
        None => {
            return Err(Failure::usage("name the deployment path whose functions may act there with --path"));
        }
    };
    let image_builds = ImageBuilds {
        subnet: add.build_subnet.clone(),
        security_group: add.build_security_group.clone(),
        instance_profile: add.build_instance_profile.clone(),
        environment: add.build_environment.clone(),
    };
    Ok(TargetAccount {
        path,
        policies: add.execution_policies.clone(),
        boundary,
        image_key: add.image_key,
        image_builds,
    })
}

/// Lists the accounts.
async fn list(global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let stages = plane.applied_stages().await?;
    let aws = plane.connection.installer()?;
    let installation = Installation::new(&aws, context.sources()?, &context.output).await?;
    let accounts = installation.listed_accounts().await?;
    if accounts.is_empty() {
        context.output.line("no account was added yet; add one: lockstep accounts add");
    } else {
        let head = ["account", "path", "stages", "version"];
        context.output.table(head, accounts.iter().map(|account| row(account, stages.as_ref())));
    }
    let documents: Vec<Value> = accounts
        .iter()
        .map(|listed| {
            let mut document = json!(listed);
            document["stages"] = json!(stages_in(&listed.account, stages.as_ref()));
            document
        })
        .collect();
    Ok(Report::done(json!({ "accounts": documents })))
}

fn row(listed: &ListedAccount, stages: Option<&Stages>) -> [String; 4] {
    let stages = stages_in(&listed.account, stages);
    [
        listed.account.to_string(),
        listed.path.as_str().to_owned(),
        if stages.is_empty() { "-".to_owned() } else { stages.join(", ") },
        listed.target_version.clone().unwrap_or_else(|| "unknown".to_owned()),
    ]
}

/// Returns the names of the stages in an account.
fn stages_in(account: &AccountId, stages: Option<&Stages>) -> Vec<String> {
    let stages = stages.into_iter().flat_map(Stages::iter);
    stages.filter(|stage| stage.account == *account).map(|stage| stage.name.to_string()).collect()
}

/// Removes an account that no stage is in.
async fn remove(typed: &str, global: &Global, context: &CommandContext) -> Result<Report, Failure> {
    let plane = ControlPlane::open(global, context).await?;
    let account = named(typed, &plane)?;
    let stages = stages_in(&account, plane.applied_stages().await?.as_ref());
    if !stages.is_empty() {
        return Err(in_use(&account, &stages));
    }
    let aws = plane.connection.installer()?;
    let installation = Installation::new(&aws, context.sources()?, &context.output).await?;
    let changed = installation.remove_account(&account).await?;
    let output = &context.output;
    output.line(format!("{account} {}", if changed { "is removed" } else { "was not added" }));
    output.line(format!(
        "its stack {TARGET_STACK} and the stacks of components remain there; to delete the former: aws cloudformation delete-stack \
         --stack-name {TARGET_STACK} --profile <profile of {account}>"
    ));
    Ok(Report::done(json!({ "account": account, "changed": changed })))
}

/// Returns the account with this number or, in the local cloud, with this name.
fn named(typed: &str, plane: &ControlPlane) -> Result<AccountId, Failure> {
    let number = match &plane.connection.local {
        Some(session) if typed.parse::<AccountId>().is_err() => session.account(typed)?,
        _ => typed,
    };
    number.parse().map_err(at("the account")).map_err(|failure: Failure| {
        failure.next("write its twelve digits; lockstep accounts list shows them")
    })
}

fn in_use(account: &AccountId, stages: &[String]) -> Failure {
    Failure::usage(format!("{account} is the account of {}", stages.join(", ")))
        .next("apply a stages.toml without these stages first: lockstep stages apply stages.toml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_domain::delivery::stages::EXAMPLE;

    #[test]
    fn an_account_is_listed_with_its_stages_and_version() {
        let stages = Stages::parse("stages.toml", EXAMPLE).unwrap();
        let listed = |account: &str, version: Option<&str>| ListedAccount {
            account: account.parse().unwrap(),
            path: DeploymentPath::Delivery,
            target_version: version.map(str::to_owned),
        };
        let row = |listed: &ListedAccount| super::row(listed, Some(&stages)).join(" | ");
        assert_eq!(row(&listed("111111111111", Some("0.1.0"))), "111111111111 | delivery | test, ci | 0.1.0");
        assert_eq!(row(&listed("999999999999", None)), "999999999999 | delivery | - | unknown");
    }

    #[test]
    fn an_account_with_stages_is_not_removed() {
        let refused = in_use(&"111111111111".parse().unwrap(), &["test".into(), "ci".into()]);
        assert_eq!(refused.what, "111111111111 is the account of test, ci");
        assert!(refused.next.contains("stages apply"));
    }
}
