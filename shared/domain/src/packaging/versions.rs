use crate::version::{MajorMinor, Version};

/// Where a commit lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchKind<'a> {
    /// On the default branch: it becomes a release.
    Default,
    /// On another branch, by name: it becomes a pre-release, which goes no further than its test.
    Other(&'a str),
}

impl<'a> BranchKind<'a> {
    /// The kind of `branch` where releases come from `default`.
    pub fn of(branch: &'a str, default: &str) -> Self {
        if branch == default { Self::Default } else { Self::Other(branch) }
    }
}

/// The version for a `count` just taken from the component's build counter of `of`.
///
/// The counter rises for every kind of branch, so that no version is given out twice, whatever the branches are
/// called. `2.1.7-fix.1` came before `2.1.8` and after `2.1.6`, and that is how they sort.
pub fn next_version(of: MajorMinor, branch: BranchKind<'_>, count: u32) -> Version {
    match branch {
        BranchKind::Default => Version::release(of, count),
        BranchKind::Other(name) => Version::pre_release(of, count, name, 1),
    }
}
