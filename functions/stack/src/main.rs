//! The `lockstep-stack` function.

use lockstep_domain::messages::stack::Request;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use lockstep_stack::handler::handle;
use lockstep_stack::world::{Cloud, SETTINGS};
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Cloud::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |cloud: &Cloud, request: Request| handle(cloud, request).await,
    )
}
