//! The JSON Schemas beside the files of an author, for editors.
//!
//! A file names its schema in its first line: `#:schema .lockstep/schemas/lockstep.json`. `init` writes that line and the
//! schema. The commands that read such a file write its schema anew when it is missing or older than the command.

use crate::failure::{Failure, at};
use lockstep_domain::delivery::archive::OWN_FOLDER;
use lockstep_domain::schemas::{self, FOLDER, Schema};
use std::path::{Path, PathBuf};

/// The version of this command.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Writes the schema that a file names in its first line, unless it is there. Returns the path of a schema that was written.
///
/// Neither a file without such a line nor one that names another schema is an error.
pub fn renew(file: &Path) -> Result<Option<PathBuf>, Failure> {
    let Ok(text) = std::fs::read_to_string(file) else { return Ok(None) };
    let Some((schema, path)) = named(&text, file) else { return Ok(None) };
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    if !schemas::is_outdated(schema, &found, VERSION) {
        return Ok(None);
    }
    let folder = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(folder).map_err(at(folder.display()))?;
    std::fs::write(&path, schemas::written(schema, VERSION)).map_err(at(path.display()))?;
    // The folder is no part of the repository.
    let ignore = folder.parent().unwrap_or(folder).join(".gitignore");
    if !ignore.exists() {
        std::fs::write(&ignore, "*\n").map_err(at(ignore.display()))?;
    }
    Ok(Some(path))
}

/// Returns the schema of Lockstep that the first line of a file names, with its path.
fn named(text: &str, file: &Path) -> Option<(Schema, PathBuf)> {
    let relative = Path::new(text.lines().next()?.strip_prefix("#:schema ")?.trim());
    let (name, folder) = (relative.file_name()?, relative.parent()?);
    let ours = folder.ends_with(Path::new(OWN_FOLDER).join(FOLDER)) && relative.is_relative();
    let schema = schemas::ALL.into_iter().find(|schema| schema.name == name)?;
    ours.then(|| (schema, file.parent().unwrap_or(Path::new("")).join(relative)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_or_outdated_schema_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lockstep.toml");
        std::fs::write(&file, "#:schema .lockstep/schemas/lockstep.json\n[component]\n").unwrap();
        let schema = folder.path().join(".lockstep/schemas/lockstep.json");
        assert_eq!(renew(&file).unwrap().as_deref(), Some(schema.as_path()));
        assert_eq!(renew(&file).unwrap(), None);
        std::fs::write(&schema, "{\n}\n").unwrap();
        assert_eq!(renew(&file).unwrap().as_deref(), Some(schema.as_path()));
        assert_eq!(std::fs::read_to_string(folder.path().join(".lockstep/.gitignore")).unwrap(), "*\n");
    }

    #[test]
    fn another_schema_and_another_folder_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lockstep.toml");
        for line in [
            "[component]",
            "#:schema https://acme.example/lockstep.json",
            "#:schema ../lockstep.json",
            "#:schema .lockstep/schemas/odd.json",
        ] {
            std::fs::write(&file, format!("{line}\n")).unwrap();
            assert_eq!(renew(&file).unwrap(), None, "{line}");
        }
        assert_eq!(renew(&folder.path().join("absent.toml")).unwrap(), None);
    }
}
