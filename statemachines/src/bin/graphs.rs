//! Writes the graphs of the state machines into `README.md` beside their sources.

use lockstep_statemachines::{Error, FOLDER, with_graphs};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match write(Path::new(FOLDER)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.chain());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), Error> {
    let text = with_graphs(folder)?;
    let path = folder.join("README.md");
    std::fs::write(&path, text).map_err(|source| Error::File { path, source })
}
