//! The overlay's files, included in this crate so that an installed `lockstep` has them too.

use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// The resolved requirements of the emulator, with hashes.
pub(crate) const REQUIREMENTS: &str = include_str!("../requirements.txt");

macro_rules! overlay_files {
    ($($name:literal),+ $(,)?) => {
        /// File name and text of every module of the overlay.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../overlay/", $name)))),+];
    };
}

overlay_files![
    "__init__.py",
    "__main__.py",
    "allowed_images.py",
    "authorization.py",
    "builds.py",
    "calls.py",
    "change_set_conditions.py",
    "change_sets.py",
    "checks.py",
    "contracts.py",
    "control.py",
    "definitions.py",
    "drift_readers.py",
    "drift_reverting.py",
    "dry_run.py",
    "ebs_defaults.py",
    "ec2_checks.py",
    "ec2_wire.py",
    "event_faults.py",
    "event_forwarding.py",
    "events.py",
    "executions.py",
    "fault_replies.py",
    "front.py",
    "function_code.py",
    "function_urls.py",
    "iam_types.py",
    "image_attributes.py",
    "image_builder.py",
    "image_copies.py",
    "image_creation.py",
    "image_keys.py",
    "image_lifecycle.py",
    "image_records.py",
    "image_references.py",
    "image_view.py",
    "images.py",
    "imports.py",
    "invocations.py",
    "item_checks.py",
    "lifetime.py",
    "live_models.py",
    "nested_stacks.py",
    "parameter_types.py",
    "pass_role.py",
    "patched.py",
    "quotas.py",
    "recorded_state.py",
    "recording.py",
    "resource_conflicts.py",
    "resource_faults.py",
    "rules.py",
    "runtime_api.py",
    "shapes.py",
    "signatures.py",
    "simulate.py",
    "snapshots.py",
    "stack_events.py",
    "stack_templates.py",
    "start.py",
    "state.py",
    "subscriptions.py",
    "task_tokens.py",
    "volumes.py",
    "wire.py",
];

/// Writes the overlay under `state_dir` and returns the folder for Python's path.
///
/// The digest of the content is the folder's name, so another version of this crate has another folder. An
/// existing folder is complete, because it was renamed to its final path.
pub(crate) fn unpack(state_dir: &Path) -> io::Result<PathBuf> {
    let home = state_dir.join("overlay");
    let target = home.join(digest());
    if target.is_dir() {
        return Ok(target);
    }
    std::fs::create_dir_all(&home)?;
    let building = tempfile::Builder::new().prefix(".building-").tempdir_in(&home)?;
    let package = building.path().join("overlay");
    std::fs::create_dir(&package)?;
    for (name, text) in FILES {
        std::fs::write(package.join(name), text)?;
    }
    match std::fs::rename(building.path(), &target) {
        // Another process was faster. Its content is the same.
        Err(_) if target.is_dir() => Ok(target),
        Err(error) => Err(error),
        Ok(()) => {
            // The folder has another name now, so there is nothing to clean up.
            let _ = building.keep();
            Ok(target)
        }
    }
}

/// Returns the hex digest of all files, shortened to the length that distinguishes versions.
fn digest() -> String {
    let mut hash = Sha256::new();
    for (name, text) in FILES {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_module_of_the_overlay_is_included() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlay");
        let found: BTreeSet<String> = std::fs::read_dir(source)
            .expect("the overlay's folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
            .filter(|name| name.ends_with(".py"))
            .collect();
        let carried: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(carried, found);
    }

    #[test]
    fn unpacking_twice_gives_the_same_complete_folder() {
        let state = tempfile::tempdir().expect("a folder");
        let first = unpack(state.path()).expect("unpacked");
        let second = unpack(state.path()).expect("unpacked again");
        assert_eq!(first, second);
        let main = std::fs::read_to_string(first.join("overlay/__main__.py")).expect("a module");
        assert!(main.contains("overlay.start"));
        assert_eq!(std::fs::read_dir(state.path().join("overlay")).expect("a folder").count(), 1);
    }

    #[test]
    fn overlay_and_requirements_pin_the_same_release() {
        let (_, init) = FILES.iter().find(|(name, _)| *name == "__init__.py").expect("the package");
        let pinned = init.split("PINNED_VERSION = \"").nth(1).and_then(|rest| rest.split('"').next());
        let required = REQUIREMENTS.lines().find_map(|line| line.strip_prefix("ministack=="));
        assert_eq!(pinned, required.map(|rest| rest.trim_end_matches([' ', '\\'])));
    }

    #[test]
    fn every_requirement_has_a_hash_and_names_no_host() {
        assert!(!REQUIREMENTS.contains("://") && !REQUIREMENTS.contains("--index"));
        let pins = REQUIREMENTS.lines().filter(|line| line.contains("==")).count();
        let continued =
            REQUIREMENTS.lines().filter(|line| line.contains("==") && line.ends_with('\\')).count();
        assert!(pins > 10 && pins == continued, "a pin without a hash");
    }
}
