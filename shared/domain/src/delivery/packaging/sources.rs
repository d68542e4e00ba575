//! The components in the tarball of a commit. The package function and `lockstep check` read them here, so that both judge
//! the same files.

use super::find_components;
use crate::delivery::archive::{Files, Tarball, namesakes};
use crate::delivery::manifest;
use crate::model::error::{Problem, chain};
use crate::model::ids::{ComponentName, RepositoryId};
use serde::Deserialize;

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

/// Returns the components of a commit, in the order of their folders.
pub fn sources(tarball: &Tarball) -> Vec<Source> {
    let mut components: Vec<Source> =
        find_components(&tarball.files).into_iter().map(|folder| source(tarball, folder)).collect();
    refuse_namesakes(&mut components);
    components
}

fn source(tarball: &Tarball, folder: String) -> Source {
    let files = tarball.folder(&folder).map_err(|error| Problem::at(folder.clone(), None, chain(&error)));
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
fn refuse_namesakes(components: &mut [Source]) {
    let shared = namesakes(components.iter().map(|source| (source.name.as_ref(), source.folder.as_str())));
    for source in components {
        if let Some(folders) = source.name.as_ref().and_then(|name| shared.get(name)) {
            let file = match source.folder.as_str() {
                "" => manifest::FILE.to_owned(),
                folder => format!("{folder}/{}", manifest::FILE),
            };
            let message = format!("the name is used in {folders}; give each component its own");
            source.files = Err(Problem::at(file, None, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tarball(files: &[&str], links: &[&str]) -> Tarball {
        let manifest = |path: &str| format!("[component]\nname = \"{path}\"\n");
        let of = |path: &&str| {
            let (path, name) = path.split_once('=').unwrap_or((path, "logs"));
            (path.to_owned(), manifest(name).into_bytes())
        };
        let files = files.iter().map(of).collect();
        Tarball { files, links: links.iter().map(|link| (*link).to_owned()).collect(), commit: None }
    }

    fn refusals(tarball: &Tarball) -> Vec<String> {
        sources(tarball)
            .iter()
            .filter_map(|source| source.files.as_ref().err())
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn two_components_of_one_name_are_both_refused() {
        let copied = tarball(&["a/lockstep.toml", "b/lockstep.toml", "c/lockstep.toml=other"], &[]);
        let message = "the name is used in a and b; give each component its own";
        assert_eq!(
            refusals(&copied),
            [format!("a/lockstep.toml: {message}"), format!("b/lockstep.toml: {message}")]
        );
    }

    #[test]
    fn a_link_refuses_its_component_alone() {
        let files = ["a/lockstep.toml", "b/lockstep.toml=other"];
        assert_eq!(
            refusals(&tarball(&files, &["a/src/latest.py", "docs/current"])),
            ["a: 'a/src/latest.py' is a link; put the file itself there"]
        );
        assert!(refusals(&tarball(&files, &["docs/current"])).is_empty());
    }
}
