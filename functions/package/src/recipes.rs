//! The recipes of a commit: the changed ones, the invalid ones, and the artifact of one.

use crate::commit;
use crate::context::PackageContext;
use crate::handler::{push, require_on_branch};
use crate::records::{change, find};
use crate::release;
use jiff::Timestamp;
use lockstep_domain::delivery::ownership::Push;
use lockstep_domain::delivery::packaging::BranchKind;
use lockstep_domain::delivery::stages::Stages;
use lockstep_domain::images::bake::{BakeRequest, needs_bake, places};
use lockstep_domain::images::recipe::{Package, RecipeInput, Source, artifact_key, plan};
use lockstep_domain::messages::inputs::BakeImage;
use lockstep_domain::messages::package::{ChangedRecipe, CommitRequest, PackagedComponent, Recipe};
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::AccountId;
use lockstep_domain::model::token::client_token;
use lockstep_domain::records::{ImageVersion, OwnedName, Ownership, Record, Repository};
use lockstep_runtime::images;
use lockstep_runtime::stages::stages;
use std::collections::{BTreeMap, BTreeSet};

/// Number of versions of an image that are read.
const VERSIONS_MAX: usize = 2000;

/// Verdict on the recipes of a commit.
#[derive(Debug, Default)]
pub struct Judged {
    /// The recipes that must be baked.
    pub changed: Vec<ChangedRecipe>,
    /// The invalid recipes.
    pub rejected: Vec<PackagedComponent>,
}

/// Judges every recipe of a commit and records the invalid ones as rejected.
pub async fn judge(
    context: &impl PackageContext,
    request: &CommitRequest,
    branch: BranchKind<'_>,
    author: &str,
    recipes: &[Source],
    now: Timestamp,
) -> Result<Judged, Failure> {
    let mut judged = Judged::default();
    if recipes.is_empty() {
        return Ok(judged);
    }
    let stages = stages(context.ledger()).await?;
    for source in recipes {
        let planned = match planned(source, &stages, branch, None) {
            Ok(package) => owned(context, source, push(request, branch), package).await?,
            Err(problems) => Err(problems),
        };
        match planned {
            Ok((package, versions)) => {
                let wanted = bake_request(&package, branch, request);
                if needs_bake(&wanted, &versions) {
                    let execution =
                        client_token(&request.execution, &format!("bake/{}", package.recipe.name), 1);
                    judged.changed.push(ChangedRecipe { image: package.recipe.name, execution });
                }
            }
            Err(problems) => {
                let label = source.label(&request.repository);
                judged.rejected.push(release::rejected(&label, &problems));
                let record = release::rejection(&label, request, author, problems, now);
                change(context.ledger(), &record.key(), |_| Some(record.clone())).await?;
            }
        }
    }
    Ok(judged)
}

fn bake_request<'a>(
    package: &'a Package,
    branch: BranchKind<'a>,
    request: &'a CommitRequest,
) -> BakeRequest<'a> {
    BakeRequest {
        image: &package.recipe.name,
        of: package.recipe.version,
        branch: name_of(branch),
        commit: &request.commit,
        recipe: &package.source_digest,
        overridden: false,
    }
}

fn name_of(branch: BranchKind<'_>) -> Option<&str> {
    match branch {
        BranchKind::Default => None,
        BranchKind::Other(name) => Some(name),
    }
}

/// Packages one recipe of a commit and stores it.
///
/// # Errors
/// `Rejected` with every problem, one a line; `NotFound` if the commit has no such recipe.
pub async fn package(context: &impl PackageContext, input: &BakeImage) -> Result<Recipe, Failure> {
    let key = Repository::key_of(&input.repository);
    let repository = find::<Repository>(context.ledger(), &key).await?;
    let repository = repository.ok_or_else(|| Repository::not_registered(&input.repository))?;
    let branch = release::branch(&input.reference)?;
    release::released(&repository, &branch)?;
    require_on_branch(context, &repository, &branch, &input.commit).await?;
    let branch = BranchKind::of(branch.as_str(), &repository.branch);
    let fetched = context.archive(&repository, &input.commit).await?;
    let commit = commit::open(&fetched.tarball, &input.commit)?;
    let source = commit.recipes.iter().find(|source| source.name.as_ref() == Some(&input.image));
    let source = source.ok_or_else(|| {
        Failure::not_found(format!(
            "commit {} of {} has no recipe of {}: no folder holds an image.toml with that name",
            input.commit,
            repository.id.full_name(),
            input.image
        ))
    })?;
    let stages = stages(context.ledger()).await?;
    let overrides = (!input.overrides.is_empty()).then_some(&input.overrides);
    let push = Push { repository: &input.repository, is_default_branch: branch == BranchKind::Default };
    let planned = match planned(source, &stages, branch, overrides) {
        Ok(package) => owned(context, source, push, package).await?,
        Err(problems) => Err(problems),
    };
    let (package, _) = planned.map_err(|problems| {
        Failure::rejected(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let artifact = artifact_key(&package.recipe.name, &package.digest);
    context.store_artifact(&artifact, package.artifact).await?;
    Ok(Recipe {
        folder: source.folder.clone(),
        of: package.recipe.version,
        branch: name_of(branch).map(str::to_owned),
        artifact,
        digest: package.source_digest,
        base: package.recipe.base,
        ttl_days: package.recipe.ttl_days,
    })
}

/// Plans a recipe for the accounts of its image: every account of the stages, or for a pre-release only the first.
fn planned(
    source: &Source,
    stages: &Stages,
    branch: BranchKind<'_>,
    overrides: Option<&BTreeMap<String, String>>,
) -> Result<Package, Vec<Problem>> {
    let files = source.files.as_ref().map_err(|problem| vec![problem.clone()])?;
    let is_pre_release = branch != BranchKind::Default || overrides.is_some();
    let places = places(stages).into_iter().take(if is_pre_release { 1 } else { usize::MAX });
    let accounts: BTreeSet<AccountId> = places.map(|(location, _)| location.account).collect();
    let input = RecipeInput { common: source.common.as_ref(), accounts: Some(&accounts), overrides };
    plan(&source.folder, files, &input)
}

/// Returns the versions of the recipe's image, unless the push may not use the image's name.
async fn owned(
    context: &impl PackageContext,
    source: &Source,
    push: Push<'_>,
    package: Package,
) -> Result<Result<(Package, Vec<ImageVersion>), Vec<Problem>>, Failure> {
    let name = OwnedName::Image(package.recipe.name.clone());
    let claim = find::<Ownership>(context.ledger(), &Ownership::key_of(&name)).await?;
    if let Some(problem) = release::foreign(&name, claim.as_ref(), push, &source.file()) {
        return Ok(Err(vec![problem]));
    }
    let versions = images::versions(context.ledger(), &package.recipe.name, VERSIONS_MAX).await?;
    Ok(Ok((package, versions)))
}
