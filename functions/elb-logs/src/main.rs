//! The `lockstep-elb-logs` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::config::{self, Config};
use lockstep_aws::shell;
use lockstep_aws::shipper::Pace;
use lockstep_elb_logs::{AwsContext, OPTIONAL, SETTINGS, handler::handle};
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
