//! The `lockstep-resume` function.

use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::shell;
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
