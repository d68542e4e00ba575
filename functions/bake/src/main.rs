//! The `lockstep-bake` function.

use lockstep_bake::context::{AwsContext, SETTINGS};
use lockstep_bake::handler::handle;
use lockstep_domain::messages::bake::Request;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: Request| handle(context, request).await,
    )
}
