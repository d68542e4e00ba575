//! The versions of the command, the control plane and the stacks of target accounts, and the step that makes them equal.

use serde::Serialize;
use std::cmp::Ordering;

/// Relation of an installed version to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Both versions are equal.
    Fits,
    /// The installed version is older.
    Older,
    /// The installed version is newer.
    Newer,
    /// A version is absent, or is no version.
    Unknown,
}

/// Returns the relation of `installed` to the version that it should have.
pub fn compare(installed: Option<&str>, wanted: &str) -> Fit {
    let parse = |text: &str| text.parse::<semver::Version>().ok();
    let (Some(installed), Some(wanted)) = (installed.and_then(parse), parse(wanted)) else {
        return Fit::Unknown;
    };
    match installed.cmp(&wanted) {
        Ordering::Equal => Fit::Fits,
        Ordering::Less => Fit::Older,
        Ordering::Greater => Fit::Newer,
    }
}

/// Returns the step that brings a control plane and the command to one version; `None` if none is needed.
pub fn control_plane_step(fit: Fit) -> Option<&'static str> {
    match fit {
        Fit::Fits => None,
        Fit::Older | Fit::Unknown => Some("update the control plane: lockstep install"),
        Fit::Newer => Some("update the command: its version is older than that of the control plane"),
    }
}

/// Returns the step that brings the stack of a target account and the control plane to one version; `None` if none is
/// needed.
pub fn target_step(fit: Fit) -> Option<&'static str> {
    match fit {
        Fit::Fits => None,
        Fit::Older | Fit::Unknown => {
            Some("update the account: lockstep accounts add, with the options of the first time")
        }
        Fit::Newer => Some("update the control plane: lockstep install"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_of_versions_has_a_step() {
        for (installed, wanted, fit) in [
            (Some("0.2.0"), "0.2.0", Fit::Fits),
            (Some("0.1.9"), "0.2.0", Fit::Older),
            (Some("0.10.0"), "0.9.0", Fit::Newer),
            (Some("0.2.0-rc.1"), "0.2.0", Fit::Older),
            (None, "0.2.0", Fit::Unknown),
            (Some("unknown"), "0.2.0", Fit::Unknown),
        ] {
            assert_eq!(compare(installed, wanted), fit, "{installed:?} {wanted}");
            let steps = [control_plane_step(fit), target_step(fit)];
            assert_eq!(steps.iter().all(Option::is_none), fit == Fit::Fits);
            assert_eq!(steps.iter().all(Option::is_some), fit != Fit::Fits);
        }
    }
}
