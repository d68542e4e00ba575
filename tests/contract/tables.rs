//! Tables of records: the roles that may write each. The boundary of a table separates the domains of trust.

use crate::installed::{TOOLING, stacks};
use crate::policy::roles;
use crate::stack::REGION;
use lockstep_domain::model::deployment_path::DeploymentPath;
use lockstep_domain::records::Table;
use std::collections::BTreeSet;

/// Actions that change an item, or every item.
const WRITES: [&str; 5] = [
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:PartiQLUpdate",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
];

/// Returns the roles that may write `table`, without `lockstep-` and `-role`.
fn writers(table: Table) -> BTreeSet<String> {
    let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", table.name());
    let writes =
        |role: &crate::policy::Role| WRITES.iter().any(|action| role.resources_for(action).contains(&arn));
    let short = |name: &str| name.trim_start_matches("lockstep-").trim_end_matches("-role").to_owned();
    roles(&stacks()).values().filter(|role| writes(role)).map(|role| short(&role.name)).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_table_has_its_writers_and_no_other() {
    let expected: [(Table, &[&str]); 9] = [
        (
            Table::Authority,
            &[
                "ledger-administrators",
                "ledger-delivery",
                "ledger-operators",
                "ledger-promotion",
                "ledger-sweep",
            ],
        ),
        (Table::Approvals, &["ledger-approvers"]),
        (
            Table::Delivery,
            &[
                "delivery-bake",
                "delivery-drift",
                "delivery-image",
                "delivery-stack",
                "delivery-verify",
                "ledger-delivery",
                "ledger-operators",
                "ledger-sweep",
            ],
        ),
        (
            Table::Promotion,
            &[
                "ledger-operators",
                "ledger-promotion",
                "ledger-sweep",
                "promotion-bake",
                "promotion-drift",
                "promotion-image",
                "promotion-stack",
                "promotion-verify",
            ],
        ),
        // The promotion path also copies images to accounts of the delivery path.
        (Table::DeliveryImages, &["delivery-bake", "delivery-image", "promotion-image"]),
        (Table::PromotionImages, &["promotion-bake", "promotion-image"]),
        (Table::Callbacks, &["resume"]),
        (Table::Intake, &["ledger-delivery", "package", "webhook"]),
        (Table::Sweep, &["sweep"]),
    ];
    assert_eq!(expected.len(), Table::OF_CONTROL_PLANE.len());
    for (table, names) in expected {
        assert_eq!(writers(table), set(names), "{}", table.name());
    }
}

/// Task tokens are secrets of executions. The sweep names callbacks and reads the executions that they belong to.
#[test]
fn only_the_owner_of_callbacks_and_the_sweep_read_task_tokens() {
    let arn = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", Table::Callbacks.name());
    let reads = |role: &crate::policy::Role| {
        ["dynamodb:GetItem", "dynamodb:Query"].iter().any(|action| role.resources_for(action).contains(&arn))
    };
    let of_functions = roles(&stacks());
    let readers = of_functions.values().filter(|role| reads(role) && role.name.ends_with("-role"));
    let readers: BTreeSet<&str> = readers.map(|role| role.name.as_str()).collect();
    assert_eq!(readers, ["lockstep-resume-role", "lockstep-sweep-role"].into());
}

/// The sweep proposes. Only its report is its own.
#[test]
fn the_sweep_writes_its_report_and_no_other_table() {
    let writes = |table: &&Table| writers(**table).contains("sweep");
    let written: Vec<Table> = Table::OF_CONTROL_PLANE.iter().filter(writes).copied().collect();
    assert_eq!(written, [Table::Sweep]);
}

/// A function of a path reaches neither the deployments of the other path, nor the records that permit a deployment.
#[test]
fn no_function_of_a_path_writes_for_the_other_path_or_the_authority() {
    let paths = [(DeploymentPath::Delivery, "promotion-"), (DeploymentPath::Promotion, "delivery-")];
    for (path, other) in paths {
        assert!(!writers(Table::of(path)).iter().any(|role| role.starts_with(other)), "{path:?}");
    }
    assert!(!writers(Table::PromotionImages).iter().any(|role| role.starts_with("delivery-")));
    for role in writers(Table::Authority).iter().chain(&writers(Table::Approvals)) {
        assert!(role.starts_with("ledger-"), "{role}");
    }
    let own = |path: &str| format!("ledger-{path}");
    assert!(!writers(Table::Delivery).contains(&own("promotion")));
    assert!(!writers(Table::Promotion).contains(&own("delivery")));
}

#[test]
fn a_function_that_writes_under_a_fence_may_check_it_and_not_write_it() {
    let authority = format!("arn:aws:dynamodb:{REGION}:{TOOLING}:table/{}", Table::Authority.name());
    for path in crate::installed::PATHS {
        let role = &roles(&stacks())[&format!("arn:aws:iam::{TOOLING}:role/lockstep-{path}-stack-role")];
        assert!(role.resources_for("dynamodb:ConditionCheckItem").contains(&authority), "{path}");
        for action in WRITES {
            assert!(!role.resources_for(action).contains(&authority), "{path}: {action}");
        }
    }
}
