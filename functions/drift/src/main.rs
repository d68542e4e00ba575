//! The `lockstep-drift` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::Config;
use lockstep_aws::shell;
use lockstep_domain::messages::drift::Request;
use lockstep_drift::context::{AwsContext, SETTINGS};
use lockstep_drift::handler::handle;

use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: Request| handle(context, &request).await,
    )
}
