//! The owner of the name of a component or of an image.
//!
//! The first push to a default branch claims the name, and only an administrator moves the claim. Every other push, also of
//! another branch of the owner to be, is refused before anything is built, tested or released under the name.

#[cfg(test)]
mod tests;

use crate::model::error::Failure;
use crate::model::ids::{ImageName, RepositoryId};
use crate::records::{ClaimOrigin, OwnedName, Ownership};
use jiff::Timestamp;

/// A push that uses a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push<'a> {
    /// Repository of the push.
    pub repository: &'a RepositoryId,
    /// True if the push is to the default branch of the repository.
    pub is_default_branch: bool,
}

/// Right of a push to use a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The repository owns the name.
    Owns,
    /// No claim to the name exists, and the push may write one.
    MayClaim,
}

/// Returns the right of `push` to use `name`. `found` is the claim to the name.
///
/// # Errors
/// `Rejected` with the owner and the command that moves the name.
pub fn right(name: &OwnedName, found: Option<&Ownership>, push: Push<'_>) -> Result<Right, Failure> {
    let ours = push.repository.full_name();
    let remedy = format!("ask an administrator: {}", name.assign_command(push.repository));
    match found {
        Some(claim) if claim.owner.as_ref() == Some(push.repository) => Ok(Right::Owns),
        Some(Ownership { owner: Some(owner), .. }) => Err(Failure::rejected(format!(
            "the {name} belongs to {}, so {ours} cannot use it; choose another name, or {remedy}",
            owner.full_name()
        ))),
        Some(Ownership { owner: None, .. }) => Err(Failure::rejected(format!(
            "the {name} was imported and belongs to no repository, so {ours} cannot use it; choose another name, or {remedy}"
        ))),
        None if push.is_default_branch => Ok(Right::MayClaim),
        None => Err(Failure::rejected(format!(
            "the {name} has no owner yet, and only a push to the default branch claims a name; push it to the default \
             branch of {ours} first, or {remedy}"
        ))),
    }
}

/// Returns the claim of a push that [`Right::MayClaim`]. `execution` is the execution that the push started.
pub fn claimed(name: OwnedName, push: Push<'_>, execution: &str, now: Timestamp) -> Ownership {
    Ownership {
        of: name,
        owner: Some(push.repository.clone()),
        origin: ClaimOrigin::Push,
        by: execution.to_owned(),
        at: now,
    }
}

/// Returns the claim that precedes the import of an image, or `None` if the present claim admits the import. Without an
/// `owner`, an image of a new name belongs to no repository, and an image of an owned name to its owner.
///
/// # Errors
/// `Rejected` if `owner` is not the present owner: an import moves no name.
pub fn imported(
    image: &ImageName,
    found: Option<&Ownership>,
    owner: Option<&RepositoryId>,
    by: &str,
    now: Timestamp,
) -> Result<Option<Ownership>, Failure> {
    let name = OwnedName::Image(image.clone());
    let Some(claim) = found else {
        let (owner, by) = (owner.cloned(), by.to_owned());
        return Ok(Some(Ownership { of: name, owner, origin: ClaimOrigin::Import, by, at: now }));
    };
    match owner {
        Some(wanted) if claim.owner.as_ref() != Some(wanted) => Err(Failure::rejected(format!(
            "the {name} belongs to {}; to give it to {}, run `{}`",
            claim.owner.as_ref().map_or_else(|| "no repository".to_owned(), RepositoryId::full_name),
            wanted.full_name(),
            name.assign_command(wanted)
        ))),
        Some(_) | None => Ok(None),
    }
}

/// Returns the claim that gives `name` to the repository `to`, or `None` if `to` owns it already.
pub fn assigned(
    name: &OwnedName,
    found: Option<&Ownership>,
    to: &RepositoryId,
    by: &str,
    now: Timestamp,
) -> Option<Ownership> {
    let owns = found.is_some_and(|claim| claim.owner.as_ref() == Some(to));
    (!owns).then(|| Ownership {
        of: name.clone(),
        owner: Some(to.clone()),
        origin: ClaimOrigin::Assignment,
        by: by.to_owned(),
        at: now,
    })
}
