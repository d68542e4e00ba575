//! Imports between the modules of a crate, for the tests of crates that hold an order. They include this file by its path.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules that each module imports.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// Returns the Rust files in a folder and below it.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
    found
}

/// Returns the text without comments and tests.
pub fn product(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the imports of `files`, each with the name of its module. `imports_of` finds the names in a text.
pub fn imports(
    files: impl IntoIterator<Item = (String, PathBuf)>,
    imports_of: impl Fn(&str) -> BTreeSet<String>,
) -> Imports {
    let mut imports = Imports::new();
    for (module, file) in files {
        let found = imports_of(&std::fs::read_to_string(&file).expect("a source"));
        imports.entry(module.clone()).or_default().extend(found.into_iter().filter(|other| *other != module));
    }
    imports
}

/// Returns the modules that can be reached from `start`.
pub fn reached(imports: &Imports, start: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(module) = open.pop() {
        for next in imports.get(&module).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    found
}

/// Returns the modules that import themselves through others.
pub fn in_circles(imports: &Imports) -> Vec<&str> {
    imports.keys().filter(|module| reached(imports, module).contains(*module)).map(String::as_str).collect()
}
