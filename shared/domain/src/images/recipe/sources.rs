//! The recipes in the tarball of a commit. The package function and `lockstep check` read them here, so that both judge
//! the same files.

use super::{FILE, common_folder, find_recipes};
use crate::delivery::archive::{Files, Tarball, namesakes};
use crate::model::error::{Problem, chain};
use crate::model::ids::{ImageName, RepositoryId};

/// A recipe's folder at one commit.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder; `""` is the repository itself.
    pub folder: String,
    /// The image's name, if its `image.toml` has a readable one.
    pub name: Option<ImageName>,
    /// Its files, or the problem that makes them unusable.
    pub files: Result<Files, Problem>,
    /// The files that it shares with the recipes beside it.
    pub common: Option<Files>,
}

impl Source {
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
        if self.folder.is_empty() { FILE.to_owned() } else { format!("{}/{FILE}", self.folder) }
    }
}

/// Returns the recipes of a commit, in the order of their folders.
pub fn sources(tarball: &Tarball) -> Vec<Source> {
    let folders = find_recipes(&tarball.files).into_iter();
    let mut recipes: Vec<Source> = folders.map(|folder| source(tarball, folder)).collect();
    refuse_namesakes(&mut recipes);
    recipes
}

fn source(tarball: &Tarball, folder: String) -> Source {
    let files = tarball.folder(&folder).map_err(|error| Problem::at(folder.clone(), None, chain(&error)));
    let name = files.as_ref().ok().and_then(|files| files.get(FILE)).and_then(|bytes| image_name(bytes));
    let common = common_folder(&folder).and_then(|folder| tarball.folder(&folder).ok());
    Source { folder, name, files, common }
}

/// Reads the image's name, also from an `image.toml` with mistakes elsewhere.
fn image_name(manifest: &[u8]) -> Option<ImageName> {
    let read: toml::Table = toml::from_str(std::str::from_utf8(manifest).ok()?).ok()?;
    read.get("image")?.get("name")?.as_str()?.parse().ok()
}

/// Rejects recipes with the same image name: each would undo the other's versions.
fn refuse_namesakes(recipes: &mut [Source]) {
    let shared = namesakes(recipes.iter().map(|recipe| (recipe.name.as_ref(), recipe.folder.as_str())));
    for recipe in recipes {
        if let Some(folders) = recipe.name.as_ref().and_then(|name| shared.get(name)) {
            let message = format!("the name is used in {folders}; give each image its own");
            recipe.files = Err(Problem::at(recipe.file(), None, message));
        }
    }
}
