//! The `lockstep-webhook` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::config::Config;
use lockstep_aws::function_url::UrlRequest;
use lockstep_aws::shell;
use lockstep_webhook::context::{AwsContext, SETTINGS};
use lockstep_webhook::handler::handle;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |context: &AwsContext, request: UrlRequest| handle(context, request, clock::now()).await,
    )
}
