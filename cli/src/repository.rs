//! A clone of a git repository, with real commits, for the example and the demo.

use crate::failure::{Failure, at};
use crate::git::git;
use std::path::{Path, PathBuf};

/// A clone of the repository.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// Returns the clone in `folder`.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates an empty repository whose `origin` is `remote`.
    pub async fn create(&self, remote: &str) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.folder).map_err(at(self.folder.display()))?;
        for command in [
            ["init", "--quiet", "--initial-branch=main"].as_slice(),
            &["config", "user.name", "Ada Lovelace"],
            &["config", "user.email", "ada@example.com"],
            &["config", "commit.gpgsign", "false"],
            &["remote", "add", "origin", remote],
        ] {
            git(&self.folder, command).await?;
        }
        Ok(())
    }

    /// Copies a folder of Lockstep's own sources into the component `name`.
    pub fn copy(&self, from: &Path, name: &str) -> Result<(), Failure> {
        copy_folder(from, &self.folder.join(name))
    }

    /// Writes a file of the repository.
    pub fn write(&self, path: &str, text: &str) -> Result<(), Failure> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(at(parent.display()))?;
        }
        std::fs::write(&path, text).map_err(at(path.display()))
    }

    /// Removes a file of the repository.
    pub fn remove(&self, path: &str) -> Result<(), Failure> {
        let path = self.folder.join(path);
        std::fs::remove_file(&path).map_err(at(path.display()))
    }

    /// Returns the text of a file of the repository.
    pub fn read(&self, path: &str) -> Result<String, Failure> {
        let path = self.folder.join(path);
        std::fs::read_to_string(&path).map_err(at(path.display()))
    }

    /// Replaces a text in a file. Refuses a file without that text.
    pub fn replace(&self, path: &str, old: &str, new: &str) -> Result<(), Failure> {
        let text = self.read(path)?;
        if !text.contains(old) {
            return Err(Failure::new(format!(
                "{path} does not contain the text that the demo replaces: {old}"
            )));
        }
        self.write(path, &text.replacen(old, new, 1))
    }

    /// Commits everything.
    pub async fn commit(&self, message: &str) -> Result<(), Failure> {
        git(&self.folder, &["add", "--all"]).await?;
        git(&self.folder, &["commit", "--quiet", "--message", message]).await.map(drop)
    }

    /// Reverts the last commit by another one.
    pub async fn revert(&self) -> Result<(), Failure> {
        git(&self.folder, &["revert", "--no-edit", "HEAD"]).await.map(drop)
    }

    /// Switches to a branch. Creates it if it does not exist.
    pub async fn switch(&self, branch: &str) -> Result<(), Failure> {
        if git(&self.folder, &["switch", "--quiet", branch]).await.is_err() {
            git(&self.folder, &["switch", "--quiet", "--create", branch]).await?;
        }
        Ok(())
    }

    /// Returns the commit of `HEAD`.
    pub async fn head(&self) -> Result<String, Failure> {
        git(&self.folder, &["rev-parse", "HEAD"]).await
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to).map_err(at(to.display()))?;
    for entry in std::fs::read_dir(from).map_err(at(from.display()))? {
        let entry = entry.map_err(at(from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).map_err(at(source.display()))?;
        }
    }
    Ok(())
}
