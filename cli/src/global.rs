//! The options that every command has.

use clap::Args;

/// The options that every command has.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Print one JSON document instead of lines (`watch`: one a line)
    #[arg(long, global = true)]
    pub json: bool,
    /// Print each line of the deployment logs while a command follows deployments
    #[arg(long, global = true)]
    pub verbose: bool,
    /// The profile of ~/.aws/config to use
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// The person of the local cloud: ada (operates, configures; the default) or grace (approves)
    #[arg(long = "as", global = true, value_name = "PERSON", conflicts_with = "profile")]
    pub person: Option<String>,
    /// The region of the control plane
    #[arg(long, global = true, value_name = "REGION")]
    pub region: Option<String>,
}
