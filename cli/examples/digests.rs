//! Prints the SHA-256 of the zip that `lockstep install` uploads for each function. `.ci/reproducible` compares two builds.
//!
//! `digests dev <binary>...` packs binaries of this machine. `digests lambda <sources> <tools>` builds every function for
//! Lambda, as `lockstep install` does; `tools` is the folder for cargo-zigbuild.

use lockstep_cli::failure::Failure;
use lockstep_cli::functions::{Destination, Package, Profile, build};
use std::path::Path;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match digests(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await {
        Ok(lines) => {
            print!("{lines}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn digests(arguments: &[&str]) -> Result<String, Failure> {
    match arguments {
        ["dev", binaries @ ..] if !binaries.is_empty() => {
            let of_this_machine = |binary: &&str| {
                let path = Path::new(binary);
                line(path, &Package::of(path, Profile::Dev, Destination::ThisMachine)?)
            };
            binaries.iter().map(of_this_machine).collect()
        }
        ["lambda", sources, tools] => {
            let report = |step: &str| eprintln!("{step}");
            let built = build(Path::new(sources), "cargo", Profile::Lambda, Path::new(tools), report).await?;
            let of_lambda = |path| line(path, &Package::of(path, Profile::Lambda, Destination::Lambda)?);
            built.values().map(|path| of_lambda(path.as_path())).collect()
        }
        _ => Err(Failure::usage("digests dev <binary>... | digests lambda <sources> <tools>")),
    }
}

fn line(binary: &Path, package: &Package) -> Result<String, Failure> {
    Ok(format!("{} {}\n", binary.file_name().unwrap_or_default().to_string_lossy(), package.digest))
}
