//! Installation of the emulator: a virtual environment with the pinned packages, and the overlay beside it.

use crate::overlay;
use crate::virtual_environment::{PythonError, VirtualEnvironment};
use std::path::{Path, PathBuf};

/// An installed emulator that [`LocalCloud`](crate::Cloud) can start.
#[derive(Clone, Debug)]
pub struct Emulator {
    pub(crate) python: PathBuf,
    pub(crate) overlay: PathBuf,
}

impl Emulator {
    /// Installs the emulator under `state_dir` unless it is there already, and returns it.
    ///
    /// `progress` receives one sentence for each step, and none without a step.
    ///
    /// # Errors
    ///
    /// [`PythonError`]: no Python, no network, no space.
    pub async fn install(state_dir: &Path, progress: impl Fn(&str)) -> Result<Self, PythonError> {
        let environment = VirtualEnvironment {
            folder: "emulator-venv",
            requirements: overlay::REQUIREMENTS,
            content: "the emulator (about 90 MB, once)",
        };
        let python = environment.install(state_dir, progress).await?;
        let overlay = overlay::unpack(state_dir).map_err(|source| PythonError::Files {
            step: "write the overlay into",
            path: state_dir.to_owned(),
            source,
        })?;
        Ok(Self { python, overlay })
    }

    /// Returns the Python of the virtual environment, for the conformance suite.
    pub fn python(&self) -> &Path {
        &self.python
    }
}
