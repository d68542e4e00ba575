//! The `lockstep-log-intake` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::{self, Config};
use lockstep_aws::function_url::Invocation;
use lockstep_aws::shell;
use lockstep_log_intake::{AwsContext, OPTIONAL, PACE, SETTINGS, handler::handle};
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    shell::serve_until(
        || {
            let config = Config::from_env_with(&SETTINGS, &OPTIONAL)?;
            AwsContext::new(&Aws::from_env()?, &config, config::function_name(), PACE)
        },
        async |context: &AwsContext, invocation: Invocation<Value>, left: Duration| {
            handle(context, invocation, left).await
        },
    )
}
