//! From a recipe's folder to what is built: what `package` plans before a build, and what a person is told of it.
//!
//! A recipe is a folder with an `image.toml`, Packer's HCL (`*.pkr.hcl`), and the scripts that it names. Its variables are
//! layered ([`Variables`]). Whatever a build would find out after ten minutes for a reason that is known now is refused
//! here, for every account that must have the image: a variable without a value, a script that is not there, a source
//! that would share what it makes.

mod builder;
mod manifest;
mod template;
mod variables;

pub use builder::PLUGIN;
pub use manifest::{FILE, Recipe, TTL_DAYS, TTL_DAYS_DEFAULT};
pub use template::{GIVEN, HclTemplate};
pub use variables::{VARIABLES, Variables};

use crate::delivery::archive::{Files, pack};
use crate::delivery::credentials::find_credentials;
use crate::model::error::Problem;
use crate::model::ids::{AccountId, Digest};
use std::collections::{BTreeMap, BTreeSet};

/// The most bytes a recipe's files may have together: it is text, and what it installs it fetches.
pub const MAX_RECIPE_BYTES: usize = 5 << 20;

/// Below it a recipe's artifact holds what the layers come to, one file for each account; no recipe may have such a
/// folder.
pub const LAYERED_FOLDER: &str = "lockstep";

/// The folder beside recipes with what they have in common: a `variables.toml`, and scripts. Within an artifact it is
/// below the recipe's own files; no recipe may have such a folder itself.
pub const COMMON_FOLDER: &str = "common";

/// What is known of everything outside the recipe's folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecipeInput<'a> {
    /// The files of the folder `common` beside the recipe, by path below it: what recipes have in common.
    pub common: Option<&'a Files>,
    /// The accounts that must have the image; unknown offline: then only the layers below them are judged.
    pub accounts: Option<&'a BTreeSet<AccountId>>,
    /// Values for this build alone.
    pub overrides: Option<&'a BTreeMap<String, String>>,
}

/// A recipe that can be built, for every account.
#[derive(Clone, Debug)]
pub struct Package {
    /// What its `image.toml` says.
    pub recipe: Recipe,
    /// The zip of the folder and of each account's values: equal content, equal bytes.
    pub artifact: Vec<u8>,
    /// The artifact's digest.
    pub digest: Digest,
    /// The digest of what people wrote: the folder and what recipes have in common. Equal means nothing was changed.
    pub source_digest: Digest,
}

/// The folders of a repository's `files` that hold a recipe, by path.
pub fn find_recipes(files: &Files) -> Vec<String> {
    files
        .keys()
        .filter_map(|path| match path.rsplit_once('/') {
            Some((folder, FILE)) => Some(folder.to_owned()),
            None if path == FILE => Some(String::new()),
            _ => None,
        })
        .collect()
}

/// The folder of what the recipe in `folder` has in common with those beside it; a recipe that is its whole repository
/// has none.
pub fn common_folder(folder: &str) -> Option<String> {
    match folder.rsplit_once('/') {
        Some((above, _)) => Some(format!("{above}/{COMMON_FOLDER}")),
        None if folder.is_empty() => None,
        None => Some(COMMON_FOLDER.to_owned()),
    }
}

/// The name, within an artifact, of the file with the values of `account`.
pub fn layered_file(account: &AccountId) -> String {
    format!("{LAYERED_FOLDER}/{account}.pkrvars.json")
}

/// Plans the build of the recipe in `folder`, whose `files` have paths relative to it.
///
/// All problems are told at once, their files relative to the repository.
pub fn plan(folder: &str, files: &Files, world: &RecipeInput<'_>) -> Result<Package, Vec<Problem>> {
    let mut problems = Vec::new();
    let place = |problem: Problem| Problem { file: join(folder, &problem.file), ..problem };
    judge_own(files, &mut problems);
    let all = with_common(files, world.common);
    judge_files(&all, &mut problems);
    let recipe = read(&all, FILE).and_then(|text| Recipe::parse(FILE, text));
    let recipe = recipe.map_err(|found| problems.extend(found)).ok();
    let template = HclTemplate::parse(&all).map_err(|found| problems.extend(found)).ok();
    let mut layers = |file: &str| variables(&all, file).map_err(|found| problems.extend(found)).ok();
    let (common, own) = (layers(&format!("{COMMON_FOLDER}/{VARIABLES}")), layers(VARIABLES));

    let mut layered = BTreeMap::new();
    if let (Some(template), Some(own), Some(common)) = (&template, &own, &common) {
        problems.extend(template.problems().iter().cloned());
        problems.extend(own.unknown(template));
        problems.extend(template.unknown_overrides(world.overrides));
        for account in world.accounts.into_iter().flatten() {
            let values = variables::layer(common, own, account, world.overrides);
            problems.extend(template.missing(&values, account));
            layered.insert(account.clone(), template.declared_of(values));
        }
    }
    let packed = match recipe {
        Some(recipe) if problems.is_empty() => package(recipe, &all, &layered),
        _ => Err(problems),
    };
    packed.map_err(|found| {
        let mut problems: Vec<Problem> = found.into_iter().map(place).collect();
        problems.sort();
        problems.dedup();
        problems
    })
}

fn package(
    recipe: Recipe,
    all: &Files,
    layered: &BTreeMap<AccountId, BTreeMap<String, serde_json::Value>>,
) -> Result<Package, Vec<Problem>> {
    let packed = |files: &Files| pack(files).map_err(|error| vec![Problem::at("", None, error.to_string())]);
    let source_digest = Digest::of(&packed(all)?);
    let mut written = all.clone();
    for (account, values) in layered {
        let text = serde_json::to_vec_pretty(values).unwrap_or_default();
        written.insert(layered_file(account), text);
    }
    let artifact = packed(&written)?;
    Ok(Package { recipe, digest: Digest::of(&artifact), artifact, source_digest })
}

fn with_common(files: &Files, common: Option<&Files>) -> Files {
    let common = common.into_iter().flatten();
    let below = common.map(|(path, bytes)| (format!("{COMMON_FOLDER}/{path}"), bytes.clone()));
    files.clone().into_iter().chain(below).collect()
}

fn judge_own(files: &Files, problems: &mut Vec<Problem>) {
    for path in files.keys() {
        for folder in [LAYERED_FOLDER, COMMON_FOLDER] {
            if path.starts_with(&format!("{folder}/")) {
                let message = "is below a folder that Lockstep uses in the artifact; rename the folder";
                problems.push(Problem::at(path.clone(), None, message));
            }
        }
    }
}

fn judge_files(files: &Files, problems: &mut Vec<Problem>) {
    if files.values().map(Vec::len).sum::<usize>() > MAX_RECIPE_BYTES {
        let limit = MAX_RECIPE_BYTES >> 20;
        let message = format!("the recipe is larger than {limit} MiB; have its scripts fetch what is large");
        problems.push(Problem::at("", None, message));
        return;
    }
    problems.extend(builder::judge_files(files));
    for (path, bytes) in files {
        problems.extend(find_credentials(path, bytes));
        // Packer loads these by itself, past the layers.
        if path.ends_with(".auto.pkrvars.hcl") || path.ends_with(".auto.pkrvars.json") {
            let message =
                format!("is read by Packer behind the layers' back; write its values into {VARIABLES}");
            problems.push(Problem::at(path.clone(), None, message));
        }
    }
}

fn read<'a>(files: &'a Files, path: &str) -> Result<&'a str, Vec<Problem>> {
    let told = |why: &str| Err(vec![Problem::at(path, None, why)]);
    match files.get(path).map(|bytes| std::str::from_utf8(bytes)) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => told("is not UTF-8 text"),
        None => told("is missing"),
    }
}

fn variables(files: &Files, file: &str) -> Result<Variables, Vec<Problem>> {
    if files.contains_key(file) {
        Variables::parse(file, read(files, file)?)
    } else {
        Ok(Variables::default())
    }
}

/// A file of the recipe, or of what it has in common with others, relative to the repository.
fn join(folder: &str, file: &str) -> String {
    let common = file.strip_prefix(&format!("{COMMON_FOLDER}/")).zip(common_folder(folder));
    match (common, folder.is_empty(), file.is_empty()) {
        (Some((file, common)), ..) => format!("{common}/{file}"),
        (None, true, _) => file.to_owned(),
        (None, false, true) => folder.to_owned(),
        (None, false, false) => format!("{folder}/{file}"),
    }
}

#[cfg(test)]
mod tests;
