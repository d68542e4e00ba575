//! The `lockstep-sweep` function.

use lockstep_platform::aws::Aws;
use lockstep_platform::git_host::GitHosts;
use lockstep_platform::{clock, config::Config, shell};
use lockstep_sweep::{App, handler::handle};
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || {
            let aws = Aws::from_env()?;
            Ok((App::new(&aws, &Config::from_env(&App::SETTINGS)?)?, GitHosts::new(&aws)))
        },
        // Whatever the schedule or a person sends: it looks at everything.
        async |(app, heads): &(App, GitHosts), _: Value| handle(app, heads, clock::now()).await,
    )
}
