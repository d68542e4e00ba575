//! The folder of the local cloud's files.

use std::path::{Path, PathBuf};

/// Returns the state directory for a command started in `from`: `.lockstep` in the nearest folder at or above
/// it that holds a `.git` (file or folder), or in `from` itself if there is none.
///
/// It holds the virtual environment, logs, bare repositories and the session file. Its deletion while no
/// daemon runs costs only a reinstallation.
pub fn default_state_dir(from: &Path) -> PathBuf {
    from.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(from).join(".lockstep")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_beside_the_nearest_git_folder() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("a/b")).expect("folders");
        std::fs::create_dir(root.path().join(".git")).expect("folder");
        assert_eq!(default_state_dir(&root.path().join("a/b")), root.path().join(".lockstep"));
    }
}
