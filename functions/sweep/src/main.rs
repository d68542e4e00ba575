//! The `lockstep-sweep` function.

use lockstep_platform::aws::Aws;
use lockstep_platform::{clock, config::Config, shell};
use lockstep_sweep::{App, handler::handle};
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || App::new(&Aws::from_env()?, &Config::from_env(&App::SETTINGS)?),
        // Whatever the schedule or a person sends: it looks at everything.
        async |app: &App, _: Value| handle(app, clock::now()).await,
    )
}
