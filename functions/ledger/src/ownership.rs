//! Claims to the names of components and of images.

use crate::context::LedgerContext;
use jiff::Timestamp;
use lockstep_aws::ledger::{Versioned, Write};
use lockstep_domain::delivery::ownership::{self, Push, Right};
use lockstep_domain::messages::inputs::BakeImage;
use lockstep_domain::messages::operator::Applied;
use lockstep_domain::model::error::Failure;
use lockstep_domain::model::ids::{ImageName, RepositoryId};
use lockstep_domain::records::{OwnedName, Ownership, Release, Repository};

/// Returns the write that a draft needs before it is tested or published: the claim to the name of its component, or the
/// check that the claim is unchanged.
///
/// # Errors
/// `Rejected` if the repository of the draft neither owns nor may claim the name.
pub async fn of_draft(
    context: &impl LedgerContext,
    draft: &Release,
    execution: &str,
    now: Timestamp,
) -> Result<Write, Failure> {
    let name = OwnedName::Component(draft.component.clone());
    // `package` gives every release of another branch a pre-release version.
    let push = Push { repository: &draft.repository, is_default_branch: !draft.version.is_pre_release() };
    let found = find(context, &name).await?;
    match (ownership::right(&name, found.as_ref().map(|found| &found.record), push)?, &found) {
        (Right::Owns, Some(found)) => Ok(Write::unchanged(found)),
        (Right::Owns, None) => Err(Failure::bug("a name without a claim has an owner")),
        (Right::MayClaim, _) => Write::insert(&ownership::claimed(name, push, execution, now)),
    }
}

/// Claims the name of an image for the repository of its recipe, unless the repository owns it already.
pub async fn claim_image(
    context: &impl LedgerContext,
    execution: &str,
    input: &BakeImage,
    now: Timestamp,
) -> Result<(), Failure> {
    let repository = registered(context, &input.repository).await?;
    let is_default_branch = repository.is_default_branch(&input.reference);
    let push = Push { repository: &input.repository, is_default_branch };
    let name = OwnedName::Image(input.image.clone());
    let found = find(context, &name).await?;
    match ownership::right(&name, found.as_ref().map(|found| &found.record), push)? {
        Right::Owns => Ok(()),
        Right::MayClaim => {
            let claim = ownership::claimed(name, push, execution, now);
            context.ledger().transact(vec![Write::insert(&claim)?]).await
        }
    }
}

/// Claims the name of an image that an administrator is about to import.
pub async fn claim_imported(
    context: &impl LedgerContext,
    image: &ImageName,
    owner: Option<&RepositoryId>,
    by: &str,
    now: Timestamp,
) -> Result<Applied, Failure> {
    if let Some(owner) = owner {
        registered(context, owner).await?;
    }
    let found = find(context, &OwnedName::Image(image.clone())).await?;
    let present = found.as_ref().map(|found| &found.record);
    let wanted = ownership::imported(image, present, owner, by, now)?;
    store(context, found.as_ref(), wanted).await
}

/// Gives a name to a repository.
pub async fn assign(
    context: &impl LedgerContext,
    name: &OwnedName,
    to: &RepositoryId,
    by: &str,
    now: Timestamp,
) -> Result<Applied, Failure> {
    registered(context, to).await?;
    let found = find(context, name).await?;
    let wanted = ownership::assigned(name, found.as_ref().map(|found| &found.record), to, by, now);
    if wanted.is_some() {
        let before = found.as_ref().and_then(|found| found.record.owner.as_ref());
        tracing::warn!(name = %name, from = before.map_or("none", RepositoryId::as_str), %to, by, "a name is assigned");
    }
    store(context, found.as_ref(), wanted).await
}

async fn store(
    context: &impl LedgerContext,
    found: Option<&Versioned<Ownership>>,
    wanted: Option<Ownership>,
) -> Result<Applied, Failure> {
    let applied = |rev: u64, changed| Applied { version: u32::try_from(rev).unwrap_or(u32::MAX), changed };
    match (found, wanted) {
        (None, Some(wanted)) => {
            context.ledger().transact(vec![Write::insert(&wanted)?]).await?;
            Ok(applied(1, true))
        }
        (Some(found), Some(wanted)) => {
            Ok(applied(context.ledger().replace(found, wanted).await?.rev(), true))
        }
        (found, None) => Ok(applied(found.map_or(0, Versioned::rev), false)),
    }
}

async fn find(
    context: &impl LedgerContext,
    name: &OwnedName,
) -> Result<Option<Versioned<Ownership>>, Failure> {
    context.ledger().get::<Ownership>(&Ownership::key_of(name)).await
}

/// Returns the repository, or fails with `NotFound`.
pub async fn registered(context: &impl LedgerContext, id: &RepositoryId) -> Result<Repository, Failure> {
    let found = context.ledger().get::<Repository>(&Repository::key_of(id)).await?;
    found.map(|found| found.record).ok_or_else(|| Repository::not_registered(id))
}
