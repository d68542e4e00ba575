//! The `lockstep-webhook` function.

use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::function_url::UrlRequest;
use lockstep_platform::shell;
use lockstep_webhook::context::{AwsContext, SETTINGS};
use lockstep_webhook::handler::handle;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: UrlRequest| handle(context, request, clock::now()).await,
    )
}
