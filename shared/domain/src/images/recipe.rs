//! Plan of a build: the checks of `package` before a build, and the problems that it reports.
//!
//! A recipe is a folder with an `image.toml`, Packer's HCL (`*.pkr.hcl`), and the scripts that it names. Packer reads the
//! `*.pkr.hcl` of the folder [`COMMON_FOLDER`] together with those of the recipe. The variables are layered
//! ([`Variables`]). The plan refuses, for every account that must have the image, what would otherwise fail after ten
//! minutes of a build: a variable without a value, a missing script, a source that would share its image.

pub mod allowed;
mod builder;
pub mod difference;
mod expressions;
mod manifest;
mod requirements;
mod sources;
mod template;
mod types;
mod variables;

pub use builder::PLUGIN;
pub use manifest::{FILE, Recipe, TTL_DAYS, TTL_DAYS_DEFAULT};
pub use sources::{Source, sources};
pub use template::{GIVEN, HclTemplate};
pub use variables::{VARIABLES, Variables};

use crate::delivery::archive::{Files, pack};
use crate::delivery::credentials::find_credentials;
use crate::model::error::{Problem, chain};
use crate::model::ids::{AccountId, Digest, ImageName};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum total size of a recipe's files, in bytes. A recipe is text, and its scripts fetch what they install.
pub const MAX_RECIPE_BYTES: usize = 5 << 20;

/// Folder of a recipe's artifact with the values of the layers, one file for each account. No recipe may have such a
/// folder.
pub const LAYERED_FOLDER: &str = "lockstep";

/// Folder beside recipes with shared files: a `variables.toml`, scripts, and `*.pkr.hcl`. The artifact contains it below
/// the recipe's own files, so no recipe may have such a folder itself. Its `*.pkr.hcl` are beside those of the recipe,
/// where Packer reads them; a file of the recipe with the same name replaces one.
pub const COMMON_FOLDER: &str = "common";

/// Input from outside the recipe's folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecipeInput<'a> {
    /// Files of the folder `common` beside the recipe, by path below it.
    pub common: Option<&'a Files>,
    /// Accounts that must have the image; `None` offline, where the values of each account that a layer names are checked.
    pub accounts: Option<&'a BTreeSet<AccountId>>,
    /// Values for this build alone.
    pub overrides: Option<&'a BTreeMap<String, String>>,
}

/// A recipe that can be built for every account.
#[derive(Clone, Debug)]
pub struct Package {
    /// Contents of the `image.toml`.
    pub recipe: Recipe,
    /// Zip of the folder and of each account's values. Equal content gives equal bytes.
    pub artifact: Vec<u8>,
    /// Digest of the artifact.
    pub digest: Digest,
    /// Hints, which refuse nothing: what an author may want to change, with file and line.
    pub hints: Vec<Problem>,
    /// Digest of the source: the recipe's folder and the shared files. Equal digests mean that nothing changed.
    pub source_digest: Digest,
}

/// Returns the folders of a repository's `files` that hold a recipe.
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

/// Returns the folder with the shared files of the recipe in `folder`; `None` for a recipe that is its whole
/// repository.
pub fn common_folder(folder: &str) -> Option<String> {
    match folder.rsplit_once('/') {
        Some((above, _)) => Some(format!("{above}/{COMMON_FOLDER}")),
        None if folder.is_empty() => None,
        None => Some(COMMON_FOLDER.to_owned()),
    }
}

/// Returns the S3 key of a recipe's artifact, which holds its digest.
pub fn artifact_key(name: &ImageName, digest: &Digest) -> String {
    format!("recipes/{name}/{digest}.zip")
}

/// Returns true if `artifact` is the one that was stored at `key`.
pub fn is_at_key(artifact: &[u8], key: &str) -> bool {
    let stem = key.rsplit('/').next().and_then(|file| file.strip_suffix(".zip"));
    stem == Some(Digest::of(artifact).as_str())
}

/// Returns the name of the file with the values of `account` within an artifact.
pub fn layered_file(account: &AccountId) -> String {
    format!("{LAYERED_FOLDER}/{account}.pkrvars.json")
}

/// Plans the build of the recipe in `folder`, whose `files` have paths relative to it.
///
/// Reports all problems at once, with file names relative to the repository.
pub fn plan(folder: &str, files: &Files, input: &RecipeInput<'_>) -> Result<Package, Vec<Problem>> {
    let mut problems = Vec::new();
    let shared = shared_templates(files, input.common);
    let place = |problem: Problem| {
        let file = match shared.get(&problem.file) {
            Some(common) => join(folder, common),
            None => join(folder, &problem.file),
        };
        Problem { file, ..problem }
    };
    judge_own(files, &mut problems);
    let all = with_common(files, input.common, &shared);
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
        problems.extend(template.unknown_overrides(input.overrides));
        let named: BTreeSet<AccountId> = common.accounts().chain(own.accounts()).cloned().collect();
        if input.accounts.is_none() {
            let elsewhere = |name: &str| common.gives(name) || own.gives(name);
            problems.extend(template.missing_by_default(&variables::defaults(common, own), elsewhere));
        }
        // Offline, the accounts are those that a layer names.
        for account in input.accounts.unwrap_or(&named) {
            let values = variables::layer(common, own, account, input.overrides);
            problems.extend(template.missing(&values, account));
            if input.accounts.is_some() {
                layered.insert(account.clone(), template.declared_of(values));
            }
        }
    }
    let hints = template.iter().flat_map(HclTemplate::hints).cloned().map(place).collect();
    let packed = match recipe {
        Some(recipe) if problems.is_empty() => package(recipe, &all, &layered, hints),
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
    hints: Vec<Problem>,
) -> Result<Package, Vec<Problem>> {
    let packed = |files: &Files| pack(files).map_err(|error| vec![Problem::at("", None, chain(&error))]);
    let source_digest = Digest::of(&packed(all)?);
    let mut written = all.clone();
    for (account, values) in layered {
        let text = serde_json::to_vec_pretty(values).unwrap_or_default();
        written.insert(layered_file(account), text);
    }
    let artifact = packed(&written)?;
    Ok(Package { recipe, digest: Digest::of(&artifact), artifact, hints, source_digest })
}

/// Returns the `*.pkr.hcl` that the recipe takes from the shared files: their path in the artifact, and their own.
fn shared_templates(files: &Files, common: Option<&Files>) -> BTreeMap<String, String> {
    let names = common.into_iter().flat_map(Files::keys);
    names
        .filter(|name| template::is_read_by_packer(name) && !files.contains_key(*name))
        .map(|name| (name.clone(), format!("{COMMON_FOLDER}/{name}")))
        .collect()
}

fn with_common(files: &Files, common: Option<&Files>, shared: &BTreeMap<String, String>) -> Files {
    let placed = common.into_iter().flatten().map(|(path, bytes)| {
        let path = if shared.contains_key(path) { path.clone() } else { format!("{COMMON_FOLDER}/{path}") };
        (path, bytes.clone())
    });
    files.clone().into_iter().chain(placed).collect()
}

fn judge_own(files: &Files, problems: &mut Vec<Problem>) {
    for path in files.keys() {
        for folder in [LAYERED_FOLDER, COMMON_FOLDER] {
            if path == folder || path.starts_with(&format!("{folder}/")) {
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
    }
}

fn read<'a>(files: &'a Files, path: &str) -> Result<&'a str, Vec<Problem>> {
    let refuse = |why: &str| Err(vec![Problem::at(path, None, why)]);
    match files.get(path).map(|bytes| std::str::from_utf8(bytes)) {
        Some(Ok(text)) => Ok(text),
        Some(Err(_)) => refuse("is not UTF-8 text"),
        None => refuse("is missing"),
    }
}

fn variables(files: &Files, file: &str) -> Result<Variables, Vec<Problem>> {
    if files.contains_key(file) {
        Variables::parse(file, read(files, file)?)
    } else {
        Ok(Variables::default())
    }
}

/// Returns the path of a file of the recipe, or of the shared folder, relative to the repository.
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
