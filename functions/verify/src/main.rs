//! The `lockstep-verify` function.

use lockstep_domain::messages::verify::Request;
use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use lockstep_verify::handler::handle;
use lockstep_verify::ports::{Cloud, SETTINGS};
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Cloud::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |cloud: &Cloud, request: Request| handle(cloud, &request.deployment, clock::now).await,
    )
}
