//! Attacks: each finding of the security review, and each chain of findings, as an attacker would try it.
//!
//! An attack is a file of this folder and a line below. Its first line names the findings (`S6`) and chains (`C4`); a line
//! `Fails without` names the defence that it tests. An attack on templates and roles uses the evaluator of policies,
//! any other one the decision itself. Where a whole function or a local cloud is needed, the test is beside them:
//! `elsewhere.txt`.

mod account_switch;
mod any_stack;
mod approval;
mod borrowed_name;
mod build_in_production;
mod builder;
mod callback;
mod drift_reader;
mod fence;
mod forged_hook;
mod git_host;
mod image_name;
mod image_record;
mod pending_question;
mod planted_code;
mod powers;
mod proposal;
mod recipe;
mod session_name;
mod stack_name;
mod terminal;

use lockstep_tests::installed::{DEVELOPMENT, TOOLING, stacks};
use lockstep_tests::policy::{Role, roles};
use lockstep_tests::stack::Stack;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The installation. Reading its templates takes seconds.
static STACKS: LazyLock<Vec<Stack>> = LazyLock::new(stacks);

static ROLES: LazyLock<BTreeMap<String, Role>> = LazyLock::new(|| roles(&STACKS));

/// Returns every role of the installation, by its ARN.
fn every_role() -> &'static BTreeMap<String, Role> {
    &ROLES
}

/// Returns a role of the tooling account, by the name of its function or state machine without `lockstep-`.
fn role_of(function: &str) -> Role {
    every_role()[&format!("arn:aws:iam::{TOOLING}:role/lockstep-{function}-role")].clone()
}

/// Returns a role of the development account.
fn in_development(name: &str) -> Role {
    every_role()[&format!("arn:aws:iam::{DEVELOPMENT}:role/{name}")].clone()
}

/// Returns the roles of the functions that a push reaches.
fn reached_by_a_push() -> Vec<Role> {
    let pushes =
        ["webhook", "package", "delivery-stack", "delivery-image", "delivery-bake", "delivery-verify"];
    pushes.into_iter().map(role_of).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks")
}

/// Returns the findings and chains that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let name = regex::Regex::new(r"\b([SC][0-9]{1,2})\b").unwrap();
    name.captures_iter(text).map(|captures| captures[1].to_owned()).collect()
}

#[test]
fn every_finding_and_chain_has_an_attack() {
    let mut held = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "main" && name != "powers" {
            let declared = std::fs::read_to_string(folder().join("main.rs")).unwrap();
            assert!(declared.contains(&format!("\nmod {name};\n")), "main.rs lacks `mod {name};`");
            assert!(text.contains("//! Fails without "), "{name} does not say which defence it tests");
            held.extend(named(text.lines().next().unwrap()));
        }
        if name == "elsewhere" {
            held.extend(named(&text));
        }
    }
    let findings = (0..=21).map(|number| format!("S{number}"));
    let missing: Vec<String> = findings
        .chain((1..=7).map(|number| format!("C{number}")))
        .filter(|name| !held.contains(name))
        .collect();
    assert!(missing.is_empty(), "no attack tries {missing:?}");
}

/// Collects the text of every file with tests below `folder`.
fn sources(folder: &Path, found: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
            found.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_attack_that_is_elsewhere_exists() {
    let mut code = String::new();
    for part in ["cli/src", "functions", "local", "shared", "tests"] {
        sources(&folder().join("../..").join(part), &mut code);
    }
    let listed = std::fs::read_to_string(folder().join("elsewhere.txt")).unwrap();
    for line in listed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let test = line.split_whitespace().last().unwrap();
        let is_there = [format!("fn {test}("), format!("def {test}("), format!("async fn {test}(")];
        assert!(is_there.iter().any(|name| code.contains(name)), "no test is called {test}");
    }
}
