//! The `lockstep` command.

use lockstep_cli::context::CommandContext;
use lockstep_cli::failure::Exit;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match CommandContext::of_process() {
        Ok(context) => lockstep_cli::run(&arguments, &context).await.exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            Exit::Failed.into()
        }
    }
}
