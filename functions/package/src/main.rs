//! The `lockstep-package` function.

use lockstep_domain::payloads::package::Request;
use lockstep_package::handler::handle;
use lockstep_package::ports::{Cloud, SETTINGS};
use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Cloud::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |cloud: &Cloud, request: Request| handle(cloud, &request, clock::now()).await,
    )
}
