//! The components and recipes in the tarball of a commit.

use lockstep_domain::delivery::archive::{Files, Limits, Tarball, unpack_tarball};
use lockstep_domain::delivery::manifest;
use lockstep_domain::delivery::packaging::find_components;
use lockstep_domain::images::recipe::{self, common_folder, find_recipes};
use lockstep_domain::model::error::{Failure, Problem};
use lockstep_domain::model::ids::{CommitSha, ComponentName, ImageName, RepositoryId};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A component's folder at one commit.
#[derive(Clone, Debug)]
pub struct Source {
    /// The folder; `""` is the repository itself.
    pub folder: String,
    /// The component's name, if its manifest has a readable one.
    pub name: Option<ComponentName>,
    /// Its files, or the problem that makes them unusable.
    pub files: Result<Files, Problem>,
}

impl Source {
    /// Returns the name for people: its own, or its folder, or its repository.
    pub fn label(&self, repository: &RepositoryId) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None if self.folder.is_empty() => repository.to_string(),
            None => self.folder.clone(),
        }
    }
}

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
    let mut components: Vec<Source> =
        find_components(&tarball.files).into_iter().map(|folder| source(&tarball, folder)).collect();
    let mut recipes: Vec<RecipeSource> =
        find_recipes(&tarball.files).into_iter().map(|folder| recipe_source(&tarball, folder)).collect();
    if components.is_empty() && recipes.is_empty() {
        return Err(Failure::rejected(format!(
            "commit {commit} has no component: no folder holds a {}; `lockstep init` makes one",
            manifest::FILE
        )));
    }
    refuse_namesakes(&mut components);
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

fn source(tarball: &Tarball, folder: String) -> Source {
    let files = tarball.folder(&folder).map_err(|error| Problem::at(folder.clone(), None, error.to_string()));
    let name = files.as_ref().ok().and_then(|files| files.get(manifest::FILE)).and_then(|bytes| name(bytes));
    Source { folder, name, files }
}

/// Reads the component's name, also from a manifest with mistakes elsewhere, so that the rejection has this name.
fn name(manifest: &[u8]) -> Option<ComponentName> {
    #[derive(Deserialize)]
    struct Named {
        component: Component,
    }
    #[derive(Deserialize)]
    struct Component {
        name: ComponentName,
    }
    let named: Named = toml::from_str(std::str::from_utf8(manifest).ok()?).ok()?;
    Some(named.component.name)
}

/// Rejects components with the same name: each would overwrite the other's releases.
fn refuse_namesakes(sources: &mut [Source]) {
    let mut folders: BTreeMap<ComponentName, Vec<String>> = BTreeMap::new();
    for source in sources.iter() {
        if let Some(name) = &source.name {
            folders.entry(name.clone()).or_default().push(source.folder.clone());
        }
    }
    for source in sources {
        let Some(namesakes) = source.name.as_ref().and_then(|name| folders.get(name)) else { continue };
        if namesakes.len() > 1 {
            let file = if source.folder.is_empty() {
                manifest::FILE.to_owned()
            } else {
                format!("{}/{}", source.folder, manifest::FILE)
            };
            let message =
                format!("the name is used in {}; give each component its own", namesakes.join(" and "));
            source.files = Err(Problem::at(file, None, message));
        }
    }
}
