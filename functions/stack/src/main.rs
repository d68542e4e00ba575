//! The `lockstep-stack` function.

use lockstep_domain::messages::stack::Request;
use lockstep_platform::aws::Aws;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
use lockstep_stack::context::{AwsContext, SETTINGS};
use lockstep_stack::handler::handle;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: Request| handle(context, request).await,
    )
}
