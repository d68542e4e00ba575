//! Installs the emulator: a virtual environment with exactly the pinned packages.

use crate::overlay;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// What the environment's stamp file starts with; raised when the way it is built changes.
const STAMP_FORMAT: &str = "lockstep-emulator-1";
const OLDEST_PYTHON: (u32, u32) = (3, 10);
const PYTHONS: &[&str] = &["python3", "python3.13", "python3.12", "python3.11", "python3.10"];

/// An installed emulator, ready to be started by [`Cloud`](crate::Cloud).
#[derive(Clone, Debug)]
pub struct Emulator {
    pub(crate) python: PathBuf,
    pub(crate) overlay: PathBuf,
}

/// Why the emulator could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// No usable Python was found.
    #[error(
        "the local cloud needs Python {}.{} or newer, and none was found (tried {tried}). \
         Install it (for example `apt install python3 python3-venv` or `brew install python`) and try again.",
        OLDEST_PYTHON.0, OLDEST_PYTHON.1
    )]
    PythonMissing {
        /// Each name that was tried and what came of it.
        tried: String,
    },
    /// A step of the installation failed.
    #[error(
        "could not {step}: {output}\nCheck the network and the disk, then try again; \
         nothing half-made is left behind."
    )]
    Step {
        /// What was being done, as a verb phrase.
        step: &'static str,
        /// The end of what the command printed.
        output: String,
    },
    /// A file of the installation could not be read or written.
    #[error("could not {step} {path}: {source}. Check that the folder exists and may be written to.")]
    Files {
        /// What was being done, as a verb phrase.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Emulator {
    /// Install the emulator under `state_dir` unless it is there already, and return it.
    ///
    /// A stamp (the digest of the requirements and the version of Python) decides whether what is there
    /// is right. The environment is built aside and renamed into place, under a lock: two processes do
    /// not race, and an interrupted installation leaves nothing usable behind. `progress` gets one
    /// sentence per step, none if nothing needs doing.
    ///
    /// # Errors
    /// [`EmulatorError`]: no Python, no network, no space.
    pub async fn install(state_dir: &Path, progress: impl Fn(&str)) -> Result<Self, EmulatorError> {
        create_dir(state_dir)?;
        let lock = lock(state_dir.join("emulator-venv.lock")).await?;
        let environment = state_dir.join("emulator-venv");
        let (base, version) = find_python().await?;
        let stamp = stamp(&version);
        if !is_current(&environment, &stamp) {
            build(&environment, &base, &stamp, &progress).await?;
        }
        let overlay = overlay::unpack(state_dir).map_err(|source| EmulatorError::Files {
            step: "write the overlay into",
            path: state_dir.to_owned(),
            source,
        })?;
        drop(lock);
        Ok(Self { python: environment.join("bin/python"), overlay })
    }

    /// The Python of the virtual environment; for running the conformance suite.
    pub fn python(&self) -> &Path {
        &self.python
    }
}

fn create_dir(path: &Path) -> Result<(), EmulatorError> {
    std::fs::create_dir_all(path).map_err(|source| EmulatorError::Files {
        step: "create",
        path: path.to_owned(),
        source,
    })
}

/// Hold the lock file until the result is dropped; waits for another installation to end.
async fn lock(path: PathBuf) -> Result<std::fs::File, EmulatorError> {
    let shown = path.clone();
    tokio::task::spawn_blocking(move || {
        let file = std::fs::File::create(path)?;
        file.lock()?;
        Ok(file)
    })
    .await
    .unwrap_or_else(|join| Err(io::Error::other(join)))
    .map_err(|source| EmulatorError::Files { step: "lock", path: shown, source })
}

fn is_current(environment: &Path, stamp: &str) -> bool {
    let python = environment.join("bin/python");
    python.exists() && std::fs::read_to_string(environment.join("stamp")).is_ok_and(|found| found == stamp)
}

fn stamp(python_version: &str) -> String {
    let digest = hex::encode(Sha256::digest(overlay::REQUIREMENTS.as_bytes()));
    format!("{STAMP_FORMAT}\nrequirements {digest}\npython {python_version}\n")
}

/// The first Python that is new enough, and its version.
async fn find_python() -> Result<(PathBuf, String), EmulatorError> {
    let mut tried = Vec::new();
    for name in PYTHONS {
        match python_version(name).await {
            Ok(version) if is_new_enough(&version) => return Ok((PathBuf::from(name), version)),
            Ok(version) => tried.push(format!("{name}: {version} is too old")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => tried.push(format!("{name}: not found")),
            Err(error) => tried.push(format!("{name}: {error}")),
        }
    }
    Err(EmulatorError::PythonMissing { tried: tried.join("; ") })
}

async fn python_version(name: &str) -> io::Result<String> {
    let output = Command::new(name)
        .args(["-c", "import platform; print(platform.python_version())"])
        .stdin(Stdio::null())
        .output()
        .await?;
    if !output.status.success() {
        return Err(io::Error::other(tail(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= OLDEST_PYTHON,
        _ => false,
    }
}

async fn build(
    environment: &Path,
    python: &Path,
    stamp: &str,
    progress: &impl Fn(&str),
) -> Result<(), EmulatorError> {
    let home = environment.parent().unwrap_or(environment);
    let building = tempfile::Builder::new().prefix(".emulator-venv-").tempdir_in(home).map_err(|source| {
        EmulatorError::Files { step: "create a folder in", path: home.to_owned(), source }
    })?;
    progress("Creating a virtual environment for the emulator");
    let mut create = Command::new(python);
    create.args(["-m", "venv"]).arg(building.path());
    run("create a virtual environment (on Debian and Ubuntu it needs the package python3-venv)", create)
        .await?;

    progress("Installing the emulator (about 90 MB, once)");
    let requirements = building.path().join("requirements.txt");
    write(&requirements, overlay::REQUIREMENTS)?;
    let mut install = Command::new(building.path().join("bin/python"));
    install
        .args([
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--disable-pip-version-check",
            "--no-input",
            "-q",
            "-r",
        ])
        .arg(&requirements);
    run("install the emulator's packages", install).await?;

    write(&building.path().join("stamp"), stamp)?;
    replace(building, environment)?;
    progress("The emulator is installed");
    Ok(())
}

/// Put the finished environment in place of an older one. The stamp is inside, so it moves with it.
fn replace(building: tempfile::TempDir, environment: &Path) -> Result<(), EmulatorError> {
    let failed = |source| EmulatorError::Files { step: "replace", path: environment.to_owned(), source };
    if environment.exists() {
        std::fs::remove_dir_all(environment).map_err(failed)?;
    }
    std::fs::rename(building.path(), environment).map_err(failed)?;
    // Renamed away: there is nothing left for it to delete.
    let _ = building.keep();
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), EmulatorError> {
    std::fs::write(path, text).map_err(|source| EmulatorError::Files {
        step: "write",
        path: path.to_owned(),
        source,
    })
}

async fn run(step: &'static str, mut command: Command) -> Result<(), EmulatorError> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| EmulatorError::Step { step, output: error.to_string() })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(EmulatorError::Step { step, output: tail(&printed) })
}

/// The last lines of what a command printed.
fn tail(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_3_10_is_the_oldest_that_will_do() {
        for (version, enough) in [
            ("3.10.0", true),
            ("3.9.19", false),
            ("3.13.1rc1", true),
            ("4.0", true),
            ("", false),
            ("2.7.18", false),
        ] {
            assert_eq!(is_new_enough(version), enough, "{version}");
        }
    }

    #[test]
    fn an_environment_of_another_python_or_requirements_is_not_current() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("bin")).expect("a folder");
        std::fs::write(folder.path().join("bin/python"), "").expect("a file");
        std::fs::write(folder.path().join("stamp"), stamp("3.11.7")).expect("a file");
        assert!(is_current(folder.path(), &stamp("3.11.7")));
        assert!(!is_current(folder.path(), &stamp("3.12.0")));
        std::fs::remove_file(folder.path().join("bin/python")).expect("removed");
        assert!(!is_current(folder.path(), &stamp("3.11.7")));
    }

    #[test]
    fn a_missing_python_is_explained() {
        let message = EmulatorError::PythonMissing { tried: "python3: not found".into() }.to_string();
        assert!(message.contains("3.10") && message.contains("Install it"), "{message}");
    }
}
