//! The `lockstep` command.

use clap_complete::CompleteEnv;
use lockstep_cli::context::CommandContext;
use lockstep_cli::failure::Exit;
use lockstep_cli::output::{Output, filter_panics};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // A shell that asks for completions gets them, and nothing else is printed.
    CompleteEnv::with_factory(lockstep_cli::commands::help::command).complete();
    filter_panics();
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match CommandContext::of_process() {
        Ok(context) => lockstep_cli::run(&arguments, &context).await.exit.into(),
        Err(failure) => {
            Output::process(false).note(format!("error: {failure}"));
            Exit::Failed.into()
        }
    }
}
