//! The reader of drift: what it may read in target accounts, and that it reads no secret and changes nothing.

use crate::installed::{PATHS, stacks};
use crate::policy::{Role, roles};
use crate::stack::repository;
use lockstep_domain::stacks::permissions::Table;
use std::collections::BTreeSet;

/// Actions that return a secret, a parameter's value, an object or a plaintext. No look needs them enough.
fn reveals(action: &str) -> bool {
    let exact = ["kms:Decrypt", "s3:GetObject", "s3:GetObjectVersion", "secretsmanager:GetSecretValue"];
    exact.contains(&action) || action.starts_with("ssm:GetParameter")
}

fn is_read(action: &str) -> bool {
    let name = action.split(':').nth(1).unwrap_or_default();
    ["Get", "List", "Describe", "BatchGet", "BatchDescribe", "Search"]
        .iter()
        .any(|verb| name.starts_with(verb))
}

/// Returns the roles of the reader in the accounts of a path.
fn readers(path: &str) -> Vec<Role> {
    let name = format!("lockstep-{path}-drift-reader");
    let found: Vec<Role> = roles(&stacks()).into_values().filter(|role| role.name == name).collect();
    assert!(!found.is_empty(), "{name}");
    found
}

fn actions(role: &Role) -> BTreeSet<String> {
    let allowed = role.statements.iter().filter(|statement| statement.allows);
    allowed.flat_map(|statement| statement.actions.clone()).collect()
}

/// Returns the reads of the listed types, other than those that reveal something.
fn needed() -> BTreeSet<String> {
    let read = |path: &str| std::fs::read(repository().join(path)).unwrap();
    let table = Table::unpack(&read("shared/permissions/cloudformation.json.gz")).unwrap();
    let types = String::from_utf8(read("shared/drift/types.txt")).unwrap();
    let needed = types.lines().flat_map(|name| {
        table.types.get(name).unwrap_or_else(|| panic!("{name} is in no table")).read.clone()
    });
    needed.filter(|action| !reveals(action)).collect()
}

/// Returns the actions that CloudFormation's detection and Cloud Control take with the permissions of the reader.
pub fn on_behalf() -> BTreeSet<String> {
    let of_detection =
        ["cloudformation:BatchDescribeTypeConfigurations", "cloudformation:DetectStackResourceDrift"];
    needed().into_iter().chain(of_detection.map(str::to_owned)).collect()
}

#[test]
fn the_reader_may_read_the_listed_types_and_nothing_more() {
    let needed = needed();
    for path in PATHS {
        for reader in readers(path) {
            let granted = actions(&reader);
            let granted = granted.into_iter().filter(|action| !action.starts_with("cloudformation:"));
            assert_eq!(granted.collect::<BTreeSet<_>>(), needed, "{path}");
        }
    }
}

#[test]
fn the_reader_changes_nothing_and_reads_no_secret() {
    // A detection changes no stack and no resource.
    let detects = ["cloudformation:DetectStackDrift", "cloudformation:DetectStackResourceDrift"];
    for path in PATHS {
        for action in readers(path).iter().flat_map(actions) {
            assert!(is_read(&action) || detects.contains(&action.as_str()), "{path}: {action}");
            assert!(!reveals(&action) && !action.contains('*'), "{path}: {action}");
        }
    }
}
