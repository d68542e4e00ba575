//! The `lockstep-sweep` function.

use lockstep_platform::aws::Aws;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::git_host::GitHosts;
use lockstep_platform::{clock, shell};
use lockstep_sweep::{App, accounts::Cloud, handler::serve};
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || {
            let (aws, config) = (Aws::from_env()?, Config::from_env(&App::SETTINGS)?);
            let accounts = Cloud::new(&aws, config.get(Setting::ExternalId)?);
            Ok((App::new(&aws, &config)?, GitHosts::new(&aws), accounts))
        },
        async |(app, heads, accounts): &(App, GitHosts, Cloud), sent: Value| {
            serve(app, heads, accounts, &sent, clock::now()).await
        },
    )
}
