//! The `lockstep-webhook` function.

use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::Config;
use lockstep_platform::function_url::UrlRequest;
use lockstep_platform::shell;
use lockstep_webhook::handler::handle;
use lockstep_webhook::ports::{Cloud, SETTINGS};
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || Cloud::new(&Aws::from_env()?, &Config::from_env(&SETTINGS)?),
        async |cloud: &Cloud, request: UrlRequest| handle(cloud, request, clock::now()).await,
    )
}
