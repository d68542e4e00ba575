//! S21: the deployer of a component updates the stack from which its own role comes, or passes another role.
//!
//! Fails without the statements `NotThisStack` and `PassExactlyOneRole` in `infra/target-account/template.yaml`.

use crate::in_development;
use lockstep_tests::installed::DEVELOPMENT;

#[test]
fn the_deployer_neither_changes_lockstep_nor_passes_another_role() {
    let deployer = in_development("lockstep-delivery-deployer");
    let own = format!("arn:aws:cloudformation:eu-west-1:{DEVELOPMENT}:stack/lockstep-target/1");
    let other = format!("arn:aws:cloudformation:eu-west-1:{DEVELOPMENT}:stack/ci-logs/1");
    for action in ["CreateChangeSet", "ExecuteChangeSet", "DeleteStack", "RollbackStack", "UpdateStack"] {
        let action = format!("cloudformation:{action}");
        assert!(!deployer.may(&action, &own, &[].into()), "{action}");
        assert!(deployer.may(&action, &other, &[].into()), "{action}");
    }
    let passes = |role: &str, service: &str| {
        let arn = format!("arn:aws:iam::{DEVELOPMENT}:role/{role}");
        deployer.may("iam:PassRole", &arn, &[("iam:passedtoservice", service)].into())
    };
    assert!(passes("lockstep-delivery-cloudformation", "cloudformation.amazonaws.com"));
    assert!(!passes("lockstep-delivery-cloudformation", "lambda.amazonaws.com"));
    assert!(!passes("Administrator", "cloudformation.amazonaws.com"));
}
