//! The components and recipes in the tarball of a commit.

use lockstep_domain::delivery::archive::{Limits, unpack_tarball};
use lockstep_domain::delivery::manifest;
pub use lockstep_domain::delivery::packaging::Source;
use lockstep_domain::delivery::packaging::sources;
use lockstep_domain::images::recipe;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::CommitSha;

/// Contents of a commit, in the order of the folders.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its components.
    pub components: Vec<Source>,
    /// Its recipes.
    pub recipes: Vec<recipe::Source>,
}

/// Reads the tarball of `commit`.
///
/// # Errors
/// `Rejected` if the archive is unsafe, holds another commit, or holds neither a component nor a recipe.
pub fn open(gzipped: &[u8], commit: &CommitSha) -> Result<Commit, Failure> {
    let tarball = unpack_tarball(gzipped, &Limits::DEFAULT)
        .map_err(|error| Failure::rejected(format!("commit {commit} is refused")).caused_by(&error))?;
    if tarball.commit.as_ref() != Some(commit) {
        let found = tarball.commit.map_or_else(|| "an unnamed commit".to_owned(), |other| other.to_string());
        return Err(Failure::rejected(format!("the git host answered with {found} instead of {commit}")));
    }
    let components = sources(&tarball);
    let recipes = recipe::sources(&tarball);
    if components.is_empty() && recipes.is_empty() {
        return Err(Failure::rejected(format!(
            "commit {commit} has no component: no folder holds a {}; `lockstep init` makes one",
            manifest::FILE
        )));
    }
    Ok(Commit { components, recipes })
}
