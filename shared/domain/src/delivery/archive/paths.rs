//! Checks of entry names: unsafe names, and names that would become the same file.

use super::{ArchiveError, Limits};
use std::collections::BTreeMap;

/// Returns a path for an error message: control characters escaped, at most 200 characters.
pub(super) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().take(200).flat_map(char::escape_debug).collect()
}

/// Returns the entry's name as a relative path, or an error with the reason to refuse it.
///
/// No name is cleaned up: a name is either plain or refused. Two readers therefore cannot disagree about it, and no
/// removal of `../` can leave another `../` behind.
pub(super) fn checked(raw: &[u8], limits: &Limits) -> Result<String, ArchiveError> {
    match fault(raw, limits) {
        None => Ok(String::from_utf8_lossy(raw).into_owned()),
        Some(why) => Err(ArchiveError::UnsafePath { path: shown(raw), why }),
    }
}

fn fault(raw: &[u8], limits: &Limits) -> Option<&'static str> {
    let Ok(path) = std::str::from_utf8(raw) else { return Some("is not UTF-8") };
    let first = path.split('/').next().unwrap_or_default();
    let faults = [
        (path.is_empty(), "is empty"),
        (path.len() as u64 > limits.path_bytes.into(), "is too long"),
        (path.split('/').count() as u64 > limits.depth.into(), "has too many parts"),
        (path.starts_with('/'), "is absolute"),
        (path.contains('\\'), "has a backslash"),
        (path.chars().any(char::is_control), "has a control character"),
        (first.len() == 2 && first.ends_with(':'), "names a drive"),
        (path.split('/').any(str::is_empty), "has an empty part"),
        (path.split('/').any(|part| part == "." || part == ".."), "has a part that is '.' or '..'"),
    ];
    faults.into_iter().find(|(wrong, _)| *wrong).map(|(_, why)| why)
}

/// Refuses paths that differ only by case, and a file whose path is also a folder of another file.
pub(super) fn refuse_collisions<'a>(paths: impl IntoIterator<Item = &'a String>) -> Result<(), ArchiveError> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for path in paths {
        if let Some(other) = seen.insert(path.to_lowercase(), path) {
            return Err(collision(other, path));
        }
    }
    for (folded, path) in &seen {
        let folders = folded.match_indices('/').map(|(at, _)| &folded[..at]);
        if let Some(file) = folders.filter_map(|folder| seen.get(folder)).next() {
            return Err(collision(file, path));
        }
    }
    Ok(())
}

/// Returns the error for two entries that exclude each other.
pub(super) fn collision(first: &str, second: &str) -> ArchiveError {
    ArchiveError::Collision { first: shown(first.as_bytes()), second: shown(second.as_bytes()) }
}
