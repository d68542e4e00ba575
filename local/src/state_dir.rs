//! The folder of the local cloud's files.

use std::path::{Path, PathBuf};

/// Returns the state directory of a user: `lockstep/local` in the folder `state_home`, or in `.local/state` of `home`.
/// `None` if neither is an absolute path. A user has one local cloud, whatever folder a command runs in.
///
/// The two are the values of `XDG_STATE_HOME` and `HOME`, by the
/// [XDG Base Directory Specification](https://specifications.freedesktop.org/basedir/latest/). The folder holds the virtual
/// environment, logs, bare repositories and the session file. Its deletion while no daemon runs costs the repositories and a
/// reinstallation.
pub fn default_state_dir(state_home: Option<&Path>, home: Option<&Path>) -> Option<PathBuf> {
    let named = state_home.filter(|path| path.is_absolute()).map(Path::to_owned);
    let of_home = || home.filter(|path| path.is_absolute()).map(|home| home.join(".local/state"));
    named.or_else(of_home).map(|folder| folder.join("lockstep/local"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_state_directory() {
        let path = |text: &'static str| Some(Path::new(text));
        let in_home = Some("/home/ada/.local/state/lockstep/local".into());
        for (state_home, home, expected) in [
            (path("/state"), path("/home/ada"), Some("/state/lockstep/local".into())),
            (path("/state"), None, Some("/state/lockstep/local".into())),
            (None, path("/home/ada"), in_home.clone()),
            // The specification ignores relative paths.
            (path("state"), path("/home/ada"), in_home.clone()),
            (path(""), path("/home/ada"), in_home),
            (None, path("ada"), None),
            (None, None, None),
        ] {
            assert_eq!(default_state_dir(state_home, home), expected, "{state_home:?} {home:?}");
        }
    }
}
