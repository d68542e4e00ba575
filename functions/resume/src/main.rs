//! The `lockstep-resume` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::shell;
use lockstep_resume::context::AwsContext;
use lockstep_resume::handler::handle;
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Ok(AwsContext::new(&Aws::from_env()?)),
        async |context: &AwsContext, event: Value| handle(context, &event, clock::now()).await,
    )
}
