//! Prints the figures of `docs/performance.md`.
//!
//! `functions <folder>`: size and cost at the start of each function's binary (build them with `--profile lambda`).
//! `cost`: the running cost of an installation, from transitions, invocations and writes.
//! `workflows [times]`: duration and cost of a push and of a promotion on the local cloud.

mod cost;
mod startup;
mod workflows;

use lockstep_cli::functions::{Destination, Package, Profile, in_folder};
use std::path::Path;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["functions", folder] => functions(Path::new(folder)),
        ["cost"] => cost::print(),
        ["workflows"] => workflows::print(10).await,
        ["workflows", times] => match times.parse() {
            Ok(times) => workflows::print(times).await,
            Err(_) => Err(format!("'{times}' is not a number of runs")),
        },
        // The daemon of the local cloud is this same program.
        ["local", ..] => return workflows::command(&arguments).await,
        _ => Err("usage: figures functions <folder> | figures workflows [times] | figures cost".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn functions(folder: &Path) -> Result<(), String> {
    println!("at the first poll of the Runtime API, resident memory in KiB:");
    println!("{:<10} {:>12} {:>12} {:>12} {:>8}", "function", "binary", "zip", "instructions", "memory");
    for (name, binary) in in_folder(folder).map_err(|e| e.to_string())? {
        let size = std::fs::metadata(&binary).map_err(|e| format!("{}: {e}", binary.display()))?.len();
        let zip = Package::of(&binary, Profile::Lambda, Destination::ThisMachine)
            .map_err(|e| e.to_string())?
            .zip
            .len();
        let (instructions, memory) = (startup::instructions(&binary)?, startup::resident(&binary)?);
        println!("{name:<10} {size:>12} {zip:>12} {instructions:>12} {memory:>8}");
    }
    Ok(())
}
