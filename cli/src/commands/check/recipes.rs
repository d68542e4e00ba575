//! The recipes of `lockstep check`, planned as for a build.

use super::{CheckedPackages, good, planned};
use crate::output::Output;
use crate::pushed_files::PushedFiles;
use lockstep_domain::images::bake::places;
use lockstep_domain::images::recipe::{self, Package, RecipeInput};
use lockstep_domain::model::error::Problem;
use lockstep_domain::model::ids::AccountId;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Plans every recipe below the folder that the command names, for the accounts of the stages. Returns false if there is
/// no recipe.
pub(super) fn find(
    repository: &PushedFiles,
    shown: impl Fn(Problem) -> Problem,
    found: &mut CheckedPackages,
) -> bool {
    let accounts: Option<BTreeSet<AccountId>> = found
        .stages
        .as_ref()
        .map(|stages| places(stages).into_iter().map(|(location, _)| location.account).collect());
    let recipes = repository.recipes();
    let plan = |source: &recipe::Source| {
        let input =
            RecipeInput { common: source.common.as_ref(), accounts: accounts.as_ref(), overrides: None };
        planned(&source.files, |files| recipe::plan(&source.folder, files, &input))
    };
    let plans: Vec<_> = recipes.iter().map(plan).collect();
    found.recipes.extend(good(plans, |package| &mut package.hints, shown, &mut found.problems));
    !recipes.is_empty()
}

/// Prints the verdict on a recipe, and returns its document.
pub(super) fn show(package: &Package, output: &Output) -> Value {
    let recipe = &package.recipe;
    output.line(format!("image {} {}: good", recipe.name, recipe.version));
    package.hints.iter().for_each(|hint| output.line(format!("  hint: {hint}")));
    json!({ "image": recipe.name, "hints": package.hints })
}
