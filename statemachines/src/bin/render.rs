//! Writes the JSON of each state machine: for AWS's Workflow Studio, and for the judges of `tests/referee`.

use lockstep_statemachines::{Error, FOLDER, StateMachines};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (output, sources) = match arguments.as_slice() {
        [output] => (Path::new(output), Path::new(FOLDER)),
        [output, sources] => (Path::new(output), Path::new(sources)),
        _ => {
            eprintln!("usage: render <output folder> [<folder of the sources>]");
            return ExitCode::from(2);
        }
    };
    match render(sources, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn render(sources: &Path, output: &Path) -> Result<(), Error> {
    StateMachines::read(sources)?.write(output)
}
