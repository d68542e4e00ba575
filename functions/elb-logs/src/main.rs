//! The `lockstep-elb-logs` function.

use lockstep_elb_logs::{AwsContext, OPTIONAL, SETTINGS, handler::handle};
use lockstep_platform::aws::Aws;
use lockstep_platform::config::{self, Config};
use lockstep_platform::shell;
use lockstep_platform::shipper::Pace;
use serde_json::Value;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    shell::serve_until(
        || {
            let config = Config::from_env_with(&SETTINGS, &OPTIONAL)?;
            AwsContext::new(&Aws::from_env()?, &config, config::function_name(), Pace::DEFAULT)
        },
        async |context: &AwsContext, payload: Value, left: Duration| handle(context, &payload, left).await,
    )
}
