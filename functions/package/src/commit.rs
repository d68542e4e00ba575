//! The components and recipes in the tarball of a commit.

use lockstep_domain::delivery::archive::{Files, Limits, Tarball, unpack_tarball};
use lockstep_domain::delivery::manifest;
pub use lockstep_domain::delivery::packaging::Source;
use lockstep_domain::delivery::packaging::sources;
use lockstep_domain::images::recipe::{self, common_folder, find_recipes};
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::{CommitSha, ImageName, RepositoryId};
use std::collections::BTreeMap;

/// A recipe's folder at one commit.
#[derive(Clone, Debug)]
pub struct RecipeSource {
    /// The folder; `""` is the repository itself.
    pub folder: String,
    /// The image's name, if its `image.toml` has a readable one.
    pub name: Option<ImageName>,
    /// Its files, or the problem that makes them unusable.
    pub files: Result<Files, Problem>,
    /// The files that it shares with the recipes beside it.
    pub common: Option<Files>,
}

impl RecipeSource {
    /// Returns the name for people: its own, or its folder, or its repository.
    pub fn label(&self, repository: &RepositoryId) -> String {
        match &self.name {
            Some(name) => format!("image {name}"),
            None if self.folder.is_empty() => repository.to_string(),
            None => self.folder.clone(),
        }
    }

    /// Returns the path of its `image.toml` in the repository.
    pub fn file(&self) -> String {
        if self.folder.is_empty() {
            recipe::FILE.to_owned()
        } else {
            format!("{}/{}", self.folder, recipe::FILE)
        }
    }
}

/// Contents of a commit, in the order of the folders.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its components.
    pub components: Vec<Source>,
    /// Its recipes.
    pub recipes: Vec<RecipeSource>,
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
    let mut recipes: Vec<RecipeSource> =
        find_recipes(&tarball.files).into_iter().map(|folder| recipe_source(&tarball, folder)).collect();
    if components.is_empty() && recipes.is_empty() {
        return Err(Failure::rejected(format!(
            "commit {commit} has no component: no folder holds a {}; `lockstep init` makes one",
            manifest::FILE
        )));
    }
    refuse_recipes_of_one_name(&mut recipes);
    Ok(Commit { components, recipes })
}

fn recipe_source(tarball: &Tarball, folder: String) -> RecipeSource {
    let files = tarball.folder(&folder).map_err(|error| Problem::at(folder.clone(), None, error.to_string()));
    let name =
        files.as_ref().ok().and_then(|files| files.get(recipe::FILE)).and_then(|bytes| image_name(bytes));
    let common = common_folder(&folder).and_then(|folder| tarball.folder(&folder).ok());
    RecipeSource { folder, name, files, common }
}

/// Reads the image's name, also from an `image.toml` with mistakes elsewhere.
fn image_name(manifest: &[u8]) -> Option<ImageName> {
    let read: toml::Table = toml::from_str(std::str::from_utf8(manifest).ok()?).ok()?;
    read.get("image")?.get("name")?.as_str()?.parse().ok()
}

/// Rejects recipes with the same image name: each would undo the other's versions.
fn refuse_recipes_of_one_name(recipes: &mut [RecipeSource]) {
    let mut folders: BTreeMap<ImageName, Vec<String>> = BTreeMap::new();
    for recipe in recipes.iter() {
        if let Some(name) = &recipe.name {
            folders.entry(name.clone()).or_default().push(recipe.folder.clone());
        }
    }
    for recipe in recipes {
        let Some(namesakes) = recipe.name.as_ref().and_then(|name| folders.get(name)) else { continue };
        if namesakes.len() > 1 {
            let message = format!("the name is used in {}; give each image its own", namesakes.join(" and "));
            recipe.files = Err(Problem::at(recipe.file(), None, message));
        }
    }
}
