//! The files that a push would bring to packaging, read from a working tree.
//!
//! Packaging reads what `git archive` writes: without files that git ignores or an attribute excludes, and with links that
//! are no files. So inside a repository the command lets git write the same archive, of a tree made from the working tree,
//! and reads it with the code of packaging.

use crate::failure::{Failure, at};
use crate::git::working_tree_archive;
use lockstep_domain::delivery::archive::{Limits, Tarball, unpack_tarball};
use lockstep_domain::delivery::packaging;
use lockstep_domain::images::recipe;
use lockstep_domain::model::error::chain;
use std::path::{Path, PathBuf};

/// The files of a repository, or of a folder outside of one.
pub struct PushedFiles {
    tarball: Tarball,
    /// The folder that the command names, below the repository; empty, or with a `/` at its end.
    prefix: String,
}

impl PushedFiles {
    /// Returns the components below the folder that the command names, and one that holds this folder. Components elsewhere
    /// in the repository count only for their names.
    pub fn components(&self) -> Vec<packaging::Source> {
        let components = packaging::sources(&self.tarball).into_iter();
        components.filter(|source| self.concerns(&source.folder)).collect()
    }

    /// Returns the recipes, chosen as the components are.
    pub fn recipes(&self) -> Vec<recipe::Source> {
        recipe::sources(&self.tarball).into_iter().filter(|source| self.concerns(&source.folder)).collect()
    }

    /// Returns the files that name a schema, as the operator reaches them from `typed`.
    pub fn with_schema(&self, typed: &Path) -> Vec<PathBuf> {
        let files = self.tarball.files.iter().filter(|(_, bytes)| bytes.starts_with(b"#:schema "));
        let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let concerned = files.filter(|(path, _)| self.concerns(&folder(path)));
        concerned.map(|(path, _)| self.shown(typed, path).into()).collect()
    }

    fn concerns(&self, folder: &str) -> bool {
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        folder.starts_with(&self.prefix) || self.prefix.starts_with(&folder)
    }

    /// Returns the file of a problem as the operator reaches it from `typed`.
    pub fn shown(&self, typed: &Path, file: &str) -> String {
        let path = match format!("{file}/").strip_prefix(&self.prefix) {
            Some(rest) => typed.join(rest.trim_end_matches('/')),
            None if typed.ends_with(&self.prefix) => {
                let root = typed.ancestors().nth(Path::new(&self.prefix).components().count());
                root.unwrap_or(Path::new("")).join(file)
            }
            None => file.into(),
        };
        path.display().to_string()
    }
}

/// Reads the files that a push would contain: those that git tracks or would add. Outside a repository, every file.
///
/// The inner error is the reason for which packaging would refuse the whole repository.
pub async fn pushed_files(folder: &Path) -> Result<Result<PushedFiles, String>, Failure> {
    if !folder.is_dir() {
        return Err(Failure::new(format!("{} is not a folder", folder.display())));
    }
    let Some(archive) = working_tree_archive(folder).await? else {
        return outside(folder).map(Ok);
    };
    Ok(match unpack_tarball(&archive.gzipped, &Limits::DEFAULT) {
        Ok(tarball) => Ok(PushedFiles { tarball, prefix: archive.prefix }),
        Err(error) => Err(chain(&error)),
    })
}

/// Reads a folder outside of a repository. A recipe is read with the files that it shares with the recipes beside it.
fn outside(folder: &Path) -> Result<PushedFiles, Failure> {
    let mut tarball = Tarball::default();
    let whole = folder.canonicalize().map_err(at(folder.display()))?;
    let above = whole.parent().zip(whole.file_name()).filter(|_| folder.join(recipe::FILE).is_file());
    let Some((above, name)) = above else {
        walk(folder, "", 0, &mut tarball)?;
        return Ok(PushedFiles { tarball, prefix: String::new() });
    };
    let name = name.to_string_lossy();
    walk(above, &name, 1, &mut tarball)?;
    if above.join(recipe::COMMON_FOLDER).is_dir() {
        walk(above, recipe::COMMON_FOLDER, 1, &mut tarball)?;
    }
    Ok(PushedFiles { tarball, prefix: format!("{name}/") })
}

fn walk(root: &Path, below: &str, depth: u32, tarball: &mut Tarball) -> Result<(), Failure> {
    let folder = root.join(below);
    if depth > Limits::DEFAULT.depth {
        return Err(Failure::new(format!("{} is nested too deeply", folder.display())));
    }
    for entry in std::fs::read_dir(&folder).map_err(at(folder.display()))? {
        let entry = entry.map_err(at(folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type().map_err(at(folder.display()))?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, tarball)?;
        } else if kind.is_symlink() {
            tarball.links.insert(path);
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).map_err(at(entry.path().display()))?;
            tarball.files.insert(path, bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::git;

    const MANIFEST: &str = "[component]\nname = \"logs\"\n";

    fn write(root: &Path, path: &str, text: &str) {
        let full = root.join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, text).unwrap();
    }

    async fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet"]).await.unwrap();
        write(folder.path(), "logs/lockstep.toml", MANIFEST);
        folder
    }

    async fn read(folder: &Path) -> PushedFiles {
        pushed_files(folder).await.unwrap().unwrap()
    }

    fn paths(files: &PushedFiles) -> Vec<String> {
        files.components().into_iter().flat_map(|source| source.files.unwrap().into_keys()).collect()
    }

    #[tokio::test]
    async fn files_that_an_archive_leaves_out_are_left_out() {
        let folder = repository().await;
        write(folder.path(), ".gitignore", "*.zip\nnode_modules\n");
        write(folder.path(), ".gitattributes", "logs/parameters export-ignore\n*.md export-ignore\n");
        for path in ["template.yaml", "code.zip", "node_modules/a.js", "README.md", "parameters/ci.toml"] {
            write(folder.path(), &format!("logs/{path}"), "x");
        }
        let expected = ["lockstep.toml", "template.yaml"];
        assert_eq!(paths(&read(folder.path()).await), expected);
        assert_eq!(paths(&read(&folder.path().join("logs")).await), expected);
        // What git tracks is pushed, although a pattern ignores it.
        git(folder.path(), &["add", "--force", "logs/code.zip"]).await.unwrap();
        assert_eq!(paths(&read(folder.path()).await), ["code.zip", "lockstep.toml", "template.yaml"]);
        let status =
            git(folder.path(), &["status", "--porcelain", "--", "logs/template.yaml"]).await.unwrap();
        assert_eq!(status, "?? logs/template.yaml", "the index is unchanged");
    }

    #[tokio::test]
    async fn deleted_and_changed_files_are_read_as_they_are_now() {
        let folder = repository().await;
        write(folder.path(), "logs/old", "1");
        write(folder.path(), "logs/new", "1");
        git(folder.path(), &["add", "."]).await.unwrap();
        std::fs::remove_file(folder.path().join("logs/old")).unwrap();
        write(folder.path(), "logs/new", "2");
        let [source] = read(folder.path()).await.components().try_into().unwrap();
        let files = source.files.unwrap();
        assert_eq!(files.get("new").map(Vec::as_slice), Some(b"2".as_slice()));
        assert!(!files.contains_key("old"));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_is_refused_inside_and_outside_of_a_repository() {
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), "logs/lockstep.toml", MANIFEST);
        for folder in [repository().await, outside] {
            std::os::unix::fs::symlink("lockstep.toml", folder.path().join("logs/latest")).unwrap();
            let [source] = read(&folder.path().join("logs")).await.components().try_into().unwrap();
            assert!(source.files.unwrap_err().message.contains("is a link"));
        }
    }

    #[tokio::test]
    async fn a_name_that_another_folder_of_the_repository_has_is_refused() {
        let folder = repository().await;
        write(folder.path(), "copy/lockstep.toml", MANIFEST);
        let typed = folder.path().join("copy");
        let files = read(&typed).await;
        let [source] = files.components().try_into().unwrap();
        let problem = source.files.unwrap_err();
        assert!(problem.message.contains("the name is used in copy and logs"), "{problem}");
        assert_eq!(files.shown(Path::new("copy"), &problem.file), "copy/lockstep.toml");
    }

    #[tokio::test]
    async fn a_component_above_the_folder_is_judged_with_it() {
        let folder = repository().await;
        write(folder.path(), "lockstep.toml", MANIFEST);
        let [source] = read(&folder.path().join("logs")).await.components().try_into().unwrap();
        assert_eq!(source.folder, "");
    }
}
