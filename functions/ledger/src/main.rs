//! The `lockstep-ledger-<callers>` functions: the same code for each kind of callers.

use lockstep_aws::aws::Aws;
use lockstep_aws::{clock, config::Config, shell};
use lockstep_ledger::context::{AwsContext, SETTINGS, SETTINGS_OF_PATHS};
use lockstep_ledger::handler::handle;
use std::process::ExitCode;

fn main() -> ExitCode {
    shell::serve(
        || AwsContext::new(&Aws::from_env()?, &Config::from_env_with(&SETTINGS, &SETTINGS_OF_PATHS)?),
        async |context: &AwsContext, invocation| {
            handle(context, context.callers(), invocation, clock::now()).await
        },
    )
}
