//! Holds the order of the command's modules: no module of `src` imports itself through others.
//!
//! A module is a file or a folder directly below `src`. The items of `lib.rs` are the module `lib`.

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The modules that each module imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
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

/// Returns the module of a file, named by its path below `src`.
fn module_of(file: &Path) -> String {
    let first = file.iter().next().and_then(|part| part.to_str()).expect("a name");
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the text without comments and tests.
fn product(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the names that follow `crate::` in a text. A name of an item of `lib.rs` becomes `lib`.
fn imports_of(text: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    static PATH: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bcrate::(\w+)").expect("a pattern"));
    PATH.captures_iter(&product(text))
        .map(|found| if modules.contains(&found[1]) { found[1].to_owned() } else { "lib".to_owned() })
        .collect()
}

fn imports() -> Imports {
    let root = root();
    let below = |file: &Path| file.strip_prefix(&root).expect("a file of the crate").to_owned();
    // The binaries stand above the library: no module can import them.
    let files: Vec<PathBuf> = sources(&root)
        .into_iter()
        .filter(|file| !below(file).starts_with("bin") && below(file) != Path::new("main.rs"))
        .collect();
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(&below(file))).collect();
    let mut imports = Imports::new();
    for file in &files {
        let module = module_of(&below(file));
        let found = imports_of(&std::fs::read_to_string(file).expect("a source"), &modules);
        imports.entry(module.clone()).or_default().extend(found.into_iter().filter(|other| *other != module));
    }
    imports
}

/// Returns the modules that can be reached from `start`.
fn reached(imports: &Imports, start: &str) -> BTreeSet<String> {
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

fn in_circles(imports: &Imports) -> Vec<&str> {
    imports.keys().filter(|module| reached(imports, module).contains(*module)).map(String::as_str).collect()
}

#[test]
fn no_module_imports_itself_through_others() {
    assert_eq!(in_circles(&imports()), Vec::<&str>::new());
}

#[test]
fn the_test_sees_the_crate() {
    let imports = imports();
    assert!(imports.len() > 20, "{}", imports.len());
    assert!(imports["lib"].contains("commands"), "{:?}", imports["lib"]);
    assert!(imports["commands"].contains("follow"));
    assert!(reached(&imports, "commands").contains("global"));
}

/// A path that leaves a module by `super`, or a group after `crate::`, would escape the pattern.
#[test]
fn imports_of_other_modules_start_with_crate() {
    for file in sources(&root()) {
        let text = product(&std::fs::read_to_string(&file).expect("a source"));
        let top = file.parent() == Some(&root());
        let escapes = text.contains("crate::{") || text.contains("super::super::");
        assert!(!escapes, "{}", file.display());
        assert!(!top || !text.contains("super::"), "{}", file.display());
    }
}

#[test]
fn a_circle_is_found() {
    let modules = ["a", "b", "c"].map(str::to_owned).into();
    let of = |text: &str| imports_of(text, &modules);
    let imports = Imports::from([
        ("a".to_owned(), of("use crate::b::{X, Y};\n// use crate::c;")),
        ("b".to_owned(), of("fn f() -> crate::c::X { crate::run() }")),
        ("c".to_owned(), of("use crate::b;\n#[cfg(test)]\nmod tests {\nuse crate::a;\n}")),
    ]);
    assert_eq!(in_circles(&imports), ["b", "c"]);
    assert!(imports["b"].contains("lib"));
}
