//! Builds for Lambda on any machine: cargo-zigbuild links against an older glibc and for another processor.
//!
//! cargo-zigbuild and its linker come from PyPI, each file with its hash, into a virtual environment like the emulator's.

use super::glibc;
use crate::failure::{Failure, at};
use lockstep_local::VirtualEnvironment;
use std::path::Path;
use tokio::process::Command;

/// Resolved requirements, each with the hashes of its files.
const REQUIREMENTS: &str = include_str!("../../zigbuild/requirements.txt");

/// Returns the build target for Lambda, with the version of its glibc.
pub(super) fn target() -> String {
    format!("aarch64-unknown-linux-gnu.{}", glibc::LAMBDA)
}

/// Returns a command that builds like `cargo build`. Installs its tools below `tools` if they are missing. `report`
/// receives each step.
pub(super) async fn command(cargo: &str, tools: &Path, report: &impl Fn(&str)) -> Result<Command, Failure> {
    let environment = VirtualEnvironment {
        folder: "zigbuild-venv",
        requirements: REQUIREMENTS,
        content: "cargo-zigbuild and its linker (about 400 MB, once)",
    };
    let python = environment
        .install(tools, report)
        .await
        .map_err(at("the build tools for Lambda cannot be installed"))?;
    let programs = python.parent().unwrap_or(tools).to_owned();
    let mut command = Command::new(programs.join("cargo-zigbuild"));
    // cargo-zigbuild finds its linker by the first Python in `PATH`.
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&others)));
    command.arg("zigbuild").env("CARGO", cargo).env("PATH", path.map_err(at("PATH"))?);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_names_the_glibc_of_lambda() {
        assert_eq!(target(), "aarch64-unknown-linux-gnu.2.34");
    }

    #[test]
    fn every_tool_is_pinned_with_hashes() {
        let pinned = REQUIREMENTS.lines().filter(|line| line.contains("==")).collect::<Vec<_>>();
        assert_eq!(pinned.len(), 2, "{pinned:?}");
        assert!(pinned.iter().all(|line| line.ends_with('\\')), "{pinned:?}");
        assert!(REQUIREMENTS.matches("--hash=sha256:").count() > pinned.len());
    }
}
