//! Builds of images in accounts of the promotion path: what a push reaches there by itself.

use crate::iam::assumable;
use crate::installed::{PRODUCTION, TOOLING, stacks};
use crate::machine::{State, installed, states};
use crate::policy::roles;
use crate::stack::REGION;
use lockstep_domain::records::Table;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the functions of the state machines that an execution of `release` may start, each directly or by another one.
fn reached_by_a_push() -> BTreeSet<String> {
    let machines = installed(&stacks());
    let name = |arn: &str| arn.rsplit(':').next().unwrap_or_default().to_owned();
    let of = |machine: &str, kind: &str| -> BTreeSet<String> {
        let found = machines.iter().find(|known| known.name == machine).unwrap();
        found.substitutions.values().filter(|arn| arn.contains(kind)).map(|arn| name(arn)).collect()
    };
    let mut reached = BTreeSet::new();
    let mut open = vec!["lockstep-release".to_owned()];
    while let Some(machine) = open.pop() {
        if reached.insert(machine.clone()) {
            open.extend(of(&machine, ":stateMachine:"));
        }
    }
    assert!(reached.contains("lockstep-promotion-build-image"), "{reached:?}");
    assert!(!reached.contains("lockstep-promotion-deploy"), "{reached:?}");
    reached.iter().flat_map(|machine| of(machine, ":function:")).collect()
}

/// A push must not run code of its author in production by itself.
#[test]
fn a_push_builds_in_production_by_one_function_only() {
    let roles = roles(&stacks());
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for function in reached_by_a_push() {
        let role = &roles[&format!("arn:aws:iam::{TOOLING}:role/{function}-role")];
        for assumed in assumable(role).iter().filter(|arn| arn.contains(PRODUCTION)) {
            let name = assumed.rsplit('/').next().unwrap().to_owned();
            there.entry(function.clone()).or_default().insert(name);
        }
    }
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expected = BTreeMap::from([
        // It discards what was built or copied there, and builds with a permission.
        ("lockstep-promotion-bake".to_owned(), set(&["lockstep-promotion-image-builder"])),
        // It copies images, which runs none of their code.
        (
            "lockstep-promotion-image".to_owned(),
            set(&["lockstep-promotion-image-source", "lockstep-promotion-image-target"]),
        ),
        // It reads stacks.
        ("lockstep-ledger-promotion".to_owned(), set(&["lockstep-promotion-stack-reader"])),
        // It discards images that nothing refers to.
        ("lockstep-sweep".to_owned(), set(&["lockstep-image-keeper"])),
    ]);
    for (function, roles) in &there {
        let known =
            expected.get(function).unwrap_or_else(|| panic!("a push reaches {function} in production"));
        assert!(roles.is_subset(known), "{function} assumes {roles:?}");
    }
    assert!(there.contains_key("lockstep-promotion-bake"), "{there:?}");
}

/// The function looks at the answer itself before CodeBuild starts, and cannot write one.
#[test]
fn the_function_that_builds_reads_approvals_and_cannot_write_them() {
    let approvals = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", Table::Approvals.name());
    let role = &roles(&stacks())[&format!("arn:aws:iam::{TOOLING}:role/lockstep-promotion-bake-role")];
    assert!(role.resources_for("dynamodb:GetItem").contains(&approvals));
    for action in ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"] {
        assert!(!role.resources_for(action).contains(&approvals), "{action}");
    }
}

#[test]
fn no_state_leads_to_a_build_past_the_question() {
    let all = states("build-image");
    let leading: BTreeSet<&str> =
        all.iter().filter(|state| state.next().contains("Build")).map(|s| s.name.as_str()).collect();
    assert_eq!(leading, BTreeSet::from(["Begun", "Observed", "Proceed"]));
    let state = |name: &str| -> &State { all.iter().find(|state| state.name == name).unwrap() };
    let choices = state("Begun").value["Choices"].as_array().unwrap();
    let leads = |word: &str| {
        let choice = choices.iter().find(|c| c["Condition"].as_str().unwrap().contains(&format!("'{word}'")));
        choice.unwrap()["Next"].as_str().unwrap().to_owned()
    };
    assert_eq!((leads("approve").as_str(), leads("build").as_str()), ("AskApproval", "Build"));
    assert_eq!(state("AskApproval").value["Next"], "Proceed");
}

/// The domain and the state machine have the same limit.
#[test]
fn the_question_about_a_build_is_open_as_long_as_its_state_waits() {
    let all = states("build-image");
    let waits = all.iter().find(|state| state.name == "AskApproval").unwrap();
    let hours = lockstep_domain::images::build_permission::OPEN_HOURS;
    assert_eq!(waits.value["TimeoutSeconds"].as_i64(), Some(hours * 3600));
}
