//! `lockstep logs`: operates the deployed log stack. It acts in the account of a stage with the operator's own credentials,
//! because no function may access the data of a component.

mod keys;
mod replay;

use crate::context::CommandContext;
use crate::control_plane::ControlPlane;
use crate::failure::Failure;
use crate::global::Global;
use crate::report::Report;
use clap::{Args, Subcommand};
use lockstep_aws::aws::Aws;
use lockstep_aws::cloudformation::Stack;
use lockstep_aws::operator::stacks::Installer;
use lockstep_domain::delivery::environment;
use lockstep_domain::model::ids::StageName;

/// The arguments of `logs`.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ship logs of load balancers again: the objects that failed, or any object
    Replay(replay::Arguments),
    /// Manage the keys and rate limits of applications that send to the log intake
    Keys(keys::Arguments),
}

/// Runs the command.
pub async fn run(
    arguments: &Arguments,
    global: &Global,
    context: &CommandContext,
) -> Result<Report, Failure> {
    match &arguments.command {
        Command::Replay(wanted) => replay::run(wanted, global, context).await,
        Command::Keys(wanted) => keys::run(wanted, global, context).await,
    }
}

/// The stage of the environment, and the credentials for its account.
#[derive(Args, Debug)]
struct StageArguments {
    /// The stage
    #[arg(long = "in", value_name = "STAGE")]
    stage: StageName,
    /// The profile of its account
    #[arg(long, value_name = "NAME")]
    target_profile: Option<String>,
}

/// The stack of an environment, with access to its account.
struct Deployed {
    aws: Aws,
    stack: Stack,
}

impl StageArguments {
    /// Finds the stack of `environment` in the stage.
    async fn find(
        &self,
        environment: &str,
        global: &Global,
        context: &CommandContext,
    ) -> Result<Deployed, Failure> {
        let plane = ControlPlane::open(global, context).await?;
        let stages = plane.stages().await?;
        let stage = stages.named(&self.stage)?;
        let aws = plane.connection.of_stage(stage, self.target_profile.as_deref(), global).await?;
        let name = environment::stack_name(&stage.name, environment)?;
        let stack = Installer::new(&aws).find(name.as_str()).await?;
        let stack = stack.ok_or_else(|| {
            Failure::new(format!("{environment} is not deployed to {}: there is no stack {name}", stage.name))
                .next("lockstep status")
        })?;
        Ok(Deployed { aws, stack })
    }
}

impl Deployed {
    /// Returns an output of the stack.
    fn output(&self, name: &str) -> Result<&str, Failure> {
        let value = self.stack.outputs.get(name).map(String::as_str);
        value.ok_or_else(|| Failure::new(format!("the stack {} has no output {name}", self.stack.arn)))
    }
}
