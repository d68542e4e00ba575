//! Existence of the tests that `docs/failure-modes.md` and `docs/verified.md` name.

use crate::stack::repository;
use std::collections::BTreeSet;
use std::path::Path;

fn document(name: &str) -> String {
    std::fs::read_to_string(repository().join("docs").join(name)).unwrap()
}

/// Collects the functions of every Rust file below `folder`.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    let name = regex::Regex::new(r"fn ([a-z0-9_]+)\(").unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(name.captures_iter(&text).map(|captures| captures[1].to_owned()));
        }
    }
}

/// Checks that each test that a document names exists.
fn every_named_test_exists(document: &str) {
    let mut known = BTreeSet::new();
    for folder in ["cli", "functions", "local", "shared", "tests"] {
        functions(&repository().join(folder), &mut known);
    }
    let test = regex::Regex::new(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let named: Vec<&str> =
        test.captures_iter(document).map(|captures| captures.get(1).unwrap().as_str()).collect();
    assert!(named.len() > 60, "the table is not read any more");
    let missing: Vec<&&str> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_test_that_is_named_for_a_failure_mode_exists() {
    every_named_test_exists(&document("failure-modes.md"));
}

#[test]
fn every_test_that_is_named_for_a_verified_claim_exists() {
    every_named_test_exists(&document("verified.md"));
}

#[test]
fn every_failure_mode_has_its_row() {
    let row = regex::Regex::new(r"(?m)^\| ([0-9, ]+) \|").unwrap();
    let text = document("failure-modes.md");
    let rows: BTreeSet<u32> = row
        .captures_iter(&text)
        .flat_map(|captures| captures[1].split(", ").map(|n| n.parse().unwrap()).collect::<Vec<u32>>())
        .collect();
    assert_eq!(rows, (1..=88).collect());
}
