//! The `lockstep-webhook` function.

use lockstep_aws::aws::Aws;
use lockstep_aws::clock;
use lockstep_aws::config::Config;
use lockstep_aws::function_url::Invocation;
use lockstep_aws::shell;
use lockstep_domain::messages::webhook::Request;
use lockstep_runtime::HasHookKey as _;
use lockstep_webhook::context::{AwsContext, SETTINGS};
use lockstep_webhook::handler::handle_any;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve_started(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        // A failure here is repeated by the first request, which reports it.
        async |context: &AwsContext| drop(context.hook_key().load().await),
        async |context: &AwsContext, invocation: Invocation<Request>| {
            handle_any(context, invocation, clock::now()).await
        },
    )
}
