//! S6 C4: a function of the delivery path acts in an account of the promotion path.
//!
//! Fails without the trust policies and the policies `act` in `infra/control-plane/accounts.yaml`, which name roles by path.

use crate::reached_by_a_push;
use lockstep_tests::installed::{DEVELOPMENT, PRODUCTION};
use lockstep_tests::policy::Role;

fn assumes(role: &Role, target: &str, account: &str) -> bool {
    let arn = format!("arn:aws:iam::{account}:role/{target}");
    role.may("sts:AssumeRole", &arn, &[("aws:resourceaccount", account)].into())
}

#[test]
fn no_function_that_a_push_reaches_assumes_a_role_of_production() {
    let targets = ["deployer", "cloudformation", "image-source", "image-target", "image-builder", "verifier"];
    for role in reached_by_a_push() {
        for target in targets {
            for path in ["delivery", "promotion"] {
                let name = format!("lockstep-{path}-{target}");
                assert!(!assumes(&role, &name, PRODUCTION), "{} assumes {name}", role.name);
            }
        }
        assert!(!assumes(&role, "lockstep-image-keeper", PRODUCTION), "{}", role.name);
    }
    // The evaluator finds the role that a function does assume.
    assert!(assumes(&crate::role_of("delivery-stack"), "lockstep-delivery-deployer", DEVELOPMENT));
}
