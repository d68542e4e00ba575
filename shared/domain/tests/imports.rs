//! Holds the order of the crate's areas: `model` imports nothing, `records` imports `model` alone, and no module of the
//! other areas reaches itself through its imports.

#![expect(clippy::disallowed_methods, reason = "the test reads the sources of the crate")]

#[path = "../../../tests/imports.rs"]
mod graph;

use graph::{Imports, in_circles, product, reached, sources};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// Returns the module of a file: its area and the name below it, such as `delivery::gate`.
fn module_of(file: &Path) -> String {
    let parts: Vec<&str> = file.iter().map(|part| part.to_str().expect("a name")).take(2).collect();
    parts.join("::").trim_end_matches(".rs").to_owned()
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
    let files = sources(&root).into_iter().filter_map(|file| {
        let below = file.strip_prefix(&root).expect("a file of the crate");
        let is_test = below.iter().any(|part| part == "tests" || part == "tests.rs");
        let module = match module_of(below) {
            name if name.starts_with("records") => "records".to_owned(),
            name => name,
        };
        (!is_test).then(|| (module, file.clone()))
    });
    graph::imports(files, imports_of)
}

fn foreign_imports<'a>(imports: &'a Imports, area: &str, allowed: &[&str]) -> Vec<(&'a str, &'a str)> {
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
    assert_eq!(foreign_imports(&imports(), "model", &["model"]), []);
}

#[test]
fn records_import_the_model_alone() {
    assert_eq!(foreign_imports(&imports(), "records", &["model"]), []);
}

#[test]
fn messages_import_model_and_records_alone() {
    assert_eq!(foreign_imports(&imports(), "messages", &["model", "records", "messages"]), []);
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
    assert_eq!(foreign_imports(&imports, "model", &["model"]), [("model::a", "delivery::b")]);
}
