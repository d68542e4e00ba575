//! The `lockstep-ledger` function.

use lockstep_ledger::{App, handler::handle};
use lockstep_platform::aws::Aws;
use lockstep_platform::{clock, config::Config, shell};
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || App::new(&Aws::from_env()?, &Config::from_env(&App::SETTINGS)?),
        async |app: &App, invocation| handle(app, invocation, clock::now()).await,
    )
}
