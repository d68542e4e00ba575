//! The environment of each function: its template sets exactly the variables that its code reads.

use crate::installed::stacks;
use crate::operations::{FUNCTIONS, sources};
use lockstep_aws::config::Setting;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_ledger::context::SETTINGS_OF_PATHS;
use std::collections::BTreeSet;

/// Returns the variables in each template of a function called `name`, on each path.
fn given(name: &str) -> Vec<(String, BTreeSet<String>)> {
    let mut found = Vec::new();
    for stack in stacks() {
        for (_, function) in stack.resources("AWS::Lambda::Function") {
            let full = function["FunctionName"].as_str().unwrap();
            if crate::operations::runs(full, name) {
                let variables = function["Environment"]["Variables"].as_object();
                let names = variables.into_iter().flat_map(|variables| variables.keys().cloned());
                found.push((full.to_owned(), names.collect()));
            }
        }
    }
    found
}

#[test]
fn each_function_gets_exactly_the_settings_it_reads() {
    let paths = [DeploymentPath::Delivery, DeploymentPath::Promotion].map(DeploymentPath::as_str);
    for name in FUNCTIONS {
        let text: String = sources(name).concat();
        let asked: BTreeSet<String> = Setting::ALL
            .iter()
            .filter(|setting| text.contains(&format!("Setting::{setting:?}")))
            .map(|setting| setting.variable().to_owned())
            .collect();
        let given = given(name);
        assert!(!given.is_empty(), "no template has the function {name}");
        for (full, variables) in given {
            let mut asked = asked.clone();
            if full.starts_with("lockstep-ledger-") && !paths.iter().any(|path| full.ends_with(path)) {
                for setting in SETTINGS_OF_PATHS {
                    asked.remove(setting.variable());
                }
            }
            assert_eq!(variables, asked, "{full}");
        }
    }
}

#[test]
fn every_setting_is_given_to_some_function() {
    let given: BTreeSet<String> = FUNCTIONS.iter().flat_map(|f| given(f)).flat_map(|(_, v)| v).collect();
    let known: BTreeSet<String> = Setting::ALL.iter().map(|s| s.variable().to_owned()).collect();
    assert_eq!(given, known);
}

#[test]
fn no_setting_is_empty() {
    for stack in stacks() {
        for (_, function) in stack.resources("AWS::Lambda::Function") {
            for (name, value) in function["Environment"]["Variables"].as_object().into_iter().flatten() {
                assert!(
                    value.as_str().is_some_and(|v| !v.is_empty()),
                    "{name} of {}",
                    function["FunctionName"]
                );
            }
        }
    }
}
