//! Holds the order of the command's modules: no module of `src` imports itself through others.
//!
//! A module is a file or a folder directly below `src`. The items of `lib.rs` are the module `lib`.

#[path = "../../tests/imports.rs"]
mod graph;

use graph::{Imports, in_circles, product, reached, sources};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns the module of a file, named by its path below `src`.
fn module_of(file: &Path) -> String {
    let first = file.iter().next().and_then(|part| part.to_str()).expect("a name");
    first.trim_end_matches(".rs").to_owned()
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
    let files = files.into_iter().map(|file| (module_of(&below(&file)), file));
    graph::imports(files, |text| imports_of(text, &modules))
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
