//! The `lockstep-bake` function.

use lockstep_bake::handler::handle;
use lockstep_bake::world::{Cloud, SETTINGS};
use lockstep_domain::messages::bake::Request;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Cloud::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |cloud: &Cloud, request: Request| handle(cloud, request).await,
    )
}
