//! The `lockstep-bake` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::Config;
use lockstep_aws::shell;
use lockstep_bake::context::{AwsContext, SETTINGS};
use lockstep_bake::handler::handle;
use lockstep_domain::messages::bake::Request;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: Request| handle(context, request).await,
    )
}
