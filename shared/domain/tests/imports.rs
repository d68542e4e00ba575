//! Holds the order of the crate's areas: `model` imports nothing, `records` imports `model` alone, and no module of the
//! other areas reaches itself through its imports.

#![expect(clippy::disallowed_methods, reason = "the test reads the sources of the crate")]

use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The modules that each module imports. A module is a file or folder of an area, such as `delivery::gate`.
type Imports = BTreeMap<String, BTreeSet<String>>;

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

/// Returns the module of a file: its area and the name below it.
fn module_of(file: &Path) -> String {
    let parts: Vec<&str> = file.iter().map(|part| part.to_str().expect("a name")).take(2).collect();
    parts.join("::").trim_end_matches(".rs").to_owned()
}

/// Returns the text without comments and tests.
fn product(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn imports_of(text: &str) -> BTreeSet<String> {
    static PATH: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bcrate::(\w+)(?:::(\w+))?").expect("a pattern"));
    PATH.captures_iter(&product(text))
        .map(|found| match (&found[1], found.get(2)) {
            ("records", _) | (_, None) => found[1].to_owned(),
            (area, Some(module)) => format!("{area}::{}", module.as_str()),
        })
        .collect()
}

fn imports() -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut imports = Imports::new();
    for file in sources(&root) {
        let below = file.strip_prefix(&root).expect("a file of the crate");
        if below.iter().any(|part| part == "tests" || part == "tests.rs") {
            continue;
        }
        let module = match module_of(below) {
            name if name.starts_with("records") => "records".to_owned(),
            name => name,
        };
        let found = imports_of(&std::fs::read_to_string(&file).expect("a source"));
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

fn strangers<'a>(imports: &'a Imports, area: &str, allowed: &[&str]) -> Vec<(&'a str, &'a str)> {
    let area_of = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    imports
        .iter()
        .filter(|(module, _)| area_of(module) == area)
        .flat_map(|(module, others)| others.iter().map(move |other| (module.as_str(), other.as_str())))
        .filter(|(_, other)| !allowed.contains(&area_of(other).as_str()))
        .collect()
}

#[test]
fn model_imports_no_other_area() {
    assert_eq!(strangers(&imports(), "model", &["model"]), []);
}

#[test]
fn records_import_the_model_alone() {
    assert_eq!(strangers(&imports(), "records", &["model"]), []);
}

#[test]
fn messages_import_model_and_records_alone() {
    assert_eq!(strangers(&imports(), "messages", &["model", "records", "messages"]), []);
}

#[test]
fn no_module_imports_itself_through_others() {
    assert_eq!(in_circles(&imports()), Vec::<&str>::new());
}

#[test]
fn the_test_sees_the_crate() {
    let imports = imports();
    assert!(imports.len() > 50, "{}", imports.len());
    assert!(imports["delivery::gate"].contains("records"));
    assert!(reached(&imports, "delivery::gate").contains("model::ids"));
}

#[test]
fn a_circle_and_a_stranger_are_found() {
    let of = |text: &str| imports_of(text);
    let imports = Imports::from([
        ("model::a".to_owned(), of("use crate::delivery::b::{X, Y};\n// use crate::logs::c;")),
        ("delivery::b".to_owned(), of("fn f() -> crate::images::d::X {}")),
        (
            "images::d".to_owned(),
            of("use crate::delivery::b;\n#[cfg(test)]\nmod tests {\nuse crate::logs::c;\n}"),
        ),
    ]);
    assert_eq!(in_circles(&imports), ["delivery::b", "images::d"]);
    assert_eq!(strangers(&imports, "model", &["model"]), [("model::a", "delivery::b")]);
}
