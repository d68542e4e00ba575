use crate::model::version::{MajorMinor, Version};

/// Branch of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchKind<'a> {
    /// The default branch: its commits become releases.
    Default,
    /// Another branch, by name: its commits become pre-releases, which no stage after the test admits.
    Other(&'a str),
}

impl<'a> BranchKind<'a> {
    /// Returns the kind of `branch` where `default` is the default branch.
    pub fn of(branch: &'a str, default: &str) -> Self {
        if branch == default { Self::Default } else { Self::Other(branch) }
    }
}

/// Returns the version for a `count` just taken from the component's build counter of `of`.
///
/// The counter rises for every kind of branch, so that no version is assigned twice, whatever the names of the branches
/// are. `2.1.7-fix.1` is older than `2.1.8` and newer than `2.1.6`, and sorts between them.
pub fn next_version(of: MajorMinor, branch: BranchKind<'_>, count: u32) -> Version {
    match branch {
        BranchKind::Default => Version::release(of, count),
        BranchKind::Other(name) => Version::pre_release(of, count, name, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_branch_makes_releases_and_others_pre_releases() {
        let of = MajorMinor { major: 2, minor: 1 };
        let version =
            |branch: &str, count| next_version(of, BranchKind::of(branch, "main"), count).to_string();
        assert_eq!(version("main", 0), "2.1.0");
        assert_eq!(version("main", 37), "2.1.37");
        assert_eq!(version("fix/heap", 38), "2.1.38-fix-heap.1");
    }

    proptest! {
        #[test]
        fn versions_rise_with_the_counter_for_all_branch_names(
            branches in proptest::collection::vec("main|[a-z0-9/_.-]{1,12}|\\PC{1,5}", 2..10)
        ) {
            let of = MajorMinor { major: 1, minor: 0 };
            let versions: Vec<Version> = (0..).zip(&branches)
                .map(|(count, branch)| next_version(of, BranchKind::of(branch, "main"), count))
                .collect();
            prop_assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
            prop_assert!(versions.iter().zip(&branches).all(|(v, b)| v.is_pre_release() == (b != "main")));
        }
    }
}
