//! The recipes of `lockstep check`, planned as for a build.

use super::{CheckedPackages, below, files_below};
use crate::context::CommandContext;
use crate::failure::Failure;
use crate::output::Output;
use lockstep_domain::delivery::archive::Files;
use lockstep_domain::images::bake::places;
use lockstep_domain::images::recipe::{
    COMMON_FOLDER, Package, RecipeInput, common_folder, find_recipes, plan,
};
use lockstep_domain::model::error::Problem;
use lockstep_domain::model::ids::AccountId;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Plans every recipe among `files`, which are below the folder `typed`, for the accounts of the stages. Returns false if
/// there is no recipe.
pub(super) async fn find(
    typed: &Path,
    files: &Files,
    context: &CommandContext,
    found: &mut CheckedPackages,
) -> Result<bool, Failure> {
    let folders = find_recipes(files);
    let accounts: Option<BTreeSet<AccountId>> = found
        .stages
        .as_ref()
        .map(|stages| places(stages).into_iter().map(|(location, _)| location.account).collect());
    for folder in &folders {
        let common = match common_folder(folder) {
            Some(common) => Some(below(files, &common)).filter(|common| !common.is_empty()),
            None => beside(&context.path(typed)).await?,
        };
        let input = RecipeInput { common: common.as_ref(), accounts: accounts.as_ref(), overrides: None };
        let shown = |problem: Problem| shown(typed, folder, problem);
        match plan(folder, &below(files, folder), &input) {
            Ok(mut package) => {
                package.hints = package.hints.into_iter().map(shown).collect();
                found.recipes.push(package);
            }
            Err(problems) => found.problems.extend(problems.into_iter().map(shown)),
        }
    }
    Ok(!folders.is_empty())
}

/// Returns the files that a recipe in `folder` shares with the recipes beside it.
async fn beside(folder: &Path) -> Result<Option<Files>, Failure> {
    match folder.parent().map(|parent| parent.join(COMMON_FOLDER)) {
        Some(common) if common.is_dir() => files_below(&common).await.map(Some),
        _ => Ok(None),
    }
}

/// Returns a problem whose file is relative to the working folder.
fn shown(typed: &Path, folder: &str, problem: Problem) -> Problem {
    let shared = problem.file.starts_with(&format!("{COMMON_FOLDER}/")) && folder.is_empty();
    let path = match typed.parent() {
        Some(parent) if shared => parent.join(&problem.file),
        _ => typed.join(&problem.file),
    };
    Problem { file: path.display().to_string(), ..problem }
}

/// Prints the verdict on a recipe, and returns its document.
pub(super) fn show(package: &Package, output: &Output) -> Value {
    let recipe = &package.recipe;
    output.line(format!("image {} {}: good", recipe.name, recipe.version));
    package.hints.iter().for_each(|hint| output.line(format!("  hint: {hint}")));
    json!({ "image": recipe.name, "hints": package.hints })
}
