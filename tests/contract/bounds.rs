//! The tables of `docs/bounds.md` against the state machines, the retry policies and the constants of the code.

use crate::machine::{MACHINES, State, all_states, definition, placeholder, states};
use crate::stack::repository;
use lockstep_domain::delivery::queue::WAIT_MAX_DAYS;
use lockstep_tests::state_machines;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Returns the rows of a table in a chapter of the document, each as its cells.
fn rows(chapter: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(repository().join("docs/bounds.md")).unwrap();
    let heading = format!("{chapter}\n");
    let own = text.split("\n## ").find(|part| part.starts_with(&heading)).unwrap().to_owned();
    let lines = own.lines().filter(|line| line.starts_with('|')).skip(2);
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn unquoted(cell: &str) -> String {
    cell.trim_matches('`').to_owned()
}

#[test]
fn every_timeout_of_a_state_machine_is_listed() {
    let mut written: BTreeMap<String, u64> = BTreeMap::new();
    for machine in MACHINES {
        written.insert(machine.to_owned(), definition(machine)["TimeoutSeconds"].as_u64().unwrap());
    }
    for state in all_states() {
        if let Some(seconds) = state.value["TimeoutSeconds"].as_u64() {
            written.insert(format!("{}.{}", state.machine, state.name), seconds);
        }
    }
    let listed: BTreeMap<String, u64> = rows("State machines")
        .iter()
        .flat_map(|row| {
            row[2].split(", ").map(|name| (unquoted(name), row[0].parse().unwrap())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(listed, written);
}

/// The states that end another state machine before its own bound, on purpose.
const CUT_SHORT: [&str; 3] = ["release: Test", "bake-image: Build", "bake-image: BuildInDelivery"];

/// Returns the bound of the execution that a state starts.
fn nested_bound(state: &State) -> Option<u64> {
    let machine = placeholder(state.value["Arguments"]["StateMachineArn"].as_str()?)?;
    let started = match machine {
        "DeliveryBuildStateMachine" | "PromotionBuildStateMachine" => "build-image",
        "BakeImageStateMachine" => "bake-image",
        "PromoteImageStateMachine" => "promote-image",
        "DeployStateMachine" => "deploy",
        _ => panic!("{} starts {machine}", state.at()),
    };
    definition(started)["TimeoutSeconds"].as_u64()
}

/// Returns how long a state may keep its execution waiting for a person, another deployment or another execution.
fn longest_wait(state: &State) -> u64 {
    let bound = state.value["TimeoutSeconds"].as_u64().unwrap_or_default();
    match state.name.as_str() {
        _ if state.nests() => bound,
        "AskApproval" => bound,
        "AwaitTurn" => WAIT_MAX_DAYS as u64 * 86_400,
        _ => 0,
    }
}

#[test]
fn a_state_waits_longer_than_the_execution_that_it_starts_runs() {
    for state in all_states().iter().filter(|state| state.nests()) {
        if CUT_SHORT.contains(&state.at().as_str()) {
            continue;
        }
        let (bound, nested) = (state.value["TimeoutSeconds"].as_u64(), nested_bound(state));
        assert!(bound > nested, "{}: {bound:?} against {nested:?}", state.at());
    }
}

#[test]
fn an_execution_runs_longer_than_all_that_it_may_wait_for() {
    for machine in MACHINES {
        let waits: u64 = states(machine).iter().map(longest_wait).sum();
        let bound = definition(machine)["TimeoutSeconds"].as_u64().unwrap();
        assert!(bound > waits, "{machine}: {bound} against {waits}");
    }
}

#[test]
fn every_retry_policy_is_listed() {
    let attempts = |policy: &serde_json::Value| policy[0]["MaxAttempts"].as_u64().unwrap();
    let written: BTreeMap<String, u64> =
        state_machines().policies().iter().map(|(name, policy)| (name.clone(), attempts(policy))).collect();
    let listed: BTreeMap<String, u64> =
        rows("Retries").iter().map(|row| (unquoted(&row[0]), row[1].parse().unwrap())).collect();
    assert_eq!(listed, written);
}

/// Returns the source files of the product below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn every_duration_and_number_of_attempts_in_code_is_listed() {
    let constant =
        Regex::new(r"(?m)^\s*(?:pub(?:\([a-z]+\))? )?const ([A-Z_]+): ([A-Za-z0-9]+) = (.+);$").unwrap();
    let unit = Regex::new(
        r"(_HOURS|_DAYS|_MINUTES|_SECONDS)(_MAX|_DEFAULT)?$|^ATTEMPTS|ATTEMPTS_MAX$|^RETRY_AFTER_MAX$|^WAIT_MAX_DAYS$",
    )
    .unwrap();
    let root = repository();
    let mut files = Vec::new();
    let functions =
        std::fs::read_dir(root.join("functions")).unwrap().map(|entry| entry.unwrap().path().join("src"));
    let shared = ["aws", "runtime", "domain"].map(|name| root.join("shared").join(name).join("src"));
    for folder in functions.chain(shared).filter(|folder| folder.is_dir()) {
        sources(&folder, &mut files);
    }
    let mut written = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        for found in constant.captures_iter(&text) {
            let (name, kind, value) = (&found[1], &found[2], &found[3]);
            if kind.ends_with("Duration") || unit.is_match(name) {
                written.insert((name.to_owned(), place.clone(), value.to_owned()));
            }
        }
    }
    let listed: BTreeSet<_> =
        rows("Code").iter().map(|row| (unquoted(&row[0]), unquoted(&row[1]), unquoted(&row[2]))).collect();
    assert_eq!(listed, written);
}

#[test]
fn every_bound_has_a_reason() {
    for chapter in ["State machines", "Retries", "Code"] {
        for row in rows(chapter) {
            let reason = row.last().unwrap();
            assert!(reason.len() > 10 && reason.ends_with('.'), "{chapter}: {row:?}");
        }
    }
}
