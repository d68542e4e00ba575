//! S6 S7 C4: a function that an attacker controls writes an answer, a charter, evidence or a deployment of production.
//!
//! Fails without a table for each domain: a role that may write `lockstep-approvals`, `lockstep-authority` or the
//! deployments of the other path is found here.

use crate::{reached_by_a_push, role_of};
use lockstep_domain::records::Table;
use lockstep_tests::installed::TOOLING;
use lockstep_tests::policy::Role;
use lockstep_tests::stack::REGION;

const WRITES: [&str; 5] = [
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
];

/// Returns true if a role writes an item of a table, by any action.
fn writes(role: &Role, table: Table, key: &str) -> bool {
    let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
    WRITES.iter().any(|action| role.may(action, &arn, &[("dynamodb:leadingkeys", key)].into()))
}

#[test]
fn no_function_that_acts_forges_what_permits_a_deployment() {
    let mut attackers = reached_by_a_push();
    attackers.extend(
        ["promotion-stack", "promotion-image", "promotion-bake", "promotion-verify", "resume"].map(role_of),
    );
    for role in attackers {
        for (table, key) in [
            (Table::Approvals, "APPROVAL#d1"),
            (Table::Authority, "DEPLOYMENT#d1"),
            (Table::Authority, "EVIDENCE#logs"),
            (Table::Authority, "STAGE#production"),
            (Table::Authority, "CONFIG"),
            (Table::Authority, "COMPONENT#logs"),
        ] {
            assert!(!writes(&role, table, key), "{} writes {key} in {}", role.name, table.name());
        }
    }
}

#[test]
fn no_function_of_a_push_writes_a_deployment_of_production() {
    for role in reached_by_a_push() {
        assert!(!writes(&role, Table::Promotion, "DEPLOYMENT#d1"), "{}", role.name);
    }
    // The evaluator finds the function that does.
    assert!(writes(&role_of("promotion-stack"), Table::Promotion, "DEPLOYMENT#d1"));
}
