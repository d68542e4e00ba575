//! Virtual environments of Python with exactly the pinned packages.

use crate::http::chain;
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// Beginning of the environment's stamp file. It is raised when the build of the environment changes.
const STAMP_FORMAT: &str = "lockstep-emulator-1";
const OLDEST_PYTHON: (u32, u32) = (3, 10);
const PYTHONS: &[&str] = &["python3", "python3.13", "python3.12", "python3.11", "python3.10"];

/// Reason why a virtual environment could not be created.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// No usable Python was found.
    #[error(
        "Lockstep needs Python {}.{} or newer here, and none was found (tried {tried}). \
         Install it (for example `apt install python3 python3-venv` or `brew install python`) and try again.",
        OLDEST_PYTHON.0, OLDEST_PYTHON.1
    )]
    PythonMissing {
        /// Each name that was tried, with the result.
        tried: String,
    },
    /// A step of the installation failed.
    #[error(
        "could not {step}: {output}\nCheck the network and the disk, then try again; \
         nothing half-made is left behind."
    )]
    Step {
        /// Failed step, as a verb phrase.
        step: &'static str,
        /// End of the command's output.
        output: String,
    },
    /// The command of a step could not be started.
    #[error("could not {step}; check that Python is installed")]
    Start {
        /// Failed step, as a verb phrase.
        step: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file of the installation could not be read or written.
    #[error("could not {step} {path}; check that the folder exists and may be written to")]
    Files {
        /// Failed step, as a verb phrase.
        step: &'static str,
        /// File or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// Description of a virtual environment: its folder, its packages, and its purpose.
#[derive(Clone, Copy, Debug)]
pub struct VirtualEnvironment<'a> {
    /// Name of its folder.
    pub folder: &'a str,
    /// Resolved requirements, each with the hash of every file that may be installed.
    pub requirements: &'a str,
    /// Name of the content for messages: "the emulator (about 90 MB, once)".
    pub content: &'a str,
}

impl VirtualEnvironment<'_> {
    /// Installs it under `state_dir` unless it is there already, and returns its Python.
    ///
    /// A stamp (the digest of the requirements and the version of Python) decides if the existing environment
    /// is current. The environment is built in a temporary folder and renamed to its final path under a lock.
    /// Two processes do not race, and an interrupted installation leaves no usable environment behind.
    /// `progress` receives one sentence for each step, and none without a step.
    ///
    /// # Errors
    ///
    /// [`PythonError`]: no Python, no network, no space.
    pub async fn install(&self, state_dir: &Path, progress: impl Fn(&str)) -> Result<PathBuf, PythonError> {
        create_dir(state_dir)?;
        let lock = lock(state_dir.join(format!("{}.lock", self.folder))).await?;
        let environment = state_dir.join(self.folder);
        let (base, version) = find_python().await?;
        let stamp = self.stamp(&version);
        if !is_current(&environment, &stamp) {
            self.build(&environment, &base, &stamp, &progress).await?;
        }
        drop(lock);
        Ok(environment.join("bin/python"))
    }

    fn stamp(&self, python_version: &str) -> String {
        let digest = hex::encode(Sha256::digest(self.requirements.as_bytes()));
        format!("{STAMP_FORMAT}\nrequirements {digest}\npython {python_version}\n")
    }

    async fn build(
        &self,
        environment: &Path,
        python: &Path,
        stamp: &str,
        progress: &impl Fn(&str),
    ) -> Result<(), PythonError> {
        let home = environment.parent().unwrap_or(environment);
        let building =
            tempfile::Builder::new().prefix(&format!(".{}-", self.folder)).tempdir_in(home).map_err(
                |source| PythonError::Files { step: "create a folder in", path: home.to_owned(), source },
            )?;
        progress(&format!("Creating a virtual environment for {}", self.content));
        let mut create = Command::new(python);
        create.args(["-m", "venv"]).arg(building.path());
        run("create a virtual environment (on Debian and Ubuntu it needs the package python3-venv)", create)
            .await?;

        progress(&format!("Installing {}", self.content));
        let requirements = building.path().join("requirements.txt");
        write(&requirements, self.requirements)?;
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
        run("install the packages", install).await?;

        write(&building.path().join("stamp"), stamp)?;
        replace(building, environment)?;
        Ok(())
    }
}

fn create_dir(path: &Path) -> Result<(), PythonError> {
    std::fs::create_dir_all(path).map_err(|source| PythonError::Files {
        step: "create",
        path: path.to_owned(),
        source,
    })
}

/// Acquires the lock file until the result is dropped. Waits for the end of another installation.
async fn lock(path: PathBuf) -> Result<std::fs::File, PythonError> {
    let shown = path.clone();
    tokio::task::spawn_blocking(move || {
        let file = std::fs::File::create(path)?;
        file.lock()?;
        Ok(file)
    })
    .await
    .unwrap_or_else(|join| Err(io::Error::other(join)))
    .map_err(|source| PythonError::Files { step: "lock", path: shown, source })
}

fn is_current(environment: &Path, stamp: &str) -> bool {
    let python = environment.join("bin/python");
    python.exists() && std::fs::read_to_string(environment.join("stamp")).is_ok_and(|found| found == stamp)
}

/// Returns the first Python that is new enough, and its version.
async fn find_python() -> Result<(PathBuf, String), PythonError> {
    let mut tried = Vec::new();
    for name in PYTHONS {
        match python_version(name).await {
            Ok(version) if is_new_enough(&version) => return Ok((PathBuf::from(name), version)),
            Ok(version) => tried.push(format!("{name}: {version} is too old")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => tried.push(format!("{name}: not found")),
            Err(error) => tried.push(format!("{name}: {}", chain(&error))),
        }
    }
    Err(PythonError::PythonMissing { tried: tried.join("; ") })
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

/// Replaces an older environment with the finished one. The stamp is inside, so it moves with it.
fn replace(building: tempfile::TempDir, environment: &Path) -> Result<(), PythonError> {
    let failed = |source| PythonError::Files { step: "replace", path: environment.to_owned(), source };
    if environment.exists() {
        std::fs::remove_dir_all(environment).map_err(failed)?;
    }
    std::fs::rename(building.path(), environment).map_err(failed)?;
    // The folder has another name now, so there is nothing to delete.
    let _ = building.keep();
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), PythonError> {
    std::fs::write(path, text).map_err(|source| PythonError::Files {
        step: "write",
        path: path.to_owned(),
        source,
    })
}

async fn run(step: &'static str, mut command: Command) -> Result<(), PythonError> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| PythonError::Start { step, source })?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(PythonError::Step { step, output: tail(&printed) })
}

/// Returns the last lines of a command's output.
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
        let one = VirtualEnvironment { folder: "venv", requirements: "a==1", content: "one" };
        let other = VirtualEnvironment { requirements: "a==2", ..one };
        std::fs::write(folder.path().join("stamp"), one.stamp("3.11.7")).expect("a file");
        assert!(is_current(folder.path(), &one.stamp("3.11.7")));
        assert!(!is_current(folder.path(), &one.stamp("3.12.0")));
        assert!(!is_current(folder.path(), &other.stamp("3.11.7")));
        std::fs::remove_file(folder.path().join("bin/python")).expect("removed");
        assert!(!is_current(folder.path(), &one.stamp("3.11.7")));
    }

    #[test]
    fn a_missing_python_is_explained() {
        let message = PythonError::PythonMissing { tried: "python3: not found".into() }.to_string();
        assert!(message.contains("3.10") && message.contains("Install it"), "{message}");
    }
}
