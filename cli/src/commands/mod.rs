//! The commands, one file for each family.

pub mod accounts;
pub mod approve;
pub mod bake;
pub mod check;
pub mod components;
pub mod deploy;
pub mod deployments;
pub mod diff;
pub mod doctor;
pub mod drift;
pub mod help;
pub mod images;
pub mod init;
pub mod inspect;
pub mod install;
pub mod local;
pub mod logs;
pub mod operator;
pub mod organisation;
pub mod pending;
pub mod permissions;
pub mod promote;
pub mod push;
pub mod question;
pub mod releases;
pub mod repositories;
pub mod rollback;
pub mod secrets;
pub mod status;
pub mod r#try;
pub mod version;
pub mod watch;
pub mod webhook;

use crate::context::CommandContext;
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use clap::{Parser, Subcommand};

/// Keeps AWS accounts in lockstep: a git push becomes a tested, versioned release in every account that must have it.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, max_term_width = 110, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// The options that every command has.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "Options and an example of a command: lockstep help <command>. The meaning of a word: lockstep help <word>.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 an operator or approver must decide, 130 interrupted.
Commands use the AWS account of --profile or the AWS_* variables; without either, the local cloud if it runs.";

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring an example from a git push to ci on a cloud on this machine: the first command to run
    Try(r#try::Arguments),
    /// Run a cloud on this machine, without an AWS account
    Local(local::Arguments),
    /// Install Lockstep into an AWS account, or update it
    Install(install::Arguments),
    /// Manage the accounts that Lockstep deploys to
    Accounts(accounts::Accounts),
    /// Remove Lockstep, and list the retained resources
    Uninstall(install::Uninstall),
    /// Report the problems of an installation, and change nothing
    Doctor(doctor::Arguments),
    /// Show or apply the organisation's stages
    Stages(organisation::StagesArguments),
    /// Show or apply the organisation's parameters
    Parameters(organisation::ParametersArguments),
    /// Show or apply the organisation's people, who start and approve deployments
    People(organisation::PeopleArguments),
    /// Show or set the number of administrators
    Administrators(pending::AdministratorsArguments),
    /// Show, confirm or cancel the changes of the configuration that wait because they weaken a protection
    Pending(pending::Arguments),
    /// Manage the repositories whose pushes become releases
    Repositories(repositories::Arguments),
    /// Explain what the webhook answered
    Webhook(webhook::Arguments),
    /// Store the secrets of repositories
    Secrets(secrets::Arguments),
    /// List components with their repositories, or give one to another repository
    Components(components::Arguments),
    /// List, show, import, assign, revoke or retire machine images
    Images(images::Arguments),
    /// Operate the deployed log stack
    Logs(logs::Arguments),
    /// Write a new component that passes `check`
    Init(init::Arguments),
    /// Report the problems of a component, offline, as packaging would after a push
    Check(check::Arguments),
    /// Print the policy that an execution role needs for components, and nothing else
    Permissions(permissions::Arguments),
    /// Push a component and follow its release through the stages of the delivery path
    Push(push::Arguments),
    /// Bake an image from its recipe and follow the build; a push of a recipe does the same
    Bake(bake::Bake),
    /// List releases
    Releases(releases::Arguments),
    /// Show what wants a person, oldest first, and the version of every component in every stage
    Status,
    /// List deployments, newest first
    Deployments(deployments::Arguments),
    /// Look for changes that were made outside of Lockstep, and change nothing
    Drift(drift::Drift),
    /// Compare what runs in two stages: versions, parameters and commits
    Diff(diff::Arguments),
    /// Show what a deployment would change, and change nothing
    Plan(deploy::Plan),
    /// Deploy any release, an older one too, to a stage of the delivery path
    Deploy(deploy::Deploy),
    /// Promote a release to a stage that no push reaches
    Promote(promote::Promote),
    /// Return to the newest release before that passed its checks in a stage, and hold it there
    Rollback(rollback::Rollback),
    /// Keep the releases of pushes waiting for a stage
    Hold(rollback::Hold),
    /// Let the releases of pushes reach a stage again
    Resume(rollback::Resume),
    /// Deploy a release a second time in a stage, under another name
    Clone(deploy::MakeClone),
    /// Delete the stack of a component in a stage, for good
    Teardown(deploy::Teardown),
    /// Show the open question of a deployment and all that an approver sees, and answer nothing
    Question(question::Arguments),
    /// Show the question of a deployment that waits for approval, and answer it
    Approve(approve::Approve),
    /// Stop a deployment
    Cancel(operator::Cancel),
    /// Repeat a failed deployment or a failed webhook delivery
    Retry(operator::Retry),
    /// Release an environment whose deployment ended without releasing it
    Unlock(operator::EnvironmentArguments),
    /// Clear the taint of an environment that you repaired by hand
    Reconcile(operator::Reconcile),
    /// Show the last failure of a component, the history of a deployment, or the origin of an image
    Why(inspect::Why),
    /// Show the environments that run a release or an image, and their accounts
    Where(inspect::Where),
    /// Follow a deployment, a release, a commit or a stage live; by default the newest execution
    Watch(watch::Watch),
    /// Print the versions of the command, the control plane and the accounts, and whether they fit
    Version,
    /// Print what a shell reads to complete commands and names: source <(lockstep completions bash)
    Completions(help::Completions),
    /// Write the manual pages into a folder
    Man(help::Man),
    /// Print the help of a command, or the meaning of a word
    Help(help::Help),
}

/// Runs a command.
pub async fn run(cli: Cli, context: &CommandContext) -> Result<Report, Failure> {
    let global = &cli.global;
    match &cli.command {
        Command::Try(arguments) => r#try::run(arguments, global, context).await,
        Command::Local(arguments) => local::run(arguments, global, context).await,
        Command::Install(arguments) => install::run(arguments, global, context).await,
        Command::Accounts(arguments) => accounts::accounts(arguments, global, context).await,
        Command::Uninstall(arguments) => install::uninstall(arguments, global, context).await,
        Command::Doctor(arguments) => doctor::run(arguments, global, context).await,
        Command::Stages(arguments) => organisation::stages(arguments, global, context).await,
        Command::Parameters(arguments) => organisation::parameters(arguments, global, context).await,
        Command::People(arguments) => organisation::people(arguments, global, context).await,
        Command::Administrators(arguments) => pending::administrators(arguments, global, context).await,
        Command::Pending(arguments) => pending::run(arguments, global, context).await,
        Command::Repositories(arguments) => repositories::run(arguments, global, context).await,
        Command::Webhook(arguments) => webhook::run(arguments, global, context).await,
        Command::Secrets(arguments) => secrets::run(arguments, global, context).await,
        Command::Components(arguments) => components::run(arguments, global, context).await,
        Command::Images(arguments) => images::run(arguments, global, context).await,
        Command::Logs(arguments) => logs::run(arguments, global, context).await,
        Command::Init(arguments) => init::run(arguments, context),
        Command::Check(arguments) => check::run(arguments, context).await,
        Command::Permissions(arguments) => permissions::run(arguments, context).await,
        Command::Push(arguments) => push::run(arguments, global, context).await,
        Command::Bake(arguments) => bake::run(arguments, global, context).await,
        Command::Releases(arguments) => releases::run(arguments, global, context).await,
        Command::Diff(arguments) => diff::run(arguments, global, context).await,
        Command::Status => status::run(global, context).await,
        Command::Deployments(arguments) => deployments::run(arguments, global, context).await,
        Command::Plan(arguments) => deploy::plan(arguments, global, context).await,
        Command::Deploy(arguments) => deploy::deploy(arguments, global, context).await,
        Command::Promote(arguments) => promote::run(arguments, global, context).await,
        Command::Rollback(arguments) => rollback::run(arguments, global, context).await,
        Command::Hold(arguments) => rollback::hold(arguments, global, context).await,
        Command::Resume(arguments) => rollback::resume(arguments, global, context).await,
        Command::Clone(arguments) => deploy::make_clone(arguments, global, context).await,
        Command::Drift(arguments) => drift::run(arguments, global, context).await,
        Command::Teardown(arguments) => deploy::teardown(arguments, global, context).await,
        Command::Question(arguments) => question::run(arguments, global, context).await,
        Command::Approve(arguments) => approve::run(arguments, global, context).await,
        Command::Cancel(arguments) => operator::cancel(arguments, global, context).await,
        Command::Retry(arguments) => operator::retry(arguments, global, context).await,
        Command::Unlock(arguments) => operator::unlock(arguments, global, context).await,
        Command::Reconcile(arguments) => operator::reconcile(arguments, global, context).await,
        Command::Why(arguments) => inspect::why(arguments, global, context).await,
        Command::Where(arguments) => inspect::where_is(arguments, global, context).await,
        Command::Watch(arguments) => watch::run(arguments, global, context).await,
        Command::Version => version::run(global, context).await,
        Command::Completions(arguments) => help::completions(arguments, context),
        Command::Man(arguments) => help::man(arguments, context),
        Command::Help(arguments) => help::help(arguments, context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn is_accepted(line: &str) -> bool {
        Cli::try_parse_from(format!("lockstep {line}").split(' ')).is_ok()
    }

    #[test]
    fn complete_command_lines_are_accepted() {
        for line in [
            "try",
            "try shop --functions target/debug",
            "local repository add acme/shop",
            "local repository add acme/shop --folder .",
            "diff ci production",
            "diff ci production --component logs",
            "drift",
            "drift --in ci --component logs",
            "drift --due",
            "drift explain logs --in ci",
            "drift explain logs --in ci --environment logs-2",
            "plan logs@2.1.0 --in ci",
            "plan logs@2.1.0 --in ci --permissions",
            "plan logs@2.1.0 --in ci --override A=1 --override B=x=y",
            "plan logs@2.1.0 --in ci --environment logs-2 --parameters-of staging",
            "deploy logs@2.1.0 --in ci --override A=1",
            "bake images/logstash --override volume_gib=40",
            "bake",
            "check infra/log-stack --permissions",
            "permissions infra/log-stack --format cloudformation",
            "permissions a b --stages stages.toml --parameters parameters.toml --stage ci",
            "deploy logs@2.1.0 --in ci --revert-drift",
            "plan logs@2.1.0 --in production --revert-drift",
            "approve 0123abcd --unexamined Child --unexamined Child.Inner",
            "rollback logs --in production",
            "rollback logs --in production --to 2.1.0 --yes",
            "hold logs --in ci --reason night",
            "resume logs --in ci",
            "clone logs@2.1.0 --environment logs-2 --in ci --parameters-of staging",
            "teardown logs --in ci --environment logs-2",
            "approve 0123abcd --yes",
            "question 0123abcd",
            "deployments",
            "deployments --waiting --failed --in ci --component logs",
            "why logs",
            "why logs@2.1.0 --in ci",
            "watch ci",
            "watch logs@2.1.0",
            "watch 0123abcd --verbose",
            "approve 0123abcd --question 2 --give-up Bucket --give-up Child.Queue --reason agreed",
            "cancel 0123abcd --reason wrong --no-wait",
            "retry 72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "unlock logs --in ci",
            "reconcile logs --in ci --reason repaired",
            "administrators",
            "administrators many",
            "install --administrators one",
            "pending show",
            "pending confirm stages 2",
            "pending cancel administrators 1",
            "doctor",
            "doctor --try --all",
            "repositories add github:acme/logs --branches feature/* --branches fix",
            "repositories add github:acme/logs --default-branch-only",
            "repositories remove github:acme/logs",
            "webhook explain 8476a536-e9f4-11e8-9739-2dfe598c3fcd",
            "doctor --target-profile development --target-profile production",
            "images",
            "components",
            "components list",
            "components assign logs --to github:acme/logs",
            "images list",
            "images show logstash",
            "images assign logstash --to github:acme/logs",
            "images import ami-0123456789abcdef0 --image base@1.0.0 --owner github:acme/logs",
            "images import ami-0123456789abcdef0 --image base@1.0.0",
            "images import ami-0123456789abcdef0 --name base --version 1.0.0 --stage ci",
            "images revoke logstash@2.1.37 --reason hole",
            "images retire --dry-run",
            "logs replay --in ci",
            "logs keys add shop --in ci",
            "logs keys add shop --in ci --events-per-second 10 --burst 100 --target-profile development",
            "logs keys rotate shop --in ci --keep-days 0",
            "logs keys revoke shop --key 3 --in ci",
            "logs keys revoke shop --all --in production --environment log-intake-2",
            "logs keys limit shop --events-per-second 10 --burst 100 --in ci",
            "logs keys limit shop --default --in ci",
            "logs keys list shop --in ci",
            "logs keys list --in ci",
            "logs replay s3://acme-logs/AWSLogs/a.log.gz --in production --target-profile production",
            "where logstash@2.1.37",
            "why logstash@2.1.37",
            "why ami-0123456789abcdef0",
            "promote logs@2.1.0 --in production --break-glass outage --revert-drift",
        ] {
            assert!(is_accepted(line), "{line}");
        }
    }

    #[test]
    fn incomplete_or_contradictory_command_lines_are_refused() {
        for line in [
            "diff ci",
            "drift --due --in ci",
            "local repository add shop",
            "permissions",
            "permissions a --stage ci",
            "plan logs --in ci",
            "plan logs@2.1.0",
            "plan logs@2.1.0 --in ci --parameters-of staging",
            "plan logs@2.1.0 --in ci --environment logs-2 --override A=1",
            "plan logs@2.1.0 --in ci --environment logs-2 --revert-drift",
            "deploy logs@2.1.0 --in ci --override A",
            "rollback logs",
            "hold logs --in ci",
            "resume logs",
            "clone logs@2.1.0 --in ci",
            "teardown logs",
            "approve 0123abcd --refuse",
            "approve 0123abcd --withdraw --yes",
            "question",
            "approve 0123abcd --refuse --reason no --give-up Bucket",
            "cancel 0123abcd",
            "cancel 0123abcd --reason ",
            "retry x",
            "webhook explain",
            "repositories add github:acme/logs --branches -x",
            "repositories add github:acme/logs --branches fix --default-branch-only",
            "webhook explain x/y",
            "reconcile logs --in ci",
            "images import ami-0123456789abcdef0",
            "images import ami-0123456789abcdef0 --name base",
            "images import ami-0123456789abcdef0 --image base@1.0.0 --name base --version 1.0.0",
            "images revoke logstash@2.1.37",
            "where logstash",
            "logs replay",
            "logs keys",
            "logs keys add shop",
            "logs keys add Shop --in ci",
            "logs keys add shop --in ci --burst 100",
            "logs keys rotate shop --in ci --keep-days 366",
            "logs keys revoke shop --in ci",
            "logs keys revoke shop --in ci --key 1 --all",
            "logs keys limit shop --in ci",
            "logs keys limit shop --in ci --default --events-per-second 1 --burst 1",
            "logs replay acme-logs --in ci",
        ] {
            assert!(!is_accepted(line), "{line}");
        }
    }
}
