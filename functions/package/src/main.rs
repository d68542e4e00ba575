//! The `lockstep-package` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::config::Config;
use lockstep_aws::shell;
use lockstep_domain::messages::package::Request;
use lockstep_package::context::{AwsContext, SETTINGS};
use lockstep_package::handler::handle;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: Request| handle(context, request, clock::now()).await,
    )
}
