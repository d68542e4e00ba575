//! The `lockstep-sweep` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::Config;
use lockstep_aws::{clock, shell};
use lockstep_sweep::context::{AwsContext, SETTINGS};
use lockstep_sweep::handler::handle;
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        // The schedule and operators may send anything.
        async |context: &AwsContext, _: Value| handle(context, clock::now()).await,
    )
}
