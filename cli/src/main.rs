//! The `lockstep` command.

use lockstep_cli::failure::Exit;
use lockstep_cli::surroundings::Surroundings;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    match Surroundings::of_process() {
        Ok(surroundings) => lockstep_cli::run(&arguments, &surroundings).await.exit.into(),
        Err(failure) => {
            eprintln!("error: {failure}");
            Exit::Failed.into()
        }
    }
}
