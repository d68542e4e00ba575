//! The `lockstep-resume` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::config::Config;
use lockstep_aws::shell;
use lockstep_resume::context::{AwsContext, SETTINGS};
use lockstep_resume::handler::handle;
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, event: Value| handle(context, &event, clock::now()).await,
    )
}
