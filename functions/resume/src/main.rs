//! The `lockstep-resume` function.

use lockstep_platform::accounts::Registrations;
use lockstep_platform::aws::Aws;
use lockstep_platform::clock;
use lockstep_platform::config::{Config, Setting};
use lockstep_platform::executions::Executions;
use lockstep_platform::ledger::Ledger;
use lockstep_platform::shell;
use lockstep_resume::handler::handle;
use serde_json::Value;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || {
            let aws = Aws::from_env()?;
            let config = Config::from_env(&[Setting::Table])?;
            Ok((
                Ledger::new(&aws, config.get(Setting::Table)?),
                Executions::new(&aws),
                Registrations::new(&aws),
            ))
        },
        async |(ledger, executions, accounts): &(Ledger, Executions, Registrations), event: Value| {
            handle(ledger, executions, accounts, &event, clock::now()).await
        },
    )
}
